"""Any stream of the bus entry by entry, in pages, with who holds what; and what waits for its time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from observatory.bus.reads.observe import PARKED
from observatory.bus.reads.paging import Place, Window, checked_id, longest, paged
from observatory.model.agent import agent_of
from observatory.model.errors import UsageError
from observatory.model.listing import EntryRow, EntryState, Hold
from observatory.model.message import Broadcast, Message
from observatory.model.task import DelayedTask, EntryId
from observatory.model.text import line
from observatory.model.wire import pairs, read_dead_letter, read_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link, Reply
    from observatory.model.listing import Ask, Item, Page
    from observatory.model.wire import Fields

WHOLE = 1 << 30
"""Longest value of an entry that is asked for by itself, in bytes: all that an engine takes."""


async def page_of_entries(link: Link, keys: Keys, stream: str, ask: Ask) -> Page[EntryRow]:
    """Return a piece of what stands in *stream*; see `Source.entries`.

    Raises:
        UsageError: *stream* is none of the bus's, or the cursor no place in it.
        BusError: It cannot be read.
    """
    if stream == keys.delayed:
        return await paged(ask, partial(_delayed, link, keys, ask), _key, time="at")
    return await paged(ask, partial(read_window, link, keys, stream, ask, longest=longest(ask)), _key, time="at")


async def one_entry(link: Link, keys: Keys, stream: str, key: str) -> EntryRow | None:
    """Return the entry *key* of *stream*, all of it; None if it is gone."""
    if stream == keys.delayed:
        _, rows, _ = await link.call("delayed", (WHOLE, *_cursor_of_delayed(key), 1, 1, 1))
        found = [_delayed_row(stream, row) for row in rows]
    else:
        checked_id(key)
        *_, groups, rows, _ = await link.call("window", (WHOLE, key, key, 1, 1), [stream])
        found = [_row(keys, stream, _groups(groups), row) for row in rows]
    return found[0] if found and found[0].key == key else None


async def read_window(  # noqa: PLR0917 (the first four are bound once, the last two change from window to window)
    link: Link, keys: Keys, stream: str, ask: Ask, place: Place, count: int, *, longest: int
) -> Window[EntryRow]:
    """Read at most *count* entries of *stream* from *place* on, in the direction of *ask*; longer values are cut."""
    bound = ("" if place.inclusive else "(") + checked_id(place.cursor) if place.cursor else ""
    first, last = (bound or "-", "+") if ask.ascending else ("-", bound or "+")
    args = (longest, first, last, count, int(ask.ascending))
    length, _oldest, _newest, groups, rows, more = await link.call("window", args, [stream])
    given = _groups(groups)
    return Window([_row(keys, stream, given, row) for row in rows], bool(more), length)


def _groups(rows: Reply) -> list[tuple[str, EntryId]]:
    """Names of the groups and the last entry that each was given."""
    return [(_text(name), EntryId.parse(last)) for name, last in rows]


def _row(keys: Keys, stream: str, groups: list[tuple[str, EntryId]], row: Reply) -> EntryRow:
    ident, size, cut, flat, held = row
    key = ident.decode()
    place = EntryId.parse(key)
    fields = pairs(flat)
    given = list(zip(*(iter(held),) * 4, strict=True))
    holds = tuple(
        Hold(groups[at - 1][0], _text(consumer), agent_of(_text(consumer)), idle, deliveries)
        for at, consumer, idle, deliveries in given
        if _text(consumer) != PARKED
    )
    # What is parked was delivered before its turn and waits as if it had not been.
    parked = {groups[at - 1][0] for at, consumer, *_ in given if _text(consumer) == PARKED}
    waits_for = tuple(name for name, last in groups if last < place or name in parked)
    state = EntryState.SETTLED
    if stream in {keys.dead_letters, keys.trash}:
        state = EntryState.DEAD
    elif waits_for or not groups:
        state = EntryState.WAITING
    elif holds:
        state = EntryState.HELD
    item = _reader(keys, stream)(key, fields)
    return EntryRow(key, stream, place.ms, item, state, holds, waits_for, size, bool(cut))


def _reader(keys: Keys, stream: str) -> Callable[[str, Fields], Item]:
    """Return what reads the entries of *stream*."""
    if (lane := keys.lane_of(stream)) is not None:
        return partial(read_entry, lane)
    if stream in {keys.dead_letters, keys.trash}:
        return read_dead_letter
    if stream == keys.broadcasts or stream.startswith(keys.journal("")):
        return Broadcast.read
    if stream.startswith(keys.mailbox("")):
        return partial(Message.read, stream.removeprefix(keys.mailbox("")))
    raise UsageError(f"{line(stream, 100)!r} is no lane, mailbox or other list of this bus")


async def _delayed(link: Link, keys: Keys, ask: Ask, place: Place, count: int) -> Window[EntryRow]:
    cursor = _cursor_of_delayed(place.cursor) if place.cursor else ("", "")
    args = (longest(ask), *cursor, int(place.inclusive), count, int(ask.ascending))
    total, rows, more = await link.call("delayed", args)
    return Window([_delayed_row(keys.delayed, row) for row in rows], bool(more), total)


def _cursor_of_delayed(cursor: str) -> tuple[str, str]:
    """Take a cursor apart into due time and member; a bare time, as `at_time` makes it, stands behind all members."""
    due, _, member = cursor.partition(" ")
    return str(EntryId.parse(checked_id(due)).ms), member or "\udcff"


def _delayed_row(stream: str, row: Reply) -> EntryRow:
    member, due, ident, kind, lane, attempt, (_, size, cut, flat) = row
    due_ms = int(float(due))
    item = DelayedTask(
        id=_text(ident),
        type=_text(kind),
        stream=_text(lane),
        due_ms=due_ms,
        attempt=int(float(attempt)) if attempt else 1,
        fields=pairs(flat),
    )
    return EntryRow(f"{due_ms} {_text(member)}", stream, due_ms, item, EntryState.DELAYED, size=size, cut=bool(cut))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _key(row: EntryRow) -> str:
    return row.key
