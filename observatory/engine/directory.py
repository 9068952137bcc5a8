"""What an engine keeps in its data directory: two locks, password, state; all private to the user.

The *engine lock* is inherited by the server process and by nothing else, so it is held exactly as long as a
server lives, however the process that started it ended. The *users lock* is held, shared, by every app that
uses the engine, so that the last one to leave knows it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from observatory.engine.process import ProcessId
from observatory.engine.resp import Address
from observatory.files import write_atomically
from observatory.model.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK, USERS, STATE, PASSWORD = "engine.lock", "users.lock", "engine.json", "engine.password"
CONFIG, LOG, SOCKET, AOF = "engine.conf", "engine.log", "engine.sock", "appendonlydir"

OWN = frozenset({LOCK, USERS, STATE, PASSWORD, CONFIG, LOG, LOG + ".1", SOCKET, AOF, "dump.rdb"})
"""Every name that an engine may leave in its directory."""

_GRACE_DEAD_S = 3.0
"""How long a lock without a living holder is waited for: a probe, or a child of a server that was killed."""

_GRACE_ALIVE_S = 0.5
"""How long a lock with a living holder is waited for: it may be on its way out."""


class DirectoryInUseError(EngineError):
    """Another engine holds the data directory."""


@dataclass(frozen=True, slots=True)
class State:
    """What is written down about the engine of a directory; holds no secret.

    Attributes:
        holder: The process that holds the engine lock: first the one that starts the server, then the server.
        address: Where the server listens; None until it is ready.
        version: Server and version, empty until it is ready.
        detached: Whether it was left running on purpose, rather than belonging to the apps that use it.
        serving: Whether the holder is the server itself.
        wrote: The newest server that has written the data; empty if none has.
        cut: What the server cut off the end of its files when it last started; empty for nothing.
    """

    holder: ProcessId
    address: Address | None = None
    version: str = ""
    detached: bool = False
    serving: bool = False
    wrote: str = ""
    cut: str = ""

    def save(self, directory: Path) -> None:
        """Write it to *directory*, at once or not at all."""
        write_atomically(directory / STATE, json.dumps(asdict(self)))

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Return what *directory* says; None if nothing or nothing readable is written there."""
        try:
            raw = json.loads((directory / STATE).read_bytes())
            return cls(
                holder=ProcessId(**raw["holder"]),
                address=Address(**raw["address"]) if raw["address"] else None,
                version=str(raw["version"]),
                detached=bool(raw["detached"]),
                serving=bool(raw["serving"]),
                # Before there was such a field the version said it.
                wrote=str(raw.get("wrote", raw["version"])),
                cut=str(raw.get("cut", "")),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None


def prepare(directory: Path, *, ephemeral: bool = False) -> None:
    """Make *directory* exist and private (0700).

    Args:
        directory: The data directory.
        ephemeral: It is going to be removed, so it must hold nothing that is not an engine's.

    Raises:
        EngineError: It cannot be made or written, or it holds files of someone else.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        strangers = sorted(entry.name for entry in directory.iterdir() if entry.name not in OWN)
        open_to_others = bool(directory.stat().st_mode & 0o077)
        if strangers and (ephemeral or open_to_others):
            raise EngineError(
                f"data directory {directory} already holds other files, for instance {strangers[0]}",
                "name an empty or a new directory",
            )
        if open_to_others:
            directory.chmod(0o700)
    except OSError as error:
        raise EngineError(
            f"data directory {directory} cannot be used: {error.strerror}", "name another with --data-dir"
        ) from None
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise EngineError(f"data directory {directory} cannot be written", "name another with --data-dir")


def password(directory: Path) -> str:
    """Return the password of the engine in *directory*, made up on first use."""
    path = directory / PASSWORD
    with suppress(FileNotFoundError):
        if kept := path.read_text().strip():
            path.chmod(0o600)
            return kept
    made = secrets.token_urlsafe(32)
    write_atomically(path, made + "\n")
    return made


@contextmanager
def locked(directory: Path) -> Iterator[int]:
    """Hold the engine lock; a child that inherits the yielded descriptor goes on holding it afterwards.

    Yields:
        The descriptor to hand to the server.

    Raises:
        DirectoryInUseError: Someone else holds it.
    """
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        began = time.monotonic()
        while not _flock(handle, fcntl.LOCK_EX):
            state = State.load(directory)
            alive = state is not None and state.holder.alive()
            if time.monotonic() - began > (_GRACE_ALIVE_S if alive else _GRACE_DEAD_S):
                raise _in_use(directory, state if alive else None)
            time.sleep(0.02)
        yield handle
    finally:
        # Closing is not unlocking: the server's copy of the descriptor keeps the lock.
        os.close(handle)


def is_locked(directory: Path) -> bool:
    """Say whether a server (or someone who is starting one) holds *directory*."""
    try:
        handle = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _flock(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


class Users:
    """One app's share in the engine of a directory, given back by `close` or by the end of the process.

    Args:
        directory: The data directory.
        patience_s: Seconds to wait for a last user who is just stopping the engine.

    Raises:
        DirectoryInUseError: The last user is leaving and does not come to an end with it.
    """

    def __init__(self, directory: Path, patience_s: float = 60.0) -> None:
        self._handle: int | None = os.open(directory / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience_s
        while not _flock(self._handle, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                self.close()
                raise _in_use(directory, State.load(directory))
            time.sleep(0.02)

    def alone(self) -> bool:
        """Give up the share, and say whether it was the last; if so newcomers wait until `close`."""
        return self._handle is not None and _flock(self._handle, fcntl.LOCK_EX)

    def close(self) -> None:
        """Leave."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _flock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(directory: Path, state: State | None) -> DirectoryInUseError:
    holder = f"process {state.holder.pid}" if state else "another process"
    return DirectoryInUseError(
        f"data directory {directory} is in use by {holder}",
        "observatory engine status shows it, observatory engine stop ends it, --data-dir names another",
    )
