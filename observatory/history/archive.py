"""The archive: a folder of sealed segments, and the manifest that says which of its files count.

The manifest is replaced in one step. A file that it does not name is no part of the archive, whatever it holds.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from observatory.files import write_atomically
from observatory.history.files import sync_folder
from observatory.history.index_file import DamagedError
from observatory.history.segment import EVENTS, INDEX, Segment
from observatory.model.books import Books
from observatory.model.timeline import Gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from observatory.history.stretch import Cache

VERSION: Final = 1
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment as the manifest has it.

    Attributes:
        name: Name of its files.
        day: UTC day whose stream its events stood in.
        rows: How many events it holds.
        first_ms: Least server time in it.
        last_ms: Greatest server time in it.
        bytes: Size of its files.
        sha256: Checksums of its files, by ending.
        ends: Entry of the day's stream up to which each partition was sealed; partition -1 for a bus of one part.
        entries: Entries of the day's stream that it holds, by partition.
    """

    name: str
    day: str
    rows: int
    first_ms: int
    last_ms: int
    bytes: int
    sha256: Mapping[str, str]
    ends: Mapping[str, str]
    entries: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What counts: segments in order, and what is known to be missing."""

    segments: tuple[Sealed, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of all segments."""
        return sum(one.bytes for one in self.segments)

    def ends_of(self, day: str) -> dict[str, str]:
        """Return up to which entry each partition of a day's log is sealed."""
        ends: dict[str, str] = {}
        for one in self.segments:
            if one.day == day:
                ends.update(one.ends)
        return ends

    def entries_of(self, day: str) -> Counter[str]:
        """Return how many entries of a day's log are sealed, by partition; those that were let go of are not known."""
        found: Counter[str] = Counter()
        for one in self.segments:
            if one.day == day:
                found.update(one.entries)
        return found


class Archive:
    """The sealed past of one bus, in a folder.

    Args:
        folder: Where; need not exist to be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> Manifest:
        """Return the manifest; an empty one where there is none.

        Raises:
            DamagedError: It cannot be read, or is of a later version.
        """
        path = self.folder / MANIFEST
        try:
            document = json.loads(path.read_text("utf-8"))
            if document["version"] != VERSION:
                raise DamagedError(
                    f"{path}: version {document['version']}, this program knows {VERSION}", "use a newer one"
                )
            return Manifest(
                tuple(Sealed(**one) for one in document["segments"]), tuple(Gap(**one) for one in document["gaps"])
            )
        except FileNotFoundError:
            return Manifest()
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DamagedError(f"{path} cannot be read", f"{type(error).__name__}: {error}") from error

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest, in one step.

        Raises:
            OSError: It cannot be written; the one before still counts.
        """
        document = {
            "version": VERSION,
            "segments": [asdict(one) for one in manifest.segments],
            "gaps": [asdict(one) for one in manifest.gaps],
        }
        write_atomically(self.folder / MANIFEST, json.dumps(document, indent=1))
        sync_folder(self.folder)

    def stamp(self) -> int:
        """Return something that changes when the manifest is replaced; 0 where there is none."""
        try:
            return (self.folder / MANIFEST).stat().st_mtime_ns
        except OSError:
            return 0

    def segments(self, manifest: Manifest, cache: Cache) -> list[Segment]:
        """Return the segments of *manifest*, in order; their files are opened, and read when they are asked.

        Raises:
            DamagedError: A file is gone.
        """
        return [
            Segment.at(self.folder, one.name, cache, (one.rows, one.first_ms, one.last_ms)) for one in manifest.segments
        ]

    def closing_books(self, manifest: Manifest, cache: Cache) -> Books:
        """Return the books behind the last event that is sealed.

        Raises:
            DamagedError: The last segment cannot be read.
        """
        if not manifest.segments:
            return Books()
        last = Segment.at(self.folder, manifest.segments[-1].name, cache)
        return last.state(last.rows)

    def tidy(self, manifest: Manifest) -> int:
        """Remove segment files that do not count, left by who was killed; returns how many went."""
        named = {MANIFEST, *(f"{one.name}{kind}" for one in manifest.segments for kind in (EVENTS, INDEX))}
        gone = 0
        for path in self.folder.iterdir() if self.folder.exists() else ():
            ours = any(kind in path.suffixes for kind in (EVENTS, INDEX))
            if path.name not in named and ours:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def retain(self, manifest: Manifest, *, before_ms: int = 0, most_bytes: int = 0) -> Manifest:
        """Let go of the oldest segments: first the manifest forgets them, then the files go.

        Args:
            manifest: What counts now.
            before_ms: Segments that ended before this time go.
            most_bytes: The oldest go until the rest is no larger; 0 for no bound. The newest one always stays.

        Returns:
            What counts afterwards.
        """
        kept = list(manifest.segments)
        while len(kept) > 1 and (
            kept[0].last_ms < before_ms or (most_bytes and sum(one.bytes for one in kept) > most_bytes)
        ):
            kept.pop(0)
        if len(kept) == len(manifest.segments):
            return manifest
        start = kept[0].first_ms
        changed = replace(manifest, segments=tuple(kept), gaps=_after(manifest.gaps, start))
        self.save(changed)
        self.tidy(changed)
        return changed


def _after(gaps: Iterable[Gap], ms: int) -> tuple[Gap, ...]:
    return tuple(gap for gap in gaps if gap.to_ms > ms)
