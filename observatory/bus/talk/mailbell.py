"""Bells of mailboxes: whoever sends by the bus client rings, and only who waits for that agent hears it.

A bell carries no mail, and may be lost: whoever is rung looks into the mailbox, and looks now and then by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from observatory.bus.links.refusals import TRANSIENT

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

    from observatory.bus.partitions import Partitions

Rang = Callable[[str], None]
"""Called with the agent in whose mailbox something may be new."""

_IDLE_S: Final = 5.0
_FORBIDDEN_S: Final = 30.0

log = logging.getLogger(__name__)


class MailBell:
    """Listens for the bells of any number of mailboxes, on one connection.

    In a cluster every node passes on what is published at any, so one connection hears all partitions.

    Args:
        partitions: The parts of the bus.
    """

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._heard: dict[str, list[Rang]] = {}
        self._agents: dict[bytes, str] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def listen(self, agent: str, rang: Rang) -> None:
        """Call *rang* whenever it rings for *agent*, from a moment from now on."""
        self._heard.setdefault(agent, []).append(rang)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="observatory-mailbell")

    def unlisten(self, agent: str, rang: Rang) -> None:
        """Do not call *rang* for *agent* any more."""
        self._heard[agent].remove(rang)
        if not self._heard[agent]:
            del self._heard[agent]
            self._changed.set()

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
                    # Until somebody subscribes there is nothing that could be read.
                    await channel.subscribe(self._partitions.seat.keys.bell(""))
                    self._agents.clear()
                    self._changed.set()
                    subscribing = asyncio.create_task(self._subscribe(channel), name="observatory-mailbell")
                    try:
                        await self._hear(channel)
                    finally:
                        subscribing.cancel()
                        await asyncio.wait({subscribing})
            except TRANSIENT:
                await asyncio.sleep(random.uniform(0.2, 1.0))
            except Exception as error:  # no right to subscribe, say: looking tells the same, only later
                log.warning("the bells of mailboxes cannot be listened to: %s", error)
                await asyncio.sleep(_FORBIDDEN_S)
            finally:
                await client.aclose()

    async def _hear(self, channel: PubSub) -> None:
        while True:
            message = await channel.get_message(timeout=_IDLE_S)
            if message is not None and (agent := self._agents.get(message["channel"])) is not None:
                for rang in self._heard.get(agent, ()):
                    rang(agent)

    async def _subscribe(self, channel: PubSub) -> None:
        """Keep what is subscribed to equal to what somebody listens to."""
        with contextlib.suppress(RedisError, OSError):
            while True:
                await self._changed.wait()
                self._changed.clear()
                wanted = {self._partitions.of(agent).keys.bell(agent).encode(): agent for agent in self._heard}
                gone = [name for name in self._agents if name not in wanted]
                new = [name for name in wanted if name not in self._agents]
                self._agents = wanted
                if new:
                    await channel.subscribe(*new)
                if gone:
                    await channel.unsubscribe(*gone)
