"""From one comparison to a test of a field's value. A test answers yes, no, or None: it cannot be known."""

from __future__ import annotations

from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from observatory.model.filter.errors import FilterError
from observatory.model.filter.fields import OPERATORS, Field, FieldValue, Kind, Missing
from observatory.model.filter.interval import ORDERED, Interval, interval
from observatory.model.filter.payload import Leaf, Reader, Unreadable
from observatory.model.filter.syntax import Compare, Op, Value
from observatory.model.filter.texts import is_any, text_test
from observatory.model.quantity import count
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

T = TypeVar("T")

Truth: TypeAlias = "bool | None"
Test: TypeAlias = "Callable[[FieldValue], Truth]"

_FLAGS = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


class Tests:
    """Makes tests of comparisons.

    Args:
        text: The whole filter, for errors.
        now_ms: The present, in ms since the epoch.
        zone: Zone of times that name none.
    """

    def __init__(self, text: str, now_ms: int, zone: tzinfo) -> None:
        self._text = text
        self._now_ms = now_ms
        self._zone = zone
        self._reader = Reader()

    def test(self, field: Field[Any], compare: Compare) -> Test:
        """Return the test that *compare* asks for.

        Raises:
            FilterError: The field cannot be compared in this way, or a value cannot be read.
        """
        self._check(field, compare)
        if compare.op is Op.IS and any(map(is_any, compare.values)):
            return _leads_somewhere(self._reader, compare.path) if compare.path else _is_known
        if field.kind is Kind.JSON and compare.path:
            return self._inside(compare)
        if field.kind is Kind.CHOICE:
            return self._one_of(field, compare)
        if field.kind is Kind.FLAG:
            flags = frozenset(self._each(compare, lambda value: _flag(value.text)))
            return lambda value: value in flags if isinstance(value, bool) else _nothing(value)
        if field.kind in ORDERED:
            return _within(self.intervals(field, compare))
        return _text(self._texts(compare, part=field.kind is not Kind.NAME))

    def intervals(self, field: Field[Any], compare: Compare) -> list[Interval]:
        """Return what each value of *compare*, on a field that has an order, lets through.

        Raises:
            FilterError: A value cannot be read.
        """
        kind, op = field.kind, compare.op
        return self._each(compare, lambda value: interval(kind, op, value, now_ms=self._now_ms, zone=self._zone))

    def texts(self, value: Value) -> Test:
        """Return the test of a word that stands alone."""
        return _text([self._read(value, lambda value: text_test(Op.IS, value, part=True))])

    def _check(self, field: Field[Any], compare: Compare) -> None:
        if compare.path and field.kind is not Kind.JSON:
            raise self._error(compare, f"{field.name} has no parts", "only a payload has")
        known = OPERATORS[field.kind]
        if compare.op not in known:
            ways = " ".join(known)
            raise self._error(
                compare, f"{field.name} cannot be compared by {compare.op}", f"it is a {field.kind}: {ways}"
            )
        if field.kind is Kind.JSON and compare.op not in OPERATORS[Kind.NAME] and not compare.path:
            raise self._error(compare, f"{field.name} as a whole has no order", f"name a part: {field.name}.size>3")

    def _error(self, compare: Compare, what: str, hint: str) -> FilterError:
        return FilterError(what, text=self._text, column=compare.column, width=compare.width, hint=hint)

    def _each(self, compare: Compare, read: Callable[[Value], T]) -> list[T]:
        return [self._read(value, read) for value in compare.values]

    def _read(self, value: Value, read: Callable[[Value], T]) -> T:
        try:
            return read(value)
        except ValueError as error:
            raise FilterError(str(error), text=self._text, column=value.column, width=len(value.text)) from None

    def _texts(self, compare: Compare, *, part: bool) -> list[Callable[[str], bool]]:
        return self._each(compare, lambda value: text_test(compare.op, value, part=part))

    def _one_of(self, field: Field[Any], compare: Compare) -> Test:
        known = {_folded(choice): choice for choice in field.choices}

        def chosen(value: Value) -> set[str]:
            fits = text_test(compare.op, Value(_folded(value.text), value.literal), part=False)
            found = set(filter(fits, known))
            if not found:
                raise ValueError(f"{field.name} is never {line(value.text, 24)!r}, but {', '.join(field.choices)}")
            return found

        wanted = set[str]().union(*self._each(compare, chosen))
        return lambda value: _folded(value) in wanted if isinstance(value, str) else _nothing(value)

    def _inside(self, compare: Compare) -> Test:
        """Return the test of a part of a payload, whose kind nobody knows before it is there."""
        fits = self._each(compare, partial(self._leaf, compare.op))
        leaves, path = self._reader.leaves, compare.path

        def test(value: FieldValue) -> Truth:
            if not isinstance(value, str | bytes):
                return _nothing(value)
            try:
                return any(fit(leaf) for leaf in leaves(value, path) for fit in fits)
            except Unreadable:
                return None

        return test

    def _leaf(self, op: Op, value: Value) -> Callable[[Leaf], bool]:
        is_range = op is Op.IS and ".." in value.text and not value.literal
        if op not in OPERATORS[Kind.NAME] or is_range:
            return _number(interval(Kind.NUMBER, op, value, now_ms=self._now_ms, zone=self._zone))
        return _leaf(value, text_test(op, value, part=False))


def _nothing(value: FieldValue) -> Truth:
    """Answer for what is no value: no where it is known that there is none, else unknown."""
    return False if value is Missing.NONE else None


def _is_known(value: FieldValue) -> Truth:
    if value is Missing.OPEN:
        return None
    return value is not None and value is not Missing.NONE and value not in ("", b"", ())


def _leads_somewhere(reader: Reader, path: tuple[str, ...]) -> Test:
    def test(value: FieldValue) -> Truth:
        if not isinstance(value, str | bytes):
            return _is_known(value)
        try:
            return bool(reader.leaves(value, path))
        except Unreadable:
            return None

    return test


def _within(intervals: list[Interval]) -> Test:
    def test(value: FieldValue) -> Truth:
        if not isinstance(value, int | float) or isnan(value):
            return _nothing(value)
        return any(interval.holds(value) for interval in intervals)

    return test


def _text(fits: list[Callable[[str], bool]]) -> Test:
    def one(text: str) -> bool:
        return any(fit(text) for fit in fits)

    single = fits[0] if len(fits) == 1 else one

    def test(value: FieldValue) -> Truth:
        if isinstance(value, str):
            return single(value)
        if isinstance(value, tuple):
            return any(map(single, value))
        if isinstance(value, bytes):
            return single(value.decode("utf-8", "replace"))
        # A field of names may hold nothing, which is an empty name: `task:""`.
        return single("") if value is Missing.NONE else None

    return test


def _leaf(value: Value, fits: Callable[[str], bool]) -> Callable[[Leaf], bool]:
    try:
        number: float | None = count(value.text)
    except ValueError:
        number = None

    def test(leaf: Leaf) -> bool:
        if isinstance(leaf, str):
            return fits(leaf)
        if isinstance(leaf, bool) or leaf is None:
            return fits("null" if leaf is None else str(leaf))
        return leaf == number or fits(str(leaf))

    return test


def _number(found: Interval) -> Callable[[Leaf], bool]:
    return lambda leaf: isinstance(leaf, int | float) and not isinstance(leaf, bool) and found.holds(leaf)


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError(f"{line(text, 24)!r} is neither yes nor no")
    return _FLAGS[text.lower()]


def _folded(text: str) -> str:
    return text.lower().replace("_", " ").replace("-", " ")
