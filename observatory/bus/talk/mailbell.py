"""Bells of mailboxes: whoever sends by the bus client rings, and only who waits for that agent hears it.

A bell carries no mail, and may be lost: whoever is rung looks into the mailbox, and looks now and then by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from observatory.bus.links.ear import IDLE_S, Ear

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

    from observatory.bus.partitions import Partitions

Rang = Callable[[str], None]
"""Called with the agent in whose mailbox something may be new."""


class MailBell(Ear):
    """Listens for the bells of any number of mailboxes, on one connection.

    Args:
        partitions: The parts of the bus.
    """

    def __init__(self, partitions: Partitions) -> None:
        super().__init__(lambda: partitions.seat.link, "the bells of mailboxes")
        self._partitions = partitions
        self._heard: dict[str, list[Rang]] = {}
        self._agents: dict[bytes, str] = {}
        self._changed = asyncio.Event()

    def listen(self, agent: str, rang: Rang) -> None:
        """Call *rang* whenever it rings for *agent*, from a moment from now on."""
        self._heard.setdefault(agent, []).append(rang)
        self._changed.set()
        self.open()

    def unlisten(self, agent: str, rang: Rang) -> None:
        """Do not call *rang* for *agent* any more."""
        self._heard[agent].remove(rang)
        if not self._heard[agent]:
            del self._heard[agent]
            self._changed.set()

    async def hear(self, channel: PubSub) -> None:
        """Ring for those whose bell it is, while others come and go."""
        # Until somebody subscribes there is nothing that could be read.
        await channel.subscribe(self._partitions.seat.keys.bell(""))
        self._agents.clear()
        self._changed.set()
        subscribing = asyncio.create_task(self._subscribe(channel), name="observatory-mailbell")
        try:
            await self._pass_on(channel)
        finally:
            subscribing.cancel()
            await asyncio.wait({subscribing})

    async def _pass_on(self, channel: PubSub) -> None:
        while True:
            message = await channel.get_message(timeout=IDLE_S)
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
