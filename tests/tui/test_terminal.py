"""However the app ends, the terminal is as it was and the process is gone."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyte
import pytest

from observatory.settings.crash import redact, report_text

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS, LINES = 100, 30
PATIENCE_S = 20.0
MODES = {"mouse": (1000, 1002, 1003, 1006), "alternate screen": (1049,), "paste": (2004,), "focus": (1004,)}


class Session:
    """The app in a pseudo terminal."""

    def __init__(self, state_dir: Path, *words: str, **environ: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.output = b""
        driver = Path(__file__).parent / "driver.py"
        self.process = subprocess.Popen(
            [sys.executable, str(driver), str(state_dir), *words],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2]), **environ},
        )  # fmt: skip

    def read_until(self, wanted: str) -> None:
        """Read until the screen shows *wanted*."""
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.screen():
            assert time.monotonic() < deadline, self.screen()
            self._read(0.2)

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def ended(self) -> int:
        """Wait until the process is gone, reading what it still says, and return its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "still there"
            self._read(0.1)
        self._read(0.2)
        return self.process.returncode

    def screen(self) -> str:
        """Return what a terminal would show now."""
        screen = pyte.Screen(COLUMNS, LINES)
        pyte.ByteStream(screen).feed(self.output)
        return "\n".join(screen.display)

    def assert_clean(self) -> None:
        """Assert that every mode was left, that the cursor is shown and that the line settings are back."""
        for name, numbers in MODES.items():
            for number in numbers:
                on, off = self.output.rfind(b"\x1b[?%dh" % number), self.output.rfind(b"\x1b[?%dl" % number)
                assert on == -1 or off > on, f"{name} ({number}) is still on"
        assert self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l"), "the cursor is still hidden"
        assert termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)

    def _read(self, timeout: float) -> None:
        while select.select([self.master], [], [], timeout)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.output += data
            timeout = 0.0


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """The app, painted."""
    started = Session(tmp_path)
    try:
        started.read_until("● LIVE")
        started.read_until("legacy")
        yield started
    finally:
        started.close()


@pytest.mark.parametrize("keys", [b"q", b"\x11"], ids=["q", "ctrl+q"])
def test_quitting_leaves_a_clean_terminal(session: Session, keys: bytes) -> None:
    """Both ways to quit end with 0 and every mode left."""
    session.write(keys)
    assert session.ended() == 0
    session.assert_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_clean_terminal(session: Session, number: signal.Signals) -> None:
    """Being told to end is a quit, with the code that shells expect."""
    session.process.send_signal(number)
    assert session.ended() == 128 + number
    session.assert_clean()


def test_a_terminal_that_goes_away_takes_the_process_with_it(session: Session) -> None:
    """With the other end closed there is no signal and no terminal; the process does not stay behind, spinning."""
    os.close(session.slave)
    os.close(session.master)
    session.slave = session.master = -1
    assert session.process.wait(PATIENCE_S) == 128 + signal.SIGHUP


def test_a_crash_leaves_a_clean_terminal_and_tells_no_secret(tmp_path: Path) -> None:
    """One line with the path of a report; neither holds the password; the code is 1."""
    session = Session(tmp_path, "crash")
    try:
        session.read_until("● LIVE")
        session.write(b"G")
        assert session.ended() == 1
        session.assert_clean()
        after = session.output.rpartition(b"\x1b[?1049l")[2].decode()
        assert "observatory stopped because of a defect: RuntimeError" in after.replace("\r\n", "")
        assert b"hunter2" not in session.output
        (report,) = tmp_path.glob("crash-*.txt")
        assert str(report) in after.replace("\r\n", "")
        assert "hunter2" not in report.read_text()
        assert "driver.py" in report.read_text()
        assert report.stat().st_mode & 0o777 == 0o600
    finally:
        session.close()


def test_without_colour_every_state_is_still_a_glyph_and_a_word(tmp_path: Path) -> None:
    """NO_COLOR is respected, and nothing is said by colour alone."""
    session = Session(tmp_path, NO_COLOR="1")
    try:
        for words in ("● LIVE", "✖ broken", "▲ no consumers", "✖ red"):
            session.read_until(words)
        colours = {
            (int(red), int(green), int(blue))
            for red, green, blue in re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", session.output)
        }
        assert all(max(colour) - min(colour) <= 1 for colour in colours), "greys only"
    finally:
        session.close()


def test_a_report_follows_the_chain_of_errors_without_values() -> None:
    """Type and masked message of each error, and where it happened."""
    error = RuntimeError("no link")
    error.__cause__ = ValueError("password=hunter2 was refused")
    text = report_text(_raised(error), datetime(2026, 2, 6, tzinfo=UTC))
    assert "RuntimeError: no link" in text
    assert "ValueError: password=*** was refused" in text
    assert "test_terminal.py" in text


def _raised(error: Exception) -> Exception:
    """Return *error* with the frames of having been raised."""
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://:s3cret@host:1/0", "redis://***@host:1/0"),
        ("redis://user:s3cret@host", "redis://***@host"),
        ("unix:///run/x.sock?password=s3cret", "unix:///run/x.sock?password=***"),
        ("Token: abc def", "Token: *** def"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, expected: str) -> None:
    """URLs, queries and key-value pairs."""
    assert redact(text) == expected
