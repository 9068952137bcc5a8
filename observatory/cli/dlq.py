"""`observatory dlq`: look at dead letters and put them back to work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.cli.attach import about, on_bus
from observatory.cli.listing import add_list_flags, filter_of, limit_of, show_page
from observatory.cli.output import NONE, UNKNOWN, age, clock, iso, note, number, out, out_json, plain, pretty, table
from observatory.cli.parser import add_group, add_verb
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.text import block, line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.cause import Cause, KeyPart
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.listing import Ask
    from observatory.model.plan import Plan, Report, SkippedItem

READ = 500
"""Dead letters that are read at once."""

CAUSE_HEAD = ("COUNT", "REQUEUED", "FIRST, LAST", "TYPES", "AGENTS", "CAUSE", "ERROR")

HEAD = ("ID", "DIED", "REASON", "TYPE", "TASK", "TRIES", "ERROR")

_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}(@\d{1,6})?")


def register(verbs: Verbs) -> None:
    """Add `dlq` and its own verbs to the command line."""
    verbs = add_group(verbs, "dlq", summary="list, show and requeue dead letters")

    listing = add_verb(
        verbs,
        "ls",
        run_list,
        summary="list dead letters, newest first, or their root causes",
        details="examples:\n  observatory dlq ls --filter 'type:deploy error~timeout died>-1h'\n"
        "  observatory dlq ls --group-by cause",
    )
    add_list_flags(listing)
    listing.add_argument(
        "--group-by",
        metavar="KEY",
        default="",
        help="count by root cause: `cause`, or parts between commas: class, message, type, reason, lane, agent",
    )

    show = add_verb(verbs, "show", run_show, summary="print everything about one dead letter")
    show.add_argument("id", metavar="ID", help="as `dlq ls` shows it")

    requeue = add_verb(
        verbs,
        "requeue",
        run_requeue,
        summary="put dead letters back into the lanes they came from",
        details="Prints the plan and stops; with --yes it then does exactly what the plan says.",
    )
    requeue.add_argument("ids", nargs="+", metavar="ID", help="as `dlq ls` shows it")
    requeue.add_argument("--yes", action="store_true", help="execute the plan")

    for verb in (show, requeue):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run_list(args: argparse.Namespace) -> int:
    """Print a page of dead letters, or their causes."""
    from observatory.model.filter.rows import DEAD_LETTERS
    from observatory.model.listing import Ask

    wanted = filter_of(args.filter, DEAD_LETTERS)
    limit = limit_of(args)
    _check(*([args.after] if args.after else []))
    key = _key_of(args.group_by)

    async def show(bus: Bus) -> int:
        if key:
            return await _show_causes(bus, key, Ask(args.after, limit=READ, where=wanted, most=READ), args)
        with about(f"cannot read {bus.keys.dead_letters}"):
            page = await bus.reads.dead_letters(Ask(args.after, limit=limit, where=wanted, most=args.search))
        return show_page(
            page,
            name="dead letters",
            as_json=_as_json if args.json else None,
            head=HEAD,
            row=_row,
            right=("TRIES",),
        )

    return on_bus(args, show)


def _key_of(text: str) -> tuple[KeyPart, ...]:
    """Read `--group-by`; nothing where it is not given.

    Raises:
        UsageError: A part of it is none.
    """
    if not text:
        return ()
    from observatory.model.cause import DEFAULT_KEY, KeyPart

    if text == "cause":
        return DEFAULT_KEY
    parts = text.split(",")
    for part in parts:
        if part not in set(KeyPart):
            raise UsageError(f"--group-by: {part!r} is no part of a cause", f"cause, or any of {', '.join(KeyPart)}")
    return tuple(dict.fromkeys(map(KeyPart, parts)))


async def _show_causes(bus: Bus, key: tuple[KeyPart, ...], ask: Ask, args: argparse.Namespace) -> int:
    from dataclasses import replace

    from observatory.model.cause import Causes

    causes = Causes(key)
    read = 0
    while True:
        with about(f"cannot read {bus.keys.dead_letters}"):
            page = await bus.reads.dead_letters(replace(ask, most=min(READ, args.search - read)))
        causes.add(page.items)
        read += len(page.items) if page.searched is None else page.searched
        if page.after is None or read >= args.search:
            break
        ask = replace(ask, cursor=page.after)
    found = causes.table()
    rows = found.causes[: args.limit]
    if args.json:
        out_json({"counted": found.counted, "searched": read, "causes": [_cause_json(cause) for cause in rows]})
        return 0
    for text in table(CAUSE_HEAD, map(_cause_row, rows), right=CAUSE_HEAD[:2]) if rows else ["no dead letters"]:
        out(text)
    rest = f", {len(found.causes) - len(rows):,} more causes" if len(found.causes) > len(rows) else ""
    older = "; older ones were not read" if page.after is not None else ""
    note(f"{found.counted:,} dead letters of {len(found.causes):,} causes{rest}; {read:,} searched{older}")
    return 0


def _cause_row(cause: Cause) -> tuple[str, ...]:
    agents = ", ".join(name for name, _ in cause.agents[:3]) or NONE
    span = f"{clock(cause.first_ms)[:8]} {clock(cause.last_ms)[:8]}"
    kinds = ", ".join(name or UNKNOWN for name, _ in cause.types[:3])
    return (number(cause.count), number(cause.requeued), span, kinds, agents, cause.id, cause.title)


def _cause_json(cause: Cause) -> dict[str, object]:
    return {
        "id": cause.id,
        "key": {str(part): value for part, value in cause.key},
        "count": cause.count,
        "first_at": iso(cause.first_ms),
        "last_at": iso(cause.last_ms),
        "trend": list(cause.trend),
        "agents": dict(cause.agents),
        "types": dict(cause.types),
        "requeued": cause.requeued,
        "sample": cause.sample,
        "error": cause.error,
    }


def run_show(args: argparse.Namespace) -> int:
    """Print one dead letter with all its fields and its payload."""
    _check(args.id)

    async def show(bus: Bus) -> int:
        with about(f"cannot read {bus.keys.dead_letters}"):
            dead = await bus.dead_letter(args.id)
        if dead is None:
            raise ObservatoryError(f"there is no dead letter {args.id}", "see `observatory dlq ls`")
        if args.json:
            out_json(_as_json(dead))
        else:
            for text in _details(dead):
                out(text)
        return 0

    return on_bus(args, show)


def run_requeue(args: argparse.Namespace) -> int:
    """Plan a requeue, print the plan, and execute it when told to."""
    _check(*args.ids)

    async def requeue(bus: Bus) -> int:
        from observatory.actions import BusActions
        from observatory.model.plan import RequeueDeadLetters

        actions = BusActions(bus)
        with about(f"cannot read {bus.keys.dead_letters}"):
            plan = await actions.plan(RequeueDeadLetters(tuple(args.ids)))
        if not args.json:
            for text in _plan_lines(plan):
                out(text)
        with about("cannot requeue", unsure="some may be back in their lanes, see `observatory tail`"):
            report = await actions.execute(plan) if args.yes and plan.items else None
        if args.json:
            out_json({"plan": _plan_json(plan), "report": None if report is None else _report_json(report)})
        elif report is not None:
            for text in _report_lines(report):
                out(text)
        if not args.yes and plan.items:
            note("nothing has been changed; add --yes to do this")
        complete = len(plan.items if report is None else report.done) == len(plan.items) > 0 == len(plan.skipped)
        return 0 if complete else 1

    return on_bus(args, requeue, writes=args.yes)


def _check(*ids: str) -> None:
    for entry_id in ids:
        if not _ENTRY_ID.fullmatch(entry_id):
            raise UsageError(f"{entry_id!r} is not the id of a dead letter", "ids look like 1770000000000-0")


def _row(dead: DeadLetter) -> tuple[str, ...]:
    return (
        dead.entry_id,
        (iso(dead.died_ms) or UNKNOWN)[:19],
        dead.reason,
        dead.type or UNKNOWN,
        dead.task_id or UNKNOWN,
        number(dead.attempts),
        dead.error or NONE,
    )


def _as_json(dead: DeadLetter) -> dict[str, object]:
    return {
        "id": dead.entry_id,
        "task": dead.task_id,
        "type": dead.type,
        "reason": dead.reason,
        "error": dead.error,
        "attempts": dead.attempts,
        "source": dead.source,
        "source_id": dead.source_id,
        "worker": dead.worker,
        "died_at": iso(dead.died_ms),
        "first_seen": iso(dead.first_seen_ms),
        "requeues": dead.requeues,
        "payload": plain(dead.payload),
        "fields": [[plain(name), plain(value)] for name, value in dead.fields],
    }


def _details(dead: DeadLetter) -> Iterator[str]:
    lived = None if dead.first_seen_ms is None else (dead.died_ms - dead.first_seen_ms) / 1000
    facts = (
        ("id", dead.entry_id),
        ("task", dead.task_id or UNKNOWN),
        ("type", dead.type or UNKNOWN),
        ("reason", dead.reason),
        ("error", dead.error or NONE),
        ("attempts", number(dead.attempts)),
        ("requeued", number(dead.requeues)),
        ("came from", f"{dead.source or UNKNOWN} {dead.source_id}"),
        ("given up by", dead.worker or NONE),
        ("died", f"{iso(dead.died_ms) or UNKNOWN}, {age(lived, none=UNKNOWN)} after it arrived"),
    )
    yield from (f"{name:<12}{line(value, 1000)}" for name, value in facts)
    shown = {b"payload", b"data", b"body"}
    for name, value in dead.fields:
        if name not in shown:
            yield f"  {line(name, 60)}: {line(value)}"
    yield ""
    yield block(pretty(dead.payload))


def _plan_lines(plan: Plan) -> Iterator[str]:
    yield line(f"plan: {plan.summary}")
    yield from (line(f"  {item.id}  {item.label}  {item.source} → {item.target}") for item in plan.items)
    yield from _skipped_lines(plan.skipped)


def _report_lines(report: Report) -> Iterator[str]:
    yield line(f"done: {report.summary}")
    yield from (line(f"  {done} → {entry}") for done, entry in zip(report.done, report.entries, strict=False))
    yield from _skipped_lines(report.skipped)


def _skipped_lines(skipped: Sequence[SkippedItem]) -> Iterator[str]:
    yield from (line(f"  {item.id}  skipped: {item.why}") for item in skipped)


def _plan_json(plan: Plan) -> dict[str, object]:
    return {
        "id": plan.id,
        "verb": plan.verb,
        "items": [
            {"id": item.id, "source": item.source, "target": item.target, "label": item.label} for item in plan.items
        ],
        "skipped": _skipped_json(plan.skipped),
    }


def _report_json(report: Report) -> dict[str, object]:
    return {"done": list(report.done), "entries": list(report.entries), "skipped": _skipped_json(report.skipped)}


def _skipped_json(skipped: Sequence[SkippedItem]) -> list[dict[str, str]]:
    return [{"id": item.id, "why": item.why} for item in skipped]
