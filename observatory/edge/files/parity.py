"""Holding files against the stream that their lines were moved into: the same lines, in the same order, each once?

Every source is read again from its beginning to where the import left it, while the stream is read once; neither is
held in memory. What a file holds that we had written there ourselves stands in the stream as the entry it came from.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from observatory.bus.payloads.blobs import BlobError, is_claim, read_claim
from observatory.bus.talk.journal import Row
from observatory.edge.files.importer import row_of
from observatory.edge.files.lines import written
from observatory.edge.files.sources import Source, behind, digest_of, families, recognised, records
from observatory.model.message import Broadcast
from observatory.model.task import EntryId
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from observatory.bus.talk.journal import Journal, JournalState
    from observatory.edge.files.artifacts import Artifacts
    from observatory.model.wire import Fields

PAGE: Final = 1000
"""Entries that are read at once."""


@dataclass(slots=True)
class Parity:
    """What a comparison found.

    Attributes:
        lines: Lines of the files up to where they were imported, blank ones left out.
        aside: Those of them that were kept aside.
        echoed: Those of them that the stream had before the file.
        entries: Entries of the stream that came from these files.
        written: Entries that others added while they are written to a file, up to where that has come.
        missing: Lines that have no entry, and entries that should be in a file and are not.
        extra: Entries that have no line, or stand there again or too early.
        changed: Entries that say something else than their line.
        unread: Lines behind the part that was imported.
        lost_files: Names of sources that were imported and are not there any more.
        first: The first difference, in words; empty if there is none.
    """

    lines: int = 0
    aside: int = 0
    echoed: int = 0
    entries: int = 0
    written: int = 0
    missing: int = 0
    extra: int = 0
    changed: int = 0
    unread: int = 0
    lost_files: tuple[str, ...] = ()
    first: str = ""

    @property
    def is_exact(self) -> bool:
        """Everything that was imported stands there once, in order, and nothing else does."""
        return not (self.missing or self.extra or self.changed or self.lost_files)

    def note(self, what: str) -> None:
        """Keep *what* if it is the first difference."""
        self.first = self.first or what


class Comparison:
    """One comparison of files with a journal; nothing is changed.

    Args:
        journal: The journal.
        paths: The files that were imported.
        artifacts: As they were imported with.
    """

    def __init__(self, journal: Journal, paths: Sequence[Path], artifacts: Artifacts) -> None:
        self.found = Parity()
        self._journal = journal
        self._paths = paths
        self._artifacts = artifacts
        self._aside: set[tuple[str, int]] = set()
        self._others: Counter[str] = Counter()
        self._expected: dict[str, Iterator[tuple[int, Row]]] = {}
        self._reached: dict[str, int] = {}

    async def run(self) -> Parity:
        """Compare.

        Raises:
            ObservatoryError: A file cannot be read.
            BusError: The stream cannot be read.
        """
        state = await self._journal.state()
        known = {ident: Source.read(ident, text) for ident, text in state.sources.items()}
        await self._read_aside()
        await asyncio.to_thread(self._open, known)
        after = ""
        while rows := await self._journal.entries(after, PAGE):
            await asyncio.to_thread(self._compare, rows, state)
            after = rows[-1][0]
        await asyncio.to_thread(self._finish)
        return self.found

    async def _read_aside(self) -> None:
        after = ""
        while page := await self._journal.kept_aside(after, PAGE):
            self._aside.update((one.source, one.number) for _, one in page)
            after = page[-1][0]

    def _open(self, known: dict[str, Source]) -> None:
        for family in families(self._paths):
            for path in family.files:
                is_closed = path != family.base
                source = recognised(path, known, is_closed=is_closed)
                if source is None or source.id in self._expected:
                    continue
                self.found.unread += sum(1 for _ in records(path, source.offset, is_closed=is_closed))
                if source.id in known:
                    self._expected[source.id] = self._lines_of(path, source)
        gone = [source.name for ident, source in known.items() if ident not in self._expected]
        self.found.lost_files = tuple(gone)
        for name in gone:
            self.found.note(f"{line(name)} was imported, and is not there any more")

    def _lines_of(self, path: Path, source: Source) -> Iterator[tuple[int, Row]]:
        """Yield the lines that should be in the stream, with their numbers."""
        at = replace(source, offset=source.start[0], lines=source.start[1])
        for record in records(path, at.offset, is_closed=True):
            if at.offset >= source.offset:
                return
            at = behind(at, record)
            row = row_of(at, record)
            if row is None:
                continue
            self.found.lines += 1
            if (at.id, at.lines) in self._aside:
                self.found.aside += 1
            elif isinstance(row, Row):
                yield at.lines, row
            else:
                self.found.missing += 1
                self.found.note(f"{line(at.name)} line {at.lines}: {row.why}, and it was not kept aside")

    def _compare(self, rows: Sequence[tuple[str, Fields]], state: JournalState) -> None:
        first, last = (EntryId.parse(place) if place else None for place in (state.out_from, state.out))
        for entry_id, fields in rows:
            said = dict(fields)
            source, _, number = said.get(b"id", b"").decode("utf-8", "replace").rpartition("-")
            if said.get(b"via", b"").decode("utf-8", "replace") != self._journal.name:
                if first is not None and last is not None and first < EntryId.parse(entry_id) <= last:
                    self.found.written += 1
                    self._others[digest_of(written(Broadcast.read(entry_id, fields)))] += 1
                continue
            self.found.entries += 1
            if source not in self._expected or not number.isdigit():
                self.found.extra += 1
                self.found.note(f"entry {entry_id} came from source {line(source, 40)}, which is not here")
                continue
            self._next_of(source, int(number), entry_id, said)

    def _next_of(self, source: str, number: int, entry_id: str, said: dict[bytes, bytes]) -> None:
        """Hold an entry against the lines of its source that come next."""
        if number <= self._reached.get(source, 0):
            self.found.extra += 1
            self.found.note(f"entry {entry_id} is line {number} of {source}, which comes too late or again")
            return
        for at, row in self._expected[source]:
            self._reached[source] = at
            if at == number:
                if self._differs(row, said):
                    self.found.changed += 1
                    self.found.note(f"entry {entry_id} says something else than line {number} of {source}")
                return
            self._without_entry(source, at, row)
            if at > number:
                break
        self.found.extra += 1
        self.found.note(f"entry {entry_id} is line {number} of {source}, and there is no such line")

    def _without_entry(self, source: str, number: int, row: Row) -> None:
        """Account for a line that no entry came from: ours, or missing."""
        if self._others[row.digest] > 0:
            self._others[row.digest] -= 1
            self.found.echoed += 1
            return
        self.found.missing += 1
        self.found.note(f"line {number} of {source} has no entry: {line(row.payload, 60)!r}")

    def _differs(self, row: Row, said: dict[bytes, bytes]) -> bool:
        payload = said.get(b"payload", b"")
        if is_claim(said.get(b"content_type", b"").decode("ascii", "replace")):
            try:
                same = read_claim(payload).hex == self._artifacts.digest_of(row)
            except BlobError:
                same = False
        else:
            same = payload == row.payload
        return not same or any(
            said.get(name, b"") != value
            for name, value in ((b"from", row.role), (b"type", row.type), (b"created_at", row.at))
        )

    def _finish(self) -> None:
        for source, lines in self._expected.items():
            for number, row in lines:
                self._without_entry(source, number, row)
        left = sum(self._others.values())
        if left:
            self.found.missing += left
            self.found.note(f"{left:,} entries of others should stand in a file, and do not")
