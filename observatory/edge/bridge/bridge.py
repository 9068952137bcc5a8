"""The bridge: finds whose request it is, keeps every agent on the side where operators want it."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, Self

from observatory.bus.talk.mail import Mail, check_agent
from observatory.bus.talk.sides import Move, Side
from observatory.edge.bridge.post import Post
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from types import TracebackType

    from observatory.bus import Bus
    from observatory.edge.bridge.protocol import Protocol
    from observatory.edge.bridge.upstream import Upstream

LOOK_S: Final = 0.25
"""Seconds between two looks at where agents are wanted, and at what came to the old server for those who moved."""

MOST_POLLED: Final = 1000
"""Messages that one poll returns at most."""

log = logging.getLogger(__name__)


class Bridge:
    """Serves old agents from both sides. One at a time for a bus.

    Args:
        bus: The bus, open.
        protocol: How old agents speak.
        upstream: The old server; None if there is none any more, so that everybody who polls is served by the bus.
    """

    def __init__(self, bus: Bus, protocol: Protocol, upstream: Upstream | None) -> None:
        self.protocol = protocol
        self._bus = bus
        self._upstream = upstream
        self._posts: dict[str, Post] = {}
        self._mails: dict[int | None, Mail] = {}
        self._looking: asyncio.Task[None] | None = None
        self._problems: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self.look()
        self._looking = asyncio.create_task(self._look_on(), name="observatory-bridge")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(post.close() for post in self._posts.values()))
        for mail in self._mails.values():
            await mail.close()

    async def send(self, body: object) -> dict[str, Any]:
        """Take a message; the answer is that of the old server, or the id that the bus gave it.

        Raises:
            UsageError: It is none.
            ObservatoryError: The side where its agent is does not take it.
        """
        said = self.protocol.understood(body)
        assert isinstance(body, dict)  # noqa: S101 (it was understood)
        return await (await self._post(said.to)).send(said, body)

    async def poll(self, agent: str, since: str, limit: str) -> dict[str, Any]:
        """Return what waits for *agent* behind *since*.

        Raises:
            UsageError: *agent* or *limit* cannot be one.
            MovedAwayError: It reads the bus by itself.
            UpstreamError: The old server does not answer.
        """
        if not limit.isdigit() or not 0 < int(limit) <= MOST_POLLED:
            raise UsageError(f"{self.protocol.names.limit}: {line(limit, 20)!r} is not from 1 to {MOST_POLLED}")
        found = await (await self._post(agent)).poll(since, int(limit))
        names = self.protocol.names
        return {names.messages: found, names.last: found[-1].get(names.id) if found else since}

    async def ack(self, agent: str, ident: object) -> dict[str, Any]:
        """Acknowledge everything for *agent* up to *ident*.

        Raises:
            UsageError: *ident* cannot be one.
            ObservatoryError: The side where the agent is does not take it.
        """
        if isinstance(ident, bool) or not isinstance(ident, str | int) or not str(ident):
            raise UsageError(f"{self.protocol.names.id}: must be the id of a message")
        return {self.protocol.names.acknowledged: await (await self._post(agent)).ack(str(ident))}

    async def look(self) -> None:
        """See where agents are wanted, and bring each there; one round of what goes on all the time."""
        try:
            moves = await self._bus.sides.all()
        except ObservatoryError as error:
            self._tell("", str(error))
            return
        self._tell("", "")
        await asyncio.gather(*(self._follow(agent, move) for agent, move in moves.items()))

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def _follow(self, agent: str, move: Move) -> None:
        try:
            await self._known(agent, move).follow(move)
        except ObservatoryError as error:
            self._tell(agent, str(error))
        else:
            self._tell(agent, "")

    async def _post(self, agent: str) -> Post:
        """Return the post of *agent*; one that was never heard of begins where everybody does."""
        check_agent(self.protocol.names.agent, agent)
        if (post := self._posts.get(agent)) is None:
            side = Side.POLLING if self._upstream is None else Side.OLD
            move = await self._bus.sides.change(agent, lambda known: known, Move(side, side))
            post = self._known(agent, move)
            await post.follow(move)
        return post

    def _known(self, agent: str, move: Move) -> Post:
        if agent not in self._posts:
            mail = self._mail_of(agent)
            self._posts[agent] = Post(agent, self._bus, mail, move, protocol=self.protocol, upstream=self._upstream)
        return self._posts[agent]

    def _mail_of(self, agent: str) -> Mail:
        partition = self._bus.partitions.of(agent)
        if (mail := self._mails.get(partition.number)) is None:
            bus = self._bus
            # A lasting name: what the bridge held when it was killed is the first that it reads again.
            consumer = f"bridge@{socket.gethostname()}"
            mail = Mail(partition.link, partition.keys, bus.name, bus.clock, blobs=bus.blobs, consumer=consumer)
            self._mails[partition.number] = mail
        return mail

    def _tell(self, agent: str, problem: str) -> None:
        if problem and self._problems.get(agent) != problem:
            log.warning("%s", f"{agent}: {problem}" if agent else problem)
        self._problems[agent] = problem
