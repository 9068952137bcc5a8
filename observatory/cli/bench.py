"""`observatory bench`: measure the engine of this machine and this product against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.output import out, out_json
from observatory.cli.parser import add_verb
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs


def register(verbs: Verbs) -> None:
    """Add `bench` to the command line."""
    parser = add_verb(verbs, "bench", run, summary="measure the engine and this product against each other")
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to measure; without it, list what there is")
    parser.add_argument("--json", action="store_true", help="print versions and figures as one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: a rough answer in seconds")


def run(args: argparse.Namespace) -> int:
    """Run one benchmark; 1 if a figure misses what it must reach."""
    from observatory.bench import BENCHMARKS, frame

    if args.name is None:
        for name in BENCHMARKS:
            out(name)
        return 0
    if args.name not in BENCHMARKS:
        raise UsageError(f"there is no benchmark {args.name!r}", f"one of {', '.join(BENCHMARKS)}")
    result = frame.run(args.name, quick=args.quick)
    if args.json:
        out_json(result.as_json())
    else:
        for text in result.as_lines():
            out(text)
    return 0 if result.ok else 1
