"""Single values as agents write them: times in four units, durations in seven, ids, numbers, text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from observatory.model.task import DEFAULT_TTL_S, MAX_TTL_S

MAX_ID_BYTES: Final = 512
"""Longest task id that is believed; take.lua holds the same bound."""

MAX_ORDERING_KEY: Final = 200
"""Longest ordering key that is believed, in bytes; common.lua holds the same bound."""

SKEW_TOLERANCE_MS: Final = 300_000
"""A creation time further in the future than this is not believed."""

_DURATION: Final = re.compile(r"([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*(ms|s|sec|m|min|h|d)?", re.IGNORECASE)
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@lru_cache(maxsize=256)
def rfc3339(ms: int) -> str:
    """Return *ms* since the epoch as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration_s(text: str) -> float:
    """Read a duration such as `30`, `30s`, `500ms`, `5m`, `1.5h` or `2d`.

    Returns:
        Seconds.

    Raises:
        ValueError: *text* is not a duration.
    """
    # The bound keeps a hostile text from costing more than it is worth.
    match = _DURATION.fullmatch(text.strip()) if len(text) <= 64 else None
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a duration such as 30, 30s, 5m or 2h")
    return float(match[1]) * _UNIT_S[(match[2] or "s").lower()]


def created_at(value: bytes | None, arrived_ms: int, notes: list[str]) -> int:
    """Return when the sender says it was made, ms since the epoch; when it arrived, where that cannot be believed."""
    if value is None:
        return arrived_ms
    created = time_ms(as_text(value))
    if created is None:
        notes.append("creation time is not a time")
        return arrived_ms
    if created > arrived_ms + SKEW_TOLERANCE_MS:
        notes.append("creation time is in the future")
        return arrived_ms
    return created


@lru_cache(maxsize=1024)
def time_ms(text: str) -> int | None:
    """Read epoch seconds, milliseconds, microseconds or nanoseconds by magnitude, or RFC 3339 with any fraction."""
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    for limit, factor in ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (1e20, 1e-6)):
        if 0 <= number < limit:
            return int(number * factor)
    return None


def ttl_of(value: bytes | None, notes: list[str]) -> float:
    """Return the seconds to live that the sender asks for, within bounds; the usual ones where it says none."""
    if value is None:
        return DEFAULT_TTL_S
    seconds = seconds_of(value)
    if seconds is None:
        notes.append("ttl is not a duration")
        return DEFAULT_TTL_S
    return min(seconds, MAX_TTL_S) if seconds > 0 else DEFAULT_TTL_S


@lru_cache(maxsize=256)
def seconds_of(value: bytes) -> float | None:
    """Return a duration in seconds; None if it is none."""
    try:
        return duration_s(as_text(value))
    except ValueError:
        return None


def id_of(value: bytes | None) -> str:
    """Return a task id; an absurdly long one does not count as one, because it becomes part of a key."""
    return "" if value is None or len(value) > MAX_ID_BYTES else as_text(value)


def ordering_key_of(value: bytes | None, notes: list[str]) -> str:
    """Return an ordering key, which becomes part of a key as well; empty where it is absurdly long."""
    if value is None or len(value) <= MAX_ORDERING_KEY:
        return as_text(value)
    notes.append("ordering key is too long")
    return ""


def as_integer(value: bytes | None) -> int | None:
    """Return a whole number, cut if need be; None if it is no number."""
    if value is None:
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def written_seconds(value: float) -> bytes:
    """Write seconds to the millisecond, which is as fine as the bus tells time."""
    whole = int(value)
    return (str(whole) if value == whole else f"{max(value, 0.001):.3f}".rstrip("0")).encode()


def as_text(value: bytes | None) -> str:
    """Return text that goes back to the same bytes, whatever they are; empty for None."""
    return "" if value is None else value.decode("utf-8", "surrogateescape")
