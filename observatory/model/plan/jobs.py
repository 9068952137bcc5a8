"""Jobs: plans that are being carried out, or were, as the bus remembers them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    """Another job works on the same place."""
    RUNNING = "running"
    PAUSED = "paused"
    """Somebody paused it, or it paused itself; it can be resumed."""
    DONE = "done"
    CANCELLED = "cancelled"
    """Somebody ended it before its last item; what it did stays done."""

    @property
    def is_over(self) -> bool:
        """Nothing will happen any more."""
        return self in {JobState.DONE, JobState.CANCELLED}


@dataclass(frozen=True, slots=True)
class JobView:
    """One job.

    Attributes:
        id: Its identity, which is that of its plan.
        verb: What it does.
        asked: What was asked for, in words.
        who: Who asked.
        state: Where it is.
        total: Items of its plan.
        at: Items that it has come past.
        done: Items that it changed.
        skipped: Items that it left alone.
        rate: Items a second that it may do; None for any number.
        why: Why it is paused or was ended, in words; empty where nothing says.
        place: What it works on, which no other job of several items may do meanwhile; empty for none.
        waits_for: Id of the job that holds the place; empty if none does.
        holder: Who executes it; empty while nobody does.
        abandoned: It is neither over nor paused, and whoever executed it has not been heard of for too long.
        created_ms: When it was made, ms of server time.
        ended_ms: When it ended, ms of server time; None before.
        undoes: Id of the job that it takes back; empty for none.
        undone: Id of the job that took it back; empty if none did.
    """

    id: str
    verb: str
    asked: str
    who: str
    state: JobState
    total: int
    at: int
    done: int
    skipped: int
    rate: float | None
    why: str
    place: str
    waits_for: str
    holder: str
    abandoned: bool
    created_ms: int
    ended_ms: int | None
    undoes: str = ""
    undone: str = ""
