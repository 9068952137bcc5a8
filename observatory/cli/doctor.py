"""`observatory doctor`: what endangers the work on this bus, worst first, and the fix for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import on_bus
from observatory.cli.output import out, out_json, table
from observatory.cli.parser import add_verb
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.health import Finding

DETAILS = """\
crit endangers work now, warn under circumstances, ? could not be read with the rights of the user in the URL.
CONFIG SET holds until the server restarts; CONFIG REWRITE writes it into the server's own file.

exit codes: 0 nothing critical, 1 something is, 2 usage or configuration, 3 bus unreachable
"""

WIDTH = 80
"""Characters of a line that says how to mend something, where no word is longer."""


def register(verbs: Verbs) -> None:
    """Add `doctor` to the command line."""
    parser = add_verb(verbs, "doctor", run, summary="name what endangers the work on this bus", details=DETAILS)
    parser.add_argument(
        "--ha",
        action="store_true",
        default=None,
        help="a replica is to take over from a dead primary (found out by itself with Sentinel and Cluster)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Examine the engine and the keys, and print what was found."""

    async def look(bus: Bus) -> int:
        from observatory.model.health import Severity

        found = await bus.doctor(ha=args.ha)
        ill = any(finding.severity is Severity.CRIT for finding in found)
        if args.json:
            out_json({"url": bus.url, "ok": not ill, "findings": [finding_document(finding) for finding in found]})
        else:
            for text in as_text(found):
                out(text)
        return int(ill)

    return on_bus(args, look)


def as_text(found: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines that a person reads: a table, worst first, each fix below what it mends, and the sum."""
    import textwrap

    from observatory.model.health import Severity

    order = list(Severity)
    ranked = sorted(found, key=lambda finding: -order.index(finding.severity))
    words = {Severity.UNKNOWN: "?"}
    head, *rows = table(
        ("STATE", "CHECK", "FOUND"),
        [(words.get(one.severity, str(one.severity)), one.name, one.what) for one in ranked],
    )
    yield head
    margin = " " * head.index("FOUND")
    for finding, row in zip(ranked, rows, strict=True):
        yield row
        if finding.fix:
            yield from textwrap.wrap(
                f"fix: {line(finding.fix, 200)}",
                WIDTH,
                initial_indent=margin,
                subsequent_indent=f"{margin}  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    yield ""
    yield ", ".join(f"{sum(one.severity is severity for one in found)} {severity}" for severity in reversed(order))


def finding_document(finding: Finding) -> dict[str, str]:
    """Return a finding as plain data."""
    return {"name": finding.name, "severity": finding.severity, "what": finding.what, "fix": finding.fix}
