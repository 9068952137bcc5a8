"""Throughput, from the counts per minute that the bus's scripts keep beside the event log."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from observatory.live.foreign import ForeignMeter
from observatory.live.latency import RAN, WAITED, LatencyWindow
from observatory.model.event import EventKind
from observatory.model.snapshot import TREND_LENGTH, Flow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from observatory.bus.reads.observe import Observation

Counts = dict[tuple[int, str], int]
"""How often each kind happened, by (minute since the epoch, kind)."""

PUBLISHED = (EventKind.PUBLISHED, EventKind.SCHEDULED)
"""Kinds by which a task of the bus's clients first enters the books."""

OBSERVED = (EventKind.OBSERVED,)
"""Kind by which a foreign task enters the books, later than it came."""

COMPLETED = (EventKind.COMPLETED,)
"""Kinds by which a task is done."""

FAILED = (EventKind.RETRIED, EventKind.DEAD_LETTERED)
"""Kinds by which an attempt fails."""

UNKNOWN = math.nan
"""The one NaN of all series: being one object, it equals itself inside tuples, so equal series stay equal."""


class FlowMeter:
    """Throughput and latency series, one point a tick from the second tick on; NaN where a tick is not known."""

    def __init__(self) -> None:
        self.restart()
        self._flow = Flow()

    def restart(self) -> None:
        """Compare nothing with earlier looks: their times mean nothing any more. The series go on."""
        self._before: tuple[int, Counts] | None = None
        self._foreign = ForeignMeter()
        self._wait = LatencyWindow(WAITED)
        self._run = LatencyWindow(RAN)

    def add(self, observation: Observation) -> Counter[str] | None:
        """Take in one look.

        Returns:
            How often each kind happened since the look before; None if that cannot be known.
        """
        at_ms = observation.at_ms
        wait_p95 = self._wait.add(observation.events, at_ms)
        run_p95 = self._run.add(observation.events, at_ms)
        before, self._before = self._before, (at_ms, dict(observation.counts))
        happened = None if before is None else increments(*before, at_ms, observation.counts)
        foreign = self._foreign.add(observation.lanes, happened)
        series = self._flow
        if before is not None:
            seconds = (at_ms - before[0]) / 1000
            came = _rate(happened, OBSERVED, seconds) if foreign.came is None else foreign.came / seconds
            went = foreign.went / seconds if foreign.went else 0.0
            series = Flow(
                published=_longer(series.published, _rate(happened, PUBLISHED, seconds) + came),
                completed=_longer(series.completed, _rate(happened, COMPLETED, seconds) + went),
                failed=_longer(series.failed, _rate(happened, FAILED, seconds)),
                wait_p95=_longer(series.wait_p95, wait_p95),
                run_p95=_longer(series.run_p95, run_p95),
            )
        self._flow = Flow(
            published=series.published,
            completed=series.completed,
            failed=series.failed,
            wait=self._wait.quantiles,
            run=self._run.quantiles,
            wait_p95=series.wait_p95,
            run_p95=series.run_p95,
            window_s=min(self._wait.window_s(at_ms), self._run.window_s(at_ms)),
            foreign_in=_per_second(foreign.came, before, at_ms),
            foreign_out=_per_second(foreign.went, before, at_ms),
        )
        return happened

    @property
    def flow(self) -> Flow:
        """Throughput and latency as of the last look."""
        return self._flow


def increments(
    before_ms: int, before: Mapping[tuple[int, str], int], at_ms: int, counts: Mapping[tuple[int, str], int]
) -> Counter[str] | None:
    """Return how often each kind happened between two looks, each of which tells its minute and the one before.

    Args:
        before_ms: Server time of the earlier look.
        before: What the earlier look told.
        at_ms: Server time of the later look.
        counts: What the later look told.

    Returns:
        Count by kind, or None if it cannot be known: time did not advance, a whole minute passed unseen, or a
        counter fell because the engine lost its data.
    """
    minute = at_ms // 60_000
    if at_ms <= before_ms or minute - before_ms // 60_000 > 1:
        return None
    happened: Counter[str] = Counter()
    for cell in before.keys() | counts.keys():
        when, kind = cell
        if when < minute - 1:
            continue
        more = counts.get(cell, 0) - before.get(cell, 0)
        if more < 0:
            return None
        happened[kind] += more
    return +happened


def _rate(happened: Counter[str] | None, kinds: Collection[str], seconds: float) -> float:
    return UNKNOWN if happened is None else sum(happened[kind] for kind in kinds) / seconds


def _per_second(count: int | None, before: tuple[int, Counts] | None, at_ms: int) -> float | None:
    return None if count is None or before is None else count * 1000 / (at_ms - before[0])


def _longer(series: tuple[float, ...], point: float) -> tuple[float, ...]:
    return (*series, UNKNOWN if math.isnan(point) else point)[-TREND_LENGTH:]
