"""Dead letters: tasks that will not run again by themselves, with why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a task became a dead letter."""

    ERROR = "error"
    POISON = "poison"
    STALE = "stale"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    NO_HANDLER = "no_handler"
    OPERATOR = "operator"
    """Somebody gave it up by hand."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry of the dead-letter stream, ours or foreign.

    Attributes:
        entry_id: Its id in the dead-letter stream; the identity.
        task_id: Id of the task; empty if the entry names none.
        type: Kind of work; empty if unknown.
        reason: Why it died, as written; any text where a foreign agent wrote it, `?` where nothing says.
        error: Last error, one line, as written.
        attempts: Attempts made; None where nothing says.
        source: Stream key it came from; empty if unknown.
        source_id: Entry id it had there.
        worker: Consumer that gave up on it.
        died_ms: When it was dead-lettered, ms of server time.
        first_seen_ms: When the bus first received it; None where nothing says.
        requeues: How often it has been requeued before.
        payload: Bytes as they came.
        fields: The entry exactly as it stands in the stream.
    """

    entry_id: str
    task_id: str
    type: str
    reason: str
    error: str
    attempts: int | None
    source: str
    source_id: str
    worker: str
    died_ms: int
    first_seen_ms: int | None
    requeues: int
    payload: bytes
    fields: tuple[tuple[bytes, bytes], ...]
