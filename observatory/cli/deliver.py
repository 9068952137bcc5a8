"""`observatory deliver tmux`: the messages of agents in terminals, typed into their panes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import bus_url, on_bus, settings_for
from observatory.cli.output import note, out, out_json
from observatory.cli.parser import add_group, add_verb
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.edge.tmux.carrier import Told

DETAILS = """\
An agent is found by an option of its pane, window or session, which may name its kind as well:
  tmux set -p @observatory_agent pink
  tmux set -p @observatory_kind line
or by the name of its session, if the [tmux] table of the settings file says which. Kinds of agents stand there, too.
Runs until it is interrupted.

examples:
  observatory deliver tmux
  observatory deliver tmux --socket work --json >> delivered.jsonl
"""


def register(verbs: Verbs) -> None:
    """Add `deliver` to the command line."""
    group = add_group(verbs, "deliver", summary="bring messages to agents that cannot read the bus")
    parser = add_verb(group, "tmux", run, summary="type the messages of agents into their tmux panes", details=DETAILS)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", default="", metavar="NAME", help="name of the tmux server, as in tmux -L (default)")
    where.add_argument("--socket-path", default="", metavar="PATH", help="path of its socket, as in tmux -S")
    parser.add_argument("--json", action="store_true", help="print one JSON object per event and line")


def run(args: argparse.Namespace) -> int:
    """Deliver until interrupted."""
    from importlib.util import find_spec

    if find_spec("libtmux") is None:
        raise UsageError("delivery into tmux needs libtmux", "pip install 'observatory[tmux]'")
    from observatory.edge.sole import sole
    from observatory.edge.tmux.deliverer import Deliverer
    from observatory.edge.tmux.panes import Panes
    from observatory.model.terminal import TerminalSettings
    from observatory.settings import state_dir

    _speak_utf8()
    settings = settings_for(args)
    panes = Panes(args.socket, path=args.socket_path)

    def tell(told: Told) -> None:
        _show(told, as_json=args.json)

    async def deliver(bus: Bus) -> int:
        note(f"delivering from {bus.url} to the agents of tmux {panes.place}")
        await Deliverer(bus, panes, settings.terminals or TerminalSettings(), tell).run()
        return 0

    with sole(state_dir() / "locks", "delivery into tmux", panes.place, bus_url(settings), settings.prefix):
        return on_bus(args, deliver, writes=True)


def _speak_utf8() -> None:
    """Let tmux speak UTF-8 to us whatever the locale: else every prompt beyond ASCII would read as underscores."""
    import os

    spoken = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    if "UTF" not in spoken.upper():
        os.environ["LC_ALL"] = "C.UTF-8"


def _show(told: Told, *, as_json: bool) -> None:
    from dataclasses import asdict

    from observatory.cli.output import clock, iso
    from observatory.model.clock import SystemClock

    now_ms = SystemClock().now_ms()
    if as_json:
        out_json({"at": iso(now_ms), **asdict(told)}, lines=True)
        return
    words = (clock(now_ms)[:8], f"{told.what:<9}", told.agent, told.pane, told.message, told.detail)
    out(line("  ".join(word for word in words if word), 300), flush=True)
