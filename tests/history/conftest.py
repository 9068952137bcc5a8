"""An archive folder, and chronicles over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.history.archive import Archive
from observatory.history.chronicle import Chronicle
from observatory.history.hot import HotLog
from observatory.history.stretch import Cache

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus import Bus


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive that is empty."""
    return Archive(tmp_path / "archive")


async def chronicle_of(bus: Bus, archive: Archive) -> Chronicle:
    """Return everything that is sealed, and what is hot."""
    cache, manifest = Cache(), archive.load()
    hot = HotLog(bus.partitions, manifest, archive.closing_books(manifest, cache), cache)
    await hot.catch_up()
    return Chronicle([*archive.segments(manifest, cache), hot], manifest.gaps)
