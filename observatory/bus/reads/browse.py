"""What the bus remembers of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.task import TaskRecord, TaskState
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from observatory.bus.links.link import Link

_STATES = frozenset(map(str, TaskState))


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
        type=said.get("type", ""),
    )
