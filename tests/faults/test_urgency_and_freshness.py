"""Rows 9 to 11: what waited too long does not run, what is urgent runs next, and nothing starves that may not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from observatory.bus import Bus
from observatory.model.event import EventKind
from observatory.model.task import NewTask, Priority
from tests.conftest import eventually
from tests.faults.rig import Notes
from tests.faults.verdict import drained, events_of

if TYPE_CHECKING:
    from observatory.model.task import Task
    from tests.faults.rig import Rig


async def _reason_of(bus: Bus, task: str) -> str:
    return next((letter.reason for letter in (await bus.dead_letters()).items if letter.task_id == task), "")


async def test_what_expired_in_the_queue_is_stale(any_rig: Rig) -> None:
    """A task that nobody took in its time becomes a stale dead letter, and is not begun."""
    notes = Notes()
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "x", id="late", ttl=0.05)
        await any_rig.publish(bus, "x", id="fresh", ttl=60)
        await asyncio.sleep(0.1)
        async with any_rig.working(bus, "pink", notes):
            await eventually(lambda: notes.begun == {"fresh": 1})
        assert await _reason_of(bus, "late") == "stale"
    await any_rig.judge()


async def test_what_expired_between_attempts_is_stale(any_rig: Rig) -> None:
    """The time to live counts from the first arrival: it runs out during the wait for the next attempt, too."""

    async def fail(_task: Task) -> None:
        raise RuntimeError("once")

    notes = Notes(fail)
    async with Bus.connect(any_rig.url) as bus:
        async with any_rig.working(bus, "pink", notes, retry_delays=(0.6, 0.6)):
            await any_rig.publish(bus, "x", id="late", ttl=0.4)
            assert await eventually(lambda: _reason_of(bus, "late")) == "stale"
        assert notes.begun == {"late": 1}
    await any_rig.judge()


async def test_the_life_of_delayed_work_begins_when_it_is_due(any_rig: Rig) -> None:
    """Work that waits longer than its time to live is fresh when it becomes due, and stale a life after that."""
    notes = Notes()
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "x", id="later", ttl=0.6, delay=0.8)
        await any_rig.publish(bus, "x", id="missed", ttl=0.1, delay=0.2, queue="coding")
        async with any_rig.working(bus, "pink", notes):
            await eventually(lambda: notes.begun == {"later": 1})
        async with any_rig.working(bus, "red", notes, queues=("coding",)):
            assert await eventually(lambda: _reason_of(bus, "missed")) == "stale"
    await any_rig.judge()


async def test_what_expired_in_the_hands_of_the_dead_is_stale(any_rig: Rig) -> None:
    """Work of a killed agent whose time ran out with it is not begun by its heir."""
    heirs = Notes()
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "work", {"s": 60}, id="inherited", ttl=2.0)
        agent = any_rig.spawn("doomed", lease_s=1.0)
        await agent.busy()
        await any_rig.kill(agent)
        await asyncio.sleep(2.0)
        async with any_rig.working(bus, "heir", heirs, lease_s=1.0):
            assert await eventually(lambda: _reason_of(bus, "inherited")) == "stale"
        assert heirs.tasks == []
    await any_rig.judge()


async def test_a_critical_task_starts_before_every_other_that_waits(any_rig: Rig, soak: bool) -> None:
    """Behind thousands of low tasks, with every slot busy, the critical one is the very next that starts."""
    backlog = 10_000 if soak else 2_000
    slots, handler_s = 4, 0.2
    started: list[str] = []
    overtaken = asyncio.Event()

    async def take_time(task: Task) -> None:
        started.append(task.lane.priority)
        if task.lane.priority == Priority.CRITICAL:
            overtaken.set()
        elif not overtaken.is_set():
            await asyncio.sleep(handler_s)

    notes = Notes(take_time)
    async with Bus.connect(any_rig.url) as bus:
        low = [NewTask("x", b"", id=f"low-{number}", priority=Priority.LOW) for number in range(backlog)]
        any_rig.history.acknowledged.update(answer.id for answer in await bus.publish_many(low))
        async with any_rig.working(bus, "pink", notes, concurrency=slots):
            for number in range(3):
                overtaken.clear()
                await eventually(lambda: len(started) >= slots)
                await any_rig.publish(bus, "x", id=f"critical-{number}", priority="critical")
                await eventually(overtaken.is_set)
            await eventually(lambda: len(started) == backlog + 3, timeout=60)
        order = [event for event in await events_of(bus) if event.kind in {EventKind.PUBLISHED, EventKind.TAKEN}]
    for number in range(3):
        arrival, start = (index for index, event in enumerate(order) if event.task == f"critical-{number}")
        assert start == arrival + 1, order[arrival : start + 1]
    await any_rig.judge()


async def test_with_aging_nothing_starves(any_rig: Rig) -> None:
    """While critical work never ends, a low task starts once it has waited as long as the worker lets it."""
    notes = Notes()
    patience_ms = 500
    async with Bus.connect(any_rig.url) as bus:

        async def one_more_for_each(task: Task) -> None:
            if task.lane.priority == Priority.CRITICAL and notes.begun["patient"] == 0:
                await any_rig.publish(bus, "x", priority="critical")
                await asyncio.sleep(0.005)

        notes = Notes(one_more_for_each)
        for _ in range(10):
            await any_rig.publish(bus, "x", priority="critical")
        await any_rig.publish(bus, "x", id="patient", priority="low")
        async with any_rig.working(bus, "pink", notes, aging={Priority.LOW: patience_ms / 1000}):
            await eventually(lambda: notes.begun["patient"] == 1)
            await drained(bus, any_rig.raw)
        log = [event for event in await events_of(bus) if event.kind == EventKind.TAKEN]
        waits = [event.ms for event in log if event.task == "patient"]
        assert waits[0] is not None
        assert waits[0] >= patience_ms
        meanwhile = [event for event in log if event.ts_ms > log[0].ts_ms + 2 * patience_ms and event.task != "patient"]
        assert len(meanwhile) <= 20, "it waited far longer than it had to"
    await any_rig.judge()


async def test_slow_handlers_do_not_make_patience_longer(any_rig: Rig) -> None:
    """How long a lane may wait does not depend on how long the tasks before it run."""
    runs_s, patience_s = 0.2, 0.5

    async def take_time(_task: Task) -> None:
        await asyncio.sleep(runs_s)

    notes = Notes(take_time)
    async with Bus.connect(any_rig.url) as bus:
        for _ in range(10):
            await any_rig.publish(bus, "x", priority="critical")
        await any_rig.publish(bus, "x", id="patient", priority="low")
        async with any_rig.working(bus, "pink", notes, aging={Priority.LOW: patience_s}):
            await eventually(lambda: notes.begun["patient"] == 1)
            before = [task.id for task in notes.tasks].index("patient")
            await drained(bus, any_rig.raw)
    assert before <= patience_s // runs_s + 2
    await any_rig.judge()
