"""Intervals of numbers: what a comparison lets through, and what a whole filter can let through at most."""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING, NamedTuple

from observatory.model.filter.fields import Kind
from observatory.model.filter.syntax import Op, Value
from observatory.model.quantity import Span, count, duration_s, moment, size

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

ORDERED = frozenset({Kind.NUMBER, Kind.DURATION, Kind.SIZE, Kind.TIME})
"""Kinds whose values have an order."""

_READ: dict[Kind, Callable[[str], float]] = {Kind.NUMBER: count, Kind.DURATION: duration_s, Kind.SIZE: size}


class Interval(NamedTuple):
    """Numbers from `low` to `high`; an end that is open does not belong to it."""

    low: float = -inf
    high: float = inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, number: float) -> bool:
        """Say whether *number* lies within."""
        if number < self.low or number > self.high or isnan(number):
            return False
        return not (self.open_low and number == self.low) and not (self.open_high and number == self.high)

    @property
    def empty(self) -> bool:
        """Whether no number lies within."""
        return self.low > self.high or (self.low == self.high and (self.open_low or self.open_high))

    def both(self, other: Interval) -> Interval:
        """Return what lies within this and *other*."""
        low, open_low = max((self.low, self.open_low), (other.low, other.open_low))
        high, closed_high = min((self.high, not self.open_high), (other.high, not other.open_high))
        return Interval(low, high, open_low, not closed_high)

    def hull(self, other: Interval) -> Interval:
        """Return the smallest interval that holds this and *other*."""
        if self.empty or other.empty:
            return other if self.empty else self
        low, open_low = min((self.low, self.open_low), (other.low, other.open_low))
        high, closed_high = max((self.high, not self.open_high), (other.high, not other.open_high))
        return Interval(low, high, open_low, not closed_high)

    def opposite(self) -> Interval:
        """Return the smallest interval that holds every number outside this one."""
        below = Interval(high=self.low, open_high=not self.open_low) if self.low > -inf else NOTHING
        above = Interval(low=self.high, open_low=not self.open_high) if self.high < inf else NOTHING
        return below.hull(above)


ALL = Interval()
"""Every number."""

NOTHING = Interval(inf, -inf)
"""No number."""


def interval(kind: Kind, op: Op, value: Value, *, now_ms: int, zone: tzinfo) -> Interval:
    """Return what `op value` lets through.

    A time in a comparison is its first moment; `IS` and `EQUAL` take the whole stretch that it means, so that
    `at:14:03` is a minute. `IS` also takes a range, `3..5`, either end of which may be missing.

    Args:
        kind: One of `ORDERED`.
        op: Any operator but `HAS`.
        value: What was written.
        now_ms: The present, in ms since the epoch.
        zone: Zone of times that name none.

    Raises:
        ValueError: The value cannot be read as that kind, or cannot be compared in that way.
    """

    def read(text: str) -> Span | tuple[float, float]:
        if kind is Kind.TIME:
            return moment(text, now_ms=now_ms, zone=zone)
        number = _READ[kind](text)
        return number, number

    if op is Op.IS and ".." in value.text:
        return _range(value.text, read)
    low, high = read(value.text)
    if op in {Op.IS, Op.EQUAL}:
        if kind in {Kind.DURATION, Kind.SIZE}:
            raise ValueError(f"a {kind} is compared by > or <, or with a range such as 1..5")
        if kind is Kind.TIME and low == high:
            raise ValueError("no time is exactly then: write > or <, or a range such as -10m..-5m")
        return Interval(low, high, open_high=high > low)
    return {
        Op.ABOVE: Interval(low, inf, open_low=True),
        Op.AT_LEAST: Interval(low, inf),
        Op.BELOW: Interval(-inf, low, open_high=True),
    }.get(op, Interval(-inf, low))


def _range(text: str, read: Callable[[str], Span | tuple[float, float]]) -> Interval:
    first, _, last = text.partition("..")
    if not first and not last:
        raise ValueError("a range has at least one end")
    low = read(first)[0] if first else -inf
    start, end = read(last) if last else (inf, inf)
    if start < low:
        raise ValueError("the range ends before it begins")
    return Interval(low, end, open_high=end > start)
