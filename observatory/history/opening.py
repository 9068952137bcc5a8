"""Opening the past of a bus: its archive, if there is one here, and what the engine holds, read on as it grows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from observatory.history.archive import Archive
from observatory.history.chronicle import Chronicle
from observatory.history.hot import HotLog
from observatory.history.recorder import folder_of
from observatory.history.source import PastSource
from observatory.history.stretch import Cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from observatory.bus import Bus


class BusPast:
    """The past of a connected bus.

    Args:
        bus: The bus.
        base: Folder of all archives.
        progress: Told how many events of the hot log were read so far.
    """

    def __init__(self, bus: Bus, base: Path, progress: Callable[[int], None] | None = None) -> None:
        self._bus = bus
        self._base = base
        self._progress = progress
        self._archive: Archive | None = None
        self._stamp = -1
        self._hot: HotLog | None = None
        self._cache = Cache()
        self._chronicle = Chronicle([])

    async def chronicle(self) -> Chronicle:
        """Return all there is by now; the same object if nothing is new.

        Raises:
            BusError: The log cannot be read.
            DamagedError: The archive is damaged.
        """
        if self._archive is None:
            self._archive = Archive(await folder_of(self._bus, self._base))
        stamp = self._archive.stamp()
        if self._hot is None or stamp != self._stamp:
            archive, cache = self._archive, self._cache
            cache.clear()
            manifest = await asyncio.to_thread(archive.load)
            books = await asyncio.to_thread(archive.closing_books, manifest, cache)
            self._sealed = await asyncio.to_thread(archive.segments, manifest, cache)
            self._gaps = manifest.gaps
            self._hot, self._stamp = HotLog(self._bus.partitions, manifest, books, cache), stamp
            fresh = True
        else:
            fresh = False
        if await self._hot.catch_up(self._progress) or fresh:
            self._chronicle = Chronicle([*self._sealed, self._hot], self._gaps)
        return self._chronicle

    async def source(self, *, at_ms: int | None = None) -> PastSource:
        """Return a source over all there is by now, which reads on when it is asked to `refresh`.

        Raises:
            BusError: The log cannot be read.
            DamagedError: The archive is damaged.
        """
        chronicle = await self.chronicle()
        return PastSource(chronicle, self._bus.keys, origin=self._bus.url, at_ms=at_ms, read_on=self.chronicle)
