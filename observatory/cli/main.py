"""The `observatory` command: finds the verb, runs it, and turns whatever happened into an exit code.

This is the one place that words an error for the terminal. A verb raises; it never prints a failure or exits.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from observatory import __version__
from observatory.cli import (
    acl,
    agents,
    alerts,
    app,
    audit,
    bench,
    change,
    check,
    config,
    deliver,
    demo,
    dlq,
    doctor,
    engine,
    gateway,
    jobs,
    keys,
    lanes,
    metrics,
    migrate,
    pending,
    places,
    query,
    record,
    recordings,
    send,
    snapshot,
    status,
    tail,
    tasks,
    themes,
    web,
)
from observatory.cli.output import ReaderGone, abandon, finish
from observatory.cli.parser import Help, Parser, add_global_flags
from observatory.model.errors import ObservatoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it: 128 + SIGINT."""

VERBS = (
    *(demo, status, lanes, pending, agents, tasks, tail, dlq, send, gateway, deliver, migrate),
    *(change, places, jobs),
    *(record, recordings, query),
    *(alerts, check, snapshot, metrics, doctor, audit, engine, acl, themes, keys, config, web, bench),
)
"""Modules that each register a verb, in the order of the help page."""

DETAILS = """\
Without a verb it opens the full-screen app on the configured bus; with none configured, on an embedded engine
that keeps its data between runs.

exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 bus unreachable, 130 interrupted
data goes to stdout, everything else to stderr
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: Words after the program's name; those of the process when None.
    """
    _never_fail_on_encoding()
    code = _run(argv)
    abandon()
    return code


def build_parser() -> Parser:
    """Make the parser of the whole command line."""
    parser = Parser(
        prog="observatory",
        description="Watch and steer a swarm of agents on a Redis Streams or Valkey bus.",
        epilog=DETAILS,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"observatory {__version__}")
    parser.set_defaults(run=app.run)
    add_global_flags(parser, theme=True)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    for verb in VERBS:
        verb.register(verbs)
    return parser


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = build_parser().parse_args(argv)
        code = int(args.run(args))
        finish()
    except ReaderGone:
        return 0  # It has what it wanted, as in `tail | head`.
    except SystemExit as ended:
        return int(ended.code or 0)  # --help and --version
    except ObservatoryError as error:
        return _explain(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return _explain(_reported(error))
    return code


def _reported(error: Exception) -> ObservatoryError:
    """Write a report of an unforeseen *error* and return the error that a person should read."""
    from observatory.settings.crash import write_report

    kind = type(error).__name__
    try:
        path = write_report(error)
    except OSError as trouble:
        return ObservatoryError(f"unexpected {kind}", f"no report could be written: {trouble.strerror or trouble}")
    return ObservatoryError(f"unexpected {kind}, a defect of Observatory", f"what happened is described in {path}")


def _explain(error: ObservatoryError) -> int:
    from observatory.model.text import line

    print(f"observatory: {line(error.problem, 1000)}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {line(error.hint, 1000)}", file=sys.stderr)
    return error.exit_code


def _never_fail_on_encoding() -> None:
    """A terminal that cannot show a character gets its escape, not an exception."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
