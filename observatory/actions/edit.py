"""Edit and resend: from a dead letter and what somebody changed of it to a task, and the difference in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from observatory.model.errors import UsageError
from observatory.model.task import MAX_TTL_S, NewTask, Priority, Task
from observatory.model.text import line
from observatory.model.wire import read_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus.keys import Keys
    from observatory.model.dead_letter import DeadLetter

FREE: Final = ("payload",)
"""Fields that are there to be edited."""

SENSITIVE: Final = ("type", "queue", "priority")
"""Fields that decide who does the work, and when: the plan warns of a change."""

_OURS: Final = frozenset({
    b"reason", b"last_error", b"attempts", b"first_seen", b"source", b"source_id", b"worker", b"digest", b"was",
    b"attempt", b"arrived", b"requeues", b"requeued_from", b"copy_of",
})  # fmt: skip


def edited(letter: DeadLetter, changes: Mapping[str, str], ident: str, keys: Keys, now_ms: int) -> NewTask:
    """Return the task that *letter* is with *changes*; all other fields are locked, the id is a new one.

    Args:
        letter: The dead letter, whole.
        changes: New values by field: what `FREE` and `SENSITIVE` name.
        ident: Id of the copy.
        keys: Key names of the bus.
        now_ms: When it is made, ms since the epoch.

    Raises:
        UsageError: A field is locked or cannot be taken; names it.
    """
    for name in changes:
        if name not in {*FREE, *SENSITIVE}:
            raise UsageError(f"{line(name, 60)}: it cannot be edited", f"only {', '.join((*SENSITIVE, *FREE))} can")
    lane = keys.lane_of(letter.source)
    if lane is None and not {"queue", "priority"} <= changes.keys():
        raise UsageError("the dead letter does not say which lane it came from", "give queue and priority")
    was = _original(letter, keys)
    priority = changes.get("priority", str(lane.priority) if lane else "")
    if priority not in set(Priority):
        raise UsageError(f"priority: {line(priority, 60)!r} is none of {', '.join(Priority)}")
    return NewTask(
        type=changes.get("type", was.type),
        payload=_payload(was.payload, changes),
        id=ident,
        queue=changes.get("queue", lane.queue if lane else ""),
        priority=Priority(priority),
        sender=was.sender,
        content_type=was.content_type,
        created_ms=now_ms,
        ttl_s=min(was.ttl_s, MAX_TTL_S),
        correlation_id=was.correlation_id,
        reply_to=was.reply_to,
        trace=was.trace,
        role=was.role,
        ordering_key=was.ordering_key,
        extra={name: value for name, value in was.extra.items() if name not in _OURS},
    )


def difference(letter: DeadLetter, task: NewTask, keys: Keys) -> tuple[str, ...]:
    """Return what *task* says otherwise than *letter*, a printable line for each field; sensitive ones say so."""
    lane = keys.lane_of(letter.source)
    pairs = (
        ("type", letter.type, task.type),
        ("queue", lane.queue if lane else "?", task.queue),
        ("priority", str(lane.priority) if lane else "?", str(task.priority)),
        ("payload", letter.payload.decode("utf-8", "replace"), task.payload.decode("utf-8", "replace")),
    )
    return tuple(
        f"{name}{' (decides who does it, and when)' if name in SENSITIVE else ''}: "
        f"{line(before, 300) or 'nothing'} → {line(after, 300) or 'nothing'}"
        for name, before, after in pairs
        if before != after
    )


def _original(letter: DeadLetter, keys: Keys) -> Task:
    lane = keys.lane_of(letter.source)
    fields = [(name, value) for name, value in letter.fields if name not in _OURS]
    found = read_entry(lane, letter.entry_id.partition("@")[0], fields) if lane is not None else None
    if isinstance(found, Task):
        return found
    raise UsageError("the dead letter is no task that could be sent again", "send a new task instead")


def _payload(was: bytes, changes: Mapping[str, str]) -> bytes:
    """Return the payload as it is to be.

    Raises:
        UsageError: It was JSON, and is none any more: whoever does the work would fail again.
    """
    if "payload" not in changes:
        return was
    text = changes["payload"]
    if _is_json(was.decode("utf-8", "replace")) and not _is_json(text):
        raise UsageError("payload: it was JSON, and is none any more", "mind quotes, commas and braces")
    return text.encode()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
