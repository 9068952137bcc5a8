"""Balancing the books: what the processes wrote down, against what the bus says, against what the engine holds.

The engine is read here with plain commands rather than through the bus client, so that a client which miscounts is
not its own only witness; what its own audit finds is added.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis

from observatory.bus import Bus
from observatory.bus.keys import Keys
from observatory.bus.reads.observe import Cursor
from observatory.demo.journal import gather
from observatory.model.agent import agent_of
from observatory.model.event import Event, EventKind
from observatory.model.reduce import Books, fold
from observatory.model.task import EntryId, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from observatory.bus.care.audit import Audit
    from observatory.demo.journal import Accounts

_NONE = EntryId(0, 0)
GROUP = "workers"
"""Group by which the demo's workers read."""

_PAGE = 1000
_POLL_S = 0.1
_EXAMPLES = 3

_ARRIVALS = frozenset({EventKind.PUBLISHED, EventKind.SCHEDULED, EventKind.OBSERVED})
_FINALS = {EventKind.COMPLETED: 1, EventKind.DEAD_LETTERED: 1, EventKind.CANCELLED: 1, EventKind.REQUEUED: -1}

_DELAYED_IDS = """
local ids = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local packed = redis.call('HGET', KEYS[2], member)
  ids[#ids + 1] = packed and cmsgpack.unpack(packed).id or member
end
return ids
"""


@dataclass(slots=True)
class Census:
    """Where the engine itself says that tasks are, each by id.

    Attributes:
        queued: In a lane, not delivered, not marked as cancelled.
        pending: In a lane, delivered, not acknowledged.
        delayed: Waiting for their time.
        dead: In the dead-letter stream.
    """

    queued: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    delayed: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)


async def drained(url: str, *, timeout_s: float) -> bool:
    """Wait until no lane holds anything, for *timeout_s* seconds at most, and say whether that came true.

    Raises:
        BusError: The bus cannot be read.
    """
    deadline = time.monotonic() + timeout_s
    cursor = Cursor()
    async with Bus.connect(url, name="director") as bus:
        while time.monotonic() < deadline:
            seen = await bus.observe(cursor)
            cursor = seen.cursor
            if not any(lane.length for lane in seen.lanes):
                return True
            await asyncio.sleep(_POLL_S)
    return False


def balance(url: str, journals: Path) -> dict[str, Any]:
    """Return the books of a swarm that has stopped.

    Args:
        url: Where the bus is.
        journals: Directory of the processes' own journals.

    Returns:
        Counts by name; `lost` and `duplicated` are how many tasks the bus lost or settled twice, and `problems`
        says in words where two witnesses disagree.

    Raises:
        BusError: The bus cannot be read.
    """
    said = gather(journals)
    events, audited = asyncio.run(_ask_the_bus(url))
    with redis.Redis.from_url(url, protocol=2) as client:
        census = take_census(client, Keys())
    books = settle_books(said, events, census)
    books["problems"] += [f"{one}: {', '.join(one.examples)}" for one in audited.differences]
    return books


def settle_books(said: Accounts, events: Sequence[Event], census: Census) -> dict[str, Any]:
    """Compare the three witnesses. Pure.

    Args:
        said: What the processes wrote down.
        events: The whole event log, oldest first.
        census: What the engine holds.
    """
    books = fold(Books(), events)
    arrived = {event.task for event in events if event.kind in _ARRIVALS}
    finals: Counter[str] = Counter()
    for event in events:
        finals[event.task] += _FINALS.get(event.kind, 0)  # type: ignore[call-overload]
    ended = {task for task, times in finals.items() if times > 0}
    held = {*census.queued, *census.pending, *census.delayed, *census.dead}
    acked = said.tasks("acked")
    lost = acked - ended - held
    twice = {task for task, times in finals.items() if times > 1}
    completed = {event.task for event in events if event.kind == EventKind.COMPLETED}
    return {
        "published": len(arrived),
        "completed": len(completed),
        "retried": books.totals.get(EventKind.RETRIED, 0),
        "dead_lettered": books.dead(stale=False),
        "stale": books.dead(stale=True),
        "cancelled": _tasks(events, EventKind.CANCELLED),
        "queued": len(census.queued),
        "pending": len(census.pending),
        "delayed": len(census.delayed),
        "redelivered": books.totals.get(EventKind.REDELIVERED, 0),
        "agents": len({agent_of(event.agent) for event in events if event.kind == EventKind.AGENT_UP}),
        "events": len(events),
        "acknowledged": len(acked),
        "unanswered": len(said.tasks("unknown") - acked),
        "executions": said.words["began"].total(),
        "lost": len(lost),
        "duplicated": len(twice),
        "problems": [
            *_differ("acknowledged, and without a trace", lost),
            *_differ("settled twice", twice),
            *_differ("acknowledged, and not in the event log", acked - arrived),
            *_differ("completed by the event log, and finished by nobody", completed - said.tasks("finished")),
            *_differ(
                "dead by the event log, or by the stream, but not by both",
                _states(books, TaskState.DEAD) ^ {*census.dead},
            ),
            *_differ(
                "delayed by the event log, or in the engine, but not both",
                _states(books, TaskState.DELAYED) ^ {*census.delayed},
            ),
            *_differ(
                "in a lane by the event log, or in the engine, but not both",
                _states(books, TaskState.QUEUED, TaskState.RUNNING) ^ {*census.queued, *census.pending},
            ),
            *_differ(
                "in two places at once", _repeated([*census.queued, *census.pending, *census.delayed, *census.dead])
            ),
        ],
    }


def take_census(client: redis.Redis, keys: Keys) -> Census:
    """Read where the engine holds which task; for an engine that nobody works on."""
    census = Census()
    for stream in _streams(client, f"{keys.prefix}:tasks:*"):
        if keys.lane_of(stream) is None:
            continue
        pending = set(_pending(client, stream))
        delivered = _last_delivered(client, stream)
        for entry, fields in _entries(client, stream):
            task = fields.get(b"id", entry).decode()
            if entry in pending:
                census.pending.append(task)
            elif EntryId.parse(entry) <= delivered:
                # Settled: the newest delivered entry of a lane stays for a while, so that its lag can be told.
                continue
            elif client.hmget(keys.record(task), "state", "entry") != [b"cancelled", entry]:
                census.queued.append(task)
    census.dead = [fields.get(b"id", entry).decode() for entry, fields in _entries(client, keys.dead_letters)]
    ids: Any = client.eval(_DELAYED_IDS, 2, keys.delayed, keys.bodies)
    census.delayed = [task.decode() for task in ids]
    return census


async def _ask_the_bus(url: str) -> tuple[list[Event], Audit]:
    """Read the whole event log, oldest first, and let the bus client audit itself."""
    found: list[Event] = []
    async with Bus.connect(url, name="auditor") as bus:
        after = None
        while True:
            page = await bus.events(after=after, limit=_PAGE)
            found += page.items
            after = page.after
            if after is None:
                return found[::-1], await bus.audit(group=GROUP)


def _streams(client: redis.Redis, pattern: str) -> Iterator[str]:
    names: Iterator[bytes] = client.scan_iter(pattern, count=1000, _type="stream")
    return (name.decode() for name in sorted(set(names)))


def _entries(client: redis.Redis, stream: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    start = "-"
    while rows := client.xrange(stream, start, "+", count=_PAGE):
        page: list[tuple[bytes, dict[bytes, bytes]]] = rows  # type: ignore[assignment]
        yield from page
        start = f"({page[-1][0].decode()}"


def _last_delivered(client: redis.Redis, stream: str) -> EntryId:
    groups: Any = client.xinfo_groups(stream)
    return max(
        (EntryId.parse(row["last-delivered-id"]) for row in groups if row["name"] == GROUP.encode()), default=_NONE
    )


def _pending(client: redis.Redis, stream: str) -> Iterator[bytes]:
    start = "-"
    try:
        while rows := client.xpending_range(stream, GROUP, start, "+", _PAGE):
            ids: list[bytes] = [row["message_id"] for row in rows]  # type: ignore[misc]
            yield from ids
            start = f"({ids[-1].decode()}"
    except redis.ResponseError as error:
        if "NOGROUP" not in str(error):
            raise


def _tasks(events: Iterable[Event], kind: EventKind) -> int:
    return len({event.task for event in events if event.kind == kind})


def _states(books: Books, *states: TaskState) -> set[str]:
    return {task for task, live in books.tasks.items() if live.state in states}


def _repeated(ids: Iterable[str]) -> set[str]:
    return {task for task, times in Counter(ids).items() if times > 1}


def _differ(what: str, tasks: set[str]) -> list[str]:
    """Return a line that names some of *tasks*; none if there are none."""
    if not tasks:
        return []
    some = sorted(tasks)
    more = f" and {len(some) - _EXAMPLES} more" if len(some) > _EXAMPLES else ""
    return [f"{what}: {', '.join(some[:_EXAMPLES])}{more}"]
