"""Moving the lines of old logs into a stream: all there are now, and then, if wanted, each as it is written.

Guaranteed, wherever the importer is killed and however often it is started: each line becomes one entry, or is kept
aside with its number and what is wrong with it, once; the lines of a log stay in their order, over all its rotated
files. Of several logs that are imported together the lines are merged by their timestamps. What nobody can know is
what stood in a file that was emptied before it was read.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from observatory.bus.talk.journal import Aside, Reading, Row
from observatory.edge.files.artifacts import Artifacts, NoArtifactError
from observatory.edge.files.lines import NoLineError, ms_of, parse
from observatory.edge.files.sources import MOST_LINE, Source, behind, families, recognised, records
from observatory.model.errors import BusUnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from observatory.bus.talk.journal import Journal
    from observatory.edge.files.sources import Family, Record

BATCH: Final = 1000
"""Lines that are moved at once at most."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes of lines behind which a batch is closed."""

RAW_KEPT: Final = 64 * 1024
"""Bytes of a bad line that are kept."""

FOLLOW_S: Final = 0.25
"""Seconds between two looks at files that are followed."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far an import has come.

    Attributes:
        lines: Lines that were read, blank ones included.
        entries: Those that went to the stream, or were known to be ours.
        aside: Those that were kept aside.
        file: Name of the file that was read last.
    """

    lines: int = 0
    entries: int = 0
    aside: int = 0
    file: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One line, and where its source is behind it.

    Attributes:
        source: Its source.
        row: What it became; None for a blank line.
        size: Its bytes.
        at_ms: When it was written, or an earlier line of its log.
    """

    source: Source
    row: Row | Aside | None
    size: int
    at_ms: int


class Importer:
    """Moves what stands in files into a journal.

    Args:
        journal: Where the lines go.
        paths: Logs, with all that was rotated away from them, or folders of logs.
        artifacts: What becomes of payloads that lie elsewhere, or are too large; None to keep large lines aside.
        tell: Is called after every batch.

    Raises:
        UsageError: There is no file at one of the paths.
    """

    def __init__(
        self,
        journal: Journal,
        paths: Sequence[Path],
        *,
        artifacts: Artifacts | None = None,
        tell: Callable[[Progress], None] | None = None,
    ) -> None:
        families(paths)
        self.progress = Progress()
        self._journal = journal
        self._paths = paths
        self._artifacts = artifacts or Artifacts()
        self._tell = tell or (lambda _: None)
        self._marks: dict[Path, tuple[int, int, int]] = {}

    async def pass_over(self) -> None:
        """Pass over what stands in the files now, if nothing was ever imported: only what comes is to be.

        Raises:
            ObservatoryError: A file cannot be read, or the bus does not take it.
        """
        if not (await self._journal.state()).is_begun:
            ends = await asyncio.to_thread(self._ends)
            await self._journal.append([Reading(end.id, "", end.written()) for end in ends], ())

    async def follow(self) -> None:
        """Import what there is, then each line as it is written, over every rotation, until cancelled.

        Losing the bus only pauses it.

        Raises:
            ObservatoryError: A file cannot be read, or the bus does not take the lines.
        """
        while True:
            try:
                moved = await self.catch_up()
            except BusUnreachableError as error:
                log.warning("%s: the files wait", error)
                moved = 0
            if not moved:
                await asyncio.sleep(FOLLOW_S)

    async def catch_up(self) -> int:
        """Import everything that stands in the files now, and return how many lines that were.

        Raises:
            ObservatoryError: A file cannot be read.
            JournalMovedError: Somebody else imports the same files.
            BusError: The bus does not take the lines.
        """
        marks = await asyncio.to_thread(self._looks)
        if marks == self._marks:
            return 0
        state = await self._journal.state()
        known = {ident: Source.read(ident, text) for ident, text in state.sources.items()}
        before = self.progress.lines
        remembered = dict(state.sources)
        steps = self._steps(known)
        batch = await asyncio.to_thread(_batch, steps)
        while batch:
            # The next lines are read while the bus takes these.
            reading = asyncio.create_task(asyncio.to_thread(_batch, steps))
            try:
                await self._move(batch, remembered)
            finally:
                following = await reading
            batch = following
        self._marks = marks
        return self.progress.lines - before

    async def _move(self, batch: Sequence[Step], remembered: dict[str, str]) -> None:
        newest = {step.source.id: step.source.written() for step in batch}
        readings = [Reading(ident, remembered.get(ident, ""), text) for ident, text in newest.items()]
        rows = [await self._checked_in(step) for step in batch if step.row is not None]
        await self._journal.append(readings, rows)
        remembered.update(newest)
        aside = sum(isinstance(row, Aside) for row in rows)
        self.progress.lines += len(batch)
        self.progress.aside += aside
        self.progress.entries += len(rows) - aside
        self.progress.file = batch[-1].source.name
        self._tell(self.progress)

    async def _checked_in(self, step: Step) -> Row | Aside:
        """Return a row as it travels: with a claim check where its payload lies elsewhere or is too large."""
        row = step.row
        if not isinstance(row, Row) or not self._artifacts.concerns(row):
            assert row is not None  # noqa: S101 (blank lines do not travel)
            return row
        try:
            return await self._artifacts.checked_in(row)
        except (NoArtifactError, UsageError) as error:
            raw = b"|".join((row.role, row.at, row.type, row.payload))[:RAW_KEPT]
            return Aside(step.source.id, step.source.name, step.source.lines, str(error), raw)

    def _ends(self) -> list[Source]:
        known: dict[str, Source] = {}
        for family in families(self._paths):
            for step in _steps_of(family, known):
                known[step.source.id] = step.source
        return [replace(source, start=(source.offset, source.lines)) for source in known.values()]

    def _looks(self) -> dict[Path, tuple[int, int, int]]:
        """What can be seen from outside of whether a file has changed."""
        found = {}
        for path in (path for family in families(self._paths) for path in family.files):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return found

    def _steps(self, known: dict[str, Source]) -> Iterator[Step]:
        found = [_steps_of(family, known) for family in families(self._paths)]
        return heapq.merge(*found, key=lambda step: step.at_ms) if len(found) > 1 else iter(found[0] if found else ())


def _steps_of(family: Family, known: dict[str, Source]) -> Iterator[Step]:
    at_ms = 0
    for path in family.files:
        is_closed = path != family.base
        source = recognised(path, known, is_closed=is_closed) if path.exists() else None
        if source is None:
            continue
        for record in records(path, source.offset, is_closed=is_closed):
            source = known[source.id] = behind(source, record)
            row = row_of(source, record)
            if isinstance(row, Row):
                # Within a log the order is that of its lines, whatever its clocks say.
                at_ms = max(at_ms, ms_of(row.at) or 0)
            yield Step(source, row, record.size, at_ms)


def row_of(source: Source, record: Record) -> Row | Aside | None:
    """Return what the last line of *source* that was read becomes; None for a blank one."""
    if not record.raw.strip():
        return None
    why = "" if record.is_whole else f"it is longer than {MOST_LINE:,} bytes"
    if not why:
        try:
            line = parse(record.raw)
        except NoLineError as error:
            why = str(error)
        else:
            return Row(f"{source.id}-{source.lines}", line.role, line.type, line.data, "", line.at, record.digest)
    return Aside(source.id, source.name, source.lines, why, record.raw[:RAW_KEPT])


def _batch(steps: Iterator[Step]) -> list[Step]:
    batch, size = [], 0
    for step in islice(steps, BATCH):
        batch.append(step)
        size += step.size
        if size >= BATCH_BYTES:
            break
    return batch
