"""`send`: publish one task."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from observatory.actions.verb import Outcome, Selection, Verb
from observatory.bus import PublishOutcome
from observatory.model.errors import UsageError
from observatory.model.plan import PlannedItem, SendTask, SkippedItem
from observatory.model.task import is_queue_name
from observatory.model.text import line
from observatory.model.wire import MAX_PAYLOAD

if TYPE_CHECKING:
    from observatory.bus import Bus
    from observatory.model.task import NewTask

MAX_ID = 200
"""Longest task id that the bus takes, in characters."""

ALREADY_THERE = "a task with this id is already on the bus"


async def _plan(bus: Bus, request: SendTask) -> Selection:
    task = request.task
    _check(task)
    if await bus.record(task.id) is not None:
        return Selection((), (SkippedItem(task.id, ALREADY_THERE),))
    label = f"{line(task.type, 64)} ({len(task.payload):,} bytes)" + (f" in {task.delay_s:g} s" if task.delay_s else "")
    return Selection((PlannedItem(task.id, "", bus.stream_for(task), label),))


async def _execute(bus: Bus, request: SendTask, items: tuple[PlannedItem, ...]) -> Outcome:
    if not items:
        return Outcome((), ())
    published = await bus.publish_task(request.task)
    if published.outcome is PublishOutcome.DUPLICATE:
        return Outcome((), (), (SkippedItem(published.id, ALREADY_THERE),))
    return Outcome((published.id,), (published.entry_id if published.outcome is PublishOutcome.QUEUED else "",))


def _check(task: NewTask) -> None:
    """Refuse what no agent could make sense of.

    Raises:
        UsageError: Names the field.
    """
    if not 1 <= len(task.id) <= MAX_ID:
        raise UsageError(f"id has {len(task.id)} characters", f"every task needs one of its own, of at most {MAX_ID}")
    if not task.type.strip():
        raise UsageError("type is empty", "name the kind of work; agents choose their handler by it")
    if not is_queue_name(task.queue):
        raise UsageError(
            f"queue {line(task.queue, 80)!r} cannot name a queue",
            "shared, a capability such as coding, or an agent such as @pink",
        )
    if len(task.payload) > MAX_PAYLOAD:
        raise UsageError(
            f"payload is {len(task.payload):,} bytes, the most is {MAX_PAYLOAD:,}",
            "store it elsewhere and send a reference",
        )
    if not (math.isfinite(task.ttl_s) and task.ttl_s > 0):
        raise UsageError(f"ttl is {task.ttl_s:g} s", "a task needs more than no time to live")
    if not (math.isfinite(task.delay_s) and task.delay_s >= 0):
        raise UsageError(f"delay is {task.delay_s:g} s", "0 means at once")


VERB = Verb("send", SendTask, _plan, _execute)
"""Publish one task."""
