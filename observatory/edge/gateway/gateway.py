"""`Gateway`: what all requests of one gateway share."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final, Self

from observatory.bus.tasks.visits import Visits
from observatory.edge.gateway.journal import Journal
from observatory.edge.gateway.keyring import Keyring
from observatory.edge.gateway.meter import Meter
from observatory.edge.gateway.problems import Problem
from observatory.edge.gateway.push.feed import Feed
from observatory.edge.gateway.watch import Watch

GOING_AWAY: Final = 1012
"""Close code of sockets when the gateway ends; who is told may come back at once."""

if TYPE_CHECKING:
    from types import TracebackType

    from observatory.bus import Bus
    from observatory.edge.gateway.options import GatewayOptions
    from observatory.edge.gateway.push.agent_socket import AgentSocket


class Gateway:
    """One gateway of a bus. Use it as an asynchronous context manager.

    Attributes:
        bus: The bus, connected with `many_inboxes`.
        options: What it was told.
        keyring: Who may come in.
        meter: What it counts.
        journal: Its access log.
        watch: Snapshots of the bus.
        feed: Facts of the log, as they come.
        visits: Takes and settles tasks for agents that come and go.
        sockets: The socket of each agent that has one here.
        draining: Set when it closes: whoever waits is to be answered now.

    Args:
        bus: The bus.
        options: Where it listens, whom it lets in, how much it takes.
    """

    def __init__(self, bus: Bus, options: GatewayOptions) -> None:
        self.bus = bus
        self.options = options
        self.keyring = Keyring(bus, anonymous=options.anonymous)
        self.meter = Meter()
        self.journal = Journal(sys.stderr if options.access_log else None)
        self.watch = Watch(bus)
        self.feed = Feed(bus, self.meter, most=4 * options.queue)
        self.visits = Visits(bus)
        self.draining = asyncio.Event()
        self.sockets: dict[str, AgentSocket] = {}
        self._parting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.keyring.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain()
        if self._parting:
            await asyncio.wait(self._parting, timeout=self.options.drain_s)
        await self.keyring.close()
        await self.watch.close()
        await self.feed.close()
        await self.visits.close()
        self.journal.flush()

    def drain(self) -> None:
        """Take nothing new, answer whoever waits, and let sockets go."""
        self.draining.set()
        for socket in self.sockets.values():
            socket.dismiss(GOING_AWAY, "this gateway is closing: connect again")

    def check_sockets(self) -> None:
        """Refuse one more socket where there are as many as there may be.

        Raises:
            Problem: 503.
        """
        if sum(self.meter.sockets.values()) >= self.options.max_sockets:
            raise Problem(503, "full", "too many sockets are open", retry_after_s=5)

    async def pause(self, seconds: float) -> None:
        """Wait *seconds*, or until this gateway closes."""
        try:
            async with asyncio.timeout(seconds):
                await self.draining.wait()
        except TimeoutError:
            return

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold *task*, the end of a socket, until it is done; closing waits for it."""
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)
