"""The life of one task: found in the log without an index, and where nothing is written, by its entry in a lane."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.bus.keys import day_of, shifted
from observatory.bus.links.link import encoded
from observatory.bus.reads import browse
from observatory.bus.reads.entries import one_entry
from observatory.bus.reads.log import DAYS_KEPT, read_events
from observatory.model.event import event_order
from observatory.model.task import EntryId, Lane, Priority
from observatory.model.trace import BEGINNINGS, Clues, trace_of
from observatory.model.wire import foreign_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link, Reply
    from observatory.model.event import Event
    from observatory.model.listing import EntryRow
    from observatory.model.task import TaskRecord
    from observatory.model.trace import Trace

SCAN = 1000
"""Entries that the engine searches in one step; that takes it about a millisecond."""

MOST_SCANNED = 50_000
"""Entries of the log that are searched at most, before and after the moment where the task is known to have been."""

MOST_SCANNED_OF_LANE = 2000
"""Entries of a lane that are searched, from each end."""

MARGIN_MS = 1000
"""A fact is written in the same step as what it tells, but entry ids can run ahead of the clock by a little."""

_FOREIGN_ID = re.compile(r"x-(?:([^:]+):)?(critical|high|normal|low)-(\d+-\d+)")


async def find_trace(link: Link, keys: Keys, streams: Sequence[str], task_id: str) -> Trace:
    """Return the life of one task.

    Args:
        link: The link to the engine.
        keys: Key names.
        streams: Lanes to search where neither log nor record knows it.
        task_id: Its id.

    Raises:
        BusError: The bus cannot be read.
    """
    seconds, micros = await link.command("TIME")
    now = int(seconds) * 1000 + int(micros) // 1000
    record = await browse.record(link, task_id)
    entry = await _recorded_entry(link, keys, record) if record else None
    search = _Search(link, keys, task_id)
    await search.around(_moment(record), now)
    if entry is None and record is None:
        entry = await _foreign_entry(link, keys, task_id) or await search.lanes(streams)
    return trace_of(Clues(task_id, now, tuple(search.events), record, entry, search.looked))


async def _recorded_entry(link: Link, keys: Keys, record: TaskRecord) -> EntryRow | None:
    """Return the entry that *record* names, if it is still there."""
    known = record.lane == keys.dead_letters or keys.lane_of(record.lane) is not None
    if not known or _moment(record) is None:
        return None
    return await one_entry(link, keys, record.lane, record.entry_id)


async def _foreign_entry(link: Link, keys: Keys, task_id: str) -> EntryRow | None:
    """Return the entry whose place is the id, as it is where the sender gave none."""
    found = _FOREIGN_ID.fullmatch(task_id)
    if found is None:
        return None
    lane = Lane(found[1] or "shared", Priority(found[2]))
    if foreign_id(lane, found[3]) != task_id or keys.lane_of(keys.lane(lane)) is None:
        return None
    return await one_entry(link, keys, keys.lane(lane), found[3])


def _moment(record: TaskRecord | None) -> int | None:
    """Return a time, in ms of server time, at which the task is known to have been; None if there is none."""
    if record is None:
        return None
    try:
        return EntryId.parse(record.entry_id).ms
    except ValueError:  # what waits for its time has no entry yet
        return None


class _Search:
    """A search for one task id, and what it found so far.

    Args:
        link: The link to the engine.
        keys: Key names.
        task_id: What is searched for.
    """

    def __init__(self, link: Link, keys: Keys, task_id: str) -> None:
        self._link = link
        self._keys = keys
        self._task_id = task_id
        self._found: dict[str, Event] = {}
        self.looked = 0

    @property
    def events(self) -> list[Event]:
        """The facts about it, oldest first."""
        return sorted(self._found.values(), key=lambda event: event_order(event.id))

    async def around(self, moment: int | None, now: int) -> None:
        """Search the log from *moment* on and then back from it; back from *now* if no moment is known."""
        today = day_of(now)
        oldest = shifted(today, -DAYS_KEPT)
        pivot = now if moment is None else max(moment - MARGIN_MS, 0)
        day, first = day_of(pivot), f"{pivot}-0"
        left = MOST_SCANNED
        while moment is not None and day <= today and left > 0:
            left = await self._day(day, first, "+", left, upwards=True)
            day, first = shifted(day, 1), "-"
        day, last = min(day_of(pivot), today), f"({pivot}-0" if moment is not None else "+"
        left = MOST_SCANNED
        while day > oldest and left > 0 and not any(event.kind in BEGINNINGS for event in self._found.values()):
            left = await self._day(day, "-", last, left, upwards=False)
            day, last = shifted(day, -1), "+"

    async def _day(self, day: str, first: str, last: str, most: int, *, upwards: bool) -> int:
        """Search a stretch of one day, and return how many entries may still be looked at."""
        while most > 0:
            rows, reached, looked = await self._scan(self._keys.events(day), first, last, upwards=upwards)
            for ident, flat in rows:
                for event in read_events(ident, flat):
                    if event.task == self._task_id:
                        self._found[event.id] = event
            self.looked += looked
            most -= looked
            begun = not upwards and any(event.kind in BEGINNINGS for event in self._found.values())
            if looked < SCAN or begun:
                break
            first, last = (f"({reached}", last) if upwards else (first, f"({reached}")
        return most

    async def lanes(self, streams: Sequence[str]) -> EntryRow | None:
        """Search both ends of every lane for an entry that carries the id; the newest one found is it."""
        found: list[EntryRow] = []
        for stream in streams:
            for upwards in (False, True):
                first, last = "-", "+"
                for _ in range(MOST_SCANNED_OF_LANE // SCAN):
                    rows, reached, looked = await self._scan(stream, first, last, upwards=upwards)
                    entries = [await one_entry(self._link, self._keys, stream, ident.decode()) for ident, _ in rows]
                    found += [entry for entry in entries if entry is not None and entry.task_id == self._task_id]
                    self.looked += looked
                    if looked < SCAN:
                        break
                    first, last = (f"({reached}", last) if upwards else (first, f"({reached}")
        return max(found, key=lambda entry: EntryId.parse(entry.key), default=None)

    async def _scan(self, stream: str, first: str, last: str, *, upwards: bool) -> tuple[Reply, str, int]:
        args = (encoded(self._task_id), first, last, SCAN, int(upwards))
        rows, reached, looked = await self._link.call("find", args, [stream])
        return rows, reached.decode(), looked
