"""Recordings: a stretch of the past as one file, that opens anywhere, without any engine.

A ZIP file whose members are stored as they are: `about.json` first, then pairs of a Parquet file and its index, then
`end.json`. The members stand in the order of time and each has a checksum, so a file that was cut off opens up to the
cut. `unzip incident.obs '*.parquet'` gives files for any tool.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from observatory.bus.keys import Keys
from observatory.history.chronicle import Chronicle
from observatory.history.columns import events_of
from observatory.history.files import create, sync_folder, to_disk
from observatory.history.index import GROUP_ROWS, Indexer
from observatory.history.index_file import DamagedError, read_index, write_index
from observatory.history.redact import Redactor
from observatory.history.segment import EVENTS, INDEX, PARQUET, Segment
from observatory.history.stretch import Cache
from observatory.model.books import Books
from observatory.model.errors import ObservatoryError
from observatory.model.event import Event
from observatory.model.timeline import Bookmark, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

VERSION: Final = 1
CHUNK_ROWS: Final = 16 * GROUP_ROWS
"""Events of a pair of members: what is lost at most when a file is cut off."""

_ABOUT: Final = "about.json"
_END: Final = "end.json"
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_FORMAT: Final = "observatory recording"

_MIGRATIONS: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""How what a file of a version says of itself becomes what the next says; none was needed yet."""


@dataclass(frozen=True, slots=True)
class About:
    """What a recording says of itself.

    Attributes:
        bus: Prefix of the keys of the bus.
        from_ms: Its beginning, ms of server time.
        to_ms: Its end.
        filter: What was kept, as a filter; empty for everything.
        redacted: Fields whose values were replaced.
        gaps: What was known to be missing.
        bookmarks: Bookmarks in it.
    """

    bus: str
    from_ms: int
    to_ms: int
    filter: str = ""
    redacted: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    bookmarks: tuple[Bookmark, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that is open.

    Attributes:
        about: What it says of itself.
        chronicle: Its events.
        whole: Nothing was cut off.
    """

    about: About
    chronicle: Chronicle
    whole: bool

    @property
    def keys(self) -> Keys:
        """Key names of the bus that it was made of."""
        return Keys(self.about.bus)


def write_recording(
    path: Path, chronicle: Chronicle, about: About, *, where: Callable[[Event], bool] | None = None
) -> int:
    """Write a range of the past into a file, in one step; returns how many events are in it.

    Args:
        path: The file; replaced if there is one.
        chronicle: The past.
        about: What to write, from when to when, and what to take out.
        where: Which events to keep; all if None. The state at the beginning keeps the tasks that its events would.

    Raises:
        OSError: It cannot be written; what was there before is still there.
        UsageError: A field cannot be redacted.
        DamagedError: A part of the past cannot be read.
    """
    low, high = chronicle.row_at(about.from_ms - 1), chronicle.row_at(about.to_ms)
    redactor = Redactor(about.redacted)
    opening = _kept_books(chronicle.state(low), where)
    if about.redacted:
        redactor.note(chronicle.between(0, 0), opening)
        for table in _chunks(chronicle, low, high, where):
            redactor.note(table, Books())
    part = path.with_name(f".{path.name}.part")
    sink = create(part)
    count = 0
    try:
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
            _put(archive, _ABOUT, _json({"format": _FORMAT, "version": VERSION, **_scrubbed(about, redactor)}))
            books = redactor.books(opening)
            for number, table in enumerate(_chunks(chronicle, low, high, where)):
                books = _put_chunk(archive, number, redactor.table(table), books)
                count += table.num_rows
            _put(archive, _END, _json({"events": count}))
        to_disk(sink)
        part.replace(path)
        sync_folder(path.parent)
    except BaseException:
        sink.close()
        part.unlink(missing_ok=True)
        raise
    return count


def open_recording(path: Path, cache: Cache | None = None) -> Recording:
    """Open a recording; what is behind a damage is a gap.

    Raises:
        ObservatoryError: It cannot be read, is no recording, or is one of a later version.
    """
    cache = cache or Cache()
    try:
        data = pa.memory_map(str(path)).read_buffer()
    except OSError as error:
        raise ObservatoryError(f"{path} cannot be opened: {error.strerror or error}") from error
    members = dict(_members(data))
    about = _about(path, members)
    segments, last_ms = [], about.from_ms
    for number in range(len(members)):
        name = f"events-{number:05d}"
        if name + EVENTS not in members or name + INDEX not in members:
            break
        index = memoryview(members[name + INDEX])
        with suppress(DamagedError):
            found = read_index(index, check=True)
            span = (found.rows, found.first_ms or 0, found.last_ms or 0)
            segments.append(Segment(name, cache, pa.BufferReader(members[name + EVENTS]), index, span))
            last_ms = max(last_ms, span[2])
            continue
        break
    whole = _END in members and sum(one.rows for one in segments) == json.loads(bytes(members[_END]))["events"]
    gaps = about.gaps if whole else (*about.gaps, Gap(last_ms, max(about.to_ms, last_ms + 1), "the file ends early"))
    return Recording(about, Chronicle(segments, gaps), whole)


def _members(data: pa.Buffer) -> Iterator[tuple[str, pa.Buffer]]:
    """Yield the members that are whole, in the order in which they stand, whether or not the file has its end."""
    at, view = 0, memoryview(data)
    while at + _LOCAL.size <= len(view):
        head = _LOCAL.unpack_from(view, at)
        signature, checksum, size, name_length, extra = head[0], head[6], head[8], head[9], head[10]
        start = at + _LOCAL.size + name_length + extra
        if signature != b"PK\3\4" or start + size > len(view):
            return
        name = bytes(view[at + _LOCAL.size : at + _LOCAL.size + name_length]).decode("utf-8", "replace")
        if zlib.crc32(view[start : start + size]) != checksum:
            return
        yield name, data.slice(start, size)
        at = start + size


def _about(path: Path, members: Mapping[str, pa.Buffer]) -> About:
    try:
        document: dict[str, Any] = json.loads(bytes(members[_ABOUT]))
        version = document["version"] if document["format"] == _FORMAT else None
    except (ValueError, LookupError, TypeError):
        document, version = {}, None
    if version is None:
        raise ObservatoryError(f"{path} is no recording", "make one with `observatory export`")
    while version in _MIGRATIONS:
        document = _MIGRATIONS[version](document)
        version = document["version"]
    if version != VERSION:
        raise ObservatoryError(f"{path}: version {version}, this program knows {VERSION}", "use a newer one")
    return About(
        bus=document["bus"],
        from_ms=document["from_ms"],
        to_ms=document["to_ms"],
        filter=document["filter"],
        redacted=tuple(document["redacted"]),
        gaps=tuple(Gap(**one) for one in document["gaps"]),
        bookmarks=tuple(Bookmark(**one) for one in document["bookmarks"]),
    )


def _chunks(chronicle: Chronicle, low: int, high: int, where: Callable[[Event], bool] | None) -> Iterator[pa.Table]:
    """Yield the events of some rows, so many at a time."""
    for start in range(low, high, CHUNK_ROWS):
        table = chronicle.between(start, min(start + CHUNK_ROWS, high))
        if where is not None:
            table = table.filter(pa.array([where(event) for event in events_of(table)], pa.bool_())).combine_chunks()
        if table.num_rows:
            yield table


def _put_chunk(archive: zipfile.ZipFile, number: int, table: pa.Table, books: Books) -> Books:
    indexer = Indexer(books)
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(buffer, table.schema, **PARQUET) as writer:
        for group in (*indexer.add(table), *indexer.finish()):
            writer.write_table(group, row_group_size=group.num_rows)
    _put(archive, f"events-{number:05d}{EVENTS}", memoryview(buffer.getvalue()))
    _put(archive, f"events-{number:05d}{INDEX}", write_index(indexer.index))
    return indexer.folding.books()


def _put(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.external_attr = 0o600 << 16
    archive.writestr(member, bytes(data))


def _kept_books(books: Books, where: Callable[[Event], bool] | None) -> Books:
    """Return books with only the tasks whose facts would be kept."""
    if where is None:
        return books
    tasks = {
        ident: task
        for ident, task in books.tasks.items()
        if where(
            Event(
                "0-0", str(task.state), task.since_ms, ident, task.type, task.lane, task.agent, task.attempt,
                task.reason, None, task.error,
            )
        )
    }  # fmt: skip
    return replace(books, tasks=tasks)


def _scrubbed(about: About, redactor: Redactor) -> dict[str, Any]:
    document = asdict(about)
    for one in document["bookmarks"]:
        one["text"], one["by"] = redactor.scrub(one["text"]), redactor.scrub(one["by"])
    for gap in document["gaps"]:
        gap["why"] = redactor.scrub(gap["why"])
    document["filter"] = redactor.scrub(about.filter)
    return document


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode()
