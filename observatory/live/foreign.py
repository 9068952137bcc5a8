"""What foreign agents did between two looks: they write no events, but the counters of the lanes know."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from observatory.model.event import EventKind
from observatory.model.health import backlog
from observatory.model.snapshot import GroupView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from observatory.bus.reads.observe import LaneReading

ENTERED = (EventKind.PUBLISHED, EventKind.PROMOTED, EventKind.REQUEUED, EventKind.GIVEN_BACK)
"""Kinds with each of which the bus's own scripts add an entry to a lane."""

LEFT = (
    EventKind.COMPLETED,
    EventKind.RETRIED,
    EventKind.SNOOZED,
    EventKind.GIVEN_BACK,
    EventKind.DEAD_LETTERED,
    EventKind.CANCELLED,
    EventKind.LOST_PAYLOAD,
)
"""Kinds with each of which the bus's own scripts settle an entry of a lane."""


class Foreign(NamedTuple):
    """How many entries came and went of which no event tells; None where that cannot be known."""

    came: int | None
    went: int | None


class _Level(NamedTuple):
    added: int
    backlog: int | None
    groups: tuple[str, ...]


class ForeignMeter:
    """Holds what the lanes counted against what the events tell; both come from the same instant."""

    def __init__(self) -> None:
        self._before: dict[str, _Level] = {}

    def add(self, lanes: Iterable[LaneReading], happened: Mapping[str, int] | None) -> Foreign:
        """Take in one look.

        Args:
            lanes: What it read of the lanes.
            happened: Events by kind since the look before; None where unknown.

        Returns:
            What foreign agents did since the look before. Work that they deleted unsettled counts as gone.
        """
        before, self._before = self._before, {}
        came, went, settled_known = 0, 0, True
        for lane in lanes:
            if lane.problem:
                continue
            if lane.entries_added is None:
                return Foreign(None, None)
            level = self._before[lane.stream] = _level(lane, lane.entries_added)
            known = before.get(lane.stream)
            if known is None:
                continue
            if level.added < known.added:
                return Foreign(None, None)
            came += level.added - known.added
            if level.backlog is None or known.backlog is None or level.groups != known.groups:
                settled_known = False
            else:
                went += level.added - known.added - (level.backlog - known.backlog)
        if happened is None or not before:
            return Foreign(None, None)
        entered, left = (sum(happened.get(kind, 0) for kind in kinds) for kinds in (ENTERED, LEFT))
        return Foreign(max(came - entered, 0), max(went - left, 0) if settled_known else None)


def _level(lane: LaneReading, added: int) -> _Level:
    groups = [GroupView(one.name, one.lag, one.pending, one.consumers, one.last_delivered) for one in lane.groups]
    count = backlog(lane.length or 0, groups, waits=lane.oldest_waiting_ms is not None)
    return _Level(added, count, tuple(group.name for group in groups))
