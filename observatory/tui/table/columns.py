"""Columns: what each says, how many cells it gets, which goes first where there is no room, and how it sorts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from observatory.tui.drawing.lines import Align

RowT = TypeVar("RowT")

Cell = tuple[str, str]
"""Text, already made printable, and the name of its style."""

ROOMY = 110
"""Cells of a table from which on columns get their wide size."""


@dataclass(frozen=True, slots=True)
class Column(Generic[RowT]):
    """One column.

    Attributes:
        title: Its name in the heading; also what a chosen order is remembered by.
        read: Gives the cell of a row, told how many cells there are.
        width: Cells it needs at least; a column is dropped before it gets fewer.
        rank: When it is dropped where there is no room: the largest first; 0 stays.
        wide: Cells it gets in a table of `ROOMY` cells or more; 0 for the same.
        grow: Its share of the cells that are left over.
        most: Cells that it never exceeds.
        align: Which side its text stands at.
        key: Gives what a row is sorted by, None for unknown; without it the column cannot be sorted by.
    """

    title: str
    read: Callable[[RowT, int], Cell]
    width: int
    rank: int = 0
    wide: int = 0
    grow: int = 0
    most: int = 400
    align: Align = "left"
    key: Callable[[RowT], Any] | None = None


def layout(columns: Sequence[Column[RowT]], width: int) -> tuple[tuple[Column[RowT], int], ...]:
    """Return the columns that fit in *width* cells, each with its cells; one cell stands before each of them.

    No column gets fewer cells than it needs as long as another can be dropped; the last one left is cut.
    """
    shown = list(columns)
    while len(shown) > 1 and sum(column.width + 1 for column in shown) > width:
        shown.remove(max(shown, key=lambda column: column.rank))
    cells = {column.title: column.width for column in shown}
    spare = width - sum(cells.values()) - len(shown)
    if width >= ROOMY:
        for column in sorted(shown, key=lambda column: column.rank):
            more = min(max(column.wide - column.width, 0), max(spare, 0))
            cells[column.title] += more
            spare -= more
    _spread(shown, cells, spare)
    return tuple((column, max(cells[column.title], 1)) for column in shown)


def _spread(shown: Sequence[Column[RowT]], cells: dict[str, int], spare: int) -> None:
    """Give what is left to the columns that grow, by their shares, none more than its most."""
    growing = [column for column in shown if column.grow]
    while spare > 0 and growing:
        shares = sum(column.grow for column in growing)
        given = 0
        for column in growing:
            more = min(max(spare * column.grow // shares, 1), column.most - cells[column.title], spare - given)
            cells[column.title] += max(more, 0)
            given += max(more, 0)
        if not given:
            return
        spare -= given
        growing = [column for column in growing if cells[column.title] < column.most]


def ordered(rows: Iterable[RowT], column: Column[RowT], *, descending: bool) -> list[RowT]:
    """Return *rows* sorted by *column*; rows of which it is unknown stand last in both directions."""
    key = column.key
    if key is None:
        return list(rows)
    known: list[tuple[Any, RowT]] = []
    unknown: list[RowT] = []
    for row in rows:
        value = key(row)
        if value is None:
            unknown.append(row)
        else:
            known.append((value, row))
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in known] + unknown
