"""Undo and redo of every verb: what comes back is what was there, and what cannot come back is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from observatory.actions import BusActions
from observatory.model.errors import BusError, UsageError
from observatory.model.plan import (
    BuryPending,
    CancelTasks,
    ClaimPending,
    Consent,
    Counts,
    DrainLanes,
    PauseLanes,
    Plan,
    PurgeTrash,
    RemoveConsumers,
    Report,
    Request,
    RequeueDeadLetters,
    ResendLetter,
    ResetGroup,
    RestoreLetters,
    ResumeLanes,
    Reversal,
    Selector,
    SendTask,
    SetBounds,
    TellAgents,
    TrashLetters,
    UndoJob,
)
from observatory.model.retention import Retention
from observatory.model.task import NewTask, TaskState
from tests.actions.streams import entries
from tests.actions.test_requeue import bury
from tests.conftest import eventually

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus

DLQ, TRASH, HIGH = "cortex:tasks:dlq", "cortex:tasks:trash", "cortex:tasks:high"


async def do(bus: Bus, request: Request) -> Report:
    """Plan and execute as somebody who types what is asked for."""
    actions = BusActions(bus)
    plan = await actions.plan(request)
    return await actions.execute(plan, Consent(actions.guard.demand(plan).word, "because"))


async def undo(bus: Bus, plan: Plan) -> Report:
    """Take a job back."""
    return await do(bus, UndoJob(plan.id))


async def test_a_requeue_is_undone_field_by_field_and_redone(bus: Bus, plain: redis.Redis) -> None:
    """The dead letter is what it was, names the id that it had, and can be put back to work again."""
    fields: Any = {
        "id": "t-1",
        "type": "deploy",
        "priority": "low",
        "payload": "x" * 200,
        "attempt": "3",
        "requeues": "2",
    }
    ours = {"reason": "error", "last_error": "boom", "attempts": "3", "source": HIGH}
    dead = plain.xadd(DLQ, fields | ours).decode()  # type: ignore[union-attr]
    ((_, before),) = entries(plain, DLQ)
    report = await do(bus, RequeueDeadLetters(Selector((dead,)), priority="critical"))
    ((_, moved),) = entries(plain, "cortex:tasks:critical")
    assert moved[b"requeues"] == b"3"
    assert moved[b"requeued_from"] == dead.encode()
    assert moved[b"priority"] == b"critical"
    assert b"reason" not in moved
    undone = await undo(bus, report.plan)
    assert (len(undone.done), plain.xlen(DLQ)) == (1, 1)
    ((again, after),) = entries(plain, DLQ)
    assert after == before | {b"was": dead.encode()}
    assert undone.entries == (again,)
    redone = await undo(bus, undone.plan)
    assert (redone.plan.verb, len(redone.done)) == ("requeue", 1)
    assert plain.xlen(DLQ) == 0
    with pytest.raises(UsageError, match="taken back"):
        await BusActions(bus).plan(UndoJob(report.plan.id))


async def test_what_was_taken_back_is_never_run(bus: Bus, plain: redis.Redis) -> None:
    """A worker that comes to the entry drops it, and the books are right before and after."""
    first, second = bury(plain, "t-1"), bury(plain, "t-2")
    report = await do(bus, RequeueDeadLetters(Selector((first,))))
    await undo(bus, report.plan)
    await do(bus, RequeueDeadLetters(Selector((second,))))
    assert (await bus.audit()).equal
    ran: list[str] = []

    async def handler(task: Any, _context: Any) -> None:
        ran.append(task.id)

    worker = bus.worker("pink", {"*": handler})
    running = asyncio.create_task(worker.run())
    await eventually(lambda: ran)
    worker.stop()
    await running
    assert ran == ["t-2"]
    assert plain.smembers("cortex:tasks:cancelled") == set()
    assert (await bus.audit()).equal


async def test_undo_says_beforehand_what_was_taken(bus: Bus, plain: redis.Redis) -> None:
    """Of two that were requeued one was taken: the plan of the undo holds the other, and says why not the first."""
    letters = tuple(bury(plain, f"t-{number}") for number in range(2))
    report = await do(bus, RequeueDeadLetters(Selector(letters)))
    plain.xgroup_create(HIGH, "workers", id="0")
    plain.xreadgroup("workers", "pink@h:1:00000000", {HIGH: ">"}, count=1)
    plan = await BusActions(bus).plan(UndoJob(report.plan.id))
    done = (await BusActions(bus).execute(plan)).done
    assert len(done) == 1
    assert plain.xlen(DLQ) == 1


async def test_trash_restore_and_purge(bus: Bus, plain: redis.Redis) -> None:
    """What is trashed can be restored field by field; what is purged is gone, and needs its word."""
    dead = bury(plain, "t-1")
    ((_, before),) = entries(plain, DLQ)
    report = await do(bus, TrashLetters(Selector(filter="type:deploy")))
    ((entry, trashed),) = entries(plain, TRASH)
    assert trashed[b"trashed_id"] == dead.encode()
    assert report.plan.reversal is Reversal.FULL
    await undo(bus, report.plan)
    ((_, after),) = entries(plain, DLQ)
    assert after == before | {b"was": dead.encode()}
    report = await do(bus, TrashLetters(Selector(filter="type:deploy")))
    (entry,) = report.entries
    restored = await do(bus, RestoreLetters(Selector((entry,))))
    ((_, after),) = entries(plain, DLQ)
    assert after == before | {b"was": dead.encode()}
    await undo(bus, restored.plan)
    ((entry, _),) = entries(plain, TRASH)
    actions = BusActions(bus)
    plan = await actions.plan(PurgeTrash(Selector((entry,))))
    assert actions.guard.demand(plan).word == "purge"
    gone = await do(bus, PurgeTrash(Selector((entry,))))
    assert (gone.done, plain.xlen(TRASH), plain.xlen(DLQ)) == ((entry,), 0, 0)
    with pytest.raises(UsageError, match="cannot be undone"):
        await actions.plan(UndoJob(gone.plan.id))


async def test_a_cancel_of_what_waits_is_undone(bus: Bus, plain: redis.Redis) -> None:
    """A queued task and one that waits for its time run after all; what was dropped does not."""
    await bus.publish("deploy", id="queued")
    await bus.publish("deploy", id="later", delay=60)
    report = await do(bus, CancelTasks(Selector(("queued", "later", "nobody"))))
    assert set(report.done) == {"queued", "later"}
    assert [item.id for item in report.plan.skipped] == ["nobody"]
    assert plain.zcard("cortex:tasks:delayed") == 0
    undone = await undo(bus, report.plan)
    assert set(undone.done) == {"queued", "later"}
    states = [(await bus.record(name)).state for name in ("queued", "later")]  # type: ignore[union-attr]
    assert states == [TaskState.QUEUED, TaskState.DELAYED]
    assert (await bus.audit()).equal
    redone = await undo(bus, undone.plan)
    assert set(redone.done) == {"queued", "later"}


@pytest.fixture
async def held(bus: Bus, plain: redis.Redis) -> str:
    """A task that a silent consumer of harold holds; a consumer of pink is there as well."""
    await bus.publish("deploy", id="t-1", priority="high")
    plain.xgroup_create(HIGH, "workers", id="0")
    plain.xreadgroup("workers", "harold@h:1:00000000", {HIGH: ">"})
    plain.xgroup_createconsumer(HIGH, "workers", "pink@h:2:00000000")
    return "t-1"


def holds(plain: redis.Redis) -> list[tuple[str, int]]:
    """Who holds what, how often delivered."""
    rows: Any = plain.xpending_range(HIGH, "workers", "-", "+", 10)
    return [(row["consumer"].decode(), row["times_delivered"]) for row in rows]


async def test_a_claim_is_undone_with_owner_and_count(bus: Bus, plain: redis.Redis, held: str) -> None:
    """Pink gets it with a raised count; undone, harold has it with the count that it had."""
    report = await do(bus, ClaimPending(Selector((held,)), agent="pink", counts=Counts.RAISE))
    assert holds(plain) == [("pink@h:2:00000000", 2)]
    await undo(bus, report.plan)
    assert holds(plain) == [("harold@h:1:00000000", 1)]


async def test_a_claim_back_to_the_lane(bus: Bus, plain: redis.Redis, held: str) -> None:
    """It stands at the end of its lane, and who held it can settle it no more."""
    report = await do(bus, ClaimPending(Selector(filter="agent:harold")))
    assert (report.plan.verb, len(report.done), holds(plain)) == ("hand back", 1, [])
    assert entries(plain, HIGH)[-1][1][b"id"] == held.encode()
    assert (await bus.audit()).equal


async def test_an_owner_who_lives_keeps_its_work(bus: Bus, plain: redis.Redis, held: str) -> None:
    """A fresh heartbeat refuses a claim, but for a reason."""
    await bus.heartbeat("harold", consumer="harold@h:1:00000000")
    plan = await BusActions(bus).plan(ClaimPending(Selector((held,)), agent="pink"))
    assert plan.items == ()
    assert "heartbeat is fresh" in plan.skipped[0].why
    report = await do(bus, ClaimPending(Selector((held,)), agent="pink", override="it hangs"))
    assert len(report.done) == 1
    assert "it hangs" in report.plan.asked


async def test_an_owner_who_shows_life_after_the_plan_keeps_its_work(bus: Bus, plain: redis.Redis, held: str) -> None:
    """Between plan and execution the lease was renewed: the step sees it and leaves the entry alone."""
    actions = BusActions(bus)
    plan = await actions.plan(ClaimPending(Selector((held,)), agent="pink"))
    (item,) = plan.items
    # As if it had been looked at when it had been idle for a minute.
    plan = replace(plan, items=(replace(item, seen={**item.seen, "idle": "60000"}),))
    ((entry, _),) = entries(plain, HIGH)
    plain.xclaim(HIGH, "workers", "harold@h:1:00000000", 0, [entry], justid=True)
    report = await actions.execute(plan)
    assert report.done == ()
    assert "shown life" in report.skipped[0].why


async def test_a_burial_by_hand_is_undone(bus: Bus, plain: redis.Redis, held: str) -> None:
    """It is a dead letter of reason `operator`, and goes back to its lane with the attempt that it had."""
    report = await do(bus, BuryPending(Selector((held,)), error="wrong customer"))
    ((_, fields),) = entries(plain, DLQ)
    assert (fields[b"reason"], fields[b"last_error"]) == (b"operator", b"wrong customer")
    assert holds(plain) == []
    await undo(bus, report.plan)
    assert (plain.xlen(DLQ), plain.xlen(HIGH)) == (0, 1)
    assert (await bus.audit()).equal


async def test_pauses_are_undone(bus: Bus, plain: redis.Redis) -> None:
    """Lanes, groups of lanes and agents; a pause with an end comes back with that end."""
    first = await do(bus, PauseLanes(("high", "coding:low", "high/workers", "@pink"), 600))
    assert len(first.done) == 4
    ends: Any = plain.hgetall("cortex:tasks:paused")
    resumed = await do(bus, ResumeLanes(("high", "@pink")))
    assert plain.hlen("cortex:tasks:paused") == 2
    await undo(bus, resumed.plan)
    assert plain.hgetall("cortex:tasks:paused") == ends
    await undo(bus, first.plan)
    assert plain.hlen("cortex:tasks:paused") == 0


async def test_a_drained_lane_takes_nothing_new_until_it_is_opened(bus: Bus, plain: redis.Redis) -> None:
    """Publishers are refused with the reason, other lanes take work, and dead letters still come back."""
    dead = bury(plain, "t-1")
    drained = await do(bus, DrainLanes(("high",), 600))
    with pytest.raises(BusError, match="drained"):
        await bus.publish("x", priority="high")
    await bus.publish("x", priority="low")
    await do(bus, RequeueDeadLetters(Selector((dead,))))
    assert plain.xlen(HIGH) == 1
    await undo(bus, drained.plan)
    await bus.publish("x", priority="high")
    assert plain.xlen(HIGH) == 2
    await do(bus, DrainLanes(("high",), 0.01))
    await asyncio.sleep(0.02)
    await bus.publish("x", priority="high")
    with pytest.raises(UsageError, match="cannot be drained"):
        await BusActions(bus).plan(DrainLanes(("@pink",)))


async def test_an_agent_that_is_left_in_peace_takes_nothing(bus: Bus) -> None:
    """Pink is quiet, and so is a paused group of red; orange works."""
    await do(bus, PauseLanes(("@pink", "high/workers")))
    ran: list[str] = []
    workers = []
    for agent in ("pink", "orange"):

        async def handler(task: Any, _context: Any, name: str = agent) -> None:
            ran.append(f"{name} {task.id}")

        workers.append(bus.worker(agent, {"*": handler}))
    running = [asyncio.create_task(worker.run()) for worker in workers]
    await bus.publish("x", id="held up", priority="high")
    for number in range(20):
        await bus.publish("x", id=str(number), priority="low")
    await eventually(lambda: len(ran) == 20)
    assert {line.partition(" ")[0] for line in ran} == {"orange"}
    await do(bus, ResumeLanes(("high/workers",)))
    await eventually(lambda: len(ran) == 21)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*running)


async def test_a_group_is_moved_and_moved_back(bus: Bus, plain: redis.Redis) -> None:
    """The plan says how many entries will be delivered; what was moved on meanwhile is left alone."""
    for number in range(3):
        plain.xadd(HIGH, {"id": str(number)})
    plain.xgroup_create(HIGH, "workers", id="$")
    report = await do(bus, ResetGroup("high", "workers", "start"))
    assert "3 entries" in report.plan.items[0].label
    assert len(plain.xreadgroup("workers", "pink", {HIGH: ">"}, count=1)) == 1
    undone = await undo(bus, report.plan)
    assert [item.why for item in undone.skipped] == ["somebody else has it by now"]


async def test_consumers_bounds_and_messages(bus: Bus, plain: redis.Redis, held: str) -> None:
    """One that holds work stays; bounds come back; a message is in its mailbox once."""
    plan = await BusActions(bus).plan(
        RemoveConsumers(("harold@h:1:00000000", "pink@h:2:00000000", "nobody"), override="it is gone")
    )
    assert {item.why[:8] for item in plan.skipped} == {"it holds", "no group"}
    assert held
    removed = await do(bus, RemoveConsumers(("pink@h:2:00000000",), override="it is gone"))
    assert len(removed.done) == 1
    bounds = await do(bus, SetBounds(replace(Retention(), dead_days=7)))
    assert (await bus.retention()).dead_days == 7
    await undo(bus, bounds.plan)
    assert (await bus.retention(), plain.hlen("cortex:retention")) == (Retention(), 0)
    told = await do(bus, TellAgents("pink", "hello", "m-1"))
    await BusActions(bus).execute(told.plan)
    assert plain.xlen("cortex:messages:pink") == 1


async def test_a_send_and_an_edited_copy_are_undone(bus: Bus, plain: redis.Redis) -> None:
    """A sent task is cancelled; the original of a copy is a dead letter again, and was in the trash meanwhile."""
    sent = await do(bus, SendTask(NewTask("deploy", b"", "t-0")))
    await undo(bus, sent.plan)
    assert (await bus.record("t-0")).state is TaskState.CANCELLED  # type: ignore[union-attr]
    dead = bury(plain, "t-1")
    copy = await do(bus, ResendLetter(dead, {"payload": "{}", "priority": "normal"}, "t-2"))
    assert (plain.xlen(DLQ), plain.xlen(TRASH)) == (0, 1)
    fields = dict(entries(plain, "cortex:tasks:normal")[-1][1])
    assert (fields[b"copy_of"], fields[b"requeued_from"]) == (b"t-1", dead.encode())
    await undo(bus, copy.plan)
    assert (plain.xlen(DLQ), plain.xlen(TRASH)) == (1, 0)
