"""What became of dead letters that were to be requeued."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RequeueOutcome(StrEnum):
    """What became of one dead letter that was to be requeued."""

    REQUEUED = "requeued"
    GONE = "gone"
    """Somebody else requeued or deleted it meanwhile."""
    NO_LANE = "no lane"
    """It does not say which lane it came from."""


@dataclass(frozen=True, slots=True)
class Requeued:
    """The answer for one dead letter.

    Attributes:
        dead_id: Its entry in the dead-letter stream.
        outcome: What became of it.
        stream: Stream it went to; empty unless requeued.
        entry_id: Its new entry there; empty unless requeued.
    """

    dead_id: str
    outcome: RequeueOutcome
    stream: str = ""
    entry_id: str = ""
