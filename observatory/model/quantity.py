"""Quantities as people write them: durations, counts, sizes and times, each read in one way everywhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from observatory.model.text import line

LONGEST_S = 366 * 86400.0
"""Longest duration that is taken, in seconds."""

_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw]?)", re.IGNORECASE | re.ASCII)

_COUNT = re.compile(r"([-+]?\d{1,18}(?:_\d{3})*(?:\.\d{1,18})?)(k|m|g|%)?", re.IGNORECASE | re.ASCII)
_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)(?:([kmgt])i?b?|b)?", re.IGNORECASE | re.ASCII)
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,3}))?)?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII)
_SECOND = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$", re.IGNORECASE | re.ASCII)
_EPOCH_MS = re.compile(r"\d{12,14}(?:-\d{1,20})?", re.ASCII)
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """A stretch of time in ms since the epoch: from `low`, up to and without `high`.

    What was written decides how long it is: `14:03` is a minute, `14:03:05` a second, `2026-02-06` a day.
    """

    low: int
    high: int


def duration_s(text: str) -> float:
    """Read a duration as people write it: `90`, `90s`, `5m`, `1h30m`, `2d`.

    Args:
        text: The duration; a number without a unit is seconds.

    Returns:
        Seconds.

    Raises:
        ValueError: It is not a duration, or longer than a year.
    """
    text = text.strip()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{line(text, 24)!r} is not a duration: write 30s, 5m, 1h30m or 2d")
    seconds = sum(float(number) * _UNITS_S[unit.lower()] for number, unit in parts)
    if seconds > LONGEST_S:
        raise ValueError("longer than a year")
    return seconds


def count(text: str) -> float:
    """Read a number: `3`, `0.5`, `10_000`, `10k`, `2m` (million), `80%`.

    Raises:
        ValueError: It is not a number.
    """
    found = _COUNT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{line(text, 24)!r} is not a number: write 3, 0.5, 10k or 80%")
    unit = (found[2] or "").lower()
    # Divided, so that 70% is exactly the number that 0.7 is.
    return float(found[1]) / 100 if unit == "%" else float(found[1]) * _THOUSANDS[unit]


def size(text: str) -> float:
    """Read a size in bytes: `512`, `256KB`, `1.5MiB`; a thousand is 1024 with and without the `i`.

    Raises:
        ValueError: It is not a size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{line(text, 24)!r} is not a size: write 512, 256KB or 1.5MiB")
    return float(found[1]) * _BINARY[(found[2] or "").lower()]


def moment(text: str, *, now_ms: int, zone: tzinfo = UTC) -> Span:
    """Read a time: `14:03`, `14:03:05`, `-5m`, `+1h`, `now`, `2026-02-06`, `2026-02-06T11:45:00Z`, ms since the epoch.

    Args:
        text: The time. A time of day is the latest such time that is not in the future; `-` and `+` count from now.
        now_ms: The present, in ms since the epoch.
        zone: Zone of times that name none.

    Returns:
        The stretch that it means; of length 0 where it means a point.

    Raises:
        ValueError: It is not a time.
    """
    text = text.strip()
    if text.lower() == "now":
        return Span(now_ms, now_ms)
    if text[:1] in {"-", "+"} and text[1:2].isdigit():
        offset = round(duration_s(text[1:]) * 1000)
        at = now_ms - offset if text[0] == "-" else now_ms + offset
        return Span(at, at)
    if _EPOCH_MS.fullmatch(text):
        at = int(text.partition("-")[0])
        return Span(at, at + 1)
    try:
        found = _CLOCK.fullmatch(text)
        return _time_of_day(found, now_ms, zone) if found else _calendar(text, zone)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{line(text, 32)!r} is not a time: write 14:03, -5m, 2026-02-06 or 2026-02-06T11:45:00Z"
        ) from None


def _time_of_day(found: re.Match[str], now_ms: int, zone: tzinfo) -> Span:
    hour, minute, second, fraction = found.groups()
    today = (_EPOCH + timedelta(milliseconds=now_ms)).astimezone(zone)
    at = today.replace(
        hour=int(hour),
        minute=int(minute),
        second=int(second or 0),
        microsecond=int((fraction or "").ljust(3, "0")) * 1000,
    )
    length = 60_000 if second is None else 1000 if fraction is None else 1
    low = _ms(at)
    if low > now_ms:
        low = _ms(at - timedelta(days=1))
    return Span(low, low + length)


def _calendar(text: str, zone: tzinfo) -> Span:
    at = datetime.fromisoformat(text)
    low = _ms(at if at.tzinfo else at.replace(tzinfo=zone))
    bare = _ZONE.sub("", text) if "T" in text or ":" in text else text
    for shape, length in ((_DAY, _DAY_MS), (_MINUTE, 60_000), (_SECOND, 1000)):
        if shape.fullmatch(bare):
            return Span(low, low + length)
    return Span(low, low + 1)


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
