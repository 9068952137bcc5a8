"""Where blobs lie: a folder of this machine, or anything that fsspec reaches. Everything here blocks."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Shelf(Protocol):
    """Where blobs lie. Every method blocks, and raises what the file system raises."""

    def write(self, name: str, payload: bytes) -> None:
        """Put a blob, whole or not at all; in the place of what is there."""

    def read(self, name: str, most: int) -> bytes:
        """Return up to *most* bytes of a blob; FileNotFoundError if it is not there."""

    def sweep(self, before_s: float, drafts_before_s: float) -> int:
        """Delete blobs that were put, and drafts that were begun, before a time in seconds since the epoch.

        Returns:
            How many blobs went.
        """


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine, or one that it shares."""

    root: Path

    def write(self, name: str, payload: bytes) -> None:
        """Put a blob; see `Shelf`."""
        place = self._place(name)
        drafts = self.root / "drafts"
        for folder in (self.root, drafts, self.root / "sha256", place.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = drafts / uuid.uuid4().hex
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(fd)
            with self._locked(fcntl.LOCK_SH):
                draft.replace(place)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        for folder in (place.parent, place.parent.parent, self.root):
            _sync_folder(folder)

    def read(self, name: str, most: int) -> bytes:
        """Read a blob; see `Shelf`."""
        with open(self._place(name), "rb", opener=_open_here) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "something that is no file stands in the place of a blob")
            return file.read(most)

    def sweep(self, before_s: float, drafts_before_s: float) -> int:
        """Delete what is old; see `Shelf`."""
        gone = 0
        for folder in (self.root / "drafts", *sorted((self.root / "sha256").glob("[0-9a-f][0-9a-f]"))):
            with suppress(FileNotFoundError):
                for entry in sorted(folder.iterdir()):
                    is_blob = folder.name != "drafts"
                    if not is_blob or _NAME.fullmatch(entry.name):
                        gone += self._drop(entry, before_s if is_blob else drafts_before_s) and is_blob
        return gone

    def _drop(self, path: Path, before_s: float) -> bool:
        # Nobody may renew a blob between the look at its age and its end.
        with self._locked(fcntl.LOCK_EX), suppress(FileNotFoundError):
            if path.lstat().st_mtime < before_s:
                path.unlink()
                return True
        return False

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        fd = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)

    def _place(self, name: str) -> Path:
        return self.root / "sha256" / name[:2] / name


@dataclass(frozen=True)
class Remote:
    """Anything that fsspec reaches.

    Nobody can be locked out there: a blob that is renewed in the very moment of its sweep can be lost.
    """

    url: str
    shown: str

    def write(self, name: str, payload: bytes) -> None:
        """Put a blob; see `Shelf`."""
        fs, place = self._place(name)
        draft = f"{self._system[1]}/drafts/{uuid.uuid4().hex}"
        for path in (draft, place):
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            fs.pipe_file(draft, payload)
            fs.mv(draft, place)
        except BaseException:
            with suppress(Exception):
                fs.rm_file(draft)
            raise

    def read(self, name: str, most: int) -> bytes:
        """Read a blob; see `Shelf`."""
        fs, place = self._place(name)
        with fs.open(place, "rb") as file:
            return bytes(file.read(most))

    def sweep(self, before_s: float, drafts_before_s: float) -> int:
        """Delete what is old; see `Shelf`."""
        fs, root = self._system
        fs.invalidate_cache()
        gone = 0
        for folder in ("drafts", "sha256"):
            try:
                found = sorted(fs.find(f"{root}/{folder}"))
            except FileNotFoundError:
                continue
            for path in found:
                is_blob = folder == "sha256"
                if not is_blob or _NAME.fullmatch(path.rpartition("/")[2]):
                    gone += self._drop(path, before_s if is_blob else drafts_before_s) and is_blob
        return gone

    def _drop(self, path: str, before_s: float) -> bool:
        fs, _ = self._system
        with suppress(FileNotFoundError):
            changed = fs.modified(path)
            if (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp() < before_s:
                fs.rm_file(path)
                return True
        return False

    def _place(self, name: str) -> tuple[Any, str]:
        fs, root = self._system
        return fs, f"{root}/sha256/{name[:2]}/{name}"

    @cached_property
    def _system(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra, and slow to load

        fs, root = url_to_fs(self.url)
        return fs, root.rstrip("/")


def _open_here(path: str, flags: int) -> int:
    """A pipe or a link in a blob's place must neither block nor lead elsewhere."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
