"""What is wrong, in one line each, worst first: the place where the eye of the operator should go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from observatory.model.agent import AgentState
from observatory.model.snapshot import LaneState
from observatory.model.task import Lane
from observatory.model.text import line
from observatory.tui.drawing import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.model.snapshot import AgentView, LaneView, Snapshot


class Finding(NamedTuple):
    """One thing that wants attention.

    Attributes:
        urgency: 0 is worst.
        subject: What it is about; foreign text, already made printable.
        words: What is the matter with it.
    """

    urgency: int
    subject: str
    words: str


def findings(snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return everything in *snapshot* that wants attention, worst first."""
    return tuple(sorted(_all(snapshot), key=lambda finding: finding.urgency))


def verdict(snapshot: Snapshot) -> str:
    """Say in words that all is well; only true when there are no findings, and nothing while nothing is known."""
    if not snapshot.at_ms:
        return ""
    if not snapshot.lanes and not snapshot.agents:
        return "the bus is empty: no lanes, no agents yet"
    served = sum(lane.consumers > 0 for lane in snapshot.lanes)
    alive = sum(agent.state is AgentState.ALIVE for agent in snapshot.agents)
    if not served and not alive:
        return "no work in any lane, and no agents yet"
    lanes, agents = f"{served} lane{'' if served == 1 else 's'}", f"{alive} agent{'' if alive == 1 else 's'}"
    return f"all well: {lanes} served, {agents} alive"


def _all(snapshot: Snapshot) -> Iterator[Finding]:
    for lane in snapshot.lanes:
        yield from _lane(lane)
    for agent in snapshot.agents:
        yield from _agent(agent)
    letters = snapshot.dead_letters
    if letters.problem:
        yield Finding(0, "dead letters", line(letters.problem, 60))
    elif letters.rate:
        a_minute = round(letters.rate * 60)
        yield Finding(1, "dead letters", f"{fmt.count(a_minute) if a_minute else '<1'}/min arriving")
    for warning in snapshot.engine.warnings:
        yield Finding(3, "engine", line(warning, 60))


def _lane(lane: LaneView) -> Iterator[Finding]:
    name = line(str(Lane(lane.queue, lane.priority)), 32)
    if lane.state is LaneState.BROKEN:
        yield Finding(0, name, line(lane.problem or "cannot be read", 60))
    elif lane.state is LaneState.FULL:
        yield Finding(0, name, "full: publishers are refused")
    elif lane.state is LaneState.NO_CONSUMERS:
        waiting = f"{fmt.count(lane.backlog)} waiting" if lane.backlog != 0 else "nobody serves it"
        since = f" {fmt.age(lane.oldest_waiting_s)}" if lane.oldest_waiting_s is not None else ""
        yield Finding(1, name, f"no consumers, {waiting}{since}")


def _agent(agent: AgentView) -> Iterator[Finding]:
    urgency = {AgentState.DEAD: 1, AgentState.STALE: 2, AgentState.LATE: 3}.get(agent.state) if agent.state else None
    if urgency is None or agent.state is None:
        return
    silence = f" {fmt.age(agent.last_seen_s)}" if agent.last_seen_s is not None else ""
    holds = f", holds {fmt.count(agent.pending)}" if agent.pending else ""
    yield Finding(urgency, line(agent.name, 24), f"{agent.state}{silence}{holds}")
