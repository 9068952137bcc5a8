"""Journals: what a process did itself, a JSON line each, written at once: a kill costs at most a torn last line."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SCRATCH, LOG = "swarm", "swarm.log"
"""Folder in the engine's directory where journals are kept, and the log of complaints in it."""


class Journal:
    """The journal of one process; without a path it writes nothing, which is what an endless demo wants.

    Args:
        path: File to append to.
    """

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._fd = -1 if path is None else os.open(path, flags, 0o600)

    def note(self, what: str, task: str) -> None:
        """Write one line: *what* this process did with *task*, or was told about it.

        Args:
            what: `acked` or `unknown` for publishes, `began` and `finished` for handlers.
            task: Task id.
        """
        if self._fd >= 0:
            os.write(self._fd, json.dumps([what, task]).encode() + b"\n")


@dataclass(slots=True)
class Accounts:
    """What all processes of a swarm say together.

    Attributes:
        words: How often each word was said of each task.
        torn: Last lines that a kill cut short.
    """

    words: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    torn: int = 0

    def tasks(self, what: str) -> set[str]:
        """Return the tasks of which *what* was said at least once."""
        return set(self.words[what])


def gather(directory: Path) -> Accounts:
    """Read every journal in *directory*.

    Raises:
        ValueError: A line other than a last one is damaged: then the journals prove nothing.
    """
    said = Accounts()
    for path in sorted(directory.glob("*.jsonl")):
        *lines, rest = path.read_bytes().split(b"\n")
        for line in lines:
            what, task = json.loads(line)
            said.words[what][task] += 1
        said.torn += bool(rest)
    return said
