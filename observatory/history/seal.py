"""Sealing: closed hours of the event log become segments, and days that are sealed may leave the engine.

Page by page into a file under a temporary name, to the disk, checked, named, entered into the manifest; only then may
the engine forget. Killed anywhere in between, the next run does the same again, with the same result.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from observatory.bus.keys import day_of, shifted
from observatory.bus.reads.log_pages import before_ms, day_log, days_of, drop_day, now_ms, page_of_log
from observatory.history.archive import Sealed
from observatory.history.columns import in_order, order_of, read_page, unified
from observatory.history.segment import SegmentWriter
from observatory.history.stretch import Cache
from observatory.model.task import EntryId
from observatory.model.timeline import Gap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pyarrow as pa

    from observatory.bus.partitions import Partition, Partitions
    from observatory.history.archive import Archive, Manifest
    from observatory.model.books import Books

HOUR_MS: Final = 3_600_000
GRACE_MS: Final = 5_000
"""Ms after its end in which an hour is left alone: by so much the clocks of a cluster's nodes may differ."""

KEEP_DAYS: Final = 2
"""Whole days that stay in the engine after they were sealed."""


@dataclass(slots=True)
class _Reader:
    """One partition's log of one day, being read.

    Attributes:
        partition: The partition.
        name: Its name in the manifest.
        last: The newest entry that was read.
        entries: How many were read.
        buffer: What was read and not passed on.
        done: All up to the end that was asked for was read.
    """

    partition: Partition
    name: str
    last: str
    entries: int = 0
    buffer: pa.Table | None = None
    done: bool = False


class Sealer:
    """Seals the log of one bus into one archive. Only one may do so at a time: whoever holds the lease.

    Args:
        partitions: The parts of the bus.
        archive: Where to.
        reached: Told the name of each step as it begins; for progress, and for tests that stop there.
    """

    def __init__(self, partitions: Partitions, archive: Archive, reached: Callable[[str], None] | None = None) -> None:
        self._partitions = partitions
        self._archive = archive
        self._reached = reached or (lambda _step: None)
        self._books: Books | None = None

    async def seal(self, *, upto_ms: int | None = None) -> Manifest:
        """Seal every hour that is over and not sealed yet; returns what counts afterwards.

        Args:
            upto_ms: Seal what came before this time, ms of server time, also where its hour is not over.

        Raises:
            BusError: The log cannot be read; what was sealed before counts.
            DamagedError: The archive is damaged, or what was written is not what is read.
            OSError: The archive cannot be written.
        """
        archive = self._archive
        archive.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        manifest = archive.load()
        archive.tidy(manifest)
        closed = min([await now_ms(partition) for partition in self._partitions]) - GRACE_MS
        for day in await days_of(self._partitions.seat):
            manifest = await self._missing(manifest, day)
            while (start := await self._next_ms(manifest, day)) is not None:
                end = (start // HOUR_MS + 1) * HOUR_MS
                if end > closed and day >= day_of(closed):
                    if upto_ms is None or start >= upto_ms:
                        break
                    end = upto_ms
                manifest = await self._hour(manifest, day, start, end)
        self._books = None
        return manifest

    async def unlink(self, manifest: Manifest, *, keep_days: int = KEEP_DAYS) -> list[str]:
        """Let the engine forget days that are over, sealed to their last entry, and older than *keep_days*.

        Returns:
            The days that went.

        Raises:
            BusError: The engine refuses.
            DamagedError: A segment of such a day is gone; then it stays in the engine.
        """
        gone = []
        now = max([await now_ms(partition) for partition in self._partitions])
        oldest_kept = shifted(day_of(now), -keep_days)
        for day in sorted({one.day for one in manifest.segments if one.day < oldest_kept}):
            ends = manifest.ends_of(day)
            found = [(part, await day_log(part, day)) for part in self._partitions]
            there = [(part, log) for part, log in found if log is not None]
            if not there or any(log.last != ends.get(_name(part)) for part, log in there):
                continue
            for one in manifest.segments:
                if one.day == day:
                    self._archive.segments(replace(manifest, segments=(one,)), Cache(0))[0].verify()
            self._reached("unlink")
            if all([await drop_day(part, day, log.last) for part, log in there]):
                gone.append(day)
        return gone

    async def _next_ms(self, manifest: Manifest, day: str) -> int | None:
        """Return when the next entry of a day that is not sealed came, by its id; None if there is none."""
        ends, found = manifest.ends_of(day), []
        for partition in self._partitions:
            rows = await page_of_log(partition, day, ends.get(_name(partition), ""), count=1)
            found += [EntryId.parse(ident).ms for ident, _ in rows]
        return min(found, default=None)

    async def _missing(self, manifest: Manifest, day: str) -> Manifest:
        """Note what left the log of a day before it was sealed."""
        sealed, ends, gaps = manifest.entries_of(day), manifest.ends_of(day), list(manifest.gaps)
        for partition in self._partitions:
            log, name = await day_log(partition, day), _name(partition)
            if log is None or not log.first or not log.gone or log.gone <= sealed[name]:
                continue
            if any(gap.from_ms <= EntryId.parse(log.first).ms <= gap.to_ms for gap in gaps):
                continue
            if name in ends and EntryId.parse(ends[name]) >= EntryId.parse(log.first):
                continue
            begun = EntryId.parse(ends[name]).ms if name in ends else _start_of(day)
            count = log.gone - sealed[name]
            gaps.append(Gap(begun, EntryId.parse(log.first).ms, f"{count:,} entries left the log before it was kept"))
        if len(gaps) > len(manifest.gaps):
            manifest = replace(manifest, gaps=tuple(gaps))
            self._archive.save(manifest)
        return manifest

    async def _hour(self, manifest: Manifest, day: str, start: int, upto: int) -> Manifest:
        """Seal what a day's log holds up to *upto* ms, and enter it into the manifest."""
        if self._books is None:
            self._books = await asyncio.to_thread(self._archive.closing_books, manifest, Cache(2))
        ends = manifest.ends_of(day)
        readers = [_Reader(part, _name(part), ends.get(_name(part), "")) for part in self._partitions]
        name = f"{day}T{start % (24 * HOUR_MS) // HOUR_MS:02d}-{start}"
        writer = SegmentWriter(self._archive.folder, name, self._books)
        try:
            self._reached("page")
            adding: asyncio.Future[None] | None = None
            async for table in _merged(readers, day, before_ms(upto)):
                if adding is not None:
                    await adding
                adding = asyncio.ensure_future(asyncio.to_thread(writer.add, table))
            if adding is not None:
                await adding
            self._reached("finish")
            sha256 = await asyncio.to_thread(writer.finish)
        except BaseException:
            writer.drop()
            raise
        self._reached("rename")
        size = writer.keep()
        index = writer.indexer.index
        sealed = Sealed(
            name=name,
            day=day,
            rows=index.rows,
            first_ms=index.first_ms or 0,
            last_ms=index.last_ms or 0,
            bytes=size,
            sha256=sha256,
            ends={one.name: one.last for one in readers if one.last},
            entries={one.name: one.entries for one in readers if one.entries},
        )
        self._reached("manifest")
        manifest = replace(manifest, segments=(*manifest.segments, sealed))
        self._archive.save(manifest)
        self._reached("kept")
        self._books = writer.indexer.folding.books()
        return manifest


async def _merged(readers: list[_Reader], day: str, upto: str) -> AsyncIterator[pa.Table]:
    """Yield what all partitions have, in order; the next pages are read while the last are worked on."""
    while any(not one.done or one.buffer is not None for one in readers):
        waiting = [one for one in readers if not one.done and one.buffer is None]
        await asyncio.gather(*(_read(one, day, upto) for one in waiting))
        there = [one for one in readers if one.buffer is not None]
        if len(readers) == 1:
            for one in there:
                table, one.buffer = one.buffer, None
                yield table
            continue
        horizon = min((EntryId.parse(one.last).ms for one in readers if not one.done), default=None)
        parts = []
        for one in there:
            assert one.buffer is not None  # noqa: S101 (chosen above)
            ms = order_of(one.buffer)[0]
            ready = one.buffer.num_rows if horizon is None else int(np.searchsorted(ms, horizon, "left"))
            parts.append(one.buffer.slice(0, ready))
            one.buffer = one.buffer.slice(ready) if ready < one.buffer.num_rows else None
        if any(part.num_rows for part in parts):
            yield in_order(unified(parts))
        for one in readers:
            # Who is at the horizon must be read further, whether or not something of it is left.
            if not one.done and horizon is not None and EntryId.parse(one.last).ms == horizon:
                await _read(one, day, upto)


async def _read(one: _Reader, day: str, upto: str) -> None:
    rows = await page_of_log(one.partition, day, one.last, upto)
    if not rows:
        one.done = True
        return
    one.last = rows[-1][0].decode()
    one.entries += len(rows)
    table = await asyncio.to_thread(read_page, rows, -1 if one.partition.number is None else one.partition.number)
    one.buffer = table if one.buffer is None else unified([one.buffer, table])


def _name(partition: Partition) -> str:
    return "-1" if partition.number is None else str(partition.number)


def _start_of(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
