"""Hand-made looks, for the parts that only think about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.reads.observe import (
    ConsumerReading,
    DeadLetterReading,
    GroupReading,
    LaneReading,
    Observation,
    ServerReading,
)
from observatory.model.event import Event
from observatory.model.task import SHARED, Lane, Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.model.agent import Heartbeat

T0 = 1_770_000_000_000
"""A moment: 40 seconds into a minute."""


def look(
    after_s: float = 0.0,
    *,
    lanes: tuple[LaneReading, ...] = (),
    dead_letters: DeadLetterReading | None = None,
    delayed: int | None = 0,
    beats: tuple[Heartbeat, ...] = (),
    events: tuple[Event, ...] = (),
    counts: Mapping[tuple[int, str], int] | None = None,
    server: ServerReading | None = None,
) -> Observation:
    """Make what one look told, *after_s* seconds after `T0`."""
    return Observation(
        at_ms=T0 + round(after_s * 1000),
        lanes=lanes,
        dead_letters=dead_letters or DeadLetterReading(),
        delayed=delayed,
        beats=beats,
        events=events,
        events_skipped=False,
        counts=counts or {},
        server=server or ServerReading(),
    )


def lane(
    length: int = 0,
    added: int | None = 0,
    *,
    priority: Priority = Priority.HIGH,
    groups: tuple[GroupReading, ...] = (),
    waiting_ms: int | None = None,
    owners: tuple[tuple[str, int], ...] = (),
    paused_until_ms: int | None = None,
) -> LaneReading:
    """Make what one look told of a lane of the shared queue."""
    return LaneReading(
        lane=Lane(SHARED, priority),
        stream=f"cortex:tasks:{priority}",
        length=length,
        entries_added=added,
        groups=groups,
        oldest_waiting_ms=waiting_ms,
        owners=owners,
        paused_until_ms=paused_until_ms,
    )


def group(
    lag: int | None = 0,
    pending: int = 0,
    *,
    name: str = "workers",
    consumers: int = 1,
    members: tuple[ConsumerReading, ...] | None = None,
) -> GroupReading:
    """Make what one look told of a group."""
    return GroupReading(name, lag, pending, consumers, "0-0", None, members)


def fact(
    kind: str, after_s: float, *, seq: int = 0, ms: int | None = None, task_type: str = "", attempt: int = 0
) -> Event:
    """Make an event of *kind* that happened *after_s* seconds after `T0`."""
    at_ms = T0 + round(after_s * 1000)
    return Event(f"{at_ms}-{seq}", kind, at_ms, task="t", type=task_type, attempt=attempt, ms=ms)
