"""What a server says of its files: why it gave up, which file is damaged, and what it cut off to go on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.engine import directory as files
from observatory.model.errors import EngineError
from observatory.model.text import line

if TYPE_CHECKING:
    from pathlib import Path

_LOG_LINE = re.compile(r"^\d+:\w .{10,40}? ([.\-*#]) (?P<said>.+)$")

_DAMAGE = (
    re.compile(r"(?P<said>Bad file format reading the append only file (?P<file>[^\s:]+))"),
    re.compile(r"(?P<said>Unknown command '.*?' reading the append only file (?P<file>[^\s:]+))"),
    re.compile(r"Unable to obtain the AOF file (?P<file>\S+) length\. stat: (?P<said>.+)"),
    re.compile(r"The AOF file (?P<file>\S+) (?P<said>doesn't exist)"),
    re.compile(r"Internal error in RDB reading .*? -> (?P<said>.+)"),
    re.compile(r"(?P<said>Wrong signature trying to load DB from file.*)"),
    re.compile(r"(?P<said>Can't handle RDB format version \d+.*)"),
    re.compile(r"(?P<said>Invalid AOF manifest file format)"),
)
"""What servers say before they give up because of their files, most telling first."""

_FILE = re.compile(r"Checking RDB file (\S+)|Reading the manifest file")
_CUT = re.compile(r"Truncating the AOF (?P<file>\S+) at offset (?P<offset>\d+)")


def found_in(log: str) -> str:
    """Name the damaged file and the reason from what a server said before it gave up; empty if it was not that."""
    for pattern in _DAMAGE:
        if match := pattern.search(log):
            named = match.groupdict().get("file") or _file_in(log)
            said = match["said"].strip()
            return line(said if named in said else f"{named}: {said}")
    return ""


def cut_off(log: str) -> str:
    """Say where a server cut off the end of a file, because its last write was never finished; empty if it did not."""
    match = _CUT.search(log)
    return line(f"{match['file']} ended within a write and was cut at byte {match['offset']}") if match else ""


def telling_line(log: str) -> str:
    """Return the last warning in *log*, or else its last line."""
    rows = [row for row in map(str.strip, log.splitlines()) if row]
    found = [match for match in map(_LOG_LINE.match, rows) if match]
    warnings = [match["said"] for match in found if match[1] == "#"]
    last = rows[-1] if rows else "it left no log"
    plain = found[-1]["said"] if found and found[-1].string == last else last
    return line(plain if plain is last or not warnings else warnings[-1])


def refuse_lost_manifest(directory: Path) -> None:
    """Refuse data without the list of its files: a server would begin empty over them and say nothing.

    Raises:
        EngineError: There are files of data, and no manifest.
    """
    kept = directory / files.AOF
    names = sorted(path.name for path in kept.iterdir()) if kept.is_dir() else []
    data = [name for name in names if name.endswith((".aof", ".rdb"))]
    if data and not any(name.endswith(".manifest") for name in names):
        raise EngineError(
            f"the data of the engine in {directory} are damaged: {files.AOF} holds {data[0]} and no manifest, "
            "so the engine would begin empty",
            advice(directory),
        )


def advice(directory: Path) -> str:
    """Say what can be done about damaged data in *directory*."""
    kept = directory / files.AOF
    return f"put {kept} back from a copy, or move it away to begin empty; if a newer engine wrote it, run that one"


def _file_in(log: str) -> str:
    """Find the file that was being read when a server gave up without naming it."""
    if match := _FILE.search(log):
        return match[1] or "the manifest"
    return "a file"
