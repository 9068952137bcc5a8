"""What somebody said need not be told: acknowledgements and mutes of one bus, in a file that several programs share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from observatory.files import write_atomically
from observatory.model.alert import Quiet
from observatory.model.health import Severity
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEPT_MS: Final = 86_400_000
"""Time after which an acknowledgement without an end is forgotten if its alert has not been seen again, in ms."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An acknowledgement as it is kept: of which alert, given when."""

    ident: str
    given_ms: int
    quiet: Quiet


class QuietFile:
    """The file; the screen and `observatory alerts` both change it, so whoever holds it looks whether it changed.

    Args:
        path: Where it is; None keeps nothing.

    Attributes:
        problem: Why it cannot be read or written; empty if it can.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self.problem = ""

    def changed(self) -> bool:
        """Say whether somebody else wrote it since it was last read or written here."""
        return self._path is not None and self._stamp_now() != self._stamp

    def read(self, now_ms: int) -> tuple[dict[str, Seen], tuple[Quiet, ...]]:
        """Return the acknowledgements by alert, and the mutes, that still hold; nothing from a file that is broken."""
        self._stamp = self._stamp_now()
        try:
            document = json.loads(self._path.read_text(encoding="utf-8")) if self._path else {}
            seen = [Seen(row["id"], int(row["given_ms"]), _quiet(row)) for row in document.get("acknowledged", ())]
            mutes = [_quiet(row) for row in document.get("muted", ())]
        except FileNotFoundError:
            return {}, ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problem = line(f"{self._path}: cannot be read: {error}")
            return {}, ()
        kept = (
            one
            for one in seen
            if one.quiet.holds(now_ms) and (one.quiet.until_ms is not None or now_ms - one.given_ms < KEPT_MS)
        )
        return {one.ident: one for one in kept}, tuple(quiet for quiet in mutes if quiet.holds(now_ms))

    def write(self, seen: Iterable[Seen], mutes: Iterable[Quiet]) -> None:
        """Keep them; what cannot be kept is a `problem`, and no reason to stop."""
        if self._path is None:
            return
        document = {
            "acknowledged": [{"id": one.ident, "given_ms": one.given_ms, **_plain(one.quiet)} for one in seen],
            "muted": [_plain(quiet) for quiet in mutes],
        }
        try:
            write_atomically(self._path, json.dumps(document, indent=1))
        except OSError as error:
            self.problem = f"{self._path}: cannot be written: {error.strerror}"
        else:
            self.problem = ""
            self._stamp = self._stamp_now()

    def _stamp_now(self) -> tuple[int, int] | None:
        """Return what tells one state of the file from another; it is replaced at each writing, never changed."""
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns) if found is not None else None


def _plain(quiet: Quiet) -> dict[str, Any]:
    return {
        "by": quiet.by,
        "until_ms": quiet.until_ms,
        "rule": quiet.rule,
        "subject": quiet.subject,
        "reason": quiet.reason,
        "severity": str(quiet.severity),
    }


def _quiet(row: dict[str, Any]) -> Quiet:
    until = row["until_ms"]
    return Quiet(
        by=str(row["by"]),
        until_ms=None if until is None else int(until),
        rule=str(row["rule"]),
        subject=str(row["subject"]),
        reason=str(row["reason"]),
        severity=Severity(row["severity"]),
    )
