"""Publishing by hand: a new task, and the edited copy of a dead letter."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from observatory.actions.edit import difference, edited
from observatory.actions.verbs import choose
from observatory.actions.verbs.letters import TRASH_DAYS, label
from observatory.actions.verbs.verb import DONE, WHY, Draft, Verb
from observatory.bus import PublishOutcome
from observatory.bus.moves import Moved, Stamp
from observatory.model.errors import UsageError
from observatory.model.plan import PlannedItem, ResendLetter, Reversal, SendTask, SkippedItem
from observatory.model.task import NewTask, Priority, is_queue_name
from observatory.model.text import line
from observatory.model.wire import MAX_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus import Bus
    from observatory.model.plan import Plan

MAX_ID = 200
"""Longest task id that the bus takes, in characters."""


async def _send(bus: Bus, request: SendTask) -> Draft:
    task = request.task
    check(task)
    if await bus.record(task.id) is not None:
        return Draft("send", (), (SkippedItem(task.id, WHY["duplicate"]),), task.type)
    item = PlannedItem(task.id, "", bus.stream_for(task), _label(task))
    written = {"task": _written(task)}
    return Draft("send", (item,), (), line(task.type, 64), written, Reversal.WHILE_UNTOUCHED, streams=(item.target,))


async def _resend(bus: Bus, request: ResendLetter) -> Draft:
    if not request.changes:
        raise UsageError("nothing is changed", "requeue sends a dead letter as it is")
    letter = await bus.dead_letter(request.entry_id)
    if letter is None:
        return Draft("resend", (), (SkippedItem(request.entry_id, choose.GONE),), request.entry_id)
    task = edited(letter, request.changes, request.id, bus.keys, bus.clock.now_ms())
    check(task)
    # The copy says of which task it is one, so that the life of the one leads to that of the other.
    lineage = {b"copy_of": letter.task_id.encode(), b"requeued_from": letter.entry_id.encode()}
    task = replace(task, extra={**task.extra, **lineage})
    item = PlannedItem(
        letter.entry_id,
        bus.partitions.of_stream(letter.source).keys.dead_letters if letter.source else bus.keys.dead_letters,
        bus.stream_for(task),
        label(letter),
        {"task": letter.task_id, "type": letter.type, "copy": task.id},
        letter.died_ms,
    )
    return Draft(
        "resend",
        (item,),
        (),
        request.entry_id,
        {"task": _written(task), "days": str(TRASH_DAYS)},
        Reversal.WHILE_UNTOUCHED,
        streams=(item.target,),
        warnings=difference(letter, task, bus.keys),
    )


async def publish(bus: Bus, stamp: Stamp, options: Mapping[str, str], items: list[PlannedItem]) -> list[Moved]:
    """Publish the task of a plan; its id makes a repetition an answer."""
    task = _read(options["task"])
    (published,) = await bus.publish_many([task])
    entry = published.entry_id if published.outcome is PublishOutcome.QUEUED else ""
    # What this very plan published before is no other task, though the bus knows its id by now.
    again = published.outcome is PublishOutcome.DUPLICATE and stamp.token == 1
    return [Moved(item.id, "duplicate" if again else "done", entry) for item in items]


async def resend(bus: Bus, stamp: Stamp, options: Mapping[str, str], items: list[PlannedItem]) -> list[Moved]:
    """Publish the copy, and only then put the original away."""
    (published,) = await bus.publish_many([_read(options["task"])])
    moved = await bus.moves.step("trash", stamp, options, items)
    return [Moved(one.id, "done", published.entry_id) for one in moved]


async def resent_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what makes the original a dead letter again; the copy is a task of its own."""
    done = [item for item in plan.items if item.id in moved and moved[item.id].entry]
    trashes = [item.source.removesuffix("dlq") + "trash" for item in done]
    items = [
        PlannedItem(moved[item.id].entry, trash, item.source, item.label, item.seen)
        for item, trash in zip(done, trashes, strict=True)
    ]
    warnings = tuple(f"the copy, task {item.seen['copy']}, stays where it is: cancel it as well" for item in done)
    return Draft("restore", tuple(items), options={"days": str(TRASH_DAYS)}, place="trash", warnings=warnings)


async def sent_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what cancels what was sent."""
    done = [item for item in plan.items if item.id in moved and moved[item.id].outcome in DONE]
    items = [PlannedItem(item.id, item.target, "", item.label, {"task": item.id}) for item in done]
    return Draft("cancel", tuple(items), reversal=Reversal.WHILE_UNTOUCHED)


def check(task: NewTask) -> None:
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


def _label(task: NewTask) -> str:
    due = f" in {task.delay_s:g} s" if task.delay_s else ""
    return f"{line(task.type, 64)} ({len(task.payload):,} bytes){due}"


def _with(task: NewTask, extra: Mapping[bytes, bytes]) -> NewTask:
    return replace(task, extra={**task.extra, **extra})


def _written(task: NewTask) -> str:
    """Return *task* as text that `_read` takes."""
    data: dict[str, Any] = asdict(task) | {
        "payload": base64.b64encode(task.payload).decode(),
        "extra": [[_coded(name), _coded(value)] for name, value in task.extra.items()],
    }
    return json.dumps(data)


def _read(text: str) -> NewTask:
    data = json.loads(text)
    return NewTask(
        **data
        | {
            "payload": base64.b64decode(data["payload"]),
            "extra": {base64.b64decode(name): base64.b64decode(value) for name, value in data["extra"]},
            "priority": Priority(data["priority"]),
        }
    )


def _coded(value: bytes) -> str:
    return base64.b64encode(value).decode()


VERBS: tuple[Verb[Any], ...] = (Verb(SendTask, _send), Verb(ResendLetter, _resend))
"""What can be published."""
