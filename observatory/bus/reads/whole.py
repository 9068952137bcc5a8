"""`WholeReads`: the long lists of a bus of several partitions as if it had one.

Each page is made of a page of every partition, read at once. Ids name their partition (`<ms>-<seq>@<number>`), so
that a key says for every partition where to go on. A bus of one partition is read as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from observatory.bus.care.nodes import examine_bus
from observatory.bus.partitions import gathered
from observatory.bus.reads import letters
from observatory.bus.reads.paging import checked_id
from observatory.bus.reads.reads import Reads
from observatory.bus.reads.tasks import TaskSearch
from observatory.model.errors import UsageError
from observatory.model.event import event_order
from observatory.model.listing import GroupRow, Page, PendingScope
from observatory.model.task import EntryId
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.partitions import Partition, Partitions
    from observatory.model.clock import Clock
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.engine import EngineReport
    from observatory.model.event import Event
    from observatory.model.listing import Ask, ConsumerRow, EntryRow, Mailbox, PendingRow
    from observatory.model.task import Lane
    from observatory.model.trace import Trace

LAST_SEQ = 2**64 - 1
"""The highest sequence of an entry id."""

Row = TypeVar("Row")
Order = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class WholeReads:
    """Lists of one bus. Each page is one round trip a partition, all at once.

    Every method raises what its namesake in `Reads` does.

    Attributes:
        partitions: The parts of the bus.
        clock: The local clock, to hold against the engine's.
    """

    partitions: Partitions
    clock: Clock

    async def entries(self, stream: str, ask: Ask) -> Page[EntryRow]:
        """Return a piece of a lane, the dead letters or the delayed work of all partitions, or of one mailbox.

        A lane may be named by its key in any partition.
        """
        if (only := self._only) is not None:
            return await only.entries(stream, ask)
        named = self.partitions.of_stream(stream)
        delayed = stream == named.keys.delayed

        async def read(part: Partition) -> Page[EntryRow]:
            found = await _reads(part).entries(
                _in(part, named, stream), ask if delayed else replace(ask, **_entry_place(ask, part))
            )
            return _mapped(
                found, lambda row: replace(row, key=_qualified(row.key, part)), lambda key: _qualified(key, part)
            )

        if delayed:
            ask = replace(ask, cursor=ask.cursor.rpartition("@")[0] or ask.cursor)
        return await _merged(self._parts(named, stream), read, ask, _key, _delayed_order if delayed else EntryId.parse)

    async def entry(self, stream: str, key: str) -> EntryRow | None:
        """Return one entry with all its values in full; None if it is gone."""
        if (only := self._only) is not None:
            return await only.entry(stream, key)
        named = self.partitions.of_stream(stream)
        plain, at, number = key.rpartition("@")
        part = self.partitions.numbered(int(number)) if at and number.isdigit() else named
        if part is None:
            return None
        found = await _reads(part).entry(_in(part, named, stream), plain if at else key)
        return None if found is None else replace(found, key=_qualified(found.key, part))

    async def pending(self, ask: Ask, scope: PendingScope | None = None) -> Page[PendingRow]:
        """Return a piece of what is pending; without streams in *scope*, of the lanes that the bus client knows."""
        if (only := self._only) is not None:
            return await only.pending(ask, scope)
        meant = scope or PendingScope()
        lanes = [
            lane for stream in meant.streams or await self.lanes() if (lane := self._keys.lane_of(stream)) is not None
        ]

        async def read(part: Partition) -> Page[PendingRow]:
            return await _reads(part).pending(ask, replace(meant, streams=tuple(map(part.keys.lane, lanes))))

        return await _merged(self.partitions, read, ask, _key, _pending_order)

    async def groups(self, stream: str) -> tuple[GroupRow, ...]:
        """Return the groups of a lane by name, over all partitions, with their consumers."""
        if (only := self._only) is not None:
            return await only.groups(stream)
        named = self.partitions.of_stream(stream)
        found = await gathered(_reads(part).groups(_in(part, named, stream)) for part in self.partitions)
        by_name: dict[str, list[GroupRow]] = {}
        for group in (group for groups in found for group in groups):
            by_name.setdefault(group.view.name, []).append(group)
        return tuple(_group(by_name[name]) for name in sorted(by_name))

    async def dead_letters(self, ask: Ask, *, trash: bool = False) -> Page[DeadLetter]:
        """Return a piece of the dead letters, or of the *trash*."""
        if (only := self._only) is not None:
            return await only.dead_letters(ask, trash=trash)

        async def read(part: Partition) -> Page[DeadLetter]:
            page = await _reads(part).dead_letters(replace(ask, **_entry_place(ask, part)), trash=trash)
            return _mapped(
                page,
                lambda row: replace(row, entry_id=_qualified(row.entry_id, part)),
                lambda key: _qualified(key, part),
            )

        return await _merged(self.partitions, read, ask, lambda letter: letter.entry_id, EntryId.parse)

    async def dead_letter(self, ident: str) -> DeadLetter | None:
        """Return the dead letter *ident*, or None if it is gone."""
        at = EntryId.parse(checked_id(ident))
        if (part := self._numbered(at)) is None:
            return None
        found = await letters.one_letter(part.link, part.keys, at.plain)
        return None if found is None else replace(found, entry_id=_qualified(found.entry_id, part))

    async def events(self, ask: Ask) -> Page[Event]:
        """Return a piece of the event log, newest first, forwards only."""
        if (only := self._only) is not None:
            return await only.events(ask)

        async def read(part: Partition) -> Page[Event]:
            place = fact_below(ask.cursor, part) if ask.cursor else ""
            page = await _reads(part).events(replace(ask, cursor=place))
            return _mapped(page, lambda event: told(event, part), lambda key: _qualified(key, part))

        return await _merged(self.partitions, read, ask, lambda event: event.id, event_order)

    async def recent_tasks(self, *, most: int, streams: tuple[str, ...] = ()) -> TaskSearch:
        """Return the tasks last heard of; without *streams*, entries are looked at in the lanes that the bus knows."""
        if (only := self._only) is not None:
            return await only.recent_tasks(most=most, streams=streams)
        lanes = await self._lanes_of(streams)
        each = max(most // len(self.partitions), 1)
        found = await gathered(
            _reads(part).recent_tasks(most=each, streams=tuple(map(part.keys.lane, lanes))) for part in self.partitions
        )
        rows = sorted((row for search in found for row in search.rows), key=lambda row: row.at_ms, reverse=True)
        return TaskSearch(
            tuple(rows),
            sum(search.searched for search in found),
            all(search.whole for search in found),
            tuple(words for search in found for words in search.broken),
        )

    async def trace(self, task_id: str, *, streams: tuple[str, ...] = ()) -> Trace:
        """Return the life of one task; without *streams*, entries are looked for in the lanes that the bus knows."""
        if (only := self._only) is not None:
            return await only.trace(task_id, streams=streams)
        lanes = await self._lanes_of(streams)
        first, *others = self.partitions.nearest_first(task_id)
        found = await _reads(first).trace(task_id, streams=tuple(map(first.keys.lane, lanes)))
        if found.found:
            return found
        traces = await gathered(
            _reads(part).trace(task_id, streams=tuple(map(part.keys.lane, lanes))) for part in others
        )
        return next((trace for trace in traces if trace.found), found)

    async def mailbox(self, agent: str) -> Mailbox | None:
        """Return how full the mailbox of *agent* is; None if there is none."""
        return await _reads(self.partitions.of(agent)).mailbox(agent)

    async def engine(self) -> EngineReport:
        """Return everything about the server; on a cluster, about the one of the first partition.

        What the doctor found there is of the whole cluster.
        """
        seat = self.partitions.seat
        report = await Reads(seat.link, seat.keys, self.clock).engine()
        if len(self.partitions) == 1:
            return report
        return replace(report, findings=await examine_bus(self.partitions, self.clock))

    async def lanes(self) -> tuple[str, ...]:
        """Return the keys, in the first partition, of the shared lanes and of those of all registered queues."""
        found = await gathered(_reads(part).lanes() for part in self.partitions)
        lanes = {
            lane: None for streams in found for stream in streams if (lane := self._keys.lane_of(stream)) is not None
        }
        return tuple(map(self._keys.lane, lanes))

    @property
    def _only(self) -> Reads | None:
        return _reads(self.partitions.seat) if len(self.partitions) == 1 else None

    @property
    def _keys(self) -> Keys:
        return self.partitions.seat.keys

    async def _lanes_of(self, streams: Iterable[str]) -> list[Lane]:
        """Return the lanes that *streams* are in any partition; without any, those that the bus client knows."""
        named = tuple(streams) or await self.lanes()
        return list(dict.fromkeys(lane for stream in named if (lane := self._keys.lane_of(stream)) is not None))

    def _numbered(self, at: EntryId) -> Partition | None:
        return self.partitions.numbered(None if at.partition < 0 else at.partition)

    def _parts(self, named: Partition, stream: str) -> Iterable[Partition]:
        """Return the partitions that hold a part of *stream*: broadcasts and mailboxes are whole in one."""
        keys = named.keys
        spread = keys.lane_of(stream) is not None or stream in {keys.dead_letters, keys.trash, keys.delayed}
        return self.partitions if spread else (named,)


def told(event: Event, partition: Partition) -> Event:
    """Return *event* with an id that is unique in the whole bus."""
    return event if partition.number is None else replace(event, id=_qualified(event.id, partition))


def fact_below(after: str, partition: Partition) -> str:
    """Return the id in *partition* below which all facts come before *after* in the order of the whole bus."""
    ms, seq, number, place = _fact(after)
    own = _number(partition)
    if own == number:
        return f"{ms}-{seq}.{place}"
    if own > number or seq == LAST_SEQ:
        return f"{ms}-{seq}"
    return f"{ms}-{seq + 1}"


def entry_above(after: str, partition: Partition) -> str:
    """Return the entry in *partition* above which all facts come after the whole entry of the fact *after*."""
    ms, seq, number, _ = _fact(after)
    if _number(partition) <= number or (ms, seq) == (0, 0):
        return f"{ms}-{seq}"
    return f"{ms}-{seq - 1}" if seq else f"{ms - 1}-{LAST_SEQ}"


async def _merged(
    parts: Iterable[Partition],
    read: Callable[[Partition], Coroutine[Any, Any, Page[Row]]],
    ask: Ask,
    key: Callable[[Row], str],
    order: Callable[[str], Order],
) -> Page[Row]:
    """Answer *ask* from the answers of all partitions.

    A partition that has more knows nothing of what lies behind its last row, or behind where its search ended; so the
    page ends at the nearest of these places.
    """
    pages = await gathered(read(part) for part in parts)
    ascending = ask.ascending
    ends = [end for page in pages if (end := page.before if ask.backwards else page.after) is not None]
    far = (min if ascending else max)(ends, key=order, default=None)
    rows = sorted((row for page in pages for row in page.items), key=lambda row: order(key(row)), reverse=not ascending)
    if far is not None:
        rows = [row for row in rows if (order(key(row)) <= order(far)) == ascending or order(key(row)) == order(far)]
    if len(rows) > ask.limit:
        rows = rows[: ask.limit]
        far = key(rows[-1])
    near = (key(rows[0]) if rows else ask.cursor) if ask.cursor else None
    searched = [page.searched for page in pages if page.searched is not None]
    totals = [page.total for page in pages if page.total is not None]
    return Page(
        items=tuple(reversed(rows) if ask.backwards else rows),
        after=near if ask.backwards else far,
        before=far if ask.backwards else near,
        total=sum(totals) if len(totals) == len(pages) else None,
        searched=sum(searched) if searched else None,
    )


def _entry_place(ask: Ask, part: Partition) -> dict[str, Any]:
    """Return where *ask* begins in *part*: an entry of the same time stands before or behind by its partition."""
    if not ask.cursor:
        return {}
    at = EntryId.parse(checked_id(ask.cursor))
    own = _number(part)
    inclusive = ask.inclusive if own == at.partition else (own > at.partition) == ask.ascending
    return {"cursor": at.plain, "inclusive": inclusive}


def _mapped(page: Page[Row], row: Callable[[Row], Row], key: Callable[[str], str]) -> Page[Row]:
    """Return *page* with rows and cursors that name their partition."""
    return replace(
        page,
        items=tuple(map(row, page.items)),
        after=None if page.after is None else key(page.after),
        before=None if page.before is None else key(page.before),
    )


def _group(groups: Sequence[GroupRow]) -> GroupRow:
    """Return one group of all partitions: what adds up is added, what is oldest is the oldest of all."""
    lags = [group.view.lag for group in groups if group.view.lag is not None]
    consumers: dict[str, ConsumerRow] = {}
    for one in (one for group in groups for one in group.consumers):
        known = consumers.get(one.name)
        consumers[one.name] = one if known is None else _both(known, one)
    newest = max(groups, key=lambda group: EntryId.parse(group.view.last_delivered))
    view = replace(
        newest.view,
        lag=sum(lags) if len(lags) == len(groups) else None,
        pending=sum(group.view.pending for group in groups),
        consumers=len(consumers),
    )
    return GroupRow(
        view,
        tuple(consumers[name] for name in sorted(consumers)),
        min((group.oldest_pending_ms for group in groups if group.oldest_pending_ms is not None), default=None),
        min((group.next_waiting_ms for group in groups if group.next_waiting_ms is not None), default=None),
    )


def _both(one: ConsumerRow, other: ConsumerRow) -> ConsumerRow:
    said = [row.inactive_ms for row in (one, other)]
    got = [ms for ms in said if ms is not None and ms >= 0]
    return replace(
        one,
        pending=one.pending + other.pending,
        idle_ms=min(one.idle_ms, other.idle_ms),
        inactive_ms=None if None in said else min(got, default=-1),
    )


def _in(part: Partition, named: Partition, stream: str) -> str:
    """Return the key in *part* that *stream* is in the partition *named*."""
    return part.keys.prefix + stream.removeprefix(named.keys.prefix)


def _reads(part: Partition) -> Reads:
    return Reads(part.link, part.keys)


def _number(part: Partition) -> int:
    return -1 if part.number is None else part.number


def _qualified(ident: str, part: Partition) -> str:
    return ident if part.number is None else f"{ident}@{part.number}"


def _key(row: EntryRow | PendingRow) -> str:
    return row.key


def _delayed_order(key: str) -> Order:
    """Order of delayed work: when it is due, then by its name there; keys end in their partition."""
    due, _, member = (key.rpartition("@")[0] or key).partition(" ")
    return (EntryId.parse(due).ms, member)


def _pending_order(key: str) -> Order:
    entry, _, place = key.partition(" ")
    return (EntryId.parse(entry), *place.partition(" ")[::2])


def _fact(ident: str) -> tuple[int, int, int, int]:
    try:
        return event_order(ident)
    except ValueError:
        raise UsageError(f"{line(ident, 64)!r} is not the id of an event", "for example 1770378300000-0") from None
