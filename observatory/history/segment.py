"""A segment: a stretch of the log sealed in a Parquet file, with its index beside it. Written once, never changed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from observatory.history.columns import SCHEMA, WORDS
from observatory.history.files import create, sync_folder, to_disk
from observatory.history.index import Indexer
from observatory.history.index_file import DamagedError, read_index, write_index
from observatory.history.stretch import Cache, Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from observatory.history.index import Index
    from observatory.model.books import Books

EVENTS: Final = ".parquet"
INDEX: Final = ".index"
PART: Final = ".part"
"""Behind the name of a file that is being written."""

_BY_DELTA: Final = ("ts", "took_ms")
PARQUET: Final = {
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": [name for name in SCHEMA.names if name not in _BY_DELTA],
    "column_encoding": dict.fromkeys(_BY_DELTA, "DELTA_BINARY_PACKED"),
    "write_statistics": ["ts", "kind"],
    "store_schema": False,
}
"""How events are written: 12 bytes each, and readable for every tool that knows Parquet."""


class Segment(Stretch):
    """A sealed stretch, wherever its bytes are.

    Args:
        name: Its name.
        cache: Where groups and keyframes are kept.
        events: Its Parquet file.
        index: The bytes of its index.
        span: How many events it holds, and their least and greatest time, where that is known without its index.
        path: The Parquet file, where it is one of its own.
    """

    def __init__(
        self,
        name: str,
        cache: Cache,
        events: pa.NativeFile,
        index: memoryview,
        span: tuple[int, int, int] | None = None,
        *,
        path: Path | None = None,
    ) -> None:
        super().__init__(name, cache)
        self._events = events
        self._index = index
        self._span = span
        self._path = path
        self._read: Index | None = None
        self._file: pq.ParquetFile | None = None

    @classmethod
    def at(cls, folder: Path, name: str, cache: Cache, span: tuple[int, int, int] | None = None) -> Segment:
        """Return the segment *name* in *folder*.

        Raises:
            DamagedError: A file of it is gone.
        """
        try:
            # Events are read piece by piece and not mapped, or all that was ever looked at would stay in memory.
            events = pa.OSFile(str(folder / f"{name}{EVENTS}"))
            index = pa.memory_map(str(folder / f"{name}{INDEX}")).read_buffer()
        except OSError as error:
            raise DamagedError(f"segment {name} cannot be opened", str(error.strerror or error)) from error
        return cls(name, cache, events, memoryview(index), span, path=folder / f"{name}{EVENTS}")

    @property
    def path(self) -> Path | None:
        """The Parquet file of its events; None inside of a recording."""
        return self._path

    def tables(self) -> Iterator[pa.Table]:
        """Yield all events at once, as they are read fastest."""
        yield pq.read_table(self._events).cast(SCHEMA)

    @property
    def rows(self) -> int:
        """How many events it holds."""
        return self._span[0] if self._span else self.index.rows

    @property
    def first_ms(self) -> int:
        """Least server time in it."""
        return self._span[1] if self._span else super().first_ms

    @property
    def last_ms(self) -> int:
        """Greatest server time in it."""
        return self._span[2] if self._span else super().last_ms

    @property
    def index(self) -> Index:
        """Its index, read when it is first asked for."""
        if self._read is None:
            self._read = read_index(self._index)
        return self._read

    def read_group(self, number: int) -> pa.Table:
        """Read one row group of the file."""
        try:
            if self._file is None:
                self._file = pq.ParquetFile(self._events, read_dictionary=list(WORDS))
            table = self._file.read_row_group(number, use_threads=False)
            return table.cast(SCHEMA).combine_chunks()
        except (pa.ArrowException, OSError) as error:
            raise DamagedError(f"segment {self.name} is damaged", str(error)[:200]) from error

    def verify(self) -> None:
        """Read everything once.

        Raises:
            DamagedError: Something is not as it was written.
        """
        index = read_index(self._index, check=True)
        try:
            about = pq.read_metadata(self._events)
        except pa.ArrowException as error:
            raise DamagedError(f"segment {self.name} is damaged", str(error)[:200]) from error
        counted = [about.row_group(at).num_rows for at in range(about.num_row_groups)]
        if counted != [group.rows for group in index.groups]:
            raise DamagedError(f"segment {self.name}: its index speaks of other rows than it has")


class SegmentWriter:
    """Writes a segment, group by group, under names that say that it is not whole yet.

    Args:
        folder: Where.
        name: Its name.
        books: The books before its first event.
    """

    def __init__(self, folder: Path, name: str, books: Books) -> None:
        self.name = name
        self.indexer = Indexer(books)
        self._paths = {kind: folder / f"{name}{kind}" for kind in (EVENTS, INDEX)}
        self._folder = folder
        self._sink = create(self._part(EVENTS))
        self._writer = pq.ParquetWriter(self._sink, SCHEMA, **PARQUET)

    def add(self, table: pa.Table) -> None:
        """Take in events, all newer than those before."""
        for group in self.indexer.add(table):
            self._write(group)

    def finish(self) -> dict[str, str]:
        """Write what is left, bring it to the disk, and check it.

        Returns:
            SHA-256 of each file, by its ending.

        Raises:
            DamagedError: What was written is not what is read.
        """
        for group in self.indexer.finish():
            self._write(group)
        self._writer.close()
        to_disk(self._sink)
        with create(self._part(INDEX)) as sink:
            sink.write(write_index(self.indexer.index))
            to_disk(sink)
        data = {kind: pa.memory_map(str(self._part(kind))).read_buffer() for kind in self._paths}
        Segment(self.name, Cache(0), pa.BufferReader(data[EVENTS]), memoryview(data[INDEX])).verify()
        return {kind: hashlib.sha256(memoryview(one)).hexdigest() for kind, one in data.items()}

    def keep(self) -> int:
        """Give the files their names; returns how many bytes they have."""
        for kind, path in self._paths.items():
            self._part(kind).replace(path)
        sync_folder(self._folder)
        return sum(path.stat().st_size for path in self._paths.values())

    def drop(self) -> None:
        """Remove what was written."""
        if not self._sink.closed:
            self._writer.close()
            self._sink.close()
        for kind in self._paths:
            self._part(kind).unlink(missing_ok=True)

    def _write(self, group: pa.Table) -> None:
        self._writer.write_table(group, row_group_size=group.num_rows)

    def _part(self, kind: str) -> Path:
        path = self._paths[kind]
        return path.with_name(path.name + PART)
