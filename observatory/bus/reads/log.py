"""Reading the event log: pages back in time, and following its end."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from observatory.bus.keys import day_of, shifted
from observatory.bus.reads.paging import Place, Window, paged
from observatory.model.agent import agent_of
from observatory.model.errors import UsageError
from observatory.model.event import Event, event_entry, event_id, event_order
from observatory.model.listing import Page
from observatory.model.task import EntryId
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.model.listing import Ask

_PAGE = 500

DAYS_KEPT = 14
"""Days of events that stay in the engine; the scripts let a day expire after it."""

_POLL_MS = 1000
_SEPARATOR = "\x1f"
_PARTS = ("task", "type", "lane", "agent", "attempt", "reason", "ms", "detail")
"""What a run of facts says, in the order in which `written` in common.lua writes it."""

_LIST_SEPARATOR = "\x1e"


def read_events(entry_id: bytes, flat: Sequence[bytes]) -> list[Event]:
    """Read one entry of the log: all facts of one call of a script, in the order in which they happened.

    A foreign agent may add a fact in plain fields (`kind`, `task`, `agent` …). What is missing or not a number is
    left at its default.
    """
    ident = entry_id.decode()
    said = [(name.decode("utf-8", "replace"), value) for name, value in pairs(flat)]
    plain = dict(said)
    ts = _integer(plain.get("ts")) or EntryId.parse(ident).ms
    if "kind" in plain:
        values = {name: plain.get(name, b"").decode("utf-8", "surrogateescape") for name in _PARTS}
        return [_event(ident, plain["kind"].decode("utf-8", "replace"), ts, values)]
    facts = [
        (kind, one)
        for kind, value in said
        if kind != "ts"
        for one in _facts_of_run(value.decode("utf-8", "surrogateescape"))
    ]
    return [_event(event_id(ident, place), kind, ts, one) for place, (kind, one) in enumerate(facts)]


def _facts_of_run(value: str) -> Iterator[dict[str, str]]:
    """Take apart a run: its facts differ in the task and in the time that it took."""
    shared = dict(zip(_PARTS, value.split(_SEPARATOR, len(_PARTS) - 1), strict=False))
    tasks, times = (shared.get(name, "").split(_LIST_SEPARATOR) for name in ("task", "ms"))
    for task, ms in zip_longest(tasks, times[: len(tasks)], fillvalue=""):
        yield shared | {"task": task, "ms": ms}


async def page_of_events(link: Link, keys: Keys, *, after: str | None, limit: int) -> Page[Event]:
    """Return facts, newest first, below the id *after*, across days."""
    if after is not None:
        _check_id(after)
    now = await link.command("TIME")
    today = day_of(int(now[0]) * 1000)
    # An id can run ahead of the clock after a jump, so a page never starts later than today.
    day = min(day_of(event_order(after)[0]), today) if after else today
    oldest = shifted(today, -DAYS_KEPT)
    found: list[Event] = []
    end = event_entry(after) if after else "+"
    while len(found) < limit and day > oldest:
        rows = await link.command("XREVRANGE", keys.events(day), end, "-", "COUNT", min(limit, _PAGE))
        for ident, flat in rows:
            found += [event for event in reversed(read_events(ident, flat)) if not after or _below(event, after)]
            end = f"({ident.decode()}"
        if len(rows) < min(limit, _PAGE):
            day = shifted(day, -1)
    page = tuple(found[:limit])
    return Page(page, page[-1].id if len(found) >= limit else None, None)


async def piece_of_events(link: Link, keys: Keys, ask: Ask) -> Page[Event]:
    """Return a piece of the log, newest first, forwards only; see `Source.events`.

    Raises:
        UsageError: *ask* wants another order.
    """
    if ask.backwards or not ask.newest_first:
        raise UsageError("the event log is read newest first")

    async def window(place: Place, count: int) -> Window[Event]:
        page = await page_of_events(link, keys, after=place.cursor or None, limit=count)
        return Window(page.items, page.after is not None, None)

    return await paged(ask, window, lambda event: event.id)


def concerns(keys: Keys, agent: str) -> Callable[[Event], bool]:
    """Return the test for facts of one agent: what it did, and what happened in its own queue or mailbox.

    A view, not a stream of its own: one entry of the log holds the facts of a whole call, so that every call of a
    script would have to write once more for each agent it speaks of, for a list that is looked at now and then.

    Args:
        keys: Key names of the partition that holds its mailbox; its queue has lanes in all of them.
        agent: Name of the agent, or of one of its consumers, whose own deeds are meant then.
    """
    queue, mailbox = f"@{agent}", keys.mailbox(agent)

    def test(event: Event) -> bool:
        if agent in {event.agent, agent_of(event.agent)} or event.lane == mailbox:
            return True
        return queue in event.lane and (lane := keys.lane_of(event.lane)) is not None and lane.queue == queue

    return test


async def follow(
    link: Link, keys: Keys, after: str | None, where: Callable[[Event], bool] | None = None
) -> AsyncIterator[Event]:
    """Yield facts behind the id *after* (default: those from now on), oldest first, across days, for ever.

    With *where*, only those that pass it.

    Losing the engine only pauses it: it goes on at the id it had reached.

    Raises:
        BusError: The log cannot be read at all; `BusUnreachableError` when the engine stays away.
    """
    if after is not None:
        _check_id(after)
    now = await link.command("TIME")
    today = day_of(int(now[0]) * 1000)
    if after:
        # The entry of *after* is read once more, for the facts in it that come later.
        rest = await link.command(
            "XRANGE", keys.events(day_of(event_order(after)[0])), event_entry(after), event_entry(after)
        )
        for event in (event for ident, flat in rest for event in read_events(ident, flat)):
            if event_order(event.id) > event_order(after) and (where is None or where(event)):
                yield event
    last = event_entry(after) if after else await _newest(link, keys, today) or f"{int(now[0]) * 1000}-0"
    day = max(min(day_of(EntryId.parse(last).ms), today), shifted(today, -DAYS_KEPT))
    reader = link.client(timeout_s=_POLL_MS / 1000 + 3)
    try:
        while True:
            # A closed day can never receive a late write: there is nothing to wait for.
            wait = ("BLOCK", _POLL_MS) if day >= today else ()
            read = partial(reader.execute_command, "XREAD", "COUNT", 500, *wait, "STREAMS")
            rows = await link.attempt(partial(read, keys.events(day), last))
            for ident, flat in rows[0][1] if rows else ():
                last = ident.decode()
                for event in read_events(ident, flat):
                    if where is None or where(event):
                        yield event
            if not rows and day < today:
                day = shifted(day, 1)
            elif not rows:
                now = await link.command("TIME")
                today = day_of(int(now[0]) * 1000)
    finally:
        await reader.aclose()


async def _newest(link: Link, keys: Keys, day: str) -> str | None:
    rows = await link.command("XREVRANGE", keys.events(day), "+", "-", "COUNT", 1)
    return rows[0][0].decode() if rows else None


def _event(ident: str, kind: str, ts_ms: int, said: Mapping[str, str]) -> Event:
    return Event(
        id=ident,
        kind=kind,
        ts_ms=ts_ms,
        task=said.get("task", ""),
        type=said.get("type", ""),
        lane=said.get("lane", ""),
        agent=said.get("agent", ""),
        attempt=_integer(said.get("attempt")) or 0,
        reason=said.get("reason", ""),
        ms=_integer(said.get("ms")),
        detail=said.get("detail", ""),
    )


def _check_id(ident: str) -> None:
    try:
        event_order(ident)
    except ValueError:
        raise UsageError(f"{line(ident, 64)!r} is not the id of an event", "for example 1770378300000-0") from None


def _below(event: Event, after: str) -> bool:
    return event_order(event.id) < event_order(after)


def _integer(value: str | bytes | None) -> int | None:
    try:
        return int(value) if value else None
    except ValueError:
        return None
