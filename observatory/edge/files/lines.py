"""One line of an old log: `ROLE|TIMESTAMP|TYPE|DATA`, where DATA may hold anything but a line break."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.model.text import line
from observatory.model.wire.values import rfc3339, time_ms

if TYPE_CHECKING:
    from observatory.model.message import Note

MOST_NAME: Final = 200
"""Bytes that a role or a type may have."""

BETWEEN: Final = b"|"


class NoLineError(ValueError):
    """What should be a line is none; the message says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was understood.

    Attributes:
        role: Who wrote it.
        at: When, as it stands there: RFC 3339, or a number since the epoch in s, ms, µs or ns.
        type: What kind of line it is.
        data: What it says, whatever that is.
    """

    role: bytes
    at: bytes
    type: bytes
    data: bytes


def parse(raw: bytes) -> Line:
    """Read a line, without its line break.

    Raises:
        NoLineError: It is none; says why.
    """
    parts = raw.split(BETWEEN, 3)
    if len(parts) < 4:
        raise NoLineError("it is not ROLE|TIMESTAMP|TYPE|DATA")
    role, at, kind, data = parts
    found = Line(role.strip(), at.strip(), kind.strip(), data)
    for what, name in (("role", found.role), ("type", found.type)):
        if not 0 < len(name) <= MOST_NAME:
            raise NoLineError(f"its {what} is empty" if not name else f"its {what} is longer than {MOST_NAME} bytes")
        if not name.isalnum() and not _is_printable(name):
            raise NoLineError(f"its {what} is not printable text")
    if ms_of(found.at) is None:
        raise NoLineError(f"its timestamp {line(found.at, 40)!r} is no time")
    return found


def ms_of(at: bytes) -> int | None:
    """Return a timestamp in ms since the epoch; None if it is none."""
    try:
        return time_ms(at.decode("ascii"))
    except UnicodeDecodeError:
        return None


def written(note: Note) -> bytes:
    r"""Return the line for an entry of a stream, with its line break.

    A payload with line breaks becomes one line: JSON is written anew without them, in other text they become `\n`.
    """
    parts = (_name(note.sender), rfc3339(note.created_ms).encode(), _name(note.type), _one_line(note.payload))
    return BETWEEN.join(parts) + b"\n"


def _name(text: str) -> bytes:
    safe = line(text, MOST_NAME // 4).replace("|", "_").strip()
    return (safe or "-").encode()


def _one_line(payload: bytes) -> bytes:
    if b"\n" not in payload and b"\r" not in payload:
        return payload
    try:
        return json.dumps(json.loads(payload), ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return payload.replace(b"\r\n", b"\\n").replace(b"\n", b"\\n").replace(b"\r", b"\\n")


def _is_printable(name: bytes) -> bool:
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False
