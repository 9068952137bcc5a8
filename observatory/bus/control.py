"""The control doorbell: words that workers act on at once instead of at their next renewal.

Nothing depends on it: a cancel is found by the next renewal as well, a wake, or work in a partition that rings for a
sleeping worker, by the next look. A bell carries no work, so one that is heard for nothing costs one take. What foreign
producers add by a plain XADD rings for nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from observatory.bus.links.ear import IDLE_S, Ear

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

    from observatory.bus.partitions import Partitions

Heard = Callable[[str, str], None]
"""Called with a word and its subject: `cancel` and a task's id, `ring` with the number of the partition in which work
has appeared and the consumer that is to fetch it, or `wake` alone."""


class Doorbell(Ear):
    """Listens on the control channel for all workers of a process.

    Args:
        partitions: The parts of the bus.
    """

    def __init__(self, partitions: Partitions) -> None:
        super().__init__(lambda: partitions.seat.link, "the control channel")
        self._partitions = partitions
        self._listeners: list[Heard] = []

    def listen(self, heard: Heard) -> None:
        """Call *heard* for every word from now on."""
        self._listeners.append(heard)
        self.open()

    def unlisten(self, heard: Heard) -> None:
        """Do not call *heard* any more."""
        self._listeners.remove(heard)

    async def hear(self, channel: PubSub) -> None:
        """Pass every word on."""
        await channel.subscribe(*(partition.keys.control for partition in self._partitions))
        while True:
            message = await channel.get_message(timeout=IDLE_S)
            if message is not None:
                word, _, subject = message["data"].decode("utf-8", "surrogateescape").partition(" ")
                for heard in list(self._listeners):
                    heard(word, subject)
