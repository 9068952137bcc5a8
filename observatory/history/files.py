"""Files that a crash leaves either as they were or as they should be."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def create(path: Path) -> IO[bytes]:
    """Open a file to write that nobody else may read; what was in it is gone.

    Raises:
        OSError: It cannot be opened.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def sync_folder(folder: Path) -> None:
    """Bring the names in *folder* to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_disk(sink: IO[bytes]) -> None:
    """Bring what was written to the disk, and close it."""
    sink.flush()
    os.fsync(sink.fileno())
    sink.close()
