"""The audit of operators: one record before a change, one after it, and one for each that was refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED: Final = 50
"""Ids that a record names; of more it holds only their number and their hash."""


class Phase(StrEnum):
    """What a record tells."""

    INTENT = "intent"
    """It is about to be done."""
    RESULT = "result"
    """It was done, as far as the outcome says."""
    REFUSED = "refused"
    """It was not even begun."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record.

    Attributes:
        id: Its entry in the audit stream; empty before it is written.
        at_ms: When it was written, ms of server time.
        phase: What it tells.
        op: Id of the plan; the same before and after.
        who: Who did it, `<user>@<host>` unless configured.
        context: Name of the bus for people, without secrets.
        verb: What was done.
        asked: What was asked for, in words.
        count: Things it concerns.
        digest: Hash of their ids in order, so that two lists can be compared.
        ids: Their ids, if they are few.
        reason: Why, in the operator's words; empty where nobody asked.
        outcome: `done`, `stopped`, `failed` or `refused`; empty before.
        done: Things that were changed.
        skipped: Things that were left alone.
        took_ms: Milliseconds it took; None before, and where nobody measured.
        why: Why it failed, stopped or was refused; empty otherwise.
    """

    id: str
    at_ms: int
    phase: Phase
    op: str
    who: str
    context: str
    verb: str
    asked: str = ""
    count: int = 0
    digest: str = ""
    ids: tuple[str, ...] = ()
    reason: str = ""
    outcome: str = ""
    done: int = 0
    skipped: int = 0
    took_ms: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class SentCall:
    """One call that was sent to the engine for an operator.

    Attributes:
        at_ms: When, ms since the epoch.
        words: The command, a script by its name, and its arguments, printable and bounded.
        answer: What came back, in a few words.
        ms: How long the answer took, in milliseconds.
    """

    at_ms: int
    words: str
    answer: str
    ms: float


def digest_of(ids: Sequence[str]) -> str:
    """Return a short hash of *ids* in their order."""
    return hashlib.blake2b("\n".join(ids).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
