"""Who is in the swarm, what each is good at, and which process hosts whom. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from observatory.model.task import SHARED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = (
    "harold", "pink", "red", "blue", "cursor", "violet", "amber", "jade", "teal", "coral", "indigo", "olive",
    "slate", "ruby", "onyx", "pearl", "ivory", "cobalt", "umber", "lime", "plum", "mint", "rust", "sage", "wren",
    "finch", "otter", "heron", "lynx", "maple", "cedar", "aspen",
)  # fmt: skip
"""The first agents by name; those after them are `harold-2`, `pink-2` and so on."""

ADDRESSED = 12
"""Only the first agents get work addressed to them by name, so that a large swarm does not make 4,000 lanes."""

_AGENTS_PER_PLANNER = 50
_CROWD = 60
"""Agents that share a process at most, beyond those that incidents need apart."""


class Role(StrEnum):
    """What an agent does for a living."""

    PLANNER = "planner"
    CODER = "coder"
    REVIEWER = "reviewer"
    DEPLOYER = "deployer"
    RESEARCHER = "researcher"
    SCRIBE = "scribe"


QUEUES: Mapping[Role, tuple[str, ...]] = {
    Role.PLANNER: (),
    Role.CODER: ("coding", SHARED),
    Role.REVIEWER: (SHARED, "coding"),
    Role.DEPLOYER: ("deploy", SHARED),
    Role.RESEARCHER: (SHARED,),
    Role.SCRIBE: (SHARED,),
}
"""Queues that a role serves, beside the agent's own."""

_CYCLE = (
    Role.CODER, Role.REVIEWER, Role.DEPLOYER, Role.CODER, Role.RESEARCHER, Role.SCRIBE, Role.DEPLOYER,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agent:
    """One named agent.

    Attributes:
        name: Its name on the bus.
        role: What it does.
        queues: Queues it serves beside its own.
    """

    name: str
    role: Role
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """One process and the agents that live in it.

    Attributes:
        name: Name of the process, for its journal.
        agents: Who lives there.
        solo: It holds one agent, which the script may kill or freeze.
        proxied: It reaches the bus through the director's proxy, which the script may cut.
    """

    name: str
    agents: tuple[Agent, ...]
    solo: bool = False
    proxied: bool = False


def agent_names(count: int) -> tuple[str, ...]:
    """Return *count* distinct names, always the same ones in the same order."""
    rounds = ((name if k == 1 else f"{name}-{k}") for k in range(1, count + 1) for name in NAMES)
    return tuple(name for name, _ in zip(rounds, range(count), strict=False))


def assemble(count: int) -> tuple[Agent, ...]:
    """Return a swarm of *count* agents in which every queue is served by somebody."""
    agents: list[Agent] = []
    workers = 0
    for index, name in enumerate(agent_names(count)):
        if index % _AGENTS_PER_PLANNER == 0:
            agents.append(Agent(name, Role.PLANNER, QUEUES[Role.PLANNER]))
            continue
        role = _CYCLE[workers % len(_CYCLE)]
        workers += 1
        agents.append(Agent(name, role, QUEUES[role]))
    missing = tuple(
        queue for queue in ("coding", "deploy", SHARED) if not any(queue in agent.queues for agent in agents)
    )
    return tuple(
        agent if agent.role is Role.PLANNER else Agent(agent.name, agent.role, agent.queues + missing)
        for agent in agents
    )


def house(agents: Sequence[Agent]) -> tuple[Host, ...]:
    """Spread *agents* over processes: planners, two who may die alone, two behind the proxy, the rest together."""
    planners = tuple(agent for agent in agents if agent.role is Role.PLANNER)
    workers = [agent for agent in agents if agent.role is not Role.PLANNER]
    solo, cut, rest = _cast(workers)
    crowds = -(-len(rest) // _CROWD)
    hosts = [Host("planning", planners)]
    hosts += [Host(agent.name, (agent,), solo=True, proxied=not cut) for agent in solo]
    hosts += [Host("remote", tuple(cut), proxied=True)] if cut else []
    hosts += [Host(f"crowd-{k + 1}", tuple(rest[k::crowds])) for k in range(crowds)]
    return tuple(hosts)


def _cast(workers: Sequence[Agent]) -> tuple[list[Agent], list[Agent], list[Agent]]:
    """Choose who may die, who may be cut off and who is left in peace; one agent plays two parts in a tiny swarm."""
    solo = [worker for index, worker in enumerate(workers) if index in {0, 2}]
    others = [worker for worker in workers if worker not in solo]
    cut = [worker for index, worker in enumerate(others) if index in {1, 3}]
    return solo, cut, [worker for worker in others if worker not in cut]
