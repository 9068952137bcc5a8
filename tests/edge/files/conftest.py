"""Logs as old systems write them, and journals that they are moved into."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from observatory.edge.files.artifacts import Artifacts
from observatory.edge.files.importer import Importer
from observatory.edge.files.parity import Comparison, Parity

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus import Bus
    from observatory.bus.talk.journal import Journal

ROLES = ("pink", "harold", "blue")


def lines(count: int, *, first: int = 0, role: str = "") -> list[str]:
    """Return *count* lines, numbered from *first*, a tenth of a second apart."""
    rng = random.Random(first)
    return [
        f'{role or rng.choice(ROLES)}|{1_770_000_000 + at / 10:.1f}|note|{{"n": {at}, "text": "a | b {rng.random()}"}}'
        for at in range(first, first + count)
    ]


def write(path: Path, rows: list[str], *, mode: str = "w") -> None:
    """Write lines to a file as an old agent does."""
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in rows)


async def moved(journal: Journal) -> list[str]:
    """Return what stands in the stream of a journal, as lines."""
    found: list[str] = []
    after = ""
    while rows := await journal.entries(after, 1000):
        for _, fields in rows:
            said = dict(fields)
            found.append("|".join(said[name].decode() for name in (b"from", b"created_at", b"type", b"payload")))
        after = rows[-1][0]
    return found


async def imported(journal: Journal, *paths: Path, artifacts: Artifacts | None = None) -> int:
    """Import files once."""
    return await Importer(journal, paths, artifacts=artifacts).catch_up()


async def compared(journal: Journal, *paths: Path, artifacts: Artifacts | None = None) -> Parity:
    """Hold files against a journal."""
    return await Comparison(journal, paths, artifacts or Artifacts()).run()


@pytest.fixture
def journal(bus: Bus) -> Journal:
    """A journal that holds nothing."""
    return bus.journal("old")
