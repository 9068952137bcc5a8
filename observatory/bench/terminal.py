"""A program in a pseudo terminal, timed from outside: what its user sees, and when."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_ESCAPES: Final = re.compile(
    rb"\x1b(?:\[[0-9;?<>=:]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|.)", re.DOTALL
)
_END_S: Final = 10.0


class Terminal:
    """Runs a program in a pseudo terminal and stamps each chunk of its output.

    Args:
        command: Program and arguments.
        environ: Its whole environment.
        columns: Width of the terminal.
        rows: Height of the terminal.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], *, columns: int = 160, rows: int = 50
    ) -> None:
        self.started = time.perf_counter()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(slave)
        self._chunks: list[tuple[float, bytes]] = []
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program, by asking first."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._reader.join(_END_S)
        os.close(self._master)

    @property
    def written(self) -> int:
        """Bytes that the program has written to its terminal so far."""
        return sum(len(data) for _, data in self._chunks)

    def wait_for(self, text: str, *, timeout_s: float = 20.0) -> float:
        """Return the seconds from the start to the chunk that completes *text*, escape sequences left out.

        Raises:
            TimeoutError: It did not come in *timeout_s* seconds.
        """
        wanted = text.encode()
        deadline = time.perf_counter() + timeout_s
        with self._arrived:
            while True:
                seen = b""
                for at, data in self._chunks:
                    seen += data
                    if wanted in data or wanted in _ESCAPES.sub(b"", seen):
                        return at - self.started
                left = deadline - time.perf_counter()
                if left <= 0 or self._process.poll() is not None:
                    raise TimeoutError(f"{text!r} was not seen")
                self._arrived.wait(left)

    def press(self, keys: bytes, *, timeout_s: float = 2.0) -> float:
        """Write *keys* and return the seconds until the next output.

        Raises:
            TimeoutError: Nothing came in *timeout_s* seconds.
        """
        with self._arrived:
            before = len(self._chunks)
            start = time.perf_counter()
            os.write(self._master, keys)
            if not self._arrived.wait_for(lambda: len(self._chunks) > before, timeout_s):
                raise TimeoutError(f"nothing was painted after {keys!r}")
            return self._chunks[before][0] - start

    def settle(self, quiet_s: float = 0.05, *, timeout_s: float = 3.0) -> None:
        """Wait until nothing was painted for *quiet_s* seconds."""
        deadline = time.perf_counter() + timeout_s
        with self._arrived:
            while self._arrived.wait(quiet_s) and time.perf_counter() < deadline:
                pass

    def cpu_seconds(self) -> float | None:
        """CPU time that the program has used so far, in seconds; None where the system does not tell."""
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return None

    def resident_bytes(self) -> int | None:
        """Memory that the program holds, in bytes; None where the system does not tell."""
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return None

    def _read(self) -> None:
        while True:
            try:
                select.select([self._master], [], [])
                data = os.read(self._master, 1 << 16)
            except OSError:
                data = b""
            with self._arrived:
                if data:
                    self._chunks.append((time.perf_counter(), data))
                self._arrived.notify_all()
            if not data:
                return
