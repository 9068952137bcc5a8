"""The stretch that is not sealed yet: read from the engine, kept in memory, and read on from where it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from observatory.bus.reads.log_pages import before_ms, days_of, later, now_ms, page_of_log
from observatory.history.columns import behind, in_order, read_page, times_of, unified
from observatory.history.index import Indexer
from observatory.history.stretch import Cache, Stretch

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from observatory.bus.partitions import Partition, Partitions
    from observatory.history.archive import Manifest
    from observatory.history.index import Index
    from observatory.model.books import Books


class HotLog(Stretch):
    """What the engine holds behind the sealed segments.

    Args:
        partitions: The parts of the bus.
        manifest: What is sealed.
        books: The books behind the last event that is sealed.
        cache: Where whole keyframes are kept.
    """

    def __init__(self, partitions: Partitions, manifest: Manifest, books: Books, cache: Cache) -> None:
        super().__init__("hot", cache)
        self._partitions = partitions
        self._manifest = manifest
        self._indexer = Indexer(books, at_once=True)
        self._full: list[pa.Table] = []
        self._open: pa.Table | None = None
        self._index = self._indexer.so_far()
        self._read: dict[tuple[str, int | None], str] = {}
        self._over: set[str] = set()
        self._lock = asyncio.Lock()

    @property
    def index(self) -> Index:
        """Its index, as of the last reading."""
        return self._index

    def read_group(self, number: int) -> pa.Table:
        """Return a group of rows; the last one may be short."""
        if number < len(self._full):
            return self._full[number]
        assert self._open is not None  # noqa: S101 (the index names no other)
        return self._open

    def group(self, number: int) -> pa.Table:
        """Return a group of rows; all are at hand."""
        return self.read_group(number)

    def times(self, number: int) -> Any:  # noqa: ANN401 - an array of numpy
        """Return for each row of a group the least time of it and of the rest of the group, which may grow."""
        return np.minimum.accumulate(times_of(self.read_group(number))[::-1])[::-1]

    async def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Read on to the end of the log; returns how many events were new.

        Args:
            progress: Told how many events were read so far.

        Raises:
            BusError: The log cannot be read.
        """
        async with self._lock:
            before = self._indexer.rows
            days = await days_of(self._partitions.seat)
            today = days[-2]
            for day in days:
                if day not in self._over:
                    await self._day(day, progress)
                    if day < today:
                        self._over.add(day)
            if self._indexer.rows > before:
                await asyncio.to_thread(self._publish)
            return self._indexer.rows - before

    def _publish(self) -> None:
        open_rows = self._indexer.open_rows
        self._index, self._open = self._indexer.so_far(), open_rows

    async def _day(self, day: str, progress: Callable[[int], None] | None) -> None:
        """Read on in the log of one day; several partitions only up to where all are known to be complete."""
        upto = "+"
        if len(self._partitions) > 1:
            upto = before_ms(min([await now_ms(partition) for partition in self._partitions]))
        while True:
            tables = await asyncio.gather(*(self._page(part, day, upto) for part in self._partitions))
            there = [table for table in tables if table is not None]
            if not there:
                return
            if len(self._partitions) > 1:
                while more := [
                    table
                    for table in await asyncio.gather(*(self._page(part, day, upto) for part in self._partitions))
                    if table is not None
                ]:
                    there += more
            await asyncio.to_thread(self._add, there)
            if progress is not None:
                progress(self._indexer.rows)

    def _add(self, tables: list[pa.Table]) -> None:
        table = in_order(unified(tables)) if len(self._partitions) > 1 else unified(tables)
        last = self._last
        if last is not None and table.num_rows:
            table = behind(table, last)
        self._full += self._indexer.add(table)

    @property
    def _last(self) -> tuple[int, int, int, int] | None:
        return self._index.last if len(self._partitions) > 1 else None

    async def _page(self, partition: Partition, day: str, upto: str) -> pa.Table | None:
        key = (day, partition.number)
        name = "-1" if partition.number is None else str(partition.number)
        after = later(self._read.get(key, ""), self._manifest.ends_of(day).get(name, ""))
        rows = await page_of_log(partition, day, after, upto)
        if not rows:
            return None
        self._read[key] = rows[-1][0].decode()
        return await asyncio.to_thread(read_page, rows, -1 if partition.number is None else partition.number)
