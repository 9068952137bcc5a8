"""`observatory tasks`, `task` and `trace`: tasks lately, one task as it stands, and its life as a waterfall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.attach import about, on_bus
from observatory.cli.lanes import entry_document, lanes_of, short
from observatory.cli.listing import add_list_flags, filter_of, limit_of, show_page
from observatory.cli.output import NONE, UNKNOWN, age, clock, iso, note, number, out, out_json, plain, pretty, table
from observatory.cli.parser import add_verb
from observatory.model.errors import ObservatoryError
from observatory.model.text import block, line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.listing import TaskRow
    from observatory.model.trace import Span, Trace

HEAD = ("TASK", "TYPE", "STATE", "LANE", "AGENT", "TRY", "AT", "WHAT")
SPAN_HEAD = ("WHAT", "TRY", "BEGAN", "FOR", "BY", "", "ENDED")

BAR = 24
"""Columns of the picture of a life."""


def register(verbs: Verbs) -> None:
    """Add `tasks`, `task` and `trace` to the command line."""
    tasks = add_verb(
        verbs,
        "tasks",
        run_tasks,
        summary="search the tasks last heard of",
        details="examples:\n  observatory tasks --filter 'type:deploy state:running'\n"
        "  observatory tasks --filter 'agent:pink -state:done' --search 50000",
    )
    add_list_flags(tasks)
    for name, run, summary in (
        ("task", run_task, "print what is known of one task, and its payload"),
        ("trace", run_trace, "print the life of one task: waits, runs, retries, deaths"),
    ):
        parser = add_verb(verbs, name, run, summary=summary)
        parser.add_argument("id", metavar="ID", help="id of the task")
        parser.add_argument("--json", action="store_true", help="print JSON")


def run_tasks(args: argparse.Namespace) -> int:
    """Print the tasks last heard of."""
    from observatory.model.filter.listed import TASKS
    from observatory.model.listing import Ask

    wanted = filter_of(args.filter, TASKS)
    ask = Ask(cursor=args.after, limit=limit_of(args), where=wanted, most=args.search)

    async def look(bus: Bus) -> int:
        from observatory.live.detail import piece_of_tasks

        with about("cannot search for tasks"):
            search = await bus.reads.recent_tasks(most=ask.most, streams=await lanes_of(bus))
        page = piece_of_tasks(search, ask)
        return show_page(
            page,
            name="tasks",
            as_json=task_document if args.json else None,
            head=HEAD,
            row=lambda row: _row(bus, row),
            right=("TRY",),
        )

    return on_bus(args, look)


def run_task(args: argparse.Namespace) -> int:
    """Print one task as it stands."""

    async def look(bus: Bus) -> int:
        trace = await _found(bus, args.id)
        whole = await bus.reads.entry(trace.entry.stream, trace.entry.key) if trace.entry else None
        payload = getattr(whole.item, "payload", None) if whole else trace.letter.payload if trace.letter else None
        if args.json:
            document = trace_document(trace)
            document["payload"] = None if payload is None else plain(payload)
            out_json(document)
            return 0
        for text in _facts(bus, trace):
            out(text)
        if payload is not None:
            out("")
            out(block(pretty(payload)))
        return 0

    return on_bus(args, look)


def run_trace(args: argparse.Namespace) -> int:
    """Print the life of one task."""

    async def look(bus: Bus) -> int:
        trace = await _found(bus, args.id)
        if args.json:
            out_json(trace_document(trace))
            return 0
        out(line(f"{trace.task_id}  {trace.type or UNKNOWN}  {trace.state or UNKNOWN}", 300))
        out("")
        for text in table(SPAN_HEAD, _span_rows(bus, trace), right=("TRY", "FOR")):
            out(text)
        if not trace.complete:
            note(f"its beginning was not found; {trace.searched:,} entries of the log searched")
        return 0

    return on_bus(args, look)


async def _found(bus: Bus, task_id: str) -> Trace:
    with about("cannot search for the task"):
        trace = await bus.reads.trace(task_id, streams=await lanes_of(bus))
    if not trace.found:
        raise ObservatoryError(
            f"nothing is known of the task {task_id!r}; {trace.searched:,} entries searched", "see `observatory tasks`"
        )
    return trace


def task_document(row: TaskRow) -> dict[str, Any]:
    """Return a task as plain data."""
    return {
        "id": row.key,
        "type": row.type,
        "state": row.state,
        "stream": row.stream,
        "agent": row.agent,
        "attempt": row.attempt,
        "at": iso(row.at_ms),
        "what": row.what,
        "reason": row.reason,
        "observed": row.observed,
    }


def trace_document(trace: Trace) -> dict[str, Any]:
    """Return the life of a task as plain data."""
    from observatory.cli.tail import as_json

    return {
        "id": trace.task_id,
        "type": trace.type,
        "state": trace.state,
        "at": iso(trace.at_ms),
        "complete": trace.complete,
        "searched": trace.searched,
        "spans": [
            {
                "what": str(span.kind),
                "from": iso(span.from_ms),
                "to": iso(span.to_ms),
                "attempt": span.attempt,
                "stream": span.stream,
                "consumer": span.consumer,
                "agent": span.agent,
                "outcome": span.outcome,
                "detail": span.detail,
            }
            for span in trace.spans
        ],
        "events": [as_json(event) for event in trace.events],
        "entry": entry_document(trace.entry) if trace.entry else None,
        "dead_letter": trace.letter.entry_id if trace.letter else None,
    }


def _facts(bus: Bus, trace: Trace) -> Iterator[str]:
    entry, letter, record = trace.entry, trace.letter, trace.record
    place = f"{short(bus, entry.stream)} {entry.key}" if entry else f"dead letter {letter.entry_id}" if letter else NONE
    holders = ", ".join(f"{hold.agent} for {age(hold.idle_ms / 1000)}" for hold in entry.holds) if entry else ""
    attempt = record.attempt if record else trace.spans[-1].attempt if trace.spans else None
    facts = (
        ("id", trace.task_id),
        ("type", trace.type or UNKNOWN),
        ("state", str(trace.state or UNKNOWN)),
        ("stands in", place),
        ("held by", holders or NONE),
        ("attempt", number(attempt)),
        ("first seen", iso(trace.spans[0].from_ms) or UNKNOWN if trace.spans else UNKNOWN),
        ("error", letter.error if letter else NONE),
    )
    yield from (f"{name:<12}{line(value, 1000)}" for name, value in facts)


def _span_rows(bus: Bus, trace: Trace) -> Iterator[tuple[str, ...]]:
    if not trace.spans:
        return
    start = trace.spans[0].from_ms
    end = max([trace.at_ms if span.lasts else span.to_ms or span.from_ms for span in trace.spans] + [start + 1])
    for span in trace.spans:
        until = trace.at_ms if span.lasts else span.to_ms
        yield (
            str(span.kind),
            number(span.attempt),
            clock(span.from_ms),
            UNKNOWN if until is None else age(max(until - span.from_ms, 0) / 1000),
            span.agent or short(bus, span.stream) or NONE,
            _bar(span, start, end, until),
            " ".join(filter(None, (span.outcome or "now", span.detail))),
        )


def _bar(span: Span, start: int, end: int, until: int | None) -> str:
    """Draw where in the whole life a stretch lies, in characters that every terminal has."""
    scale = BAR / (end - start)
    first = min(int((span.from_ms - start) * scale), BAR - 1)
    last = first if until is None else min(int((until - start) * scale), BAR - 1)
    return " " * first + "=" * max(last - first, 1)


def _row(bus: Bus, row: TaskRow) -> tuple[str, ...]:
    return (
        row.key,
        row.type or UNKNOWN,
        str(row.state or UNKNOWN),
        short(bus, row.stream) or NONE,
        row.agent or NONE,
        number(row.attempt),
        clock(row.at_ms)[:8],
        row.what,
    )
