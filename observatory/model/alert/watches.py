"""What can be watched: numbers that a snapshot tells about lanes, agents, dead letters, the engine and the link.

A reading of None is *unknown*. A subject that is not named any more is gone, which is as good as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from observatory.model.agent import AgentState
from observatory.model.quantity import count, duration_s
from observatory.model.snapshot import LaneState, LinkState
from observatory.model.task import Lane
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from observatory.model.snapshot import AgentView, LaneView, Snapshot

Readings: TypeAlias = "Iterator[tuple[str, float | None]]"
"""Subjects, each with its value; one subject may be the empty text, where there is only one."""

SILENCE: Final[Mapping[AgentState, int]] = {
    AgentState.ALIVE: 0,
    AgentState.LEFT: 0,
    AgentState.LATE: 1,
    AgentState.STALE: 2,
    AgentState.DEAD: 3,
}
"""How silent an agent is, measured by its own interval."""

_WORDS: Final = {1: AgentState.LATE, 2: AgentState.STALE, 3: AgentState.DEAD}


class Unit(StrEnum):
    """What a watched number counts, which decides how it is written and read."""

    COUNT = "number"
    SECONDS = "duration"
    SHARE = "percent"
    PER_MINUTE = "per minute"
    SILENCE = "late, stale or dead"
    FLAG = "yes"


@dataclass(frozen=True, slots=True)
class Watch:
    """A number that rules can speak of.

    Attributes:
        name: What rules call it.
        unit: What it counts.
        subject: What it is told of: `lane`, `agent`; empty where there is only one.
        what: The fact in words, to stand before the value.
        read: Its readings from a snapshot, at a time in ms of the watcher's clock.
        offline: It can be read while the link is lost.
    """

    name: str
    unit: Unit
    subject: str
    what: str
    read: Callable[[Snapshot, int], Readings]
    offline: bool = False

    def say(self, subject: str, value: float, threshold: float) -> str:
        """Return one printable line for a *value* at or above *threshold*."""
        who = f"{self.subject} {line(subject, 60)}: " if self.subject else ""
        if self.unit is Unit.FLAG:
            return f"{who}{self.what}"
        limit = "" if self.unit is Unit.SILENCE else f" (limit {written(self.unit, threshold)})"
        return f"{who}{self.what} {written(self.unit, value)}{limit}"


def written(unit: Unit, value: float) -> str:
    """Return *value* as people write it."""
    if unit is Unit.SECONDS:
        return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"
    if unit is Unit.SHARE:
        return f"{value:.0%}"
    if unit is Unit.PER_MINUTE:
        return f"{value:,.0f}/min"
    if unit is Unit.SILENCE:
        return _WORDS.get(round(value), AgentState.ALIVE)
    return f"{value:,.0f}"


def threshold(unit: Unit, text: str) -> float:
    """Read a threshold as people write it: `5s`, `80%`, `stale`, `10`.

    Raises:
        ValueError: It is none of that unit.
    """
    if unit is Unit.SECONDS:
        return duration_s(text)
    if unit is Unit.SILENCE:
        for rank, word in _WORDS.items():
            if text.strip().lower() == word:
                return rank
        raise ValueError(f"{line(text, 24)!r} is none of {', '.join(_WORDS.values())}")
    return count(text)


def _waiting(snapshot: Snapshot, _now_ms: int) -> Readings:
    # No age means that nothing waits, unless the lane cannot be read at all.
    return _lanes(snapshot, lambda lane: lane.oldest_waiting_s or 0.0)


def _backlog(snapshot: Snapshot, _now_ms: int) -> Readings:
    return _lanes(snapshot, lambda lane: lane.backlog)


def _unserved(snapshot: Snapshot, _now_ms: int) -> Readings:
    return _lanes(snapshot, lambda lane: float(lane.state is LaneState.NO_CONSUMERS))


def _full(snapshot: Snapshot, _now_ms: int) -> Readings:
    return _lanes(snapshot, lambda lane: float(lane.state is LaneState.FULL))


def _lanes(snapshot: Snapshot, read: Callable[[LaneView], float | None]) -> Readings:
    for lane in snapshot.lanes:
        unknown = lane.length is None or lane.state is LaneState.BROKEN
        yield str(Lane(lane.queue, lane.priority)), None if unknown else read(lane)


def _silence(snapshot: Snapshot, _now_ms: int) -> Readings:
    return _agents(snapshot, lambda agent: None if agent.state is None else SILENCE[agent.state])


def _at_task(snapshot: Snapshot, _now_ms: int) -> Readings:
    return _agents(snapshot, lambda agent: agent.task_age_s if agent.task else 0.0)


def _agents(snapshot: Snapshot, read: Callable[[AgentView], float | None]) -> Readings:
    for agent in snapshot.agents:
        yield agent.name, read(agent)


def _dead_letters(snapshot: Snapshot, _now_ms: int) -> Readings:
    rate = snapshot.dead_letters.rate
    yield "", None if rate is None else rate * 60


def _memory(snapshot: Snapshot, _now_ms: int) -> Readings:
    used, limit = snapshot.engine.memory, snapshot.engine.memory_limit
    yield "", None if used is None or limit is None else used / limit if limit else 0.0


def _skew(snapshot: Snapshot, now_ms: int) -> Readings:
    yield "", abs(now_ms - snapshot.at_ms) / 1000 if snapshot.at_ms else None


def _in_state(state: LinkState) -> Callable[[Snapshot, int], Readings]:
    def read(snapshot: Snapshot, now_ms: int) -> Readings:
        link = snapshot.link
        if link.state is state:
            yield "", max(now_ms - link.since_ms, 1) / 1000
        else:
            yield "", None if link.state is LinkState.CONNECTING else 0.0

    return read


WATCHES: Final[Mapping[str, Watch]] = {
    watch.name: watch
    for watch in (
        Watch("lane.waiting", Unit.SECONDS, "lane", "the oldest task waits", _waiting),
        Watch("lane.backlog", Unit.COUNT, "lane", "backlog", _backlog),
        Watch("lane.no-consumers", Unit.FLAG, "lane", "work waits and nobody is there to take it", _unserved),
        Watch("lane.full", Unit.FLAG, "lane", "full, publishing is refused", _full),
        Watch("agent.silence", Unit.SILENCE, "agent", "its heartbeat is", _silence),
        Watch("agent.task-age", Unit.SECONDS, "agent", "at one task for", _at_task),
        Watch("dead-letters.rate", Unit.PER_MINUTE, "", "dead letters", _dead_letters),
        Watch("engine.memory", Unit.SHARE, "", "memory in use", _memory),
        Watch("clock.skew", Unit.SECONDS, "", "this clock and the engine's are apart", _skew),
        Watch("link.lost", Unit.SECONDS, "", "the bus has not answered for", _in_state(LinkState.LOST), offline=True),
        Watch("link.degraded", Unit.SECONDS, "", "the link is degraded for", _in_state(LinkState.DEGRADED)),
    )
}
"""Everything that a rule can watch."""
