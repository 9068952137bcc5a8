"""Files that are private to the user, written so that a crash leaves the old one or the new one.

The only thing below all rooms that touches a disk; it belongs to none of them, and knows none.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Put *text* into *path*, with rights 0600; its folder is made with 0700 if it is missing.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise
