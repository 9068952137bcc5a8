"""A tmux server of its own, and plain shells in it that behave as agents do."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from observatory.edge.tmux.deliverer import Deliverer
from observatory.edge.tmux.panes import Panes
from observatory.model.terminal import MOST_IN_LINE, AgentKind, TerminalSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from observatory.bus import Bus
    from observatory.edge.tmux.carrier import Told

PLAIN = """
prompt() { printf '%s' "$2"; }
prompt "$@"
while IFS= read -r line; do printf '%s\\n' "$line" >> "$1"; prompt "$@"; done
echo "the end of input" >> "$1"
"""
"""An agent that reads lines as they come from the terminal, in any shell; arguments: its log and its prompt."""

EDITING = """
while IFS= read -e -r -p "$2" line; do printf '%s\\n' "$line" >> "$1"; done
echo "the end of input" >> "$1"
"""
"""An agent that reads through readline, with bracketed paste, as bash does."""

KINDS = {
    "plain": AgentKind("plain", (re.compile(r"^harold\$$"),), cooldown_s=0.0, most_bytes=MOST_IN_LINE),
    "editing": AgentKind("editing", (re.compile(r"^pink:>$"),), cooldown_s=0.0),
}
PROMPTS = {"plain": "harold$ ", "editing": "pink:> "}


@dataclass
class Tmux:
    """A private tmux server.

    Attributes:
        socket: Name of its socket.
        folder: Where the logs of the agents are.
    """

    socket: str
    folder: Path

    def __call__(self, *words: str) -> str:
        """Run a command of tmux and return what it prints."""
        command = ["tmux", "-L", self.socket, "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def agent(self, name: str, kind: str, *, script: str = "") -> str:
        """Open a session in which an agent sits; return its pane."""
        shell, text = ("bash", EDITING) if kind == "editing" else ("sh", PLAIN)
        command = [shell, "-c", script or text, "agent", str(self.log(name)), PROMPTS[kind]]
        pane = self("new-session", "-d", "-P", "-F", "#{pane_id}", "-x", "200", "-y", "24", *command)
        self("set-option", "-p", "-t", pane, "@observatory_agent", name)
        self("set-option", "-p", "-t", pane, "@observatory_kind", kind)
        return pane

    def log(self, name: str) -> Path:
        """Where an agent writes what it reads."""
        return self.folder / f"{name}.log"

    def read(self, name: str) -> list[str]:
        """Return the lines that an agent has read."""
        with contextlib.suppress(FileNotFoundError):
            return self.log(name).read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]
        return []


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A tmux server that nobody else uses."""
    made = Tmux(f"observatory-test-{uuid.uuid4().hex[:8]}", tmp_path)
    made("new-session", "-d", "-s", "idle", "sleep", "3600")
    yield made
    socket = Path(made("display-message", "-p", "#{socket_path}"))
    made("kill-server")
    socket.unlink(missing_ok=True)


@dataclass
class Delivery:
    """A deliverer at work.

    Attributes:
        told: What it said.
    """

    told: list[Told] = field(default_factory=list)

    def of(self, what: str) -> list[Told]:
        """What it said of this kind."""
        return [told for told in self.told if told.what == what]


@contextlib.asynccontextmanager
async def delivering(bus: Bus, tmux: Tmux, **settings: Any) -> AsyncIterator[Delivery]:
    """Deliver for the length of a block."""
    delivery = Delivery()
    chosen = replace(TerminalSettings(kinds=KINDS), **settings)
    running = asyncio.create_task(Deliverer(bus, Panes(tmux.socket), chosen, delivery.told.append).run())
    try:
        yield delivery
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
