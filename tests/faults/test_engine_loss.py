"""Rows 13 to 17: an engine that dies, forgets, is full, or holds something else where a lane should be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus, PublishOutcome
from observatory.model.errors import BusError
from observatory.model.health import Severity
from observatory.model.snapshot import LinkState
from observatory.model.task import Lane, NewTask, Priority
from tests.conftest import eventually
from tests.faults.rig import Notes, begun

if TYPE_CHECKING:
    from observatory.model.task import Task
    from tests.faults.rig import Rig

LEASE_S = 1.0


async def test_an_engine_killed_under_load_loses_nothing_acknowledged(any_rig: Rig, soak: bool) -> None:
    """After each kill -9 and restart agents and producers go on by themselves, and every acknowledged task is done."""
    deaths, burst = (10, 300) if soak else (2, 80)
    any_rig.history.disturbed.add("@")
    async with Bus.connect(any_rig.url) as bus:
        agents = [any_rig.spawn(f"agent-{number}", concurrency=4, lease_s=LEASE_S) for number in range(2)]
        await asyncio.gather(*(agent.up() for agent in agents))
        for death in range(deaths):
            producing = [
                asyncio.create_task(
                    _publish(any_rig, bus, f"t-{death}-{number}", f"k{number % 7}" if number % 2 else "")
                )
                for number in range(burst)
            ]
            await eventually(lambda: any(agent.in_hand for agent in agents))
            await asyncio.to_thread(any_rig.kill_engine)
            await _lost_or_done(bus, producing)
            await any_rig.start_engine()
            await asyncio.gather(*producing)
            assert bus.link.state is LinkState.READY
        await eventually(lambda: _nothing_live(bus), timeout=40)
    await any_rig.dismiss(*agents)
    any_rig.reconnect()
    await any_rig.judge()


async def _publish(rig: Rig, bus: Bus, task: str, key: str) -> str:
    return await rig.publish(bus, "work", {"s": 0.005}, id=task, ordering_key=key)


async def _lost_or_done(bus: Bus, producing: list[asyncio.Task[str]]) -> None:
    await eventually(lambda: bus.link.state is LinkState.LOST or all(task.done() for task in producing))


async def _nothing_live(bus: Bus) -> bool:
    looked = await bus.observe()
    return looked.delayed == 0 and all(lane.length == 0 for lane in looked.lanes)


async def test_a_torn_log_loses_only_its_end_and_can_be_sent_again(any_rig: Rig) -> None:
    """With the last 4 KB of its file torn off the engine loads; what is gone was sent last, and is sent again once."""
    notes = Notes()
    count = 200
    async with Bus.connect(any_rig.url) as bus:
        for number in range(count):
            await any_rig.publish(bus, "x", {"n": number}, id=f"t-{number}")
    await asyncio.to_thread(any_rig.kill_engine)
    (increments,) = (any_rig.engine.directory / "appendonlydir").glob("*.incr.aof")
    with increments.open("rb+") as file:
        file.truncate(increments.stat().st_size - 4096)
    await any_rig.start_engine()
    any_rig.reconnect()
    kept = any_rig.raw.xlen("cortex:tasks:normal")
    assert 0 < kept < count
    async with Bus.connect(any_rig.url) as bus:
        again = [await bus.publish("x", b"{}", id=f"t-{number}") for number in range(count)]
        outcomes = [answer.outcome for answer in again]
        assert outcomes == [PublishOutcome.DUPLICATE] * kept + [PublishOutcome.QUEUED] * (count - kept)
        async with any_rig.working(bus, "pink", notes, concurrency=20):
            await eventually(lambda: len(notes.tasks) == count)
    assert notes.begun == {f"t-{number}": 1 for number in range(count)}
    await any_rig.judge()


@pytest.mark.parametrize("disaster", ["flushall", "lane", "group"])
async def test_what_is_deleted_under_blocked_readers_is_made_again(any_rig: Rig, disaster: str) -> None:
    """Groups come back by themselves, the engine is not flooded with errors, and new work flows."""
    notes = Notes()
    raw = any_rig.raw
    async with Bus.connect(any_rig.url) as bus, any_rig.working(bus, "pink", notes, concurrency=2):
        await any_rig.publish(bus, "x", id="before")
        await eventually(lambda: notes.begun["before"] and raw.info("clients")["blocked_clients"] == 1)
        errors = _errors(raw)
        if disaster == "flushall":
            raw.flushall()
            raw.script_flush()
        elif disaster == "lane":
            raw.delete(*raw.scan_iter("cortex:tasks:*", count=1000, _type="stream"))
        else:
            raw.xgroup_destroy("cortex:tasks:normal", "workers")
        await any_rig.publish(bus, "x", id="after")
        await eventually(lambda: notes.begun["after"] == 1)
        await asyncio.sleep(1.0)
        # One a lane when the read breaks, and one a lane for the script that makes the group.
        assert _errors(raw) - errors <= 2 * 8 + 5
    if disaster == "flushall":
        any_rig.forget("before")
    await any_rig.judge()


def _errors(raw: object) -> int:
    found = getattr(raw, "info")("errorstats")  # noqa: B009
    return sum(int(row["count"]) for name, row in found.items() if "NOSCRIPT" not in name)


async def test_work_in_hand_of_a_deleted_lane_holds_up_nothing(any_rig: Rig) -> None:
    """A handler whose lane is deleted under it finishes, is refused, and its slot goes to the next task."""
    gate = asyncio.Event()

    async def wait(task: Task) -> None:
        if task.id == "before":
            await gate.wait()

    notes = Notes(wait)
    async with Bus.connect(any_rig.url) as bus, any_rig.working(bus, "pink", notes) as worker:
        await bus.publish("x", id="before")
        await eventually(lambda: notes.begun["before"] == 1)
        any_rig.raw.flushall()
        await any_rig.publish(bus, "x", id="after")
        gate.set()
        await eventually(lambda: notes.begun["after"] == 1)
        await eventually(lambda: worker.stats.lost == 1)
    any_rig.history.begun["before"] -= 1  # It ran before anybody's memory begins.
    any_rig.forget("before")
    await any_rig.judge()


async def test_a_foreign_key_in_a_lanes_place_stops_only_that_lane(any_rig: Rig) -> None:
    """The lane is shown as broken, the others are served, and it is served again when the key is gone."""
    notes = Notes()
    any_rig.raw.set("cortex:tasks:critical", "mine")
    async with Bus.connect(any_rig.url) as bus, any_rig.working(bus, "pink", notes):
        for priority in ("high", "normal", "low"):
            await any_rig.publish(bus, "x", priority=priority)
        await eventually(lambda: len(notes.tasks) == 3)
        with pytest.raises(BusError, match=r"WRONGTYPE|something else"):
            await bus.publish("x", priority="critical")
        reading = next(lane for lane in (await bus.observe()).lanes if lane.lane.priority is Priority.CRITICAL)
        assert "WRONGTYPE" in reading.problem
        assert any_rig.raw.get("cortex:tasks:critical") == "mine"
        any_rig.raw.delete("cortex:tasks:critical")
        await any_rig.publish(bus, "x", id="repaired", priority="critical")
        await eventually(lambda: notes.begun["repaired"] == 1)
    await any_rig.judge()


async def test_a_full_engine_refuses_new_work_and_finishes_the_old(any_rig: Rig) -> None:
    """At maxmemory publishing is refused in words; taking, retrying and burying go on, and it recovers by itself."""

    async def fail_some(task: Task) -> None:
        if task.id.startswith("bad"):
            raise RuntimeError("bad")

    notes = Notes(fail_some)
    raw = any_rig.raw
    async with Bus.connect(any_rig.url) as bus:
        for number in range(10):
            await any_rig.publish(bus, "x", id=f"bad-{number}")
            await any_rig.publish(bus, "x", id=f"good-{number}")
        raw.config_set("maxmemory", raw.info("memory")["used_memory"] + 200_000)
        fillers = await _fill(any_rig, bus)
        async with any_rig.working(bus, "pink", notes, concurrency=5, retry_delays=(0.05,)):
            await eventually(lambda: _letters(bus, 10))
            await eventually(lambda: sum(notes.begun.values()) == 30 + fillers)
            if raw.info("memory")["used_memory"] > int(raw.config_get("maxmemory")["maxmemory"]):
                raw.config_set("maxmemory", 0)
            await eventually(lambda: _can_publish(any_rig, bus))
            await eventually(lambda: notes.begun["again"] == 1)
    await any_rig.judge()


async def _fill(rig: Rig, bus: Bus) -> int:
    """Publish until the engine refuses, and return how many it took."""
    for number in range(1000):
        try:
            await rig.publish(bus, "x", "y" * 50_000, id=f"filler-{number}", priority="low")
        except BusError as error:
            refusal, taken = str(error), number
            break
    else:
        pytest.fail("the engine never refused")
    assert "out of memory" in refusal
    return taken


async def _letters(bus: Bus, count: int) -> bool:
    return (await bus.dead_letters()).total == count


async def _can_publish(rig: Rig, bus: Bus) -> bool:
    try:
        await rig.publish(bus, "x", id="again")
    except BusError:
        return False
    return True


async def test_an_agent_waits_for_an_engine_that_is_not_there_yet(rig: Rig) -> None:
    """Agents outlast an engine that stays away for longer than any of their calls may take."""
    async with Bus.connect(rig.url) as bus:
        agent = rig.spawn("patient", lease_s=LEASE_S)
        await rig.publish(bus, "work", id="first")
        await begun(agent)
        await asyncio.to_thread(rig.kill_engine)
        await asyncio.sleep(11.0)
        await rig.start_engine()
        await rig.publish(bus, "work", id="second")
        assert await begun(agent, 2) == ["first", "second"]
    await rig.dismiss(agent)
    rig.reconnect()
    await rig.judge()


async def test_an_engine_that_evicts_is_named_and_what_it_takes_is_missed(any_rig: Rig) -> None:
    """Under `allkeys-lru` the engine deletes a lane and waiting bodies: doctor, log and audit name what is lost."""
    raw, notes = any_rig.raw, Notes()
    cold, body = Lane("cold", Priority.NORMAL), b"x" * 50_000
    async with Bus.connect(any_rig.url) as bus, any_rig.working(bus, "pink", notes, queues=("shared", "cold")):
        await bus.publish("x", id="first", queue="cold")
        await eventually(lambda: notes.begun["first"])
        await bus.pause([cold])
        await bus.publish_many([NewTask("x", body, f"cold-{number}", queue="cold") for number in range(40)])
        await bus.publish_many([NewTask("x", body, f"late-{number}", delay_s=8.0) for number in range(40)])
        raw.config_set("maxmemory-samples", 64)
        raw.config_set("maxmemory-policy", "allkeys-lru")
        raw.config_set("maxmemory", raw.info("memory")["used_memory"] + 1_000_000)
        warned = {finding.severity for finding in await bus.doctor() if "allkeys-lru" in finding.what}
        assert warned == {Severity.CRIT}
        await _fill_until_gone(bus, raw, bus.keys.lane(cold), bus.keys.bodies)
        raw.config_set("maxmemory", 0)
        missed = [one for difference in (await bus.audit(examples=100)).differences for one in difference.examples]
        assert set(missed) >= {f"cold-{number}" for number in range(40)}
        await bus.resume([cold])
        await eventually(lambda: _told(bus, "data_loss_suspected", {bus.keys.lane(cold)}), timeout=20)
        await eventually(lambda: _told(bus, "lost_payload", {f"late-{number}" for number in range(40)}), timeout=20)
        await bus.publish("x", id="after", queue="cold")
        await eventually(lambda: notes.begun["after"])


async def _fill_until_gone(bus: Bus, raw: Any, *keys: str) -> None:
    """Write until the engine has evicted *keys*; what agents and the log use meanwhile stays fresh."""
    await asyncio.sleep(2.0)  # The engine tells ages of keys by the second.
    for number in range(400):
        raw.set(f"filler:{number}", b"x" * 100_000)
        await bus.publish("x", id=f"warm-{number}")
        if not raw.exists(*keys):
            return
    pytest.fail(f"still there: {[key for key in keys if raw.exists(key)]}")


async def _told(bus: Bus, kind: str, subjects: set[str]) -> bool:
    log = (await bus.events(limit=5000)).items
    return {event.task or event.lane for event in log if event.kind == kind} >= subjects
