"""Rows 4 to 8: agents that are killed, stopped, stuck, or broken by what they were given."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING

from observatory.bus import Bus
from observatory.model.event import EventKind
from observatory.model.task import RETRY_DELAYS_S, TaskState
from tests.conftest import eventually
from tests.faults.rig import Notes, begun
from tests.faults.verdict import books, events_of

if TYPE_CHECKING:
    from tests.faults.rig import Agent, Rig

LEASE_S = 1.0


async def test_killed_agents_lose_nothing_and_settle_nothing_twice(any_rig: Rig, soak: bool) -> None:
    """Agents killed in the middle of their work, again and again, leave every task settled once, and keep its order."""
    tasks, kills = (3000, 50) if soak else (150, 4)
    dice = random.Random(4)
    async with Bus.connect(any_rig.url) as bus:
        # Half of them belong to twenty customers, whose tasks keep their order.
        keys = [f"customer-{number % 20}" if number % 2 else "" for number in range(tasks)]
        await asyncio.gather(*(any_rig.publish(bus, "work", {"s": 0.01}, ordering_key=key) for key in keys))
        team = [any_rig.spawn(f"agent-{slot}", concurrency=4, lease_s=LEASE_S) for slot in range(2)]
        for number in range(kills):
            slot = dice.randrange(len(team))
            await team[slot].busy()
            await any_rig.kill(team[slot])
            team[slot] = any_rig.spawn(f"agent-{slot}-{number}", concurrency=4, lease_s=LEASE_S)
        await eventually(lambda: _all_done(bus, tasks), timeout=1200 if soak else 40)
        assert (await books(bus)).totals[EventKind.REDELIVERED] > 0
    await any_rig.dismiss(*team)
    await any_rig.judge()


async def _all_done(bus: Bus, tasks: int) -> bool:
    return (await books(bus)).totals.get(EventKind.COMPLETED) == tasks


async def test_a_stopped_agent_that_continues_settles_nothing(any_rig: Rig, soak: bool) -> None:
    """An agent that was frozen past its lease finds its work gone: its late settlement is refused."""
    heirs = Notes()
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "work", {"s": 1.0}, id="inherited")
        zombie = any_rig.spawn("zombie", lease_s=LEASE_S)
        await begun(zombie)
        any_rig.freeze(zombie)
        async with any_rig.working(bus, "heir", heirs, lease_s=LEASE_S):
            await eventually(lambda: heirs.begun == {"inherited": 1})
            if soak:
                await asyncio.sleep(40)
        zombie.signal(signal.SIGCONT)
        await eventually(lambda: zombie.stats.get("lost") == 1)
        assert zombie.stats["done"] == 0
    await any_rig.dismiss(zombie)
    await any_rig.judge()


async def test_an_agent_with_a_blocked_loop_keeps_its_work(any_rig: Rig, soak: bool) -> None:
    """A handler that computes for many leases without a pause is not taken for dead."""
    idle = Notes()
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "block", {"s": 18.0 if soak else 3 * LEASE_S})
        busy = any_rig.spawn("busy", lease_s=LEASE_S)
        await begun(busy)
        async with any_rig.working(bus, "idle", idle, lease_s=LEASE_S):
            await eventually(lambda: busy.stats.get("done") == 1, timeout=40)
        assert idle.tasks == []
    await any_rig.dismiss(busy)
    await any_rig.judge()


async def test_an_agent_that_is_stuck_for_too_long_is_relieved(any_rig: Rig) -> None:
    """Past the grace that a loop has, its leases are let go, and its late settlement is refused."""
    heirs = Notes()
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "block", {"s": 4 * LEASE_S})
        stuck = any_rig.spawn("stuck", settings={"loop_grace_s": 0.8}, lease_s=LEASE_S)
        await begun(stuck)
        any_rig.history.disturbed.add(f":{stuck.pid}:")
        async with any_rig.working(bus, "heir", heirs, lease_s=LEASE_S):
            await eventually(lambda: len(heirs.tasks) == 1)
            await eventually(lambda: stuck.stats.get("lost") == 1, timeout=20)
        assert stuck.stats["done"] == 0
    await any_rig.dismiss(stuck)
    await any_rig.judge()


async def test_what_kills_every_agent_is_poison_and_the_rest_goes_on(any_rig: Rig) -> None:
    """A task whose handler ends the process is set aside after five deliveries; the others are done meanwhile."""
    lease_s = 0.4
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "crash", id="killer", priority="high")
        for _ in range(20):
            await any_rig.publish(bus, "work", {"s": 0.01})
        victims: list[Agent] = []
        while True:
            victim = any_rig.spawn(f"victim-{len(victims)}", lease_s=lease_s)
            victims.append(victim)
            any_rig.history.disturbed.add(f":{victim.pid}:")
            await _over_or_settled(bus, victim)
            if victim.running:
                break
            await victim.ended()
        (letter,) = (await bus.dead_letters()).items
        assert (letter.task_id, letter.reason) == ("killer", "poison")
        deliveries = [
            line["deliveries"] for agent in victims for line in agent.lines("began") if line["task"] == "killer"
        ]
        assert deliveries == [1, 2, 3, 4, 5]
    await any_rig.dismiss(victims[-1])
    await any_rig.judge()


async def _over_or_settled(bus: Bus, victim: Agent) -> None:
    await eventually(lambda: not victim.running or _settled(bus, 21), timeout=30)


async def _settled(bus: Bus, tasks: int) -> bool:
    totals = (await books(bus)).totals
    return totals.get(EventKind.COMPLETED, 0) + totals.get(EventKind.DEAD_LETTERED, 0) == tasks


async def test_a_task_that_always_fails_is_tried_three_times(any_rig: Rig, soak: bool) -> None:
    """It is tried again after 5 s and after 15 s, give or take a tenth, and is then a dead letter that says why."""
    delays = RETRY_DELAYS_S if soak else (0.5, 1.5)
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "fail", {"why": "no such branch"}, id="hopeless")
        agent = any_rig.spawn("pink", retry_delays=delays)
        (letter,) = await eventually(lambda: _letters(bus), timeout=40)
        log = [event for event in await events_of(bus) if event.task == "hopeless"]
    assert [line["attempt"] for line in agent.lines("began")] == [1, 2, 3]
    assert (letter.reason, letter.attempts, letter.error) == ("error", 3, "RuntimeError: no such branch")
    failed = [event.ts_ms for event in log if event.kind == EventKind.RETRIED]
    due = [event.ts_ms for event in log if event.kind == EventKind.PROMOTED]
    for delay_s, before, after in zip(delays, failed, due, strict=True):
        assert after - before >= delay_s * 1000 * 0.9
    await any_rig.dismiss(agent)
    await any_rig.judge()


async def _letters(bus: Bus) -> tuple[object, ...]:
    return (await bus.dead_letters()).items


async def test_an_agent_that_leaves_takes_nothing_with_it(any_rig: Rig, soak: bool) -> None:
    """Agents that come and go gracefully under load lose nothing, run nothing twice, and leave no consumer behind."""
    dice = random.Random(25)
    rounds, tasks = (40, 2000) if soak else (3, 100)
    async with Bus.connect(any_rig.url) as bus:
        await asyncio.gather(*(any_rig.publish(bus, "work", {"s": 0.02}) for _ in range(tasks)))
        for number in range(rounds):
            agent = any_rig.spawn(f"guest-{number}", concurrency=dice.randint(1, 6), lease_s=30.0)
            await begun(agent)
            await any_rig.dismiss(agent)
        async with any_rig.working(bus, "host", Notes(), concurrency=50):
            await eventually(lambda: _all_done(bus, tasks), timeout=30)
        assert any_rig.raw.xinfo_consumers("cortex:tasks:normal", "workers") == []
        record = await bus.record(any_rig.agents[0].begun[0])
        assert record is not None
        assert record.state is TaskState.DONE
    await any_rig.judge()
