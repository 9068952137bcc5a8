"""`observatory query` and `observatory diff`: questions about the past, in SQL and between two moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.output import NONE, iso, note, out, out_json, table
from observatory.cli.parser import add_verb
from observatory.cli.past import add_past_flags, on_past, span_of, with_extra
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs
    from observatory.history.source import PastSource

DETAILS = """\
One view, `events`: ts (UTC), id, kind, task, type, lane, agent (the consumer), who (its agent), attempt, reason,
took_ms (of taken: the wait; of completed, retried, dead_lettered: the run), detail.

examples:
  observatory query --list
  observatory query --ready failures
  observatory query "select type, count(*) from events where kind = 'completed' group by all order by 2 desc"
  observatory query --recording incident.obs --ready longest-waits --json
"""


def register(verbs: Verbs) -> None:
    """Add `query` and `diff` to the command line."""
    parser = add_verb(verbs, "query", run_query, summary="ask the past in SQL", details=DETAILS)
    parser.add_argument("sql", nargs="?", default="", metavar="SQL", help="one `select` over the view `events`")
    parser.add_argument("--ready", default="", metavar="NAME", help="a question that is ready")
    parser.add_argument("--list", action="store_true", help="list the questions that are ready")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N", help="give up after so long (30)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_past_flags(parser)

    parser = add_verb(
        verbs, "diff", run_diff, summary="print what changed between two times",
        details="example:\n  observatory diff -10m -1m --recording incident.obs --json",
    )  # fmt: skip
    parser.add_argument("before", metavar="TIME", help="the first: 14:03, -5m before the last event, or a date")
    parser.add_argument("after", metavar="TIME", help="the second")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_past_flags(parser)


def run_query(args: argparse.Namespace) -> int:
    """Answer one question."""
    if not args.list and bool(args.sql) == bool(args.ready):
        raise UsageError("ask one question: SQL, or --ready NAME", "`observatory query --list` shows what is ready")
    if args.seconds <= 0:
        raise UsageError(f"--seconds: {args.seconds:g} is no time")
    with with_extra():
        from observatory.history import sql
    if args.list:
        return _list(args.json)
    question = sql.ready(args.ready).sql if args.ready else args.sql

    async def ask(source: PastSource) -> int:
        answer = await source.ask_sql(question, seconds=args.seconds)
        if args.json:
            out_json([dict(zip(answer.names, map(_plain, row), strict=True)) for row in answer.rows])
        else:
            numbers = [name for at, name in enumerate(answer.names) if all(_is_number(row[at]) for row in answer.rows)]
            for text in table(answer.names, ([_cell(value) for value in row] for row in answer.rows), right=numbers):
                out(text)
        if answer.more:
            note(f"these are the first {len(answer.rows):,} rows; there are more")
        return 0

    return on_past(args, ask)


def _list(as_json: bool) -> int:
    from observatory.history.sql import READY

    if as_json:
        out_json([{"name": one.name, "what": one.what, "sql": " ".join(one.sql.split())} for one in READY])
        return 0
    for text in table(("NAME", "WHAT"), ((one.name, one.what) for one in READY)):
        out(text)
    return 0


def run_diff(args: argparse.Namespace) -> int:
    """Print what changed; 0 whether or not something did."""

    async def compare(source: PastSource) -> int:
        last = source.span[1] if source.span else 0
        one, two = (int(span_of(text, "TIME", last).low) for text in (args.before, args.after))
        changed = await source.difference(one, two)
        if args.json:
            out_json({"before": iso(one), "after": iso(two), "changed": [
                {"group": it.group, "name": it.name, "what": it.what, "before": it.before, "after": it.after}
                for it in changed
            ]})  # fmt: skip
            return 0
        rows = ((it.group, it.name, it.what, _cell(it.before), _cell(it.after)) for it in changed)
        for text in table(("GROUP", "NAME", "WHAT", "BEFORE", "AFTER"), rows):
            out(text)
        if not changed:
            note("nothing that is shown of either is different")
        return 0

    return on_past(args, compare)


def _cell(value: object) -> str:
    return NONE if value is None else line(str(value), 200)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a database holds, and what JSON holds
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, (int, float))
