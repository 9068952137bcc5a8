"""The control doorbell: words that workers act on at once instead of at their next renewal.

Pub/Sub loses what it says while nobody listens, so nothing depends on it: a cancel is found by the next renewal as
well, a wake, or work in a partition that rings for a sleeping worker, by the next look. A bell carries no work, so one
that is heard for nothing costs one take. What foreign producers add by a plain XADD rings for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from observatory.bus.links.refusals import TRANSIENT

if TYPE_CHECKING:
    from observatory.bus.partitions import Partitions

Heard = Callable[[str, str], None]
"""Called with a word and its subject: `cancel` and a task's id, `ring` with the number of the partition in which work
has appeared and the consumer that is to fetch it, or `wake` alone."""

_IDLE_S = 5.0

log = logging.getLogger(__name__)


class Doorbell:
    """Listens on the control channel for all workers of a process.

    In a cluster every node passes on what is published at any, so one connection hears all partitions.

    Args:
        partitions: The parts of the bus.
    """

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._listeners: list[Heard] = []
        self._task: asyncio.Task[None] | None = None

    def listen(self, heard: Heard) -> None:
        """Call *heard* for every word from now on."""
        self._listeners.append(heard)
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="observatory-control")

    def unlisten(self, heard: Heard) -> None:
        """Do not call *heard* any more."""
        self._listeners.remove(heard)

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _listen(self) -> None:
        while True:
            client = self._partitions.seat.link.client(timeout_s=_IDLE_S + 3)
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(*(partition.keys.control for partition in self._partitions))
                    while True:
                        message = await channel.get_message(timeout=_IDLE_S)
                        if message is not None:
                            self._tell(message["data"].decode("utf-8", "surrogateescape"))
            except TRANSIENT:
                await asyncio.sleep(random.uniform(0.2, 1.0))
            except Exception as error:  # no right to subscribe, say: renewing tells the same, only later
                log.warning("the control channel cannot be listened to: %s", error)
                await asyncio.sleep(30)
            finally:
                await client.aclose()

    def _tell(self, words: str) -> None:
        word, _, subject = words.partition(" ")
        for heard in list(self._listeners):
            heard(word, subject)
