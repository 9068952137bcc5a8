"""What a swarm is measured by: every number that alert rules watch and that `observatory check` knows.

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
    """What a number counts, which decides how it is written and read."""

    COUNT = "number"
    SECONDS = "duration"
    SHARE = "percent"
    PER_MINUTE = "per minute"
    SILENCE = "late, stale or dead"
    FLAG = "yes"


class Whole(StrEnum):
    """What the values of several subjects are as one number."""

    SUM = "sum"
    WORST = "worst"


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that a snapshot tells.

    Attributes:
        name: What rules call it; what stands before its dot is the kind of subject.
        short: What thresholds on the command line call it; a lane may stand before it.
        unit: What it counts.
        what: The fact in words, to stand before the value.
        read: Its readings from a snapshot, at a time in ms of the watcher's clock.
        whole: What several readings are as one.
        rates: It takes two looks to know.
        offline: It can be read while the link is lost.
    """

    name: str
    short: str
    unit: Unit
    what: str
    read: Callable[[Snapshot, int], Readings]
    whole: Whole = Whole.SUM
    rates: bool = False
    offline: bool = False

    @property
    def subject(self) -> str:
        """Kind of thing that it is told of, `lane` or `agent`; empty where there is only one."""
        kind = self.name.partition(".")[0]
        return kind if kind in {"lane", "agent"} else ""

    def say(self, subject: str, value: float, limit: float) -> str:
        """Return one printable line for a *value* at or above *limit*."""
        who = f"{self.subject} {line(subject, 60)}: " if self.subject else ""
        if self.unit is Unit.FLAG:
            return f"{who}{self.what}"
        beside = "" if self.unit is Unit.SILENCE else f" (limit {written(self.unit, limit)})"
        return f"{who}{self.what} {written(self.unit, value)}{beside}"

    def value(self, snapshot: Snapshot, subject: str, now_ms: int) -> float | None:
        """Return the value of one *subject*, or of all together if it is empty.

        Returns:
            0 where there is nobody to speak of; None if one of them is unknown, for then the whole is, too.
        """
        values = [value for name, value in self.read(snapshot, now_ms) if not subject or name == subject]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        return max(known, default=0.0) if self.whole is Whole.WORST else sum(known)


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


def limit_of(unit: Unit, text: str) -> float:
    """Read a limit as people write it: `5s`, `80%`, `stale`, `10`.

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


# -- how each is read -----------------------------------------------------------------------------------------------


def _lanes(read: Callable[[LaneView], float | None]) -> Callable[[Snapshot, int], Readings]:
    def readings(snapshot: Snapshot, _now_ms: int) -> Readings:
        for lane in snapshot.lanes:
            unknown = lane.length is None or lane.state is LaneState.BROKEN
            yield str(Lane(lane.queue, lane.priority)), None if unknown else read(lane)

    return readings


def _agents(read: Callable[[AgentView], float | None]) -> Callable[[Snapshot, int], Readings]:
    def readings(snapshot: Snapshot, _now_ms: int) -> Readings:
        for agent in snapshot.agents:
            yield agent.name, read(agent)

    return readings


def _one(read: Callable[[Snapshot], float | None]) -> Callable[[Snapshot, int], Readings]:
    def readings(snapshot: Snapshot, _now_ms: int) -> Readings:
        yield "", read(snapshot)

    return readings


def _in_state(state: AgentState) -> Callable[[Snapshot], float]:
    return lambda snapshot: float(sum(agent.state is state for agent in snapshot.agents))


def _dead_rate(snapshot: Snapshot) -> float | None:
    rate = snapshot.dead_letters.rate
    return None if rate is None else rate * 60


def _memory(snapshot: Snapshot) -> float | None:
    used, limit = snapshot.engine.memory, snapshot.engine.memory_limit
    return None if used is None or limit is None else used / limit if limit else 0.0


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _skew(snapshot: Snapshot, now_ms: int) -> Readings:
    yield "", abs(now_ms - snapshot.at_ms) / 1000 if snapshot.at_ms else None


def _link(state: LinkState) -> Callable[[Snapshot, int], Readings]:
    def readings(snapshot: Snapshot, now_ms: int) -> Readings:
        link = snapshot.link
        if link.state is state:
            yield "", max(now_ms - link.since_ms, 1) / 1000
        else:
            yield "", None if link.state is LinkState.CONNECTING else 0.0

    return readings


_FLAG, _COUNT, _SECONDS = Unit.FLAG, Unit.COUNT, Unit.SECONDS
_WORST = Whole.WORST

MEASURES: Final[Mapping[str, Measure]] = {
    measure.name: measure
    for measure in (
        Measure("lane.backlog", "backlog", _COUNT, "backlog", _lanes(lambda lane: lane.backlog)),
        Measure("lane.pending", "pending", _COUNT, "tasks that agents hold", _lanes(lambda lane: lane.pending)),
        Measure("lane.length", "length", _COUNT, "entries in the stream", _lanes(lambda lane: lane.length)),
        # No age means that nothing waits, or that nothing is held.
        Measure("lane.waiting", "wait", _SECONDS, "the oldest task waits",
                _lanes(lambda lane: lane.oldest_waiting_s or 0.0), _WORST),
        Measure("lane.unacknowledged", "unacked", _SECONDS, "the oldest that is held is held for",
                _lanes(lambda lane: lane.oldest_pending_s or 0.0), _WORST),
        Measure("lane.in", "in", _COUNT, "tasks that arrive per second", _lanes(lambda lane: lane.in_rate), rates=True),
        Measure("lane.out", "out", _COUNT, "tasks settled per second", _lanes(lambda lane: lane.out_rate), rates=True),
        Measure("lane.consumers", "consumers", _COUNT, "consumers of all groups", _lanes(lambda lane: lane.consumers)),
        Measure("lane.no-consumers", "unserved", _FLAG, "work waits and nobody is there to take it",
                _lanes(lambda lane: float(lane.state is LaneState.NO_CONSUMERS))),
        Measure("lane.full", "full", _FLAG, "full, publishing is refused",
                _lanes(lambda lane: float(lane.state is LaneState.FULL))),
        Measure("agent.silence", "silence", Unit.SILENCE, "its heartbeat is",
                _agents(lambda agent: None if agent.state is None else SILENCE[agent.state]), _WORST),
        Measure("agent.task-age", "task_age", _SECONDS, "at one task for",
                _agents(lambda agent: agent.task_age_s if agent.task else 0.0), _WORST),
        Measure("agents.alive", "alive", _COUNT, "agents that beat", _one(_in_state(AgentState.ALIVE))),
        Measure("agents.dead", "dead", _COUNT, "agents that fell silent", _one(_in_state(AgentState.DEAD))),
        Measure("delayed", "delayed", _COUNT, "tasks that wait for their time", _one(lambda shot: shot.delayed)),
        Measure("dead-letters.total", "dlq", _COUNT, "dead letters", _one(lambda shot: shot.dead_letters.total)),
        Measure("dead-letters.rate", "dlq_rate", Unit.PER_MINUTE, "dead letters, last minute:",
                _one(_dead_rate), rates=True),
        Measure("engine.memory", "memory", Unit.SHARE, "memory in use", _one(_memory)),
        Measure("latency.wait-p95", "p95_wait", _SECONDS, "95th percentile of waiting",
                _one(lambda shot: _seconds(shot.flow.wait.p95))),
        Measure("latency.run-p95", "p95_run", _SECONDS, "95th percentile of running",
                _one(lambda shot: _seconds(shot.flow.run.p95))),
        Measure("clock.skew", "skew", _SECONDS, "this clock and the engine's are apart", _skew),
        Measure("link.lost", "lost", _SECONDS, "the bus has not answered for", _link(LinkState.LOST), offline=True),
        Measure("link.degraded", "degraded", _SECONDS, "the link is degraded for", _link(LinkState.DEGRADED)),
    )
}  # fmt: skip
"""Everything that can be measured, by the name that rules use."""

BY_SHORT: Final[Mapping[str, Measure]] = {measure.short: measure for measure in MEASURES.values()}
"""The same by the name that thresholds use."""
