"""A stretch of the past that can be asked: sealed in a file, part of a recording, or read from the engine just now."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from observatory.history.columns import coded, empty, ids_of, rows_of, times_of, unified, words_of
from observatory.history.index import unpack
from observatory.model.keyframe import decode
from observatory.model.reduce import Folding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
    from pathlib import Path

    from observatory.history.index import Group, Index
    from observatory.model.books import Books

NEVER_MS: Final = 2**62
"""A time that does not come."""


class Cache:
    """What was read lately: a bounded number of groups and whole keyframes, shared by all stretches of a source.

    Args:
        most: Things that are kept.
    """

    def __init__(self, most: int = 24) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._most = most

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever *make* returns
        """Return what is kept under *key*, made now if it is not."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = self._kept[key] = make()
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return made

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


class Stretch:
    """Events in order, with their index. Rows are counted from 0; a state *at a row* is the one before that row.

    Args:
        name: What tells it from others.
        cache: Where groups and keyframes are kept.
    """

    def __init__(self, name: str, cache: Cache) -> None:
        self.name = name
        self.cache = cache
        self.later_ms = NEVER_MS
        """Least server time of all that comes after this stretch: no event of it is later than that."""

    @property
    def path(self) -> Path | None:
        """The Parquet file of its events; None where they are in no file of their own."""
        return None

    def tables(self) -> Iterator[pa.Table]:
        """Yield all events, as many at a time as are together."""
        for number in range(len(self.groups)):
            yield self.read_group(number)

    @property
    def index(self) -> Index:
        """What is known without reading rows."""
        raise NotImplementedError

    def read_group(self, number: int) -> pa.Table:
        """Read one group of rows.

        Raises:
            DamagedError: It cannot be read.
        """
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """How many events it holds."""
        return self.index.rows

    @property
    def first_ms(self) -> int:
        """Least server time in it."""
        first = self.index.first_ms
        return NEVER_MS if first is None else first

    @property
    def last_ms(self) -> int:
        """Greatest server time in it."""
        last = self.index.last_ms
        return -NEVER_MS if last is None else last

    @property
    def groups(self) -> list[Group]:
        """Its groups, in order."""
        return self.index.groups

    def seconds(self) -> dict[str, tuple[Any, Any]]:
        """Return what happened in each second, as in `Index.seconds`."""
        return self.index.seconds

    def group(self, number: int) -> pa.Table:
        """Return one group of rows, from the cache if it was read lately."""
        return self.cache.get((self.name, "group", number), lambda: self.read_group(number))

    def times(self, number: int) -> Any:  # noqa: ANN401 - an array of numpy
        """Return for each row of a group the least time of it and of the rest of the group."""
        return self.cache.get((self.name, "times", number), lambda: _least_of_the_rest(self.group(number)))

    def between(self, low: int, high: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows from *low* to before *high*, all of their columns or some."""
        low, high = max(low, 0), min(high, self.rows)
        parts = []
        starts = [group.row for group in self.groups]
        while low < high:
            number = bisect_right(starts, low) - 1
            group = self.groups[number]
            upto = min(high, group.row + group.rows)
            table = self.group(number) if columns is None else self.group(number).select(columns)
            parts.append(table.slice(low - group.row, upto - low))
            low = upto
        none = empty() if columns is None else empty().select(columns)
        return unified(parts) if parts else none

    def row_at(self, at_ms: int) -> int:
        """Return how many events had happened at *at_ms* of server time.

        Events are in the order of their ids. A clock that jumped ahead and back makes a few seem later than what
        follows them; they count as no later than that.
        """
        floors = self._floors()
        number = bisect_right(floors, at_ms) - 1
        if number < 0:
            return 0
        group = self.groups[number]
        after = floors[number + 1] if number + 1 < len(floors) else self.later_ms
        times = self.times(number)
        return group.row + int(np.searchsorted(np.minimum(times, after), at_ms, "right"))

    def _floors(self) -> list[int]:
        """For each group the least time of it and of all that follows."""
        floors, least = [], self.later_ms
        for group in reversed(self.groups):
            least = min(least, group.first_ms)
            floors.append(least)
        return floors[::-1]

    def state(self, row: int) -> Books:
        """Return the books before *row*: the keyframe before it, and the facts since."""
        frames = self.index.frames
        at = bisect_right(frames, row, key=lambda frame: frame.row) - 1
        frame = frames[at]
        whole = self._whole(frame.whole)
        books = whole if frame.whole == at else decode(unpack(frame.data), since=whole)
        if frame.row == row:
            return books
        folding = Folding(books)
        table = self.between(frame.row, row)
        folding.run(rows_of(table))
        folding.last_id = ids_of(table.slice(table.num_rows - 1))[0]
        return folding.books()

    def _whole(self, at: int) -> Books:
        frame = self.index.frames[at]
        books: Books = self.cache.get((self.name, "frame", frame.row), lambda: decode(unpack(frame.data)))
        return books

    def rows_of_task(self, task: str) -> list[pa.Table]:
        """Return the events about *task*, in order."""
        found = []
        for number, group in enumerate(self.groups):
            if not group.may_hold(task):
                continue
            table = self.group(number)
            tasks = coded(table, "task")
            code = tasks.dictionary.index(task).as_py()
            if code >= 0:
                codes = tasks.indices.to_numpy(zero_copy_only=False)
                found.append(table.take(pa.array(np.flatnonzero(codes == code))))
        return found

    def next_row(self, row: int, kinds: Collection[str], *, backwards: bool = False) -> int | None:
        """Return the nearest row from *row* on, or before it, of one of *kinds*; None if there is none here.

        Args:
            row: Forwards the first row that is looked at; backwards the first that is not.
            kinds: Kinds of event; all if empty.
            backwards: Whether to look at what came before.
        """
        if not kinds:
            inside = 0 < row <= self.rows if backwards else 0 <= row < self.rows
            return (row - 1 if backwards else row) if inside else None
        numbers = range(len(self.groups))
        for number in reversed(numbers) if backwards else numbers:
            group = self.groups[number]
            beyond = group.row >= row if backwards else group.row + group.rows <= row
            if beyond or not any(kind in group.kinds for kind in kinds):
                continue
            rows = group.row + self._of_kinds(number, kinds)
            rows = rows[rows < row] if backwards else rows[rows >= row]
            if len(rows):
                return int(rows[-1 if backwards else 0])
        return None

    def of_kinds(self, kinds: Collection[str], low: int, high: int) -> Iterator[pa.Table]:
        """Yield the events of *kinds* from row *low* to before *high*, in order; groups without them are not read."""
        for number, group in enumerate(self.groups):
            if group.row + group.rows <= low or group.row >= high or not any(kind in group.kinds for kind in kinds):
                continue
            rows = self._of_kinds(number, kinds)
            rows = rows[(rows + group.row >= low) & (rows + group.row < high)]
            if len(rows):
                yield self.group(number).take(pa.array(rows))

    def _of_kinds(self, number: int, kinds: Collection[str]) -> Any:  # noqa: ANN401 - an array of numpy
        chunk = coded(self.group(number), "kind")
        codes = [code for code, word in enumerate(chunk.dictionary.to_pylist()) if word in kinds]
        return np.flatnonzero(np.isin(chunk.indices.to_numpy(zero_copy_only=False), codes))

    def count_exactly(self, edges_ms: Any) -> dict[str, Any]:  # noqa: ANN401 - arrays of numpy
        """Return how often each kind happened between each two successive *edges_ms*, by reading the rows."""
        found: dict[str, Any] = {}
        for number, group in enumerate(self.groups):
            if group.last_ms < edges_ms[0] or group.first_ms >= edges_ms[-1]:
                continue
            table = self.group(number)
            times = times_of(table)
            kinds = np.array(words_of(table, "kind"), dtype=object)
            for kind in group.kinds:
                counted, _ = np.histogram(times[(kinds == kind) & (times < edges_ms[-1])], edges_ms)
                found[kind] = found.get(kind, 0) + counted
        return found


def _least_of_the_rest(table: pa.Table) -> Any:  # noqa: ANN401 - an array of numpy
    return np.minimum.accumulate(times_of(table)[::-1])[::-1]
