"""The chronicle: all stretches of the past as one sequence of events, whose seams nobody notices.

Events are counted from 0 over all stretches. *At a row* means before that event; a time is turned into a row once, and
everything else asks by row.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from observatory.history.columns import behind, empty, events_of, ids_of, rows_of, unified
from observatory.history.stretch import NEVER_MS
from observatory.model.books import Books
from observatory.model.reduce import Folding

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import pyarrow as pa

    from observatory.history.stretch import Stretch
    from observatory.model.event import Event
    from observatory.model.timeline import Gap

EXACT_MS: Final = 600_000
"""Widest range, in ms, whose events are counted one by one; wider ones by whole seconds."""


class Chronicle:
    """Stretches in order.

    Args:
        stretches: Sealed ones, then what is hot.
        gaps: What is known to be missing.
    """

    def __init__(self, stretches: Sequence[Stretch], gaps: Sequence[Gap] = ()) -> None:
        self.stretches = list(stretches)
        self.gaps = tuple(gaps)
        least = NEVER_MS
        self._floors: list[int] = []
        for stretch in reversed(self.stretches):
            stretch.later_ms = least
            least = min(least, stretch.first_ms)
            self._floors.append(least)
        self._floors.reverse()
        self._starts = [0, *accumulate(stretch.rows for stretch in self.stretches)]

    @property
    def rows(self) -> int:
        """How many events there are."""
        return self._starts[-1]

    @property
    def first_ms(self) -> int | None:
        """Server time of the earliest event; None without events."""
        return min((one.first_ms for one in self.stretches if one.rows), default=None)

    @property
    def last_ms(self) -> int | None:
        """Server time of the latest event; None without events."""
        return max((one.last_ms for one in self.stretches if one.rows), default=None)

    def row_at(self, at_ms: int) -> int:
        """Return how many events had happened at *at_ms* of server time; see `Stretch.row_at`."""
        number = bisect_right(self._floors, at_ms) - 1
        if number < 0:
            return 0
        return self._starts[number] + self.stretches[number].row_at(at_ms)

    def row_behind(self, order: tuple[int, int, int, int]) -> int:
        """Return the row behind the event whose `event_order` is *order*, whether or not it is still there."""
        for number, stretch in enumerate(self.stretches):
            last = stretch.index.last
            if last is None or last <= order:
                continue
            for group in stretch.groups:
                table = stretch.between(group.row, group.row + group.rows)
                rest = behind(table, order)
                if rest.num_rows:
                    left: int = rest.num_rows
                    return self._starts[number] + group.row + group.rows - left
        return self.rows

    def state(self, row: int) -> Books:
        """Return the books before *row*."""
        if not self.stretches:
            return Books()
        number = max(min(bisect_right(self._starts, row) - 1, len(self.stretches) - 1), 0)
        return self.stretches[number].state(row - self._starts[number])

    def advance(self, books: Books, low: int, high: int) -> Books:
        """Return the books before row *high*, from those before row *low*, which is not behind it."""
        if low == high:
            return books
        table = self.between(low, high)
        folding = Folding(books)
        folding.run(rows_of(table))
        folding.last_id = ids_of(table.slice(table.num_rows - 1))[0]
        return folding.books()

    def between(self, low: int, high: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows from *low* to before *high*, all of their columns or some."""
        parts = [
            stretch.between(low - start, high - start, columns)
            for start, stretch in zip(self._starts, self.stretches, strict=False)
            if start < high and start + stretch.rows > low
        ]
        if not parts:
            return empty() if columns is None else empty().select(columns)
        return unified(parts)

    def events(self, low: int, high: int) -> list[Event]:
        """Return the facts from row *low* to before *high*, oldest first."""
        return events_of(self.between(low, high))

    def trace(self, task: str) -> list[Event]:
        """Return all facts about *task*, oldest first."""
        return [event for one in self.stretches for table in one.rows_of_task(task) for event in events_of(table)]

    def next_row(self, row: int, kinds: Collection[str] = (), *, backwards: bool = False) -> int | None:
        """Return the nearest row from *row* on, or before it, of one of *kinds* (all if empty); None if there is none.

        Args:
            row: Forwards the first row that is looked at; backwards the first that is not.
            kinds: Kinds of event.
            backwards: Whether to look at what came before.
        """
        numbered = list(zip(self._starts, self.stretches, strict=False))
        for start, stretch in reversed(numbered) if backwards else numbered:
            if start >= row if backwards else start + stretch.rows <= row:
                continue
            inside = min(max(row - start, 0), stretch.rows)
            found = stretch.next_row(inside, kinds, backwards=backwards)
            if found is not None:
                return start + found
        return None

    def of_kinds(self, kinds: Collection[str], from_ms: int, to_ms: int, *, most: int = 10_000) -> list[Event]:
        """Return the facts of *kinds* from *from_ms* to before *to_ms*, oldest first, at most so many."""
        low, high = self.row_at(from_ms - 1), self.row_at(to_ms - 1)
        found: list[Event] = []
        for start, stretch in zip(self._starts, self.stretches, strict=False):
            if start < high and start + stretch.rows > low:
                for table in stretch.of_kinds(kinds, low - start, high - start):
                    found += events_of(table.slice(0, most - len(found)))
                    if len(found) >= most:
                        return found
        return found

    def files(self) -> tuple[list[Path], list[pa.Table]]:
        """Return where all events are: Parquet files, and tables of those that stand in no file of their own."""
        files = [stretch.path for stretch in self.stretches if stretch.path is not None]
        rest = [table for stretch in self.stretches if stretch.path is None for table in stretch.tables()]
        return files, rest

    def edges(self, from_ms: int, to_ms: int, buckets: int) -> Any:  # noqa: ANN401 - an array of numpy
        """Return the bounds, in ms, of *buckets* nearly equal parts of a range; of a wide one in whole seconds."""
        edges = from_ms + np.arange(buckets + 1, dtype=np.int64) * max(to_ms - from_ms, 1) // buckets
        return edges if to_ms - from_ms <= EXACT_MS else edges // 1000 * 1000

    def density(self, from_ms: int, to_ms: int, buckets: int) -> tuple[Any, dict[str, Any]]:
        """Return the bounds of `edges`, and how often each kind happened between each two of them."""
        edges = self.edges(from_ms, to_ms, buckets)
        exactly = to_ms - from_ms <= EXACT_MS
        found: dict[str, Any] = {}
        for stretch in self.stretches:
            if stretch.last_ms < edges[0] or stretch.first_ms >= edges[-1]:
                continue
            counted = stretch.count_exactly(edges) if exactly else stretch.index.counts(edges // 1000)
            for kind, numbers in counted.items():
                found[kind] = found[kind] + numbers if kind in found else numbers
        return edges, found
