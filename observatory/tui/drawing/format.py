"""Numbers and times in the words of the screen: short, aligned, and honest about what is not known."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

UNKNOWN = "?"
"""Stands for every number that nobody knows; never 0."""

NONE = "\N{EN DASH}"
"""Stands where there is nothing to measure: no oldest entry, no time to drain."""

_CALM_S = 120
"""Age in seconds from which its seconds go by tens."""

_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: int | None) -> str:
    """Return a count: in full with separators up to five digits, then with a unit."""
    if value is None:
        return UNKNOWN
    if abs(value) < 100_000:
        return f"{value:,}"
    return _scaled(float(value))


def partial_sum(values: Iterable[float | None], write: Callable[[float], str]) -> str:
    """Return a sum of parts: `~N?` where some are unknown, because a sum that skips them in silence is a lie.

    Args:
        values: The parts; None where one is unknown.
        write: How the sum is written.
    """
    parts = list(values)
    known = [part for part in parts if part is not None]
    if not known:
        return UNKNOWN if parts else write(0)
    return write(sum(known)) if len(known) == len(parts) else f"~{write(sum(known))}?"


def rate(value: float | None) -> str:
    """Return a rate per second with three significant digits at most."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    if abs(value) < 0.05:
        return "<0.1"
    if abs(value) < 100:
        return f"{value:.1f}"
    return count(round(value)) if abs(value) < 10_000 else _scaled(value)


def age(seconds: float | None, *, absent: str = NONE) -> str:
    """Return a duration in at most two units; *absent* for None.

    From two minutes on seconds go by tens: nobody acts on one of them, and what stands still need not be painted.
    """
    if seconds is None or not math.isfinite(seconds):
        return absent if seconds is None else UNKNOWN
    if seconds < 60:
        return f"{int(seconds)}s" if seconds >= 1 else "<1s"
    whole = int(seconds) if seconds < _CALM_S else int(seconds) // 10 * 10
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            big, rest = divmod(whole, size)
            if big > 99:
                return f"{count(big)}{unit}"
            return f"{big}{unit}{rest // smaller:02d}{small_unit}"
    return UNKNOWN


def milliseconds(value: float | None) -> str:
    """Return a latency given in milliseconds."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value < 1000:
        return f"{value:.0f}ms" if value >= 10 or value == 0 else f"{value:.1f}ms"
    return f"{value / 1000:.1f}s" if value < 60_000 else age(value / 1000)


def size(value: int | None) -> str:
    """Return a size in bytes with a binary unit."""
    if value is None:
        return UNKNOWN
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def clock_time(at_ms: int | None) -> str:
    """Return the time of day in UTC, HH:MM:SS."""
    moment = _moment(at_ms)
    return moment.strftime("%H:%M:%S") if moment else UNKNOWN


def date_time(at_ms: int | None) -> str:
    """Return date and time in UTC."""
    moment = _moment(at_ms)
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else UNKNOWN


def _moment(at_ms: int | None) -> datetime | None:
    """Return *at_ms* as a datetime; None where it is unknown or no date at all."""
    if not at_ms or at_ms < 0:
        return None
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _scaled(value: float) -> str:
    for factor, unit in _SCALES:
        if abs(value) >= factor:
            amount = value / factor
            return f"{amount:.0f}{unit}" if abs(amount) >= 100 else f"{amount:.1f}{unit}"
    return f"{value:.0f}"
