"""Lanes: what one look read of a stream, with its rates, its trend and the one word for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from observatory.bus.tasks.publisher import LANE_BOUND
from observatory.live.flow import UNKNOWN
from observatory.live.rates import RateMeter, Sample
from observatory.model import health
from observatory.model.agent import agent_of
from observatory.model.snapshot import TREND_LENGTH, GroupView, LaneState, LaneView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observatory.bus.reads.observe import LaneReading
    from observatory.live.agents import Roster


LATELY = 5
"""Looks over which the greatest number of agents at work counts: between two tasks an agent holds nothing."""

SILENT_MS = 60_000
"""Time without any request after which a consumer that holds nothing counts as gone, in ms."""


class LaneBoard:
    """All lanes as of the last look; lanes that are gone from a look are forgotten."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._views: tuple[LaneView, ...] = ()

    def restart(self) -> None:
        """Compute no rate from earlier looks: their times mean nothing any more. Trends go on."""
        for lane in self._lanes.values():
            lane.meter = RateMeter()

    def add(self, readings: Iterable[LaneReading], at_ms: int, roster: Roster) -> tuple[LaneView, ...]:
        """Take in one look and return its lanes in the same order; what did not change is the object it was.

        Args:
            readings: What it read of the lanes.
            at_ms: Server time of the look.
            roster: Which consumers are known to be gone.
        """
        self._lanes = {
            reading.stream: self._lanes.get(reading.stream, _Lane()).after(reading, at_ms, roster)
            for reading in readings
        }
        views = tuple(lane.view for lane in self._lanes.values() if lane.view is not None)
        if views != self._views:
            self._views = views
        return self._views


@dataclass(slots=True)
class _Lane:
    """One lane's memory between looks."""

    meter: RateMeter = field(default_factory=RateMeter)
    view: LaneView | None = None
    working: deque[int] = field(default_factory=lambda: deque(maxlen=LATELY))

    def after(self, reading: LaneReading, at_ms: int, roster: Roster) -> _Lane:
        before = self.view
        fresh = _view(reading, at_ms, deserted=_deserted(reading, at_ms, roster))
        self.working.append(len({agent_of(consumer) for consumer, held in reading.owners if held}))
        trend = (*before.trend, _point(fresh))[-TREND_LENGTH:] if before else (_point(fresh),)
        groups = tuple(group.name for group in fresh.groups)
        added = reading.entries_added
        self.meter.add(None if added is None else Sample(at_ms, added, fresh.backlog, groups))
        fresh = replace(
            fresh,
            in_rate=self.meter.in_rate,
            out_rate=self.meter.out_rate,
            # Whole seconds: a window that differs by a few milliseconds from look to look would repaint every lane.
            rate_window_s=None if (span := self.meter.span_s) is None else float(max(round(span), 1)),
            working=max(self.working),
            trend=trend,
        )
        if fresh != before:
            self.view = fresh
        return self


def _deserted(reading: LaneReading, at_ms: int, roster: Roster) -> bool:
    """Say whether every consumer of every group that work waits for is known not to be there.

    That is so of a consumer whose process is dead or has left by its heartbeats, and of one that holds nothing and has
    asked for nothing since the oldest work came, nor for a minute: whoever waits for work would have been given it.
    """
    waited_ms = 0 if reading.oldest_waiting_ms is None else at_ms - reading.oldest_waiting_ms
    silent_ms = max(waited_ms, SILENT_MS)
    starved = [group for group in reading.groups if group.lag != 0]
    return bool(starved) and all(
        group.members is not None
        and all(
            roster.is_gone(one.name, at_ms) or (one.idle_ms >= silent_ms and not one.pending) for one in group.members
        )
        for group in starved
    )


def _view(reading: LaneReading, at_ms: int, *, deserted: bool) -> LaneView:
    """What a single look can tell: everything but rates and trend."""
    queue, priority = reading.lane
    if reading.problem or reading.length is None:
        problem = reading.problem or "cannot be read"
        return LaneView(queue, priority, reading.stream, None, None, None, state=LaneState.BROKEN, problem=problem)
    groups = tuple(
        GroupView(group.name, group.lag, group.pending, group.consumers, group.last_delivered)
        for group in reading.groups
    )
    waits = reading.oldest_waiting_ms is not None
    until = reading.paused_until_ms
    paused = until is not None and (until == 0 or until > at_ms)
    backlog = health.backlog(reading.length, groups, waits=waits)
    return LaneView(
        queue=queue,
        priority=priority,
        stream=reading.stream,
        length=reading.length,
        backlog=backlog,
        pending=sum(group.pending for group in groups),
        parked=reading.parked,
        groups=groups,
        oldest_waiting_s=_age_s(reading.oldest_waiting_ms, at_ms),
        oldest_pending_s=_age_s(reading.oldest_pending_ms, at_ms),
        state=health.lane_state(
            reading.length, backlog, groups, waits=waits, bound=LANE_BOUND, deserted=deserted, paused=paused
        ),
        paused_until_ms=reading.paused_until_ms if paused else None,
    )


def _age_s(since_ms: int | None, at_ms: int) -> float | None:
    """Seconds since *since_ms*; an entry whose id runs ahead of the clock is of now."""
    return None if since_ms is None else max(at_ms - since_ms, 0) / 1000


def _point(view: LaneView) -> float:
    return UNKNOWN if view.backlog is None else float(view.backlog)
