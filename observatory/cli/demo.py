"""`observatory demo`: a simulated swarm with real incidents on an engine of its own, on screen or headless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.app import check_theme, open_screen
from observatory.cli.attach import settings_for
from observatory.cli.output import out, out_json
from observatory.cli.parser import add_verb
from observatory.cli.terminal import require_terminal
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs
    from observatory.demo import DemoOptions

DETAILS = """\
The engine listens on a private socket, and its data is gone when the demo ends; nothing of yours is touched.

examples:
  observatory demo --agents 30 --rate 60
  observatory demo --incidents crash,cut
  observatory demo --headless --seconds 20 --seed 7 --json
"""


def register(verbs: Verbs) -> None:
    """Add `demo` to the command line."""
    parser = add_verb(
        verbs, "demo", run, summary="watch a simulated swarm on an engine of its own", details=DETAILS, theme=True
    )
    parser.add_argument("--seed", type=int, metavar="N", help="decides who does what and which incident comes when (7)")
    parser.add_argument("--agents", type=int, metavar="N", help="how many agents there are (8)")
    parser.add_argument("--rate", type=float, metavar="N", help="tasks per second that the swarm publishes (12)")
    parser.add_argument(
        "--incidents", metavar="NAMES", help="all (default), none, or some of crash,bad-deploy,cut,flood,silent"
    )
    parser.add_argument("--headless", action="store_true", help="no screen: run, balance the books, print them")
    parser.add_argument("--seconds", type=float, metavar="N", help="how long to run headless (20)")
    parser.add_argument("--json", action="store_true", help="print the books as one JSON object (with --headless)")


def run(args: argparse.Namespace) -> int:
    """Run the demo; headless, 1 means that the books do not balance."""
    settings = settings_for(args)
    options = _options(args)
    if args.headless:
        return _headless(options, as_json=args.json)
    for flag in ("seconds", "json"):
        if getattr(args, flag):
            raise UsageError(f"--{flag} has a meaning only with --headless", "add --headless")
    check_theme(settings)
    require_terminal("observatory demo --headless")

    import dataclasses

    from observatory.demo.swarm import Demo
    from observatory.settings import Settings

    with Demo(options) as demo:
        return open_screen(args, demo.url, dataclasses.replace(settings, prefix=Settings.prefix), context="demo")


def _options(args: argparse.Namespace) -> DemoOptions:
    from observatory.demo.options import DemoOptions, parse_incidents

    names = ("seed", "agents", "rate", "seconds")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.incidents is not None:
        given["incidents"] = parse_incidents(args.incidents)
    return DemoOptions(**given)


def _headless(options: DemoOptions, *, as_json: bool) -> int:
    from observatory.demo.swarm import run_headless

    books = run_headless(options)
    if as_json:
        out_json(books)
    else:
        for name, value in books.items():
            out(line(f"{name:<16}{'; '.join(value) if isinstance(value, list) else value}", 1000))
    return int(any(books[name] for name in ("lost", "duplicated", "problems")))
