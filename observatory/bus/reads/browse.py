"""Reading what stands in the bus: entries of a lane, what waits for its time, the record of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.model.protocols import Page
from observatory.model.task import TaskRecord, TaskState
from observatory.model.wire import pairs, read_entry

if TYPE_CHECKING:
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.model.task import Lane, Task
    from observatory.model.wire import Malformed

_STATES = frozenset(map(str, TaskState))


@dataclass(frozen=True, slots=True)
class DelayedTask:
    """A retry or scheduled task that waits for its time.

    Attributes:
        id: Task id.
        type: Task type.
        stream: Stream it will enter.
        due_ms: When, in ms of server time.
        attempt: Attempt it will be, from 1.
        fields: The entry that it will become.
    """

    id: str
    type: str
    stream: str
    due_ms: int
    attempt: int
    fields: tuple[tuple[bytes, bytes], ...]


async def entries(link: Link, keys: Keys, lane: Lane, *, after: str | None, limit: int) -> Page[Task | Malformed]:
    """Return what stands in *lane*, oldest first, above the entry *after*."""
    stream = keys.lane(lane)
    total = await link.command("XLEN", stream)
    rows = await link.command("XRANGE", stream, f"({after}" if after else "-", "+", "COUNT", limit)
    found = tuple(read_entry(lane, ident.decode(), pairs(flat)) for ident, flat in rows)
    return Page(found, found[-1].entry_id if len(found) == limit else None, total)


async def delayed(link: Link, keys: Keys, *, offset: int, limit: int) -> Page[DelayedTask]:
    """Return what waits for its time, soonest first, from place *offset*."""
    total = await link.command("ZCARD", keys.delayed)
    rows = await link.call("delayed", (offset, limit))
    found = tuple(
        DelayedTask(
            ident.decode("utf-8", "surrogateescape"),
            kind.decode("utf-8", "surrogateescape"),
            stream.decode(),
            int(float(due)),
            int(attempt),
            pairs(flat),
        )
        for _, due, ident, kind, stream, attempt, flat in rows
    )
    return Page(found, str(offset + limit) if offset + limit < total else None, total)


async def record(link: Link, task_id: str) -> TaskRecord | None:
    """Return what the bus remembers of the task *task_id*."""
    flat, holder = await link.call("record", (task_id,))
    said = {name.decode(): value.decode("utf-8", "replace") for name, value in pairs(flat)}
    if said.get("state") not in _STATES:
        return None
    return TaskRecord(
        id=task_id,
        state=TaskState.RUNNING if holder else TaskState(said["state"]),
        lane=said.get("lane", ""),
        entry_id=said.get("entry", ""),
        attempt=int(attempt) if (attempt := said.get("attempt", "")).isdigit() else 1,
        owner=holder.decode("utf-8", "replace") or said.get("owner", ""),
        reason=said.get("reason", ""),
        cancel_requested="cancel" in said,
    )
