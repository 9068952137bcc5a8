"""What the bus remembers of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.task import TaskRecord, TaskResult, TaskState
from observatory.model.wire import pairs, read_dead_letter

if TYPE_CHECKING:
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link

_STATES = frozenset(map(str, TaskState))


async def record(link: Link, task_id: str) -> TaskRecord | None:
    """Return what the bus remembers of the task *task_id*."""
    found = await result(link, task_id)
    return None if found is None else found.record


async def result(link: Link, task_id: str) -> TaskResult | None:
    """Return what the bus remembers of the task *task_id*, and what its handler returned."""
    flat, holder = await link.call("record", (task_id,))
    raw = {name.decode(): value for name, value in pairs(flat)}
    said = {name: value.decode("utf-8", "replace") for name, value in raw.items() if name != "result"}
    if said.get("state") not in _STATES:
        return None
    known = TaskRecord(
        id=task_id,
        state=TaskState.RUNNING if holder else TaskState(said["state"]),
        lane=said.get("lane", ""),
        entry_id=said.get("entry", ""),
        attempt=int(attempt) if (attempt := said.get("attempt", "")).isdigit() else 1,
        owner=holder.decode("utf-8", "replace") or said.get("owner", ""),
        reason=said.get("reason", ""),
        cancel_requested="cancel" in said,
        type=said.get("type", ""),
    )
    words = (said.get(name, "") for name in ("result_type", "error", "progress"))
    return TaskResult(known, raw.get("result", b""), *words)


async def last_error(link: Link, keys: Keys, known: TaskRecord) -> str:
    """Return why a task died, from its dead letter; empty if it did not, or that is gone."""
    if known.state is not TaskState.DEAD:
        return ""
    rows = await link.command("XRANGE", keys.dead_letters, known.entry_id, known.entry_id)
    return read_dead_letter(known.entry_id, pairs(rows[0][1])).error if rows else ""
