"""Row 12: a cancel that races with everything else that can happen to a task."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING

from observatory.bus import Bus, CancelOutcome
from observatory.model.event import EventKind
from observatory.model.task import TaskState
from tests.conftest import eventually
from tests.faults.rig import Notes
from tests.faults.verdict import events_of

if TYPE_CHECKING:
    from observatory.model.task import Task
    from tests.faults.rig import Rig


async def test_a_cancel_has_one_outcome_in_every_race(any_rig: Rig, soak: bool) -> None:
    """Tasks that wait, are due, run, fail or are over while they are cancelled end in one way, the one answered."""
    count = 1000 if soak else 120
    dice = random.Random(12)

    async def run(task: Task) -> None:
        await asyncio.sleep(dice.choice((0, 0, 0.005, 0.05)))
        if dice.random() < 0.3:
            raise RuntimeError("perhaps next time")

    answers: dict[str, CancelOutcome] = {}

    async def live_and_be_cancelled(bus: Bus, number: int) -> None:
        task = f"t-{number}"
        await asyncio.sleep(dice.random() * count / 200)
        await any_rig.publish(bus, "x", id=task, delay=dice.choice((0, 0, 0.02)))
        await asyncio.sleep(dice.choice((0, 0.001, 0.01, 0.05, 0.2)))
        answers[task] = await bus.cancel(task)

    async with Bus.connect(any_rig.url) as bus, Bus.connect(any_rig.url) as operator:
        async with (
            any_rig.working(bus, "pink", Notes(run), concurrency=3, lease_s=0.4, retry_delays=(0.02, 0.02)),
            any_rig.working(bus, "red", Notes(run), concurrency=3, lease_s=0.4, retry_delays=(0.02, 0.02)),
        ):
            await asyncio.gather(*(live_and_be_cancelled(operator, number) for number in range(count)))
            await eventually(lambda: _all_final(bus, answers), timeout=30)
        finals = {task: await _state(bus, task) for task in answers}
    assert Counter(answers.values())[CancelOutcome.UNKNOWN] == 0
    for task, answer in answers.items():
        if answer is CancelOutcome.CANCELLED:
            assert finals[task] is TaskState.CANCELLED, task
        if answer is CancelOutcome.SETTLED:
            assert finals[task] in {TaskState.DONE, TaskState.DEAD}, task
        if answer is CancelOutcome.REQUESTED:
            assert finals[task] in {TaskState.DONE, TaskState.CANCELLED}, task
    await any_rig.judge()


async def _state(bus: Bus, task: str) -> TaskState | None:
    record = await bus.record(task)
    return record.state if record else None


async def _all_final(bus: Bus, tasks: dict[str, CancelOutcome]) -> bool:
    over = {EventKind.COMPLETED, EventKind.CANCELLED, EventKind.DEAD_LETTERED}
    missing = set(tasks) - {event.task for event in await events_of(bus) if event.kind in over}
    assert not missing, [await bus.record(task) for task in missing]
    return True


async def test_a_cancelled_task_that_runs_is_stopped_within_a_renewal(any_rig: Rig) -> None:
    """Its agent hears of the cancel with the next renewal of its lease at the latest, and stops the handler."""
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "work", {"s": 3600}, id="endless")
        agent = any_rig.spawn("pink", lease_s=2.0)
        await agent.busy()
        assert await bus.cancel("endless") is CancelOutcome.REQUESTED
        await eventually(lambda: agent.lines("cancelled"), timeout=5)
        await eventually(lambda: agent.stats.get("cancelled") == 1)
        assert await _state(bus, "endless") is TaskState.CANCELLED
        assert await bus.cancel("endless") is CancelOutcome.CANCELLED
    await any_rig.dismiss(agent)
    await any_rig.judge()


async def test_a_cancelled_task_of_a_dead_agent_does_not_run_again(any_rig: Rig) -> None:
    """A cancel that a killed agent never heard of is honoured when its work passes on."""
    heirs = Notes()
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "work", {"s": 3600}, id="endless")
        agent = any_rig.spawn("pink", lease_s=1.5)
        await agent.busy()
        any_rig.freeze(agent)
        assert await bus.cancel("endless") is CancelOutcome.REQUESTED
        await any_rig.kill(agent)
        async with any_rig.working(bus, "heir", heirs, lease_s=1.0):
            await eventually(lambda: _is(bus, "endless", TaskState.CANCELLED))
        assert heirs.tasks == []
    await any_rig.judge()


async def _is(bus: Bus, task: str, state: TaskState) -> bool:
    return await _state(bus, task) is state
