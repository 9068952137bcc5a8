"""What the agents of one process share: the bus, the journal, and how things stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from observatory.demo.journal import Journal
from observatory.demo.roster import Agent, Host, Role
from observatory.model.errors import BusError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus import Bus
    from observatory.demo.lifeline import Order
    from observatory.model.task import NewTask


@dataclass(frozen=True, slots=True)
class Brief:
    """What the director tells a process when it starts.

    Attributes:
        url: Where the bus is; secret.
        host: Who lives in the process.
        life: How often the process has been started, from 1.
        seed: Seed of the swarm.
        rate: New tasks per second for each planner of this process, before what follows from them.
        lease_s: Seconds a worker may hold work without renewing.
        beat_s: Seconds between heartbeats.
        patience_s: Longest delay of scheduled work, in seconds.
        colleagues: Agents that work may be addressed to.
        journal: File for the journal; empty for none.
    """

    url: str
    host: Host
    life: int
    seed: int
    rate: float
    lease_s: float
    beat_s: float
    patience_s: float
    colleagues: tuple[str, ...]
    journal: str

    def to_order(self) -> Order:
        """Return it as the first order of the lifeline."""
        agents = [[agent.name, agent.role, list(agent.queues)] for agent in self.host.agents]
        host = {"name": self.host.name, "solo": self.host.solo, "proxied": self.host.proxied, "agents": agents}
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "host"}
        return {**plain, "host": host}

    @classmethod
    def from_order(cls, order: Order) -> Brief:
        """Read what `to_order` wrote."""
        host = order["host"]
        agents = tuple(Agent(name, Role(role), tuple(queues)) for name, role, queues in host["agents"])
        order = {**order, "colleagues": tuple(order["colleagues"])}
        return cls(**{**order, "host": Host(host["name"], agents, host["solo"], host["proxied"])})


@dataclass(slots=True)
class Office:
    """The one shared state of a process, owned by its event loop.

    Attributes:
        brief: What the director said.
        bus: The process's bus.
        journal: The process's journal.
        random: Dice of this process and life.
        deploys_fail: The cluster is broken.
        quiet: Nobody publishes any more.
    """

    brief: Brief
    bus: Bus
    journal: Journal = field(init=False)
    random: Random = field(init=False)
    deploys_fail: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        brief = self.brief
        self.journal = Journal(Path(brief.journal) if brief.journal else None)
        self.random = Random(f"{brief.seed}:{brief.host.name}:{brief.life}")

    async def publish(self, tasks: Sequence[NewTask]) -> None:
        """Publish *tasks* and journal what the bus said.

        Raises:
            BusError: The bus refused or did not answer; what became of each of them is not known.
        """
        try:
            await self.bus.publish_many(tasks)
        except BusError:
            # Some of them may have arrived before the answer was lost or was no.
            for task in tasks:
                self.journal.note("unknown", task.id)
            raise
        for task in tasks:
            self.journal.note("acked", task.id)
