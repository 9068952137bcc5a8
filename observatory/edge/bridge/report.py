"""What is left on the wrong side: for each agent, what waits for it on the old server and on the bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.bus.talk.sides import Side

if TYPE_CHECKING:
    from observatory.bus import Bus
    from observatory.bus.talk.sides import Move
    from observatory.edge.bridge.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the move of one agent is.

    Attributes:
        agent: Its name.
        move: What is known of its move.
        on_bus: Messages in its mailbox.
        on_old: Messages that wait for it on the old server, a page of them at most; None if nobody asked there.
    """

    agent: str
    move: Move
    on_bus: int
    on_old: int | None

    @property
    def amiss(self) -> str:
        """What is not as it should be, in words; empty if all is well."""
        if self.move.wanted is not self.move.now:
            return f"on its way from {self.move.now} to {self.move.wanted}"
        if self.move.now is Side.OLD:
            return f"{self.on_bus:,} wait on the bus, and it polls the old server" if self.on_bus else ""
        return f"{self.on_old:,} wait on the old server, and it has moved" if self.on_old else ""


async def standings(bus: Bus, upstream: Upstream | None) -> list[Standing]:
    """Return how far each agent is, by name.

    Raises:
        UpstreamError: The old server does not answer.
        BusError: The bus cannot be read.
    """
    found = []
    for agent, move in (await bus.sides.all()).items():
        box = await bus.reads.mailbox(agent)
        waiting = None if upstream is None else len(await upstream.poll(agent, move.cursor))
        found.append(Standing(agent, move, box.length if box is not None else 0, waiting))
    return found
