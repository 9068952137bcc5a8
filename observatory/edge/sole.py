"""One process at a time: what is delivered in order, or appended to one file, must not be done by two."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

from observatory.model.errors import ObservatoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class NotAloneError(ObservatoryError):
    """Another process does the same work already."""


@contextmanager
def sole(folder: Path, what: str, *names: str) -> Iterator[None]:
    """Be the only process of this user on this machine that does *what* for *names*; the end of a process ends it.

    Args:
        folder: Where locks are kept; made with 0700 if it is missing.
        what: The work, as it stands in the error.
        names: What it is done for: addresses, prefixes, paths.

    Raises:
        NotAloneError: Another process does it now; names it if it can.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = blake2b("\0".join((what, *names)).encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
    handle = os.open(folder / f"{digest}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            raise NotAloneError(f"another process ({holder or '?'}) does this already: {what}") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
