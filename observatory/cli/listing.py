"""What all verbs that list something have in common: their flags, their filter, and how far they looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from observatory.cli.output import note, out, out_json, table
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from observatory.cli.parser import Parser
    from observatory.model.filter import FieldSet, Filter
    from observatory.model.listing import Page

    Document = dict[str, Any]

R = TypeVar("R")

LIMIT = 50
"""Rows that are printed where nothing says how many."""

MOST_ROWS = 100_000
"""Rows that may be asked for."""

MOST_SEARCHED = 10_000
"""Rows that are looked at for a filter where nothing says how many."""


def add_list_flags(parser: Parser, *, paged: bool = True, limited: bool = True) -> None:
    """Add `--filter`, `--json` and, as far as they mean something, `--limit`, `--after` and `--search`.

    Args:
        parser: The parser of the verb.
        paged: The list is long and is read in pages.
        limited: It may be too long to be printed whole.
    """
    parser.add_argument("--filter", default="", metavar="FILTER", help="only rows that match; `idle>5m type:deploy`")
    parser.add_argument("--json", action="store_true", help="print JSON")
    if limited:
        parser.add_argument("--limit", type=int, default=LIMIT, metavar="N", help=f"at most this many ({LIMIT})")
    if paged:
        parser.add_argument("--after", default="", metavar="CURSOR", help="go on where the page before ended")
        parser.add_argument(
            "--search",
            type=int,
            default=MOST_SEARCHED,
            metavar="N",
            help=f"look at this many rows for a filter ({MOST_SEARCHED})",
        )


def limit_of(args: argparse.Namespace) -> int:
    """Return how many rows are wanted.

    Raises:
        UsageError: No number of rows.
    """
    for flag, value in (("--limit", args.limit), ("--search", getattr(args, "search", 1))):
        if not 1 <= value <= MOST_ROWS:
            raise UsageError(f"{flag}: {value} is not a number of rows", f"from 1 to {MOST_ROWS:,}")
    limit: int = args.limit
    return limit


def filter_of(text: str, fields: FieldSet[R]) -> Filter[R] | None:
    """Compile `--filter`; None where none is given.

    Raises:
        FilterError: It cannot be taken; names the column.
    """
    if not text.strip():
        return None
    from datetime import datetime

    from observatory.model.clock import SystemClock
    from observatory.model.filter import Filter

    zone = datetime.now().astimezone().tzinfo
    assert zone is not None  # noqa: S101 (astimezone gives one)
    return Filter(text, fields, now_ms=SystemClock().now_ms(), zone=zone)


def kept(rows: Iterable[R], wanted: Filter[R] | None) -> list[R]:
    """Return the rows that match."""
    return [row for row in rows if wanted is None or wanted.matches(row)]


def show_page(
    page: Page[R],
    *,
    name: str,
    as_json: Callable[[R], Document] | None,
    head: Sequence[str],
    row: Callable[[R], Sequence[str]],
    right: Sequence[str] = (),
) -> int:
    """Print a page as a table, or as JSON where *as_json* is given, and return the exit code.

    Args:
        page: What to print.
        name: What the rows are called, in the plural.
        as_json: A row as plain data; None for a table.
        head: Column names.
        row: Cells of a row.
        right: Names of the columns that are aligned to the right.
    """
    if as_json is not None:
        document = {"total": page.total, "after": page.after, "searched": page.searched}
        out_json(document | {name.replace(" ", "_"): [as_json(item) for item in page.items]})
        return 0
    if page.items:
        for text in table(head, map(row, page.items), right=right):
            out(text)
    else:
        out(f"no {name}" if page.searched is None else f"no {name} that match")
    note_rest(page, name)
    return 0


def note_rest(page: Page[Any], name: str) -> None:
    """Say on stderr how much of a list was printed and searched, and how to go on."""
    parts = []
    if page.searched is not None:
        parts.append(f"{page.searched:,} searched")
    if page.after is not None and page.items:
        total = "" if page.total is None else f" of {page.total:,}"
        parts.append(f"{len(page.items):,}{total} {name}")
    if page.after is not None:
        parts.append(f"go on with --after '{page.after}'")
    if parts:
        note("; ".join(parts))
