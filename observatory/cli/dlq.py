"""`observatory dlq`: look at dead letters and put them back to work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.cli.attach import about, on_bus, operator
from observatory.cli.change import add_requeue
from observatory.cli.listing import add_list_flags, filter_of, limit_of, show_page
from observatory.cli.output import NONE, UNKNOWN, age, clock, iso, note, number, out, out_json, plain, pretty, table
from observatory.cli.parser import add_group, add_verb
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.text import block, line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.cause import Cause, CauseNote, KeyPart
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.listing import Ask

READ = 500
"""Dead letters that are read at once."""

CAUSE_HEAD = ("COUNT", "REQUEUED", "FIRST, LAST", "TYPES", "AGENTS", "CAUSE", "ERROR")

HEAD = ("ID", "DIED", "REASON", "TYPE", "TASK", "TRIES", "ERROR")

_CAUSE_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{8}")
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

    noting = add_verb(verbs, "note", run_note, summary="note what colleagues should know about a root cause")
    noting.add_argument("cause", metavar="CAUSE", help="its id, as `dlq ls --group-by cause` shows it")
    noting.add_argument("text", metavar="TEXT", help="the note; '' takes it away")

    add_requeue(verbs)
    show.add_argument("--json", action="store_true", help="print JSON")


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
    from observatory.model.cause import read_key

    try:
        return read_key(text)
    except ValueError as error:
        raise UsageError(f"--group-by: {error}") from None


async def _show_causes(bus: Bus, key: tuple[KeyPart, ...], ask: Ask, args: argparse.Namespace) -> int:
    from dataclasses import replace

    from observatory.bus.talk.notes import CauseNotes
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
    with about(f"cannot read {bus.keys.notes}"):
        notes = await CauseNotes(bus.partitions).read()
    if args.json:
        out_json(
            {
                "counted": found.counted,
                "searched": read,
                "causes": [_cause_json(cause, notes.get(cause.id)) for cause in rows],
            }
        )
        return 0
    lines = [_cause_row(cause, notes.get(cause.id)) for cause in rows]
    for text in table(CAUSE_HEAD, lines, right=CAUSE_HEAD[:2]) if rows else ["no dead letters"]:
        out(text)
    rest = f", {len(found.causes) - len(rows):,} more causes" if len(found.causes) > len(rows) else ""
    older = "; older ones were not read" if page.after is not None else ""
    note(f"{found.counted:,} dead letters of {len(found.causes):,} causes{rest}; {read:,} searched{older}")
    return 0


def _cause_row(cause: Cause, note: CauseNote | None) -> tuple[str, ...]:
    agents = ", ".join(name for name, _ in cause.agents[:3]) or NONE
    span = f"{clock(cause.first_ms)[:8]} {clock(cause.last_ms)[:8]}"
    kinds = ", ".join(name or UNKNOWN for name, _ in cause.types[:3])
    said = f"{cause.title}  [note: {note.text} ({note.by})]" if note is not None else cause.title
    return (number(cause.count), number(cause.requeued), span, kinds, agents, cause.id, said)


def _cause_json(cause: Cause, note: CauseNote | None) -> dict[str, object]:
    return {
        "note": None if note is None else {"text": note.text, "by": note.by, "at": iso(note.at_ms)},
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


def run_note(args: argparse.Namespace) -> int:
    """Keep a note about a cause."""
    if not _CAUSE_ID.fullmatch(args.cause):
        raise UsageError(
            f"{line(args.cause, 40)!r} is no id of a cause", "`observatory dlq ls --group-by cause` shows them"
        )

    async def write(bus: Bus) -> int:
        from observatory.bus.talk.notes import CauseNotes

        with about(f"cannot write {bus.keys.notes}"):
            await CauseNotes(bus.partitions).write(args.cause, args.text, operator())
        note(f"{'noted' if args.text.strip() else 'nothing is noted'} about {args.cause}")
        return 0

    return on_bus(args, write, writes=True)


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
