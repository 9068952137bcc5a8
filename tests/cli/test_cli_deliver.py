"""`observatory deliver tmux` as a person uses it."""

from __future__ import annotations

import contextlib
import json
import signal
from typing import TYPE_CHECKING

from tests.conftest import eventually
from tests.edge.tmux.conftest import Tmux, tmux

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.cli.conftest import Cli

__all__ = ["tmux"]


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Let a process end with a block, however that ends."""
    try:
        yield
    finally:
        process.terminate()


async def test_a_found_agent_is_on_every_screen_and_a_second_deliverer_is_refused(bus_cli: Cli, tmux: Tmux) -> None:
    """The agent is listed as alive, its session is in the log, and nobody else may type into the same server."""
    tmux("set-option", "-p", "-t", tmux.agent("harold", "plain"), "@observatory_kind", "line")
    words = ("deliver", "tmux", "--socket", tmux.socket, "--json")
    with bus_cli.start(*words) as deliverer, ended(deliverer):
        assert deliverer.stdout is not None
        found = json.loads(deliverer.stdout.readline())
        assert (found["what"], found["agent"]) == ("found", "harold")
        agents = bus_cli("agents", "--json").json["agents"]
        assert [(agent["name"], agent["state"]) for agent in agents] == [("harold", "alive")]
        bus_cli(*words).refused(1, f"another process ({deliverer.pid}) does this already")
        deliverer.send_signal(signal.SIGINT)
        await eventually(lambda: deliverer.poll() is not None)
        assert deliverer.returncode == 130
    events = bus_cli.start("tail", "--json", "--after", "0-0")
    with events, ended(events):
        assert events.stdout is not None
        kinds = {json.loads(events.stdout.readline())["kind"] for _ in range(2)}
    assert kinds == {"session_resumed", "agent_up"}


def test_without_a_bus_or_with_two_sockets_it_says_so(cli: Cli) -> None:
    """Exit codes are those of every verb."""
    cli("deliver", "tmux").refused(3, "no bus is configured")
    cli("deliver", "tmux", "--socket", "a", "--socket-path", "b").refused(2, "not allowed with")
    cli("deliver").refused(2, "say what to do")
