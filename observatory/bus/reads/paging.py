"""What all paged lists have in common: from windows of rows to a page, with or without a test."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Generic, TypeVar

from observatory.model.errors import UsageError
from observatory.model.filter import ALL, Filter, Interval
from observatory.model.listing import Ask, Page, at_time
from observatory.model.task import EntryId
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Row = TypeVar("Row")

WINDOW = 500
"""Rows that are read at once while searching."""

SHOWN_BYTES = 4096
"""Longest value that a list is given, in bytes; a line on a screen needs less."""

TESTED_BYTES = 65_536
"""Longest value that a test is given, in bytes; most payloads are whole then."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window begins.

    Attributes:
        cursor: As in `Ask`.
        inclusive: As in `Ask`.
    """

    cursor: str
    inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Window(Generic[Row]):
    """Rows as they were read, in the direction of reading.

    Attributes:
        rows: The rows.
        more: There are more behind the last one.
        total: Length of the whole list; None where unknown.
    """

    rows: Sequence[Row]
    more: bool
    total: int | None


async def paged(
    ask: Ask, read: Callable[[Place, int], Awaitable[Window[Row]]], key: Callable[[Row], str], *, time: str = ""
) -> Page[Row]:
    """Answer *ask* from as few windows as it takes: one where there is no test.

    Args:
        ask: What is wanted.
        read: Reads the window of at most so many rows that begins at a place.
        key: Key of a row.
        time: Name of the field that filters call the time by which the list is ordered, and keys begin with, in ms.

    Raises:
        UsageError: The ask makes no sense.
    """
    if ask.limit < 1 or ask.most < 1:
        raise UsageError("a page has at least one row, and at least one row is looked at")
    found: list[Row] = []
    searched = 0
    first = ""
    within = ask.where.bounds(time) if time and isinstance(ask.where, Filter) else ALL
    if within.empty:
        return Page((), None, None, searched=0)
    place = _start(ask, within)
    while True:
        count = ask.limit if ask.where is None else min(WINDOW, ask.most - searched)
        window = await read(place, count)
        more = window.more
        for row in window.rows:
            if len(found) == ask.limit:
                more = True
                break
            place = Place(key(row))
            first = first or place.cursor
            searched += 1
            if within is not ALL and _beyond(place.cursor, within, ascending=ask.ascending):
                more = False
                break
            if ask.where is None or ask.where(row):
                found.append(row)
        done = ask.where is None or len(found) == ask.limit or searched >= ask.most
        if done or not more or not window.rows:
            break
    far = place.cursor if more else None
    near = (first or ask.cursor) if ask.cursor else None
    return Page(
        items=tuple(reversed(found) if ask.backwards else found),
        after=near if ask.backwards else far,
        before=far if ask.backwards else near,
        total=window.total,
        searched=None if ask.where is None else searched,
    )


def _start(ask: Ask, within: Interval) -> Place:
    """Return where to begin: at the cursor, or at the first time that a row can have."""
    end = within.low if ask.ascending else within.high
    if ask.cursor or isinf(end):
        return Place(ask.cursor, ask.inclusive)
    return Place(at_time(max(int(end), 0), newest_first=not ask.ascending))


def _beyond(key: str, within: Interval, *, ascending: bool) -> bool:
    """Say whether no row from *key* on can have a time that is wanted."""
    digits = re.match(r"\d+", key)
    if digits is None:
        return False
    return int(digits[0]) > within.high if ascending else int(digits[0]) < within.low


def longest(ask: Ask) -> int:
    """Bytes after which a value of a row is cut."""
    return SHOWN_BYTES if ask.where is None else TESTED_BYTES


def checked_id(cursor: str) -> str:
    """Return *cursor*, which must be the id of an entry.

    Raises:
        UsageError: It is none.
    """
    try:
        EntryId.parse(cursor)
    except ValueError:
        raise UsageError(f"{line(cursor, 64)!r} is not a place in this list", "for example 1770378300000-0") from None
    return cursor
