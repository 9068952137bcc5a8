"""`observatory pending`: who holds what, since when, how often delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.attach import about, on_bus
from observatory.cli.lanes import LANE_HELP, lanes_of, stream_of
from observatory.cli.listing import add_list_flags, filter_of, limit_of, show_page
from observatory.cli.output import NONE, UNKNOWN, age, iso, number
from observatory.cli.parser import add_verb

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.listing import PendingRow

HEAD = ("LANE", "ENTRY", "AGENT", "IDLE", "TRIES", "TYPE", "TASK")

DETAILS = """\
Work that was given to a consumer and not acknowledged, over all lanes, the oldest first.

examples:
  observatory pending --filter 'idle>5m deliveries>3'
  observatory pending --lane coding:high --newest --limit 10
"""


def register(verbs: Verbs) -> None:
    """Add `pending` to the command line."""
    parser = add_verb(verbs, "pending", run, summary="list what agents hold and have not acknowledged", details=DETAILS)
    parser.add_argument("--lane", default="", metavar="LANE", help=f"only this lane: {LANE_HELP}")
    parser.add_argument("--group", default="", metavar="NAME", help="only this group")
    parser.add_argument("--consumer", default="", metavar="NAME", help="only this consumer, by its full name")
    parser.add_argument("--newest", action="store_true", help="newest first")
    add_list_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print a page of pending entries."""
    from observatory.model.filter.listed import PENDING
    from observatory.model.listing import Ask, PendingScope

    wanted = filter_of(args.filter, PENDING)
    ask = Ask(
        cursor=args.after,
        limit=limit_of(args),
        newest_first=args.newest,
        where=wanted,
        most=args.search,
    )

    async def look(bus: Bus) -> int:
        streams = (stream_of(bus, args.lane),) if args.lane else await lanes_of(bus)
        with about("cannot read what is pending"):
            page = await bus.reads.pending(ask, PendingScope(streams, args.group, args.consumer))
        return show_page(
            page,
            name="pending entries",
            as_json=as_document if args.json else None,
            head=HEAD,
            row=_row,
            right=("IDLE", "TRIES"),
        )

    return on_bus(args, look)


def as_document(row: PendingRow) -> dict[str, Any]:
    """Return a pending entry as plain data."""
    return {
        "stream": row.stream,
        "entry": row.entry_id,
        "group": row.hold.group,
        "consumer": row.hold.consumer,
        "agent": row.hold.agent,
        "idle_s": row.hold.idle_ms / 1000,
        "deliveries": row.hold.deliveries,
        "arrived_at": iso(row.arrived_ms),
        "task": row.task_id,
        "type": row.type,
        "gone": row.gone,
    }


def _row(row: PendingRow) -> tuple[str, ...]:
    return (
        row.lane,
        row.entry_id,
        row.hold.agent or NONE,
        age(row.hold.idle_ms / 1000),
        number(row.hold.deliveries),
        row.type or UNKNOWN,
        "its body was deleted" if row.gone else row.task_id or UNKNOWN,
    )
