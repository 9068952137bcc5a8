"""The index of a stretch of events: where its keyframes are, what happened in each second, who may be in which group.

A stretch is made of *groups* of rows, read one at a time. Every `FRAME_EVERY` rows stands a keyframe, so that any
state is a keyframe and at most so many facts; each `WHOLE_EVERY`th is whole, the others are steps from it.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from observatory.history.columns import coded, compact, order_of, rows_of, times_of, unified, words_of
from observatory.model.keyframe import encode
from observatory.model.reduce import Folding

if TYPE_CHECKING:
    from observatory.model.books import Books

FRAME_EVERY: Final = 2_048
"""Events between two keyframes: folding them takes a few milliseconds."""

GROUP_ROWS: Final = 8 * FRAME_EVERY
"""Events of a row group, the least that is read: a millisecond, and large enough to be stored in 12 bytes an event."""

WHOLE_EVERY: Final = 32
"""Keyframes from one whole keyframe to the next."""

_BLOOM_BITS: Final = 8
_BLOOM_HASHES: Final = 5
_MIX: Final = np.uint64(0x9E3779B1)
"""2^32 divided by the golden ratio: makes a second hash of the first (Knuth, The Art of Computer Programming, 6.4)."""

Order = tuple[int, int, int, int]
"""What `event_order` returns."""


class Frame(NamedTuple):
    """A keyframe: the row that it stands before, its bytes, packed, and the place of its whole one among the frames."""

    row: int
    data: bytes
    whole: int


@dataclass(frozen=True, slots=True)
class Group:
    """A group of rows.

    Attributes:
        row: Its first row.
        rows: How many there are.
        first_ms: Least server time in it.
        last_ms: Greatest server time in it.
        kinds: How often each kind happened in it.
        bloom: A Bloom filter of its task ids.
    """

    row: int
    rows: int
    first_ms: int
    last_ms: int
    kinds: dict[str, int]
    bloom: bytes

    def may_hold(self, task: str) -> bool:
        """Say whether it may hold facts about *task*; it is wrong in one case of fifty, and only by saying yes."""
        bits = len(self.bloom) * 8
        return bool(bits) and all(self.bloom[bit >> 3] & (1 << (bit & 7)) for bit in _bits(task, bits))


@dataclass(slots=True)
class Index:
    """What is known of a stretch without reading its rows.

    Attributes:
        groups: Its groups, in order.
        frames: Its keyframes, in order; the first stands before row 0.
        seconds: For each kind the seconds since the epoch in which it happened, and how often it had up to their end.
        first: Order of its first event.
        last: Order of its last event.
    """

    groups: list[Group] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    seconds: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    first: Order | None = None
    last: Order | None = None

    @property
    def rows(self) -> int:
        """How many events there are."""
        return self.groups[-1].row + self.groups[-1].rows if self.groups else 0

    @property
    def first_ms(self) -> int | None:
        """Least server time; None without events."""
        return min((group.first_ms for group in self.groups), default=None)

    @property
    def last_ms(self) -> int | None:
        """Greatest server time; None without events."""
        return max((group.last_ms for group in self.groups), default=None)

    def counts(self, edges_s: Any) -> dict[str, Any]:  # noqa: ANN401 - arrays of numpy
        """Return how often each kind happened between each two successive *edges_s*, seconds since the epoch."""
        found = {}
        for kind, (seconds, total) in self.seconds.items():
            upto = np.concatenate(([0], total))[np.searchsorted(seconds, edges_s, "left")]
            found[kind] = np.diff(upto)
        return found


class Indexer:
    """Makes the index of a stretch, from the books before it and its events in order.

    Args:
        books: The books before the first event.
        at_once: Whether keyframes are made as events come, for who is asked in between, or a group at a time, which
            costs less.
    """

    def __init__(self, books: Books, *, at_once: bool = False) -> None:
        self._unit = FRAME_EVERY if at_once else GROUP_ROWS
        self.index = Index()
        self.folding = Folding(books)
        self._whole = books
        self._whole_at = 0
        self._blocks: list[pa.Table] = []
        self._rest: list[pa.Table] = []
        self._resting = 0
        self._per_second: dict[str, Counter[int]] = {}
        if at_once:
            self._frame(0)

    @property
    def rows(self) -> int:
        """Events that were added."""
        rows: int = self.index.rows + sum(block.num_rows for block in self._blocks) + self._resting
        return rows

    def add(self, table: pa.Table) -> list[pa.Table]:
        """Take in events, all newer than those before; returns the groups that are full now."""
        if not table.num_rows:
            return []
        self._rest.append(table)
        self._resting += table.num_rows
        if self._resting < self._unit:
            return []
        rest, full = unified(self._rest), []
        for start in range(0, rest.num_rows - self._unit + 1, self._unit):
            self._block(rest.slice(start, self._unit))
            if len(self._blocks) * self._unit == GROUP_ROWS:
                full.append(self._close())
        left = rest.num_rows % self._unit
        self._rest, self._resting = ([rest.slice(rest.num_rows - left)] if left else []), left
        return full

    def finish(self) -> list[pa.Table]:
        """Take in what does not fill a block, and return the last group; nothing may be added after it.

        The last keyframe stands behind the last row.
        """
        if self._resting:
            self._block(unified(self._rest))
            self._rest, self._resting = [], 0
        group = [self._close()] if self._blocks else []
        self._frame(self.index.rows)
        self.index.seconds = _cumulated(self._per_second)
        return group

    @property
    def open_rows(self) -> pa.Table | None:
        """The events that are in no full group yet; None if there are none."""
        parts = [*self._blocks, *self._rest]
        return unified(parts) if parts else None

    def so_far(self) -> Index:
        """Return the index of all that was added, the events that are in no full group as one more group."""
        index, rest = self.index, self.open_rows
        if rest is None:
            return Index(index.groups, index.frames, self.open_seconds(), index.first, index.last)
        group = _group(index.rows, compact(rest))
        first, last = (_order_at(rest, row) for row in (0, rest.num_rows - 1))
        return Index([*index.groups, group], index.frames, self.open_seconds(), index.first or first, last)

    def open_seconds(self) -> dict[str, tuple[Any, Any]]:
        """Return what happened in each second so far, of full groups and of those that are not."""
        counts = {kind: Counter(found) for kind, found in self._per_second.items()}
        for part in (*self._blocks, *self._rest):
            _count(counts, part)
        return _cumulated(counts)

    def _frame(self, row: int) -> None:
        index, folding = self.index, self.folding
        at = len(index.frames)
        if not at or at - self._whole_at >= WHOLE_EVERY:
            self._whole, self._whole_at = folding.books(), at
            folding.touched.clear()
            data = encode(self._whole)
        else:
            # What came and went in between is in neither.
            tasks, before = folding.tasks, self._whole.tasks
            folding.touched = {task for task in folding.touched if task in tasks or task in before}
            data = encode(folding.books(), since=self._whole, touched=folding.touched)
        index.frames.append(Frame(row, pack(data), self._whole_at))

    def _block(self, block: pa.Table) -> None:
        index, folding = self.index, self.folding
        row = index.rows + sum(one.num_rows for one in self._blocks)
        block = compact(block)
        for start in range(0, block.num_rows, FRAME_EVERY):
            if not (index.frames and index.frames[-1].row == row + start):
                self._frame(row + start)
            frame = block.slice(start, FRAME_EVERY)
            folding.run(rows_of(frame))
            folding.last_id = ident_of(_order_at(frame, frame.num_rows - 1))
        index.last = _order_at(block, block.num_rows - 1)
        index.first = index.first or _order_at(block, 0)
        self._blocks.append(block)

    def _close(self) -> pa.Table:
        table, self._blocks = unified(self._blocks), []
        _count(self._per_second, table)
        self.index.groups.append(_group(self.index.rows, table))
        return table


def ident_of(order: Order) -> str:
    """Return the id whose `event_order` is *order*."""
    ms, seq, partition, place = order
    return f"{ms}-{seq}{f'.{place}' if place else ''}{f'@{partition}' if partition >= 0 else ''}"


def _order_at(table: pa.Table, row: int) -> Order:
    ms, seq, partition, place = (int(part[0]) for part in order_of(table.slice(row, 1)))
    return ms, seq, partition, place


def _group(row: int, table: pa.Table) -> Group:
    at = times_of(table)
    tasks = {task for task in coded(table, "task").dictionary.to_pylist() if task}
    kinds = dict(Counter(words_of(table, "kind")))
    return Group(row, table.num_rows, int(at.min()), int(at.max()), kinds, _bloom(tasks))


def pack(data: bytes) -> bytes:
    """Return *data* smaller, its length in front."""
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return len(data).to_bytes(4, "little") + packed


def unpack(data: bytes) -> bytes:
    """Return what `pack` was given.

    Raises:
        OSError: That is not what it returned.
    """
    if len(data) < 4:
        raise OSError("too short to be packed")
    return pa.decompress(data[4:], int.from_bytes(data[:4], "little"), codec="zstd", asbytes=True)  # type: ignore[no-any-return]


def _count(counts: dict[str, Counter[int]], table: pa.Table) -> None:
    chunk = coded(table, "kind")
    kinds = chunk.dictionary.to_pylist()
    codes = chunk.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    at = times_of(table) // 1000
    base = int(at.min())
    keys, numbers = np.unique(codes * (int(at.max()) - base + 1) + (at - base), return_counts=True)
    span = int(at.max()) - base + 1
    for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        counts.setdefault(kinds[key // span], Counter())[base + key % span] += number


def _cumulated(counts: dict[str, Counter[int]]) -> dict[str, tuple[Any, Any]]:
    found = {}
    for kind, seconds in counts.items():
        order = sorted(seconds)
        found[kind] = (np.array(order, np.int64), np.cumsum([seconds[second] for second in order]).astype(np.int64))
    return found


def _bloom(tasks: set[str]) -> bytes:
    if not tasks:
        return b""
    bits = 1 << max((len(tasks) * _BLOOM_BITS - 1).bit_length(), 6)
    codes = np.array([zlib.crc32(task.encode("utf-8", "replace")) for task in tasks], np.uint64)
    filled = np.zeros(bits, bool)
    for step in range(_BLOOM_HASHES):
        filled[(codes + np.uint64(step) * ((codes * _MIX >> np.uint64(7)) | np.uint64(1))) % np.uint64(bits)] = True
    return np.packbits(filled, bitorder="little").tobytes()


def _bits(task: str, bits: int) -> list[int]:
    code = zlib.crc32(task.encode("utf-8", "replace"))
    stride = (code * int(_MIX) >> 7) | 1
    return [(code + step * stride) % bits for step in range(_BLOOM_HASHES)]
