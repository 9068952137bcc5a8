"""`observatory tail`: follow the event log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.cli.attach import about, on_bus
from observatory.cli.listing import filter_of
from observatory.cli.output import clock, iso, note, out, out_json
from observatory.cli.parser import add_verb
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.event import Event
    from observatory.model.filter import Filter
    from observatory.model.listing import Page

BEFORE = 10
"""Events that are printed from before the start when nothing says where to begin."""

_ENTRY_ID = re.compile(r"\d{1,20}(-\d{1,20})?")


def register(verbs: Verbs) -> None:
    """Add `tail` to the command line."""
    parser = add_verb(
        verbs,
        "tail",
        run,
        summary="follow the event log until interrupted",
        details="examples:\n  observatory tail --kind retried --kind dead_lettered\n  observatory tail --agent pink",
    )
    parser.add_argument("--after", metavar="ID", help=f"begin after this event (default: the last {BEFORE} first)")
    parser.add_argument(
        "--kind", action="append", default=[], metavar="KIND", help="only this kind; may be given more than once"
    )
    parser.add_argument(
        "--agent", default="", metavar="NAME", help="only what this agent does, or what happens in its queue or mailbox"
    )
    parser.add_argument("--filter", default="", metavar="FILTER", help="only events that match; `type:deploy took>30s`")
    parser.add_argument("--json", action="store_true", help="print one JSON object per event and line")


def run(args: argparse.Namespace) -> int:
    """Print events as they happen."""
    kinds = frozenset(args.kind)
    _check(args.after, kinds)
    wanted = _filter(args.filter)

    async def follow(bus: Bus) -> int:
        from observatory.model.event import event_order

        def show(event: Event) -> None:
            if (kinds and event.kind not in kinds) or (wanted is not None and not wanted.matches(event)):
                return
            if args.json:
                out_json(as_json(event), lines=True)
            else:
                out(as_line(event), flush=True)

        after = args.after
        if after is None:
            with about("cannot read the event log"):
                newest = (await bus.events(limit=1)).items
                page = await bus.events(limit=BEFORE, agent=args.agent)
            for event in reversed(page.items):
                show(event)
            after = max((event.id for event in (*newest, *page.items)), key=event_order, default=None)
            if not page.items:
                note(_nothing(args.agent, page))
        with about("cannot follow the event log"):
            async for event in bus.tail(after=after, agent=args.agent):
                show(event)
        return 0

    return on_bus(args, follow)


def as_json(event: Event) -> dict[str, object]:
    """Return *event* as plain data."""
    return {
        "id": event.id,
        "at": iso(event.ts_ms),
        "kind": event.kind,
        "task": event.task,
        "type": event.type,
        "lane": event.lane,
        "agent": event.agent,
        "attempt": event.attempt,
        "reason": event.reason,
        "ms": event.ms,
        "detail": event.detail,
    }


def as_line(event: Event) -> str:
    """Return *event* as one printable line for people."""
    parts = (
        f"{clock(event.ts_ms)}  {line(event.kind, 20):<13}",
        event.type,
        event.task,
        event.lane,
        event.agent,
        f"attempt {event.attempt}" if event.attempt > 1 else "",
        event.reason,
        "" if event.ms is None else f"{event.ms} ms",
        event.detail,
    )
    return "  ".join(line(part) for part in parts if part)


def _filter(text: str) -> Filter[Event] | None:
    from observatory.model.filter.rows import EVENTS

    return filter_of(text, EVENTS)


def _nothing(agent: str, page: Page[Event]) -> str:
    if page.after is not None:
        return f"nothing of {line(agent, 64)} among the newest {page.searched:,} events; waiting for what comes"
    return f"no events {f'of {line(agent, 64)} ' if agent else ''}yet; waiting for the first"


def _check(after: str | None, kinds: frozenset[str]) -> None:
    from observatory.model.event import EventKind

    for kind in sorted(kinds - set(EventKind)):
        raise UsageError(f"--kind: there is no kind {kind!r}", f"one of {', '.join(EventKind)}")
    if after is not None and not _ENTRY_ID.fullmatch(after):
        raise UsageError(f"--after: {after!r} is not the id of an event", "ids look like 1770000000000-0")
