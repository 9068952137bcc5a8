"""Ordering keys: tasks of one key one after another, as they arrived; everything else in parallel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus, CancelOutcome
from observatory.model.errors import UsageError
from observatory.model.task import NewTask, TaskState
from tests.bus.conftest import held, lane_of, lanes_of, working
from tests.conftest import eventually

if TYPE_CHECKING:
    from observatory.model.task import Task

pytestmark = pytest.mark.everywhere


class Desk:
    """A handler that holds every task until it is let go, and writes down what it began."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    async def __call__(self, task: Task) -> None:
        """Begin with a task and wait."""
        self.begun.append(task.id)
        await self._gate(task.id).wait()

    def let_go(self, *tasks: str) -> None:
        """Let tasks finish, those to come included."""
        for task in tasks:
            self._gate(task).set()

    def _gate(self, task: str) -> asyncio.Event:
        return self._gates.setdefault(task, asyncio.Event())


async def test_the_key_is_a_field_where_it_is_used_and_only_there(bus: Bus, raw: Any) -> None:
    """Foreign readers see one more plain field, and only in tasks that have a key."""
    await bus.publish("x", ordering_key="customer-7")
    await bus.publish("x", id="customer-7")
    (_, first), (_, second) = raw.xrange(lane_of(bus, "customer-7"))
    assert first["ordering_key"] == "customer-7"
    assert "ordering_key" not in second
    assert " ".join(first) == "id type from priority payload created_at ttl ordering_key v"


@pytest.mark.parametrize("key", ["null", "k" * 201])
async def test_a_key_that_cannot_be_one_is_refused(bus: Bus, key: str) -> None:
    """The message names the field."""
    with pytest.raises(UsageError, match="ordering_key"):
        await bus.publish("x", ordering_key=key)


async def test_one_key_waits_for_itself_and_nobody_else_does(bus: Bus) -> None:
    """Of two customers with two tasks each, two tasks run at once, one of each."""
    desk = Desk()
    for task in ("a1", "a2", "b1", "b2"):
        await bus.publish("x", id=task, ordering_key=task[0])
    async with working(bus, "pink", {"x": desk}, concurrency=2), working(bus, "harold", {"x": desk}, concurrency=2):
        await eventually(lambda: sorted(desk.begun) == ["a1", "b1"])
        await eventually(lambda: _parked(bus, 2))
        desk.let_go("b1", "b2")
        await eventually(lambda: desk.begun[2:] == ["b2"])
        desk.let_go("a1", "a2")
        await eventually(lambda: desk.begun[3:] == ["a2"])


async def _parked(bus: Bus, count: int) -> bool:
    return sum(lane.parked for lane in (await bus.observe()).lanes) == count


async def test_parked_tasks_are_backlog_and_are_nobodys(bus: Bus) -> None:
    """They count as pending, no consumer is said to hold them, and the audit finds everything in its place."""
    desk = Desk()
    for number in range(5):
        await bus.publish("x", id=f"t{number}", ordering_key="k")
    async with working(bus, "pink", {"x": desk}, concurrency=3):
        await eventually(lambda: _parked(bus, 4))
        lane = next(lane for lane in (await bus.observe()).lanes if lane.length)
        assert lane.groups[0].pending == 5
        assert [held for _, held in lane.owners] == [1]
        assert (await bus.audit()).differences == ()
        desk.let_go(*(f"t{number}" for number in range(5)))
        await eventually(lambda: len(desk.begun) == 5)


async def test_two_idle_workers_never_swap_what_arrives_together(bus: Bus) -> None:
    """Tasks that reach two waiting workers within one millisecond still run in the order of their arrival."""
    begun: list[str] = []

    async def note(task: Task) -> None:
        begun.append(task.id)
        await asyncio.sleep(0)

    names = [f"t{number:03}" for number in range(120)]
    async with working(bus, "pink", {"x": note}), working(bus, "harold", {"x": note}):
        for pair in zip(names[::2], names[1::2], strict=True):
            await bus.publish_many([NewTask("x", b"", task, ordering_key="k") for task in pair])
            await eventually(lambda pair=pair: begun[-2:] == list(pair))  # type: ignore[misc]
    assert begun == names


async def test_a_turn_goes_before_what_came_later(bus: Bus) -> None:
    """What waited for its key does not queue a second time behind the whole lane."""
    desk = Desk()
    await bus.publish_many([NewTask("x", b"", "a1", ordering_key="a"), NewTask("x", b"", "a2", ordering_key="a")])
    async with working(bus, "pink", {"x": desk}):
        await eventually(lambda: desk.begun == ["a1"])
        await bus.publish_many([NewTask("x", b"", f"later-{number}") for number in range(20)])
        async with working(bus, "harold", {"x": desk}):
            await eventually(lambda: len(desk.begun) == 2)  # It parked a2, and holds later-0.
            desk.let_go("a1")
            await eventually(lambda: len(desk.begun) == 3)
            # The free slot may be filled before the engine has heard that a1 is done, but no further one.
            desk.let_go(desk.begun[2])
            await eventually(lambda: len(desk.begun) == 4)
            assert "a2" in desk.begun[2:4]
            desk.let_go("a2", *(f"later-{number}" for number in range(20)))
            await eventually(lambda: len(desk.begun) == 22)


async def test_a_task_that_fails_keeps_its_place_until_it_is_dead(bus: Bus) -> None:
    """The rest of its key waits for its retries, and goes on when it is a dead letter."""
    begun: list[str] = []

    async def fail_first(task: Task) -> None:
        begun.append(task.id)
        if task.id == "first":
            raise RuntimeError("no luck")

    for task in ("first", "second"):
        await bus.publish("x", id=task, ordering_key="k")
    async with working(bus, "pink", {"x": fail_first}, concurrency=4, retry_delays=(0.05, 0.05)):
        await eventually(lambda: "second" in begun)
    assert begun == ["first", "first", "first", "second"]


async def test_cancelling_what_is_parked_takes_it_out_at_once(bus: Bus, raw: Any) -> None:
    """The rest of its key does not wait for it, and nothing of it stays."""
    desk = Desk()
    for task in ("a", "b", "c"):
        await bus.publish("x", id=task, ordering_key="k")
    async with working(bus, "pink", {"x": desk}):
        await eventually(lambda: desk.begun == ["a"])
        async with working(bus, "harold", {"x": desk}):
            await eventually(lambda: _parked(bus, 2))
            assert await bus.cancel("b") is CancelOutcome.CANCELLED
            desk.let_go("a", "c")
            await eventually(lambda: desk.begun == ["a", "c"])
    assert held(raw, lanes_of(bus)) == 0
    assert list(raw.scan_iter("*:order:*")) == []


async def test_cancelling_what_waits_for_its_retry_lets_the_next_run(bus: Bus) -> None:
    """A key is not held by a task that somebody took back."""
    begun: list[str] = []

    async def fail_first(task: Task) -> None:
        begun.append(task.id)
        if task.id == "first":
            raise RuntimeError("no luck")

    for task in ("first", "second"):
        await bus.publish("x", id=task, ordering_key="k")
    async with working(bus, "pink", {"x": fail_first}, concurrency=2, retry_delays=(3600,)):
        await eventually(lambda: _parked(bus, 1))
        await eventually(lambda: _state(bus, "first", TaskState.DELAYED))
        assert begun == ["first"]
        await bus.cancel("first")
        await eventually(lambda: begun == ["first", "second"])


async def _state(bus: Bus, task: str, state: TaskState) -> bool:
    record = await bus.record(task)
    return record is not None and record.state is state


async def test_a_key_does_not_wait_for_what_somebody_deleted(bus: Bus, raw: Any) -> None:
    """A task that was deleted behind the bus's back holds up its key no longer than it takes to notice."""
    first = await bus.publish("x", id="first", ordering_key="k", queue="elsewhere")
    for task in ("second", "third"):
        await bus.publish("x", id=task, ordering_key="k")
    desk = Desk()
    desk.let_go("second", "third")
    async with working(bus, "pink", {"x": desk}, concurrency=2, lease_s=1.0):
        await eventually(lambda: _parked(bus, 2))
        assert desk.begun == []
        raw.xdel(lane_of(bus, "k", queue="elsewhere"), first.entry_id)
        await eventually(lambda: desk.begun == ["second", "third"])


async def test_a_plain_entry_of_a_foreign_agent_keeps_order_too(bus: Bus, raw: Any) -> None:
    """A key in any field order, or in JSON, means the same as one of our own."""
    desk = Desk()
    raw.xadd(lane_of(bus, "k"), {"ordering_key": "k", "kind": "x", "task_id": "first"})
    raw.xadd(lane_of(bus, "k"), {"data": '{"type": "x", "id": "second", "ordering_key": "k"}'})
    async with working(bus, "pink", {"x": desk}, concurrency=2):
        await eventually(lambda: desk.begun == ["first"])
        await eventually(lambda: _parked(bus, 1))
        desk.let_go("first", "second")
        await eventually(lambda: desk.begun == ["first", "second"])
    assert (await bus.audit()).differences == ()


async def test_parked_work_outlasts_the_death_of_whoever_held_it_up(bus: Bus) -> None:
    """The key follows the recovered task: its heir finishes it, then the next of the key runs, once each."""
    dead, desk = bus.worker("dead", {}, lease_s=0.3), Desk()
    for task in ("a", "b", "c"):
        await bus.publish("x", id=task, ordering_key="k")
    assert [delivery.task.id for delivery, _ in (await dead.intake.take(3)).entries] == ["a"]
    desk.let_go("a", "b", "c")
    async with working(bus, "heir", {"x": desk}, concurrency=3, lease_s=0.3):
        await eventually(lambda: desk.begun == ["a", "b", "c"])
    await dead.intake.close()
