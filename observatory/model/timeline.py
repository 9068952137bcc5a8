"""What a timeline is drawn from: densities, gaps, marks and bookmarks. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from observatory.model.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILURES: Final = frozenset(
    {EventKind.DEAD_LETTERED, EventKind.RETRIED, EventKind.LOST_PAYLOAD, EventKind.AGENT_LOST, EventKind.ALERT_FIRED}
)
"""Kinds that `{` and `}` stop at."""


class Outcome(StrEnum):
    """What a density is split by."""

    OK = "ok"
    FAILED = "failed"
    DEAD = "dead"
    OTHER = "other"


OUTCOME_OF: Final[Mapping[str, Outcome]] = {
    EventKind.COMPLETED: Outcome.OK,
    EventKind.RETRIED: Outcome.FAILED,
    EventKind.LOST_PAYLOAD: Outcome.FAILED,
    EventKind.AGENT_LOST: Outcome.FAILED,
    EventKind.DATA_LOSS_SUSPECTED: Outcome.FAILED,
    EventKind.ALERT_FIRED: Outcome.FAILED,
    EventKind.DEAD_LETTERED: Outcome.DEAD,
    EventKind.DROPPED: Outcome.DEAD,
}
"""The outcome of each kind; all others are `OTHER`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which events are missing.

    Attributes:
        from_ms: Its beginning, ms of server time.
        to_ms: Its end.
        why: In words.
    """

    from_ms: int
    to_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class Density:
    """How often things happened, bucket by bucket.

    Attributes:
        edges: Bounds of the buckets, ms of server time; one more than there are buckets.
        kinds: For each kind that happened at all, how often it did in each bucket.
        gaps: What is known to be missing in the range.
    """

    edges: tuple[int, ...]
    kinds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()

    def by_outcome(self) -> dict[Outcome, tuple[int, ...]]:
        """Return how often each outcome happened in each bucket."""
        found = {outcome: [0] * (len(self.edges) - 1) for outcome in Outcome}
        for kind, numbers in self.kinds.items():
            row = found[OUTCOME_OF.get(kind, Outcome.OTHER)]
            for at, number in enumerate(numbers):
                row[at] += number
        return {outcome: tuple(row) for outcome, row in found.items()}

    def missing(self, bucket: int) -> bool:
        """Say whether all of a bucket lies in a gap, so that nobody knows what happened in it."""
        low, high = self.edges[bucket], self.edges[bucket + 1]
        return any(gap.from_ms <= low and high <= gap.to_ms for gap in self.gaps)


class MarkKind(StrEnum):
    """What a marker on the timeline stands for."""

    DEATHS = "dead letters"
    """More dead letters in a short while than is usual."""
    LOST = "agent lost"
    BACK = "agent back"
    PAUSE = "pause"
    OPERATOR = "operator"
    ALERT = "alert"
    GAP = "gap"
    BOOKMARK = "bookmark"


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker.

    Attributes:
        at_ms: Where it stands, ms of server time.
        kind: What it stands for.
        text: In words, one line; may hold foreign text.
    """

    at_ms: int
    kind: MarkKind
    text: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A time that somebody wants to find again.

    Attributes:
        id: Its name in the bus; grows with time.
        at_ms: The time, ms of server time.
        text: Why.
        by: Who set it.
    """

    id: str
    at_ms: int
    text: str
    by: str = ""
