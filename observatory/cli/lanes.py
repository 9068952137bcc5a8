"""`observatory lanes`, `groups` and `entries`: where work waits, who reads it, and what stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.attach import about, on_bus
from observatory.cli.listing import add_list_flags, filter_of, kept, limit_of, show_page
from observatory.cli.output import NONE, UNKNOWN, age, clock, iso, number, out, out_json, plain, rate, table
from observatory.cli.parser import add_verb
from observatory.cli.status import RATES_S, add_rates_flag, lane_name, settle_of
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.listing import EntryRow, GroupRow
    from observatory.model.snapshot import LaneView

LANE_HEAD = ("LANE", "BACKLOG", "LAG", "PENDING", "WAITS", "UNACKED", "IN/S", "OUT/S", "EMPTY IN", "STATE")
GROUP_HEAD = ("LANE", "GROUP", "LAG", "PENDING", "CONSUMERS", "WAITS", "UNACKED")
CONSUMER_HEAD = ("LANE", "GROUP", "CONSUMER", "PENDING", "IDLE")
ENTRY_HEAD = ("ENTRY", "AT", "STATE", "TYPE", "TASK", "HELD BY")

LANE_HELP = "`high`, `coding:high`, or the key of the stream"


def register(verbs: Verbs) -> None:
    """Add `lanes`, `groups` and `entries` to the command line."""
    lanes = add_verb(
        verbs,
        "lanes",
        run_lanes,
        summary="list lanes with backlog, lag, ages, rates and the time until they are empty",
        details="examples:\n  observatory lanes --filter 'backlog>0 waiting>5m'\n  observatory lanes --more 3",
    )
    add_list_flags(lanes, paged=False, limited=False)
    add_rates_flag(lanes)
    lanes.add_argument(
        "--more", type=int, default=0, metavar="N", help="the time until they are empty if N agents more helped"
    )

    groups = add_verb(verbs, "groups", run_groups, summary="list the groups that read lanes, or their consumers")
    groups.add_argument("lane", nargs="?", default="", metavar="LANE", help=LANE_HELP)
    groups.add_argument("--consumers", action="store_true", help="list consumers")
    add_list_flags(groups, paged=False, limited=False)

    entries = add_verb(
        verbs,
        "entries",
        run_entries,
        summary="list what stands in a lane, the delayed work, the dead letters or a mailbox",
        details="examples:\n  observatory entries high --filter 'state:held idle>5m'\n  observatory entries delayed",
    )
    entries.add_argument(
        "lane", metavar="LANE", help=f"{LANE_HELP}; or delayed, dlq, broadcasts, mailbox:AGENT, journal:NAME"
    )
    entries.add_argument("--oldest", action="store_true", help="oldest first, or of delayed work what is due first")
    add_list_flags(entries)


def run_lanes(args: argparse.Namespace) -> int:
    """Take a snapshot and print its lanes."""
    from observatory.model.filter.rows import LANES

    wanted = filter_of(args.filter, LANES)
    settle_s = settle_of(args, RATES_S)
    if not 0 <= args.more <= 10_000:
        raise UsageError(f"--more: {args.more} is not a number of agents", "for example --more 3")

    async def look(bus: Bus) -> int:
        from observatory.live import snapshot_document, take_snapshot

        snapshot = await take_snapshot(bus, settle_s=settle_s)
        lanes = kept(snapshot.lanes, wanted)
        if args.json:
            streams = {lane.stream for lane in lanes}
            documents = [lane for lane in snapshot_document(snapshot)["lanes"] if lane["stream"] in streams]
            out_json({"at": iso(snapshot.at_ms), "lanes": documents})
            return 0
        rows = [_lane_row(lane, args.more) for lane in lanes]
        for text in table(LANE_HEAD, rows, right=LANE_HEAD[1:9]) if rows else ["no lanes that match"]:
            out(text)
        return 0

    return on_bus(args, look)


def run_groups(args: argparse.Namespace) -> int:
    """Print the groups of one lane or of all, or their consumers."""
    from observatory.model.filter.listed import CONSUMERS, GROUPS

    groups_wanted = None if args.consumers else filter_of(args.filter, GROUPS)
    consumers_wanted = filter_of(args.filter, CONSUMERS) if args.consumers else None

    async def look(bus: Bus) -> int:
        streams = (stream_of(bus, args.lane),) if args.lane else await lanes_of(bus)
        found: list[tuple[str, GroupRow]] = []
        for stream in streams:
            with about(f"cannot read {stream}"):
                found += [(stream, group) for group in kept(await bus.reads.groups(stream), groups_wanted)]
        now = await server_ms(bus)
        if args.json:
            documents = (group_document(stream, group, consumers_wanted) for stream, group in found)
            out_json({"at": iso(now), "groups": list(documents)})
            return 0
        rows: list[tuple[str, ...]]
        if args.consumers:
            rows = [
                (short(bus, stream), group.view.name, one.name, number(one.pending), age(one.idle_ms / 1000))
                for stream, group in found
                for one in kept(group.consumers, consumers_wanted)
            ]
            lines = table(CONSUMER_HEAD, rows, right=CONSUMER_HEAD[3:])
        else:
            rows = [_group_row(short(bus, stream), group, now) for stream, group in found]
            lines = table(GROUP_HEAD, rows, right=GROUP_HEAD[2:])
        for text in lines if rows else ["no consumers" if args.consumers else "no groups"]:
            out(text)
        return 0

    return on_bus(args, look)


def run_entries(args: argparse.Namespace) -> int:
    """Print a page of one stream."""
    from observatory.model.filter.listed import ENTRIES
    from observatory.model.listing import Ask

    wanted = filter_of(args.filter, ENTRIES)
    ask = Ask(
        cursor=args.after,
        limit=limit_of(args),
        newest_first=not args.oldest,
        where=wanted,
        most=args.search,
    )

    async def look(bus: Bus) -> int:
        stream = stream_of(bus, args.lane)
        with about(f"cannot read {stream}"):
            page = await bus.reads.entries(stream, ask)
        return show_page(
            page,
            name="entries",
            as_json=entry_document if args.json else None,
            head=ENTRY_HEAD,
            row=_entry_row,
        )

    return on_bus(args, look)


def stream_of(bus: Bus, name: str) -> str:
    """Return the key of the stream that a person calls *name*.

    Raises:
        UsageError: There can be no such stream.
    """
    from observatory.model.task import SHARED, Lane, Priority, is_queue_name

    known = {"delayed": bus.keys.delayed, "dlq": bus.keys.dead_letters, "broadcasts": bus.keys.broadcasts}
    if name in known:
        return known[name]
    head, _, agent = name.partition(":")
    if head == "mailbox" and is_queue_name(agent):
        return bus.keys.mailbox(agent)
    if head == "journal":
        return bus.journal(agent).stream
    if bus.keys.lane_of(name) is not None:
        return name
    queue, _, priority = name.rpartition(":")
    if priority in set(Priority) and is_queue_name(queue or SHARED):
        return bus.keys.lane(Lane(queue or SHARED, Priority(priority)))
    raise UsageError(f"{name!r} is no lane", "for example high, coding:high or @pink:critical")


async def lanes_of(bus: Bus) -> tuple[str, ...]:
    """Return the keys of all lanes there are, those of foreign queues included."""
    return tuple(reading.stream for reading in (await bus.observe()).lanes)


async def server_ms(bus: Bus) -> int:
    """Return the server's time, in ms since the epoch."""
    seconds, micros = await bus.connection.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def short(bus: Bus, stream: str) -> str:
    """Return the lane of *stream* as people call it; the key itself if it is none."""
    lane = bus.keys.lane_of(stream)
    return stream if lane is None else str(lane)


def group_document(stream: str, group: GroupRow, consumers: Any = None) -> dict[str, Any]:  # noqa: ANN401 - a filter
    """Return a group as plain data, with the consumers that match."""
    return {
        "stream": stream,
        "name": group.view.name,
        "lag": group.view.lag,
        "pending": group.view.pending,
        "last_delivered": group.view.last_delivered,
        "oldest_pending_at": iso(group.oldest_pending_ms),
        "next_waiting_at": iso(group.next_waiting_ms),
        "consumers": [
            {"name": one.name, "agent": one.agent, "pending": one.pending, "idle_s": one.idle_ms / 1000}
            for one in kept(group.consumers, consumers)
        ],
    }


def entry_document(row: EntryRow) -> dict[str, Any]:
    """Return an entry as plain data."""
    return {
        "id": row.key,
        "stream": row.stream,
        "at": iso(row.at_ms),
        "state": str(row.state),
        "task": row.task_id,
        "type": row.type,
        "problem": row.problem,
        "holds": [
            {
                "group": hold.group,
                "consumer": hold.consumer,
                "agent": hold.agent,
                "idle_s": hold.idle_ms / 1000,
                "deliveries": hold.deliveries,
            }
            for hold in row.holds
        ],
        "waits_for": list(row.waits_for),
        "size": row.size,
        "cut": row.cut,
        "fields": [[plain(name), plain(value)] for name, value in row.item.fields],
    }


def _lane_row(lane: LaneView, more: int) -> tuple[str, ...]:
    if lane.problem:
        return (lane_name(lane), *(UNKNOWN,) * 8, f"{lane.state}: {lane.problem}")
    return (
        lane_name(lane),
        number(lane.backlog),
        number(lane.lag) if lane.groups else NONE,
        number(lane.pending),
        age(lane.oldest_waiting_s),
        age(lane.oldest_pending_s),
        rate(lane.in_rate),
        rate(lane.out_rate),
        age(lane.drain_eta_with(more), none=NONE if lane.backlog == 0 else UNKNOWN),
        str(lane.state),
    )


def _group_row(lane: str, group: GroupRow, now_ms: int) -> tuple[str, ...]:
    ages = (
        NONE if since is None else age(max(now_ms - since, 0) / 1000)
        for since in (group.next_waiting_ms, group.oldest_pending_ms)
    )
    view = group.view
    return (lane, view.name, number(view.lag), number(view.pending), number(view.consumers), *ages)


def _entry_row(row: EntryRow) -> tuple[str, ...]:
    holders = ", ".join(f"{hold.agent} {age(hold.idle_ms / 1000)}" for hold in row.holds)
    waits = f"waits for {', '.join(row.waits_for)}" if row.waits_for and row.holds else ""
    return (
        row.key,
        clock(row.at_ms)[:8],
        str(row.state),
        row.type or row.problem or UNKNOWN,
        row.task_id or UNKNOWN,
        "; ".join(filter(None, (holders, waits))) or NONE,
    )
