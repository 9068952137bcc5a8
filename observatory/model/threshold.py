"""Thresholds as a monitoring system is given them: `backlog>1000`, `critical.wait>5s`, `memory>80%`, `alive<3`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from observatory.model.agent import AgentState
from observatory.model.errors import UsageError
from observatory.model.quantity import count, duration_s
from observatory.model.task import Lane
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from observatory.model.snapshot import AgentView, LaneView, Snapshot

_FORM = re.compile(r"(?:(?P<subject>[^<>=\s]+)\.)?(?P<measure>[a-z0-9_]+)\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>\S+)")
_SIGNS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Unit(StrEnum):
    """What a measure counts; the values are the units of performance data, empty for plain numbers."""

    COUNT = ""
    SECONDS = "s"
    SHARE = "%"


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that a snapshot tells.

    Attributes:
        name: What a threshold calls it.
        unit: What it counts.
        help: What it is, in a few words for people.
        read: Its value, of the lanes with a name or of all; None where it is not known.
        of_lanes: It may be asked of one lane.
        rates: It takes two looks to know.
    """

    name: str
    unit: Unit
    help: str
    read: Callable[[Snapshot, str], float | None]
    of_lanes: bool = False
    rates: bool = False


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that matters.

    Attributes:
        text: As it was written.
        subject: The lane that is meant, as `critical` or `coding:high`; empty for all.
        measure: What is measured.
        sign: `>`, `>=`, `<` or `<=`.
        limit: The value, in the unit of the measure; shares from 0 to 1.
    """

    text: str
    subject: str
    measure: Measure
    sign: str
    limit: float

    @property
    def name(self) -> str:
        """What is measured, of what."""
        return f"{self.subject}.{self.measure.name}" if self.subject else self.measure.name

    def value(self, snapshot: Snapshot) -> float | None:
        """Return what is measured; None where it is not known."""
        return self.measure.read(snapshot, self.subject)

    def crossed(self, value: float) -> bool:
        """Say whether *value* is on the wrong side."""
        return _SIGNS[self.sign](value, self.limit)


def read_threshold(text: str) -> Threshold:
    """Read one threshold.

    Raises:
        UsageError: It is none; names what is wrong with it.
    """
    shown = line(text, 60)
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{shown!r} is not a threshold", "for example backlog>1000 or critical.wait>5s")
    measure = MEASURES.get(found["measure"])
    if measure is None:
        raise UsageError(f"{shown!r}: there is no measure {found['measure']!r}", f"one of {', '.join(MEASURES)}")
    subject = found["subject"] or ""
    if subject and not measure.of_lanes:
        raise UsageError(f"{shown!r}: {measure.name} is not told of one lane", f"write {measure.name} alone")
    try:
        limit = duration_s(found["limit"]) if measure.unit is Unit.SECONDS else count(found["limit"])
    except ValueError as error:
        raise UsageError(f"{shown!r}: {error}", "for example 5s, 10m, 1000, 5k or 80%") from None
    return Threshold(shown, subject, measure, found["sign"], limit)


def _lanes(snapshot: Snapshot, subject: str) -> list[LaneView]:
    return [lane for lane in snapshot.lanes if not subject or str(Lane(lane.queue, lane.priority)) == subject]


def _sum(read: Callable[[LaneView], float | None]) -> Callable[[Snapshot, str], float | None]:
    def total(snapshot: Snapshot, subject: str) -> float | None:
        values = [read(lane) for lane in _lanes(snapshot, subject)]
        known = [value for value in values if value is not None]
        # A lane that is not there holds nothing; one that cannot be told makes the sum unknown.
        return sum(known) if len(known) == len(values) else None

    return total


def _greatest(read: Callable[[LaneView], float | None]) -> Callable[[Snapshot, str], float | None]:
    def most(snapshot: Snapshot, subject: str) -> float | None:
        lanes = _lanes(snapshot, subject)
        if any(lane.length is None for lane in lanes):
            return None
        return max((value for lane in lanes if (value := read(lane)) is not None), default=0.0)

    return most


def _agents(is_one: Callable[[AgentView], bool]) -> Callable[[Snapshot, str], float | None]:
    return lambda snapshot, _: float(sum(map(is_one, snapshot.agents)))


def _memory(snapshot: Snapshot, _subject: str) -> float | None:
    used, limit = snapshot.engine.memory, snapshot.engine.memory_limit
    if used is None or limit is None:
        return None
    return used / limit if limit else 0.0


def _dead_rate(snapshot: Snapshot, _subject: str) -> float | None:
    rate = snapshot.dead_letters.rate
    return None if rate is None else rate * 60


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _by_name(measures: Iterable[Measure]) -> Mapping[str, Measure]:
    return {measure.name: measure for measure in measures}


def _lane(
    name: str, unit: Unit, words: str, read: Callable[[LaneView], float | None], *, rates: bool = False
) -> Measure:
    """Make a measure of lanes: ages are those of the worst lane, everything else adds up."""
    over_all = _greatest(read) if unit is Unit.SECONDS else _sum(read)
    return Measure(name, unit, words, over_all, of_lanes=True, rates=rates)


MEASURES: Final = _by_name(
    (
        _lane("backlog", Unit.COUNT, "tasks not yet settled", lambda lane: lane.backlog),
        _lane("pending", Unit.COUNT, "tasks that agents hold", lambda lane: lane.pending),
        _lane("length", Unit.COUNT, "entries in the streams", lambda lane: lane.length),
        _lane("wait", Unit.SECONDS, "age of the oldest that waits", lambda lane: lane.oldest_waiting_s),
        _lane("unacked", Unit.SECONDS, "age of the oldest that is held", lambda lane: lane.oldest_pending_s),
        _lane("in", Unit.COUNT, "tasks arriving per second", lambda lane: lane.in_rate, rates=True),
        _lane("out", Unit.COUNT, "tasks settled per second", lambda lane: lane.out_rate, rates=True),
        _lane("consumers", Unit.COUNT, "consumers over all groups", lambda lane: lane.consumers),
        Measure("delayed", Unit.COUNT, "tasks that wait for their time", lambda shot, _: shot.delayed),
        Measure("dlq", Unit.COUNT, "dead letters", lambda shot, _: shot.dead_letters.total),
        Measure("dlq_rate", Unit.COUNT, "dead letters per minute", _dead_rate, rates=True),
        Measure("alive", Unit.COUNT, "agents that beat", _agents(lambda agent: agent.state is AgentState.ALIVE)),
        Measure("dead", Unit.COUNT, "agents that fell silent", _agents(lambda agent: agent.state is AgentState.DEAD)),
        Measure("memory", Unit.SHARE, "share of the memory limit in use", _memory),
        Measure("p95_wait", Unit.SECONDS, "95th percentile of waiting", lambda s, _: _seconds(s.flow.wait.p95)),
        Measure("p95_run", Unit.SECONDS, "95th percentile of running", lambda s, _: _seconds(s.flow.run.p95)),
    )
)
"""Everything that a threshold can speak of."""
