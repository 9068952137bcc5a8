"""The way back: entries that others add to the stream are appended to the file that old agents read.

Together with an importer that follows the same file both sides see everything, and nothing goes in circles: an entry
that came from the file is marked and never written to it, and a line that was written here is known by its digest
before it is written, so that the importer counts it and lets it lie.

Guaranteed, wherever the writer is killed: each entry stands in the file once, in the order of the stream. Before
lines are appended the bus is told which, and where the file ended; who comes next looks behind that place for what is
there already, also in a file that was rotated away meanwhile, and appends the rest. If that file cannot be found any
more (compressed, deleted), its lines are appended once more. A line of which only a part got to the disk is completed,
if nobody has written behind it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
from collections import Counter
from typing import TYPE_CHECKING, Final

from observatory.edge.files.lines import written
from observatory.edge.files.sources import digest_of, families, opened
from observatory.model.errors import BusUnreachableError, ObservatoryError
from observatory.model.message import Broadcast
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from observatory.bus.talk.journal import Journal, JournalState
    from observatory.model.wire import Fields

PAGE: Final = 500
"""Entries that are read, and lines that are appended, at once at most."""

POLL_S: Final = 0.1
"""Seconds between two looks at a stream that had nothing new."""

log = logging.getLogger(__name__)


class Writer:
    """Appends to a file what others add to a journal's stream. One at a time for a file.

    Args:
        journal: The journal; where it was never written to a file, its newest entry now is where that begins.
        path: The file.
    """

    def __init__(self, journal: Journal, path: Path) -> None:
        self.lines = 0
        self._journal = journal
        self._path = path

    async def follow(self) -> None:
        """Write what there is, then each entry as it comes, until cancelled; losing the bus only pauses it.

        Raises:
            ObservatoryError: The file cannot be written.
            BusError: The stream cannot be read.
        """
        while True:
            try:
                moved = await self.catch_up()
            except BusUnreachableError as error:
                log.warning("%s: the file waits", error)
                moved = 0
            if not moved:
                await asyncio.sleep(POLL_S)

    async def begin(self) -> None:
        """Decide where writing begins, if it was never decided; `catch_up` does it, too."""
        state = await self._journal.state()
        if not state.out:
            await self._journal.wrote(await self._journal.newest())

    async def catch_up(self) -> int:
        """Write what others have added by now, at most a page of it; return how many entries were looked at."""
        state = await self._journal.state()
        if not state.out:
            await self.begin()
            return 0
        if state.intended:
            return await self._mend(state)
        rows = await self._journal.entries(state.out, PAGE)
        if not rows:
            return 0
        lines = self._lines(rows)
        if lines:
            place = await asyncio.to_thread(self._place)
            intended = json.dumps({"last": rows[-1][0], "inode": place[0], "offset": place[1]})
            await self._journal.intend(intended, [digest_of(one) for one in lines])
            await asyncio.to_thread(self._append, b"".join(lines))
        await self._journal.wrote(rows[-1][0])
        self.lines += len(lines)
        return len(rows)

    async def _mend(self, state: JournalState) -> int:
        """Bring to its end what somebody had begun who died."""
        said = json.loads(state.intended)
        rows = await self._journal.entries(state.out, PAGE)
        lines = self._lines([row for row in rows if _place_of(row[0]) <= _place_of(said["last"])])
        missing = await asyncio.to_thread(self._missing, lines, said["inode"], said["offset"])
        if missing:
            await asyncio.to_thread(self._append, missing)
        await self._journal.wrote(said["last"])
        self.lines += len(lines)
        return len(rows)

    def _lines(self, rows: Sequence[tuple[str, Fields]]) -> list[bytes]:
        notes = (Broadcast.read(entry_id, fields) for entry_id, fields in rows)
        return [written(note) for note in notes if note.extra.get(b"via") != self._journal.name.encode()]

    def _place(self) -> tuple[int, int]:
        """Which file it is now, and where it ends."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return stat.st_ino, stat.st_size

    def _missing(self, lines: Sequence[bytes], inode: int, offset: int) -> bytes:
        """Return what has yet to be appended of *lines*, of which some may stand behind *offset* in that file."""
        there = Counter[bytes]()
        rest = b""
        for path in families([self._path])[0].files if inode or self._path.exists() else ():
            if inode in {0, path.stat().st_ino}:
                with opened(path) as file:
                    file.seek(offset)
                    *whole, rest = file.read().split(b"\n")
                there = Counter(one + b"\n" for one in whole)
        missing = []
        for one in lines:
            if there[one] > 0:
                there[one] -= 1
            else:
                missing.append(one)
        if missing and rest and missing[0].startswith(rest):
            missing[0] = missing[0][len(rest) :]
        return b"".join(missing)

    def _append(self, data: bytes) -> None:
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                while data:
                    data = data[os.write(handle, data) :]
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise ObservatoryError(f"{self._path}: cannot be written: {line(error.strerror or str(error))}") from None


def _place_of(entry_id: str) -> tuple[int, int]:
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq)
