"""What operators change, on every deployment of the engine: each step is in the slot where its item is."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from observatory.actions import BusActions
from observatory.bus import DoNotRetry
from observatory.model.listing import Ask
from observatory.model.plan import (
    CancelTasks,
    ClaimPending,
    Consent,
    PauseLanes,
    Report,
    Request,
    RequeueDeadLetters,
    ResetGroup,
    Selector,
    SetBounds,
    TrashLetters,
    UndoJob,
)
from observatory.model.retention import Retention
from observatory.model.task import TaskState
from tests.conftest import eventually

if TYPE_CHECKING:
    from observatory.bus import Bus

EVERYTHING = Selector(filter="type:*")


async def do(bus: Bus, request: Request) -> Report:
    """Plan and execute as somebody who types what is asked for."""
    actions = BusActions(bus)
    plan = await actions.plan(request)
    return await actions.execute(plan, Consent(actions.guard.demand(plan).word, "because"))


async def dead(bus: Bus, count: int) -> None:
    """Let *count* tasks die."""

    async def never(_task: Any, _context: Any) -> None:
        raise DoNotRetry("broken")

    for number in range(count):
        await bus.publish("deploy", {"n": number}, id=f"t-{number}", queue="coding", priority="low")
    worker = bus.worker("pink", {"*": never}, queues=("coding",), concurrency=8)
    running = asyncio.create_task(worker.run())

    async def all_dead() -> bool:
        return (await bus.dead_letters(limit=1)).total == count

    await eventually(all_dead, timeout=20)
    worker.stop()
    await running


@pytest.mark.everywhere
async def test_dead_letters_go_and_come_back(bus: Bus) -> None:
    """Requeue, undo, trash, undo: what is there in the end is what died, whichever partition it lives in."""
    await dead(bus, 12)
    before = {letter.task_id: letter for letter in (await bus.dead_letters()).items}
    requeued = await do(bus, RequeueDeadLetters(EVERYTHING))
    assert len(requeued.done) == 12
    assert (await bus.dead_letters()).total == 0
    undone = await do(bus, UndoJob(requeued.plan.id))
    assert (len(undone.done), undone.skipped) == (12, ())
    trashed = await do(bus, TrashLetters(EVERYTHING))
    assert len((await bus.reads.dead_letters(Ask(), trash=True)).items) == 12
    assert len((await do(bus, UndoJob(trashed.plan.id))).done) == 12
    after = {letter.task_id: letter for letter in (await bus.dead_letters()).items}
    for task, letter in after.items():
        was = [value for name, value in letter.fields if name == b"was"]
        assert tuple(row for row in letter.fields if row[0] != b"was") == before[task].fields
        assert was == [before[task].entry_id.partition("@")[0].encode()]
    assert (await bus.audit()).equal


@pytest.mark.everywhere
async def test_tasks_and_places_everywhere(bus: Bus) -> None:
    """Cancel, pause, reset and bounds, and back."""
    for number in range(6):
        await bus.publish("deploy", id=f"c-{number}", delay=60 if number % 2 else 0)
    cancelled = await do(bus, CancelTasks(Selector(tuple(f"c-{number}" for number in range(6)))))
    assert len(cancelled.done) == 6
    assert len((await do(bus, UndoJob(cancelled.plan.id))).done) == 6
    paused = await do(bus, PauseLanes(("normal", "@pink"), 60))
    assert len(await bus.paused()) == 1
    assert len((await do(bus, UndoJob(paused.plan.id))).done) == 2
    assert await bus.paused() == {}
    for part in bus.partitions:
        await part.link.command("XGROUP", "CREATE", f"{part.keys.prefix}:tasks:normal", "workers", "$", "MKSTREAM")
    moved = await do(bus, ResetGroup("normal", "workers", "start"))
    assert len((await do(bus, UndoJob(moved.plan.id))).done) == len(moved.done) > 0
    bounds = await do(bus, SetBounds(Retention(dead_days=3)))
    assert len((await do(bus, UndoJob(bounds.plan.id))).done) == 1
    assert await bus.retention() == Retention()


@pytest.mark.everywhere
async def test_every_race_has_one_outcome(bus: Bus, soak: bool) -> None:
    """Tasks that are taken, claimed, handed back, cancelled and requeued all at once end once, and the books agree."""
    dice, count = random.Random(7), 400 if soak else 40
    ended: Counter[str] = Counter()

    async def work(task: Any, _context: Any) -> None:
        await asyncio.sleep(dice.choice((0, 0, 0.01)))
        if dice.random() < 0.3 and not ended[f"failed {task.id}"]:
            ended[f"failed {task.id}"] += 1
            raise DoNotRetry("once")
        ended[task.id] += 1

    workers = [bus.worker(name, {"*": work}, concurrency=3, lease_s=0.5) for name in ("pink", "orange")]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    ids = [f"r-{number}" for number in range(count)]

    async def meddle(task: str) -> None:
        await bus.publish("x", id=task)
        await asyncio.sleep(dice.random() * 0.05)
        wishes: list[Request] = [CancelTasks(Selector((task,))), ClaimPending(Selector((task,)), override="race")]
        wishes.append(ClaimPending(Selector((task,)), agent="orange", override="race"))
        wishes.append(RequeueDeadLetters(Selector(filter=f"task:{task}")))
        await do(bus, dice.choice(wishes))

    for first in range(0, count, 8):
        await asyncio.gather(*(meddle(task) for task in ids[first : first + 8]))

    async def all_over() -> bool:
        if (await bus.dead_letters(limit=1)).total:
            await do(bus, RequeueDeadLetters(EVERYTHING))
        records = [await bus.record(task) for task in ids]
        return all(record is not None and record.state in {"done", "cancelled"} for record in records)

    await eventually(all_over, timeout=40)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*running)
    for task in ids:
        record = await bus.record(task)
        assert record is not None
        # Done once is run to its end once at least: who was overtaken may have worked in vain, and settles nothing.
        assert ended[task] >= (record.state is TaskState.DONE)
    facts = [event for event in (await bus.events(limit=100_000)).items if event.task in set(ids)]
    finals = Counter(event.task for event in facts if event.kind in {"completed", "cancelled"})
    assert finals == Counter(ids)
    assert (await bus.audit()).equal
