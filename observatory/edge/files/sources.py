"""The files of an old log: which belong together, which one is which however it was renamed, and their lines.

A source is known by what it begins with and by the line that was read last, never by its name: a file that is
renamed, compressed or copied away by a rotation is the same source, read on where it was left. Only what ends with a
line break is read, for more may come behind the rest; in a file that was rotated away nothing comes any more.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

HEAD: Final = 1024
"""Bytes of its beginning by which a source is known, or fewer where it had fewer when it was first seen."""

MOST_LINE: Final = 16 * 1024 * 1024
"""Bytes of a line that are read; what is longer is no line."""

DIGEST: Final = 24
"""Hexadecimal digits of a SHA-256 that are kept."""

_ROTATED = re.compile(r"(?P<base>.+?)(?:\.(?P<number>\d{1,6})|[.-](?P<date>\d{8}(?:-\d+)?))?(?:\.gz)?")


@dataclass(frozen=True, slots=True)
class Family:
    """A log with what was rotated away from it.

    Attributes:
        base: Its path without the marks of rotation.
        files: Its files, the oldest first; the last one is written to, if it has the name of the base.
    """

    base: Path
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """How far one source was read.

    Attributes:
        id: What it is called on the bus.
        offset: Bytes that were read, uncompressed.
        lines: Lines that were read, bad and blank ones included.
        head: How it begins: so many bytes, and their digest.
        tail: The line that was read last: its bytes, and their digest.
        name: Name of its file when it was read last.
        start: Bytes and lines of it that were passed over, because they were there before anything was to be read.
    """

    id: str
    offset: int
    lines: int
    head: tuple[int, str]
    tail: tuple[int, str]
    name: str
    start: tuple[int, int] = (0, 0)

    @classmethod
    def read(cls, ident: str, text: str) -> Self:
        """Read what `written` wrote.

        Raises:
            ObservatoryError: It is something else.
        """
        try:
            offset, lines, head, tail, name, start = json.loads(text)
            return cls(ident, offset, lines, (head[0], head[1]), (tail[0], tail[1]), name, (start[0], start[1]))
        except (ValueError, TypeError, KeyError, IndexError):
            raise ObservatoryError(f"what is remembered of source {line(ident, 40)} cannot be read") from None

    def written(self) -> str:
        """Return it as text, equal for equal sources."""
        said = (self.offset, self.lines, self.head, self.tail, self.name, self.start)
        return json.dumps(said, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Record:
    """A line as it was read.

    Attributes:
        raw: Its bytes without the line break, cut if there are too many.
        size: Its bytes in the file, the line break included.
        digest: Of all that was read of it.
        is_whole: It was not cut.
    """

    raw: bytes
    size: int
    digest: str
    is_whole: bool


def families(paths: Iterable[Path]) -> list[Family]:
    """Return the logs that *paths* name: files, with what was rotated away from them, or folders of files.

    Raises:
        UsageError: There is nothing at one of them.
    """
    bases: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            names = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
            bases.update((base_of(one), None) for one in names)
        else:
            base = base_of(path)
            if not path.exists() and not _siblings(base):
                raise UsageError(f"{path}: there is no such file")
            bases[base] = None
    return [Family(base, tuple(_siblings(base))) for base in bases]


def base_of(path: Path) -> Path:
    """Return the path that a log has before it is rotated."""
    found = _ROTATED.fullmatch(path.name)
    return path.with_name(found["base"]) if found is not None else path


def _siblings(base: Path) -> list[Path]:
    if not base.parent.is_dir():
        return []
    near = (path for path in base.parent.iterdir() if path.name.startswith(base.name) and path.is_file())
    return sorted((path for path in near if base_of(path) == base), key=_age)


def _age(path: Path) -> tuple[int, int, str]:
    """Sort key: dated files by date, then numbered ones from the highest number down, then the log itself."""
    found = _ROTATED.fullmatch(path.name)
    if found is not None and found["date"]:
        return 0, 0, found["date"]
    if found is not None and found["number"]:
        return 1, -int(found["number"]), ""
    return 2, 0, path.name


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, compressed or not.

    Raises:
        ObservatoryError: It cannot be read, or is damaged; names it.
    """
    try:
        with path.open("rb") as plain:
            if plain.read(2) == b"\x1f\x8b":
                with gzip.open(path, "rb") as packed:
                    yield cast("BinaryIO", packed)
                return
            plain.seek(0)
            yield plain
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ObservatoryError(f"{path}: cannot be read: {line(why)}") from None


def recognised(path: Path, known: Mapping[str, Source], *, is_closed: bool) -> Source | None:
    """Return the source that a file is, a new one where it is none of *known*; None if it has no line yet.

    Args:
        path: The file.
        known: What was read before, by id.
        is_closed: Nothing comes any more, so that a last line without a line break is a line.

    Raises:
        ObservatoryError: The file cannot be read.
    """
    with opened(path) as file:
        head = file.read(HEAD)
        for source in sorted(known.values(), key=lambda one: -one.offset):
            if digest_of(head[: source.head[0]]) == source.head[1] and _ends_so(file, source):
                return replace(source, name=path.name)
        file.seek(0)
        first = file.readline(MOST_LINE)
        if not first or not (is_closed or first.endswith(b"\n") or len(first) == MOST_LINE):
            return None
    digest = digest_of(head)
    ident, again = digest[:12], 1
    while ident in known:
        # Begins like another one, and goes on otherwise: somebody wrote the file anew.
        again += 1
        ident = f"{digest[:12]}~{again}"
    return Source(ident, 0, 0, (len(head), digest), (0, digest_of(b"")), path.name)


def _ends_so(file: BinaryIO, source: Source) -> bool:
    size, digest = source.tail
    file.seek(source.offset - size)
    return digest_of(file.read(size)) == digest


def records(path: Path, offset: int, *, is_closed: bool) -> Iterator[Record]:
    """Yield the lines of a file behind *offset* bytes.

    Args:
        path: The file.
        offset: Uncompressed bytes that were read before.
        is_closed: Nothing comes any more, so that a last line without a line break is a line.

    Raises:
        ObservatoryError: The file cannot be read.
    """
    with opened(path) as file:
        file.seek(offset)
        while raw := file.readline(MOST_LINE):
            size, whole = len(raw), True
            digest = hashlib.sha256(raw)
            rest = raw
            while not rest.endswith(b"\n") and (rest := file.readline(MOST_LINE)):
                size, whole = size + len(rest), False
                digest.update(rest)
            if not rest and not is_closed:
                return
            yield Record(raw.rstrip(b"\r\n"), size, digest.hexdigest()[:DIGEST], whole)


def behind(source: Source, record: Record) -> Source:
    """Return *source* as it is when *record* was read."""
    offset, lines = source.offset + record.size, source.lines + 1
    return Source(source.id, offset, lines, source.head, (record.size, record.digest), source.name, source.start)


def digest_of(data: bytes) -> str:
    """Return what bytes are recognised by."""
    return hashlib.sha256(data).hexdigest()[:DIGEST]
