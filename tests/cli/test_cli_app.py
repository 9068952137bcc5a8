"""The full-screen verbs on a real terminal: what they start, and what they leave behind."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyte

from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Cli

ROWS, COLUMNS = 40, 120


class Terminal:
    """A terminal with one program on it."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        """What stands on the screen now."""
        try:
            while data := os.read(self._master, 65536):
                self._stream.feed(data)
        except OSError:  # nothing more at the moment, or the program is gone
            pass
        return "\n".join(self._screen.display)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def ended(self) -> bool:
        """Say whether the program has ended; keeps reading, so that it can."""
        return bool(self.text) and self.process.poll() is not None


async def test_without_a_bus_the_app_brings_its_own_engine_and_takes_it_away(cli: Cli) -> None:
    """No configuration at all: the dashboard is drawn, verbs find its engine, `q` ends both, the data stays."""
    with terminal_of(cli) as terminal:
        await eventually(lambda: "LIVE" in terminal.text, timeout=30)
        assert cli("send", "deploy").code == 0
        await eventually(lambda: "published" in terminal.text)
        cli("engine", "stop").refused(1, "in use")
        terminal.type("q")
        await eventually(terminal.ended)
    assert terminal.process.returncode == 0
    assert cli("engine", "status", "--json").json["running"] is False
    assert cli("engine", "start").code == 0
    try:
        assert sum(lane["length"] for lane in cli("status", "--json").json["lanes"]) == 1
    finally:
        cli("engine", "stop")


async def test_read_only_is_shown_and_takes_sending_away(bus_cli: Cli) -> None:
    """In a read-only session the send key explains itself instead of opening the form."""
    with terminal_of(bus_cli, "--read-only") as terminal:
        await eventually(lambda: "LIVE" in terminal.text, timeout=30)
        terminal.type("s")
        await eventually(lambda: "read-only" in terminal.text)
        terminal.type("q")
        await eventually(terminal.ended)


async def test_an_unreachable_bus_is_told_before_the_screen_is_taken(cli: Cli) -> None:
    """Exit code 3 and one line; the terminal never enters full-screen mode."""
    with terminal_of(cli, "--url", "redis://127.0.0.1:1") as terminal:
        await eventually(terminal.ended, timeout=20)
        assert terminal.text.startswith("observatory: cannot reach redis://127.0.0.1:1")
    assert terminal.process.returncode == 3


async def test_the_demo_shows_its_swarm_and_leaves_nothing_running(cli: Cli) -> None:
    """Agents appear by themselves; `q` ends the swarm with its engine."""
    with terminal_of(cli, "demo", "--agents", "4", "--incidents", "none") as terminal:
        await eventually(lambda: "4 of 4" in terminal.text, timeout=30)
        terminal.type("q")
        await eventually(terminal.ended, timeout=20)
    assert terminal.process.returncode == 0


@contextmanager
def terminal_of(cli: Cli, *words: str) -> Iterator[Terminal]:
    """Run the command on a terminal of its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.set_blocking(master, False)
    process = subprocess.Popen(
        cli.command(*words),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=cli.env(TERM="xterm-256color"),
        start_new_session=True,
        cwd=cli.home,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(10)
        os.close(master)


async def test_contexts_of_the_settings_are_turned_to_and_back(bus_cli: Cli) -> None:
    """`:ctx` with a real settings file: prefix and read-only of the other bus hold, then those of the first."""
    file = bus_cli.home / "mine.toml"
    file.write_text(
        '[contexts.here]\nprefix = "one"\n[contexts.there]\nprefix = "two"\nread_only = true\ncolour = "red"\n'
    )
    assert bus_cli("send", "deploy", "--queue", "only-here", "--prefix", "one").code == 0
    assert bus_cli("send", "deploy", "--queue", "only-there", "--prefix", "two").code == 0
    with terminal_of(bus_cli, "--config", str(file), "--context", "here") as terminal:
        await eventually(lambda: "only-here" in terminal.text, timeout=30)
        terminal.type(":ctx there\r")
        await eventually(lambda: "only-there" in terminal.text and "READ-ONLY" in terminal.text)
        assert "only-here" not in terminal.text
        terminal.type(":ctx here\r")
        await eventually(lambda: "only-here" in terminal.text and "READ-ONLY" not in terminal.text)
        terminal.type("\x11")
        await eventually(terminal.ended)
    assert terminal.process.returncode == 0
