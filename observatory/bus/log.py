"""Reading the event log: pages back in time, and following its end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from observatory.bus.keys import day_of, shifted
from observatory.model.event import Event
from observatory.model.protocols import Page
from observatory.model.task import EntryId
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.link import Link

DAYS_KEPT = 14
"""Days of events that stay in the engine; the scripts let a day expire after it."""

_POLL_MS = 1000
_TEXT_FIELDS = ("kind", "task", "type", "lane", "agent", "reason", "detail")


def read_event(entry_id: bytes, flat: Sequence[bytes]) -> Event:
    """Read one entry of the log; a field that is missing or not a number is left at its default."""
    said = {name.decode("utf-8", "replace"): value for name, value in pairs(flat)}
    words = {name: said.get(name, b"").decode("utf-8", "surrogateescape") for name in _TEXT_FIELDS}
    ms, attempt, ts = (_integer(said.get(name)) for name in ("ms", "attempt", "ts"))
    ident = entry_id.decode()
    return Event(id=ident, ts_ms=ts or EntryId.parse(ident).ms, attempt=attempt or 0, ms=ms, **words)


async def page_of_events(link: Link, keys: Keys, *, after: str | None, limit: int) -> Page[Event]:
    """Return facts, newest first, below the id *after*, across days."""
    now = await link.command("TIME")
    today = day_of(int(now[0]) * 1000)
    day = day_of(EntryId.parse(after).ms) if after else today
    # An id can run ahead of the clock after a jump, so a page never starts later than today.
    day, oldest = min(day, today), shifted(today, -DAYS_KEPT)
    found: list[Event] = []
    end = f"({after}" if after else "+"
    while len(found) < limit and day > oldest:
        rows = await link.command("XREVRANGE", keys.events(day), end, "-", "COUNT", limit - len(found))
        found += [read_event(ident, flat) for ident, flat in rows]
        day = shifted(day, -1)
    return Page(tuple(found), found[-1].id if len(found) == limit else None, None)


async def follow(link: Link, keys: Keys, after: str | None) -> AsyncIterator[Event]:
    """Yield facts behind the id *after* (default: those from now on), oldest first, across days, for ever.

    Losing the engine only pauses it: it goes on at the id it had reached.

    Raises:
        BusError: The log cannot be read at all; `BusUnreachableError` when the engine stays away.
    """
    now = await link.command("TIME")
    today = day_of(int(now[0]) * 1000)
    last = after or await _newest(link, keys, today) or f"{int(now[0]) * 1000}-0"
    day = max(min(day_of(EntryId.parse(last).ms), today), shifted(today, -DAYS_KEPT))
    reader = link.client(timeout_s=_POLL_MS / 1000 + 3)
    try:
        while True:
            read = partial(reader.execute_command, "XREAD", "COUNT", 500, "BLOCK", _POLL_MS, "STREAMS")
            rows = await link.attempt(partial(read, keys.events(day), last))
            for ident, flat in rows[0][1] if rows else ():
                event = read_event(ident, flat)
                last = event.id
                yield event
            if not rows:
                now = await link.command("TIME")
                # A closed day can never receive a late write, so an empty read of it means that it is done.
                if day < day_of(int(now[0]) * 1000):
                    day = shifted(day, 1)
    finally:
        await reader.aclose()


async def _newest(link: Link, keys: Keys, day: str) -> str | None:
    rows = await link.command("XREVRANGE", keys.events(day), "+", "-", "COUNT", 1)
    return rows[0][0].decode() if rows else None


def _integer(value: bytes | None) -> int | None:
    try:
        return int(value) if value else None
    except ValueError:
        return None
