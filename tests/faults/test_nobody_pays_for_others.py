"""What is wrong with one lane, one entry or one worker stays with it; and the living keep what is theirs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.model.task import TaskState
from tests.conftest import eventually
from tests.faults.proxy import Proxy
from tests.faults.rig import Notes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.bus.tasks.delivery import Delivery
    from observatory.model.task import Task
    from tests.faults.rig import Rig

LAST_ID = "18446744073709551615-18446744073709551615"


def lasting(seconds: float) -> Callable[[Task], Awaitable[None]]:
    """What a handler does that takes *seconds*."""
    return lambda _task: asyncio.sleep(seconds)


def waiting(gate: asyncio.Event, which: str) -> Callable[[Task], Awaitable[None]]:
    """What a handler does that holds the task *which* until *gate* opens."""

    async def wait(task: Task) -> None:
        if task.id == which:
            await gate.wait()

    return wait


async def inherit(rig: Rig, bus: Bus, **options: Any) -> None:
    """Leave the task `inherited` in the hands of a dead agent."""
    await rig.publish(bus, "work", {"s": 60}, id="inherited", **options)
    doomed = rig.spawn("doomed", lease_s=1.0)
    await doomed.busy()
    await rig.kill(doomed)


@pytest.mark.parametrize("broken", ["type", "ids"])
async def test_a_lane_that_takes_nothing_fails_only_its_own_publishes(rig: Rig, broken: str) -> None:
    """Of publishes that travel together, only the one into a broken or exhausted lane is refused."""
    if broken == "type":
        rig.raw.set("cortex:tasks:critical", "mine")
    else:
        rig.raw.xadd("cortex:tasks:critical", {"id": "last", "type": "x"}, id=LAST_ID)
    async with Bus.connect(rig.url) as bus:
        lanes = ["critical" if number == 25 else "normal" for number in range(50)]
        answers = await asyncio.gather(*(bus.publish("x", priority=lane) for lane in lanes), return_exceptions=True)
    assert [number for number, answer in enumerate(answers) if isinstance(answer, Exception)] == [25]


async def test_a_due_task_of_a_broken_lane_stops_nobody(rig: Rig) -> None:
    """A delayed task whose lane cannot take it waits by itself; every other lane is served."""
    notes = Notes()
    async with Bus.connect(rig.url) as bus:
        await rig.publish(bus, "x", id="stuck", priority="critical", delay=0.05)
        rig.raw.set("cortex:tasks:critical", "mine")
        await asyncio.sleep(0.1)
        async with rig.working(bus, "pink", notes):
            await rig.publish(bus, "x", id="healthy")
            await eventually(lambda: notes.begun["healthy"] == 1)
            rig.raw.delete("cortex:tasks:critical")
            rig.raw.zadd("cortex:tasks:delayed", {"id:stuck": 0})  # It is tried again after a minute: now.
            await eventually(lambda: notes.begun["stuck"] == 1)
    await rig.judge()


async def test_leases_and_settlements_go_on_beside_a_broken_lane(rig: Rig) -> None:
    """An agent that holds work of a lane that was replaced keeps its other leases, and settles its other work."""
    heirs = Notes()
    async with Bus.connect(rig.url) as bus:
        await bus.publish("work", '{"s": 3}', id="in-broken", priority="critical")
        await bus.publish("work", '{"s": 3}', id="healthy")
        agent = rig.spawn("pink", concurrency=2, lease_s=1.0)
        await eventually(lambda: len(agent.in_hand) == 2, timeout=20)
        rig.raw.delete("cortex:tasks:critical")
        rig.raw.set("cortex:tasks:critical", "mine")
        async with rig.working(bus, "heir", heirs, lease_s=1.0):
            await eventually(lambda: (agent.stats["done"], agent.stats["lost"]) == (1, 1))
        assert heirs.begun == {}
    await rig.dismiss(agent)


async def test_a_broken_dead_letter_stream_stops_nobody(rig: Rig) -> None:
    """While dead letters have no place to go, work that does not die is done."""
    notes = Notes()
    async with Bus.connect(rig.url) as bus:
        rig.raw.set("cortex:tasks:dlq", "mine")
        await rig.publish(bus, "x", id="late", ttl=0.02)
        await rig.publish(bus, "x", id="healthy")
        await asyncio.sleep(0.05)
        async with rig.working(bus, "pink", notes, lease_s=1.0):
            await eventually(lambda: notes.begun["healthy"] == 1)
        assert notes.begun["late"] == 0


async def test_recovered_work_that_is_flushed_away_does_not_hold_up_its_worker(rig: Rig) -> None:
    """Work of the dead that waits for a slot when everything is deleted is let go of, and new work runs."""
    gate = asyncio.Event()
    notes = Notes(waiting(gate, "long"))
    async with Bus.connect(rig.url) as bus:
        await inherit(rig, bus)
        await rig.publish(bus, "x", id="long", priority="critical")
        async with rig.working(bus, "pink", notes, lease_s=1.0) as worker:
            await eventually(lambda: _holder(rig, "normal") == worker.consumer)
            rig.raw.flushall()
            gate.set()
            await bus.publish("x", id="after")
            await eventually(lambda: notes.begun["after"] == 1)


async def test_an_agent_that_starts_into_a_flood_recovers_the_work_of_the_dead(rig: Rig) -> None:
    """An agent that never had an idle moment looks after lanes that it never came to, too."""
    notes = Notes(lasting(0.02))
    async with Bus.connect(rig.url) as bus:
        await inherit(rig, bus)
        for number in range(200):
            await rig.publish(bus, "x", id=f"t-{number}", priority="critical")
        async with rig.working(bus, "pink", notes, lease_s=1.0):
            await eventually(lambda: notes.begun["inherited"] == 1)
            assert len(notes.tasks) < 195
            await eventually(lambda: len(notes.tasks) == 201)
    await rig.judge()


async def test_recovery_goes_on_past_a_deleted_lane(rig: Rig) -> None:
    """An agent without a free slot recovers work behind a lane that somebody deleted."""
    gate = asyncio.Event()
    notes = Notes(waiting(gate, "long"))
    async with Bus.connect(rig.url) as bus:
        await inherit(rig, bus, priority="low")
        await rig.publish(bus, "x", id="long", priority="high")
        async with rig.working(bus, "pink", notes, lease_s=1.0) as worker:
            await eventually(lambda: notes.begun["long"] == 1)
            rig.raw.delete("cortex:tasks:critical")
            await eventually(lambda: _holder(rig, "low") == worker.consumer)
            gate.set()
            await eventually(lambda: notes.begun["inherited"] == 1)
    await rig.judge()


def _holder(rig: Rig, lane: str) -> str:
    return str(rig.raw.xpending_range(f"cortex:tasks:{lane}", "workers", "-", "+", 1)[0]["consumer"])


async def test_ids_of_the_future_do_not_lengthen_lives(rig: Rig) -> None:
    """Behind an entry from an hour ahead a task still expires in its own time."""
    notes = Notes()
    async with Bus.connect(rig.url) as bus:
        ahead = f"{int(time.time() * 1000) + 3_600_000}-0"
        rig.raw.xadd("cortex:tasks:normal", {"id": "ahead", "type": "x", "payload": ""}, id=ahead)
        rig.history.acknowledged.add("ahead")
        await rig.publish(bus, "x", id="late", ttl=0.05)
        await asyncio.sleep(0.1)
        async with rig.working(bus, "pink", notes):
            await eventually(lambda: notes.begun["ahead"] == 1)
            await eventually(lambda: rig.raw.xlen("cortex:tasks:dlq") == 1)
        assert notes.begun["late"] == 0
    await rig.judge()


async def test_a_group_that_is_made_for_the_first_time_is_no_data_loss(rig: Rig) -> None:
    """Nobody cries wolf about lanes that a busy agent comes to late."""
    notes = Notes(lasting(0.01))
    async with Bus.connect(rig.url) as bus:
        for number in range(20):
            await rig.publish(bus, "x", id=f"t-{number}", priority="critical")
        await rig.publish(bus, "x", id="low", priority="low")
        async with rig.working(bus, "pink", notes) as worker:
            await eventually(lambda: worker.stats.done == 21)
        assert "data_loss_suspected" not in {event.kind for event in (await bus.events(limit=1000)).items}
    await rig.judge()


async def test_an_old_settlement_is_remembered_after_a_new_one(rig: Rig) -> None:
    """A retry whose answer was lost three times still stands when the next attempt is over already."""

    async def fail(_task: Task) -> None:
        raise RuntimeError("no luck")

    notes = Notes(fail)
    async with Proxy(rig.url) as proxy, Bus.connect(proxy.url) as bus:
        proxy.drop_reply("settle", times=3)
        await rig.publish(bus, "x", id="once")
        async with rig.working(bus, "pink", notes, retry_delays=(0.01,)) as worker:
            await eventually(lambda: rig.raw.xlen("cortex:tasks:dlq") == 1)
        assert worker.stats.lost == 0
    await rig.judge()


async def test_a_cancel_heard_before_the_first_step_ends_the_task(rig: Rig) -> None:
    """A handler that is cancelled in the turn of the loop in which it was made is settled all the same."""
    notes = Notes(lasting(60))
    async with Bus.connect(rig.url) as bus:
        async with rig.working(bus, "pink", notes, lease_s=0.4) as worker:
            begin = worker._begin

            def begin_and_hear(delivery: Delivery) -> None:
                begin(delivery)
                worker._heard("cancel", delivery.task.id)

            worker._begin = begin_and_hear  # type: ignore[method-assign]
            await rig.publish(bus, "x", id="early")
            await eventually(lambda: worker.stats.cancelled == 1)
        record = await bus.record("early")
        assert record is not None
        assert record.state is TaskState.CANCELLED
        assert notes.begun == {}
    await rig.judge()


async def test_a_shorter_lease_is_kept_from_its_beginning(rig: Rig) -> None:
    """A worker whose leases are short is renewed in time beside one of the same process whose leases are long."""
    first, thief = Notes(lasting(3)), Notes()
    async with (
        Bus.connect(rig.url) as other,
        Bus.connect(rig.url) as bus,
        rig.working(bus, "slow", Notes(), queues=("coding",), lease_s=30.0),
    ):
        await eventually(lambda: bus.connection.view.state == "ready")
        await asyncio.sleep(0.3)  # The keeper of the leases has gone to sleep for its long interval.
        await rig.publish(other, "x", id="alive")
        async with rig.working(bus, "pink", first, lease_s=1.0) as worker:
            await eventually(lambda: first.begun["alive"] == 1)
            async with rig.working(other, "thief", thief, lease_s=1.0):
                await eventually(lambda: worker.stats.done == 1)
        assert thief.begun == {}
    await rig.judge()


async def test_what_a_worker_reaps_from_itself_is_not_run_again(rig: Rig) -> None:
    """Leases that lapse under a living worker come back to it, and the handler that runs goes on under them."""
    notes = Notes(lasting(2))
    async with Bus.connect(rig.url) as bus:
        bus.keeper(0.5).stop()  # As if the engine was away, or the loop stuck, for longer than a lease.
        await rig.publish(bus, "x", id="once")
        async with rig.working(bus, "pink", notes, lease_s=0.5) as worker:
            await eventually(lambda: worker.stats.done == 1)
            assert (notes.begun, worker.stats.lost) == ({"once": 1}, 0)
    rig.history.disturbed.add("pink@")
    await rig.judge()
