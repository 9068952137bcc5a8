"""Sending a task by hand: plan, then execution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from observatory.actions import BusActions
from observatory.model.clock import ManualClock
from observatory.model.errors import UsageError
from observatory.model.plan import SendTask
from observatory.model.task import NewTask, Priority, TaskState
from observatory.model.wire import MAX_PAYLOAD
from tests.actions.streams import entries

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus

TASK = NewTask(type="deploy", payload=b'{"a": 1}', id="task-1", priority=Priority.HIGH)


async def test_a_plan_says_what_will_be_added_and_adds_nothing(bus: Bus, plain: redis.Redis) -> None:
    """The plan names lane, type and size; the lane is empty until it is executed."""
    clock = ManualClock()
    plan = await BusActions(bus, clock).plan(SendTask(TASK))
    (item,) = plan.items
    assert (plan.verb, plan.created_ms, plan.skipped) == ("send", clock.now_ms(), ())
    assert (item.id, item.source, item.target) == ("task-1", "", "cortex:tasks:high")
    assert item.label == "deploy (8 bytes)"
    assert plain.xlen("cortex:tasks:high") == 0


async def test_a_sent_task_is_in_its_lane(bus: Bus, plain: redis.Redis) -> None:
    """Executing adds exactly the planned entry, and the report holds its id."""
    actions = BusActions(bus)
    report = await actions.execute(await actions.plan(SendTask(replace(TASK, queue="@pink"))))
    ((entry_id, fields),) = entries(plain, "cortex:tasks:@pink:high")
    assert (report.done, report.entries) == (("task-1",), (entry_id,))
    assert (fields[b"id"], fields[b"type"], fields[b"payload"]) == (b"task-1", b"deploy", b'{"a": 1}')


async def test_a_delayed_task_waits_and_is_not_in_its_lane(bus: Bus, plain: redis.Redis) -> None:
    """With a delay there is no entry yet; the report says done with an empty entry id."""
    actions = BusActions(bus)
    plan = await actions.plan(SendTask(replace(TASK, delay_s=60)))
    report = await actions.execute(plan)
    assert plan.items[0].label == "deploy (8 bytes) in 60 s"
    assert (report.done, report.entries) == (("task-1",), ("",))
    assert (plain.xlen("cortex:tasks:high"), plain.zcard("cortex:tasks:delayed")) == (0, 1)


async def test_a_plan_executed_twice_sends_once(bus: Bus, plain: redis.Redis) -> None:
    """The second run adds nothing, and reports what the first one did."""
    actions = BusActions(bus)
    plan = await actions.plan(SendTask(TASK))
    report = await actions.execute(plan)
    again = await actions.execute(plan)
    assert (again.done, again.entries) == (report.done, report.entries) == (("task-1",), report.entries)
    assert plain.xlen("cortex:tasks:high") == 1
    record = await bus.record("task-1")
    assert record is not None
    assert record.state is TaskState.QUEUED


async def test_an_id_that_is_taken_is_seen_in_the_plan(bus: Bus) -> None:
    """A plan for a task that is already there touches nothing and says why, and executing it does nothing."""
    actions = BusActions(bus)
    await bus.publish_task(TASK)
    plan = await actions.plan(SendTask(TASK))
    assert (plan.items, plan.skipped[0].id) == ((), "task-1")
    assert (await actions.execute(plan)).done == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "  "}, "type"),
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"queue": "no such\x1b[2J"}, "queue"),
        ({"queue": "dlq"}, "queue"),
        ({"payload": b"x" * (MAX_PAYLOAD + 1)}, "payload"),
        ({"ttl_s": 0.0}, "ttl"),
        ({"ttl_s": float("nan")}, "ttl"),
        ({"delay_s": -1.0}, "delay"),
        ({"delay_s": float("inf")}, "delay"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_field(bus: Bus, change: dict[str, object], field: str) -> None:
    """The error begins with the field that is wrong, is printable, and exits with 2."""
    with pytest.raises(UsageError) as caught:
        await BusActions(bus).plan(SendTask(replace(TASK, **change)))  # type: ignore[arg-type]
    assert caught.value.problem.startswith(field)
    assert caught.value.problem.isprintable()
    assert caught.value.exit_code == 2
