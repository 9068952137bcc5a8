"""What was given to consumers and not acknowledged: pages of it, merged over lanes and groups."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING

from observatory.bus.reads.observe import PARKED
from observatory.bus.reads.paging import Place, Window, checked_id, longest, paged
from observatory.model.agent import agent_of
from observatory.model.filter import Filter
from observatory.model.listing import Hold, PendingRow
from observatory.model.task import SHARED, Lane, Priority
from observatory.model.wire import pairs, read_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link, Reply
    from observatory.model.filter import FieldValue
    from observatory.model.listing import Ask, Page, PendingScope


async def page_of_pending(link: Link, keys: Keys, ask: Ask, scope: PendingScope) -> Page[PendingRow]:
    """Return a piece of what is pending in the streams of *scope*; see `Source.pending`.

    Raises:
        UsageError: The cursor is no place in this list.
        BusError: A stream cannot be read.
    """
    return await paged(ask, partial(_window, link, keys, ask, scope), lambda row: row.key, time="arrived")


async def _window(  # noqa: PLR0917 (the first four are bound once, the last two change from window to window)
    link: Link, keys: Keys, ask: Ask, scope: PendingScope, place: Place, count: int
) -> Window[PendingRow]:
    streams = sorted(scope.streams)
    if not streams:
        return Window((), more=False, total=0)
    cursor = _cursor(place.cursor, streams, upwards=ask.ascending != place.inclusive)
    can = ask.where if isinstance(ask.where, Filter) else None
    read = "".join(str(int(can is None or can.may_match(_known_of(keys, stream)))) for stream in streams)
    where = (*cursor, int(place.inclusive), read)
    args = (longest(ask) if scope.bodies else 0, count, int(ask.ascending), scope.group, scope.consumer, *where)
    total, rows, more = await link.call("pending", args, streams)
    return Window([_row(keys, streams, row, can, scope) for row in rows], bool(more), total)


def _known_of(keys: Keys, stream: str) -> dict[str, FieldValue]:
    """Return what a filter can know of all rows of one lane."""
    lane = keys.lane_of(stream)
    return {"lane": stream} if lane is None else {"lane": stream, "queue": lane.queue, "priority": str(lane.priority)}


def _cursor(cursor: str, streams: Sequence[str], *, upwards: bool) -> tuple[str, float, str]:
    """Take a cursor apart into entry id, place of the stream among *streams*, and group.

    A bare entry id stands behind all rows of that entry if *upwards*, else in front of them.
    """
    if not cursor:
        return "", 0, ""
    entry_id, _, rest = cursor.partition(" ")
    stream, _, group = rest.partition(" ")
    checked_id(entry_id)
    if not stream:
        return entry_id, len(streams) + 1 if upwards else 0, ""
    place = bisect_left(streams, stream)
    there = place < len(streams) and streams[place] == stream
    # Lua counts from 1; a stream that is not asked about any more stands between two that are.
    return entry_id, place + 1 if there else place + 0.5, group


def _row(
    keys: Keys, streams: Sequence[str], row: Reply, can: Filter[PendingRow] | None, scope: PendingScope
) -> PendingRow:
    """Make a row; what the entry says is read only if *can* does not rule the row out by who holds it."""
    place, group, ident, consumer, idle, deliveries, entry = row
    stream, entry_id = streams[place - 1], ident.decode()
    lane = keys.lane_of(stream) or Lane(SHARED, Priority.NORMAL)
    who = _text(consumer)
    hold = Hold(_text(group), who, "" if who == PARKED else agent_of(who), idle, deliveries)
    key = f"{entry_id} {stream} {_text(group)}"
    if entry is None:
        return PendingRow(key, stream, str(lane), entry_id, hold, gone=scope.bodies)
    if can is not None and not can.may_match(_known_of(keys, stream) | _known_of_hold(hold)):
        return PendingRow(key, stream, str(lane), entry_id, hold)
    item = read_entry(lane, entry_id, pairs(entry[3]))
    return PendingRow(key, stream, str(lane), entry_id, hold, task_id=item.id, type=getattr(item, "type", ""))


def _known_of_hold(hold: Hold) -> dict[str, FieldValue]:
    return {
        "agent": hold.agent or None,
        "idle": hold.idle_ms / 1000,
        "deliveries": hold.deliveries,
        "consumer": hold.consumer,
        "group": hold.group,
    }


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
