"""A census: which tasks the engine holds, and where, read in pages that cost the engine little."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.task import EntryId
from observatory.model.text import line
from observatory.model.wire import MAX_ID_BYTES, foreign_id, pairs, read_dead_letter, read_entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link, Reply
    from observatory.model.task import Lane

_PAGE: Final = 100
_SCAN: Final = 1000
_OUR_CONSUMER = re.compile(r".+@.+:\d+:[0-9a-f]{8}", re.DOTALL)
"""How the bus client names its consumers; others write no events."""

_NOWHERE = EntryId(0, 0)


class Place(StrEnum):
    """Where the engine holds a task."""

    WAITING = "waiting"
    """In a lane, not delivered to the group that works on it."""
    PENDING = "pending"
    """In a lane, delivered, not acknowledged."""
    SOMEWHERE = "in the lane"
    """In a lane that several groups read, none of which is known to work on it."""
    SETTLED = "acknowledged"
    """Still in a lane, though the group has acknowledged it."""
    CANCELLED = "cancelled"
    """Still in a lane, marked, to be dropped when it is taken."""
    DELAYED = "delayed"
    DEAD = "dead"


class Holding(NamedTuple):
    """One thing that the engine holds for a task.

    Attributes:
        place: Where.
        key: The key it is in.
        name: Its entry there; for delayed work the name it waits under.
        since_ms: When it came there, or in delayed work's case to the bus; None where nothing says.
    """

    place: Place
    key: str
    name: str
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class GroupCount:
    """What a group of a lane has before it.

    Attributes:
        name: The group.
        waiting: Entries that it was not given yet; None where the engine does not know.
        pending: Entries that it was given and has not acknowledged.
        last: The newest entry that it was given.
    """

    name: str
    waiting: int | None
    pending: int
    last: EntryId


@dataclass(frozen=True, slots=True)
class LaneCount:
    """A lane as the engine counts it.

    Attributes:
        stream: Its key.
        problem: Why it cannot be read, such as that it does not exist; empty if it can.
        length: Entries in it, settled ones that are kept included.
        groups: Its groups.
        working: The group that works on it; None if there is none, or if that cannot be known.
        foreign: Consumers of that group that write no events.
    """

    stream: str
    problem: str = ""
    length: int = 0
    groups: tuple[GroupCount, ...] = ()
    working: GroupCount | None = None
    foreign: tuple[str, ...] = ()


@dataclass(slots=True)
class Census:
    """What the engine holds.

    Attributes:
        lanes: Every lane that there is or that was asked for, by stream.
        delayed: How many tasks wait for their time.
        dead: How many dead letters there are.
        oldest_dead: The oldest dead letter; None if there is none.
        by_task: What is held for each task id; None where there is too much to be read one by one.
    """

    lanes: Mapping[str, LaneCount]
    delayed: int
    dead: int
    oldest_dead: EntryId | None
    by_task: dict[str, list[Holding]] | None = field(default=None)

    @property
    def total(self) -> int:
        """How many entries it spans."""
        return sum(lane.length for lane in self.lanes.values()) + self.delayed + self.dead


async def take_census(link: Link, keys: Keys, *, group: str, lanes: Iterable[str], most: int) -> Census:
    """Count what the engine holds, and read whose it is unless there is too much.

    Args:
        link: The link to the engine.
        keys: Key names.
        group: The group that works on lanes; on a lane that has only another, that one.
        lanes: Streams to look at besides those that are found.
        most: Entries above which they are only counted.

    Raises:
        BusError: Something cannot be read.
    """
    streams = sorted({*lanes, *[stream async for stream in _streams(link, keys)]})
    counts = {stream: await _count(link, stream, group) for stream in streams if keys.lane_of(stream)}
    oldest = await link.command("XRANGE", keys.dead_letters, "-", "+", "COUNT", 1)
    census = Census(
        counts,
        await link.command("ZCARD", keys.delayed),
        await link.command("XLEN", keys.dead_letters),
        EntryId.parse(oldest[0][0]) if oldest else None,
    )
    if census.total > most:
        return census
    by_task: defaultdict[str, list[Holding]] = defaultdict(list)
    for lane in counts.values():
        if not lane.problem:
            async for task, holding in _lane(link, keys, lane):
                by_task[task].append(holding)
    async for task, holding in _dead(link, keys):
        by_task[task].append(holding)
    for task, holding in (await _delayed(link, keys)).values():
        by_task[task].append(holding)
    census.by_task = dict(by_task)
    return census


def places(census: Census) -> defaultdict[str, Counter[Place]]:
    """Return how many entries of each key are in which place; empty where they were only counted."""
    found: defaultdict[str, Counter[Place]] = defaultdict(Counter)
    for held in (census.by_task or {}).values():
        for holding in held:
            found[holding.key][holding.place] += 1
    return found


async def _streams(link: Link, keys: Keys) -> AsyncIterator[str]:
    cursor: int | bytes = 0
    while True:
        cursor, found = await link.command(
            "SCAN", cursor, "MATCH", f"{keys.prefix}:tasks:*", "COUNT", _SCAN, "TYPE", "stream"
        )
        for name in found:
            yield _word(name)
        if int(cursor) == 0:
            return


async def _count(link: Link, stream: str, group: str) -> LaneCount:
    try:
        length = await link.command("XLEN", stream)
        groups = tuple([_group(row) for row in await link.command("XINFO", "GROUPS", stream)])
        working = next((one for one in groups if one.name == group), groups[0] if len(groups) == 1 else None)
        consumers = await link.command("XINFO", "CONSUMERS", stream, working.name) if working else ()
    except BusUnreachableError:
        raise
    except BusError as error:
        gone = "no such key" in error.problem
        return LaneCount(stream, "there is no such key" if gone else line(error.problem))
    names = sorted(_word(_named(row)[b"name"]) for row in consumers)
    return LaneCount(
        stream, "", length, groups, working, tuple(name for name in names if not _OUR_CONSUMER.fullmatch(name))
    )


def _group(row: Sequence[Reply]) -> GroupCount:
    said = _named(row)
    return GroupCount(
        _word(said[b"name"]), said.get(b"lag"), said[b"pending"], EntryId.parse(said[b"last-delivered-id"])
    )


async def _lane(link: Link, keys: Keys, count: LaneCount) -> AsyncIterator[tuple[str, Holding]]:
    lane = keys.lane_of(count.stream)
    assert lane is not None  # noqa: S101 - only lanes are counted
    unsettled = Place.SOMEWHERE if count.groups and count.working is None else Place.WAITING
    last = count.working.last if count.working else _NOWHERE
    async for entry, mark, said in _pages(link, count.stream, count.working.name if count.working else ""):
        place = Place(mark) if mark else Place.SETTLED if EntryId.parse(entry) <= last else unsettled
        task = _safe(_word(said)) if isinstance(said, bytes) else _entry_id(lane, entry, said)
        yield task or _safe(foreign_id(lane, entry)), Holding(place, count.stream, entry, EntryId.parse(entry).ms)


async def _dead(link: Link, keys: Keys) -> AsyncIterator[tuple[str, Holding]]:
    async for entry, _, said in _pages(link, keys.dead_letters, ""):
        if isinstance(said, bytes):
            task = _safe(_word(said))
        else:
            letter = read_dead_letter(entry, pairs(said))
            lane = keys.lane_of(letter.source)
            named = letter.task_id if len(letter.task_id.encode("utf-8", "surrogateescape")) <= MAX_ID_BYTES else ""
            task = _safe(named) or (foreign_id(lane, letter.source_id) if lane else "")
        yield task or f"x-dlq-{entry}", Holding(Place.DEAD, keys.dead_letters, entry, EntryId.parse(entry).ms)


async def _pages(link: Link, stream: str, group: str) -> AsyncIterator[tuple[str, str, bytes | list[bytes]]]:
    after = ""
    while rows := await link.call("census", (group, after, _PAGE), (stream,)):
        for ident, mark, said in rows:
            after = ident.decode()
            yield after, mark.decode(), said


async def _delayed(link: Link, keys: Keys) -> dict[str, tuple[str, Holding]]:
    """Return what waits for its time by the name it waits under: a scan can find one thing twice."""
    found: dict[str, tuple[str, Holding]] = {}
    cursor = b"0"
    while True:
        cursor, rows = await link.call("census_delayed", (cursor, _PAGE))
        for member, ident, since in rows:
            name = _word(member)
            found[name] = (
                _safe(_word(ident) or name.removeprefix("id:")),
                Holding(Place.DELAYED, keys.delayed, name, _ms(_word(since))),
            )
        if int(cursor) == 0:
            return found


def _entry_id(lane: Lane, entry: str, flat: Sequence[bytes]) -> str:
    return _safe(getattr(read_entry(lane, entry, pairs(flat)), "id", ""))


def _safe(task: str) -> str:
    """Return an id as the log has it: `event` in common.lua lets no separator pass."""
    return task.replace("\x1e", "?").replace("\x1f", "?")


def _ms(text: str) -> int | None:
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _named(flat: Sequence[Reply]) -> dict[bytes, Reply]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _word(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
