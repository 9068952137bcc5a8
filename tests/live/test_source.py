"""The present, watched on a real engine."""

from __future__ import annotations

import math
import os
import signal
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import pytest

from observatory.bus import Bus
from observatory.engine import Engine
from observatory.live import LiveSource, take_snapshot
from observatory.model.agent import AgentState
from observatory.model.errors import BusUnreachableError
from observatory.model.listing import Ask
from observatory.model.snapshot import LaneState, LaneView, LinkState, Snapshot
from observatory.model.task import NewTask

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

    import redis


def watch(source: LiveSource) -> aclosing[AsyncGenerator[Snapshot]]:
    """Iterate over the snapshots of *source*, and close the iterator in the end."""
    return aclosing(cast("AsyncGenerator[Snapshot]", source.snapshots()))


async def first(shots: AsyncGenerator[Snapshot], when: Callable[[Snapshot], bool]) -> Snapshot:
    """Return the first snapshot that *when* holds for; pytest's own timeout is the bound."""
    async for shot in shots:
        if when(shot):
            return shot
    raise AssertionError("a source never ends by itself")


def lane_of(shot: Snapshot, stream: str) -> LaneView:
    (found,) = [lane for lane in shot.lanes if lane.stream == stream]
    return found


def swarm(plain: redis.Redis) -> None:
    """Do what foreign agents do: add in any field order, read in two groups, settle some, lose track of some."""
    for priority, count in (("critical", 3), ("high", 10), ("normal", 0), ("low", 5), ("coding:high", 4)):
        stream = f"cortex:tasks:{priority}"
        for number in range(count):
            plain.xadd(stream, {"payload": "{}", "type": "code_task", "id": f"{priority}-{number}"})
    for stream, group, taken, settled in (
        ("cortex:tasks:high", "agents", 6, 2),
        ("cortex:tasks:high", "audit", 10, 10),
        ("cortex:tasks:low", "agents", 2, 0),
        ("cortex:tasks:coding:high", "workers", 3, 1),
    ):
        plain.xgroup_create(stream, group, id="0")
        rows: Any = plain.xreadgroup(group, "pink", {stream: ">"}, count=taken)
        for entry_id, _ in rows[0][1][:settled]:
            plain.xack(stream, group, entry_id)
    left: Any = plain.xrange("cortex:tasks:low")
    plain.xdel("cortex:tasks:low", left[3][0])


async def test_every_number_equals_what_the_engine_says(bus: Bus, plain: redis.Redis) -> None:
    """Length, lag, pending, consumers and holders are XLEN, XINFO GROUPS and XPENDING, with none of them ours."""
    swarm(plain)
    shot = await take_snapshot(bus)
    held = 0
    for lane in shot.lanes:
        groups: Any = plain.xinfo_groups(lane.stream) if plain.exists(lane.stream) else []
        assert lane.length == plain.xlen(lane.stream)
        assert {group.name: (group.lag, group.pending, group.consumers) for group in lane.groups} == {
            group["name"].decode(): (group["lag"], group["pending"], group["consumers"]) for group in groups
        }
        summaries: Any = [plain.xpending(lane.stream, group["name"]) for group in groups]
        assert lane.pending == sum(summary["pending"] for summary in summaries)
        held += sum(summary["pending"] for summary in summaries)
    (pink,) = shot.agents
    assert (pink.name, pink.state, pink.pending) == ("pink", None, held)


async def test_backlog_is_that_of_the_group_furthest_behind(bus: Bus, plain: redis.Redis) -> None:
    """Lag and pending of one group, the length where nobody reads, unknown where the engine lost count."""
    swarm(plain)
    shot = await take_snapshot(bus)
    assert {lane.stream.removeprefix("cortex:tasks:"): lane.backlog for lane in shot.lanes if lane.length} == {
        "critical": 3,
        "high": 8,
        "low": None,
        "coding:high": 3,
    }
    assert lane_of(shot, "cortex:tasks:critical").state is LaneState.NO_CONSUMERS
    assert lane_of(shot, "cortex:tasks:high").state is LaneState.OK
    assert lane_of(shot, "cortex:tasks:normal").state is LaneState.IDLE
    assert shot.backlog is None


async def test_a_foreign_agent_is_there_within_one_refresh(bus: Bus, plain: redis.Redis) -> None:
    """A heartbeat by plain XADD, seen by a source that already runs, is an agent in its next snapshot."""
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        assert (await anext(shots)).agents == ()
        plain.xadd("cortex:heartbeats", {"status": "busy", "current_task": "t-1", "agent": "harold"})
        (harold,) = (await anext(shots)).agents
    assert (harold.name, harold.state, harold.status) == ("harold", AgentState.ALIVE, "busy")


async def test_rates_are_known_with_the_second_look(bus: Bus, plain: redis.Redis) -> None:
    """Between two looks four tasks arrive; the snapshot knows a rate, and the first had none."""
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        assert lane_of(await anext(shots), "cortex:tasks:high").in_rate is None
        for _ in range(4):
            plain.xadd("cortex:tasks:high", {"type": "x"})
        shot = await anext(shots)
    lane = lane_of(shot, "cortex:tasks:high")
    assert lane.in_rate is not None
    assert lane.in_rate > 0
    assert lane.out_rate == 0.0
    assert lane.trend == (0.0, 4.0)


async def test_foreign_work_that_is_acknowledged_is_throughput(bus: Bus, plain: redis.Redis) -> None:
    """A consumer that only sends XREADGROUP and XACK, and deletes nothing, has a rate out; the backlog follows it."""
    stream = "cortex:tasks:high"
    plain.xgroup_create(stream, "agents", id="0", mkstream=True)
    for _ in range(6):
        plain.xadd(stream, {"type": "x"})
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        assert lane_of(await anext(shots), stream).backlog == 6
        rows: Any = plain.xreadgroup("agents", "go-1", {stream: ">"}, count=4)
        plain.xack(stream, "agents", *(entry_id for entry_id, _ in rows[0][1]))
        lane = lane_of(await anext(shots), stream)
    assert (lane.length, lane.backlog, lane.pending, lane.in_rate) == (6, 2, 0, 0.0)
    assert lane.out_rate is not None
    assert lane.out_rate > 0


async def test_an_engine_that_lost_everything_gives_no_false_rates(bus: Bus, plain: redis.Redis) -> None:
    """When all keys are gone at once, rates are unknown for a look and the series has a gap."""
    for number in range(5):
        await bus.publish("deploy", {}, id=f"t-{number}", priority="high")
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        await anext(shots)
        plain.flushall()
        shot = await anext(shots)
    lane = lane_of(shot, "cortex:tasks:high")
    assert (lane.length, lane.in_rate, lane.out_rate) == (0, None, None)
    assert math.isnan(shot.flow.published[-1])


async def test_what_the_bus_client_does_is_in_flow_events_and_pages(bus: Bus) -> None:
    """A published task is an event, a point of throughput, and a page of the log."""
    source = LiveSource(bus, refresh_s=0.25)
    async with watch(source) as shots:
        await anext(shots)
        await bus.publish("deploy", {"a": 1}, id="t-1")
        shot = await first(shots, lambda shot: bool(shot.events))
    assert [(event.kind, event.task) for event in shot.events] == [("published", "t-1")]
    assert shot.flow.published[-1] > 0
    assert [event.task for event in (await source.events(Ask())).items] == ["t-1"]
    assert (await source.dead_letters(Ask())).items == ()


async def test_dead_letters_are_counted_by_reason_and_stay_known(bus: Bus, plain: redis.Redis) -> None:
    """The summary holds reasons also in looks that do not read them again."""
    for reason in ("error", "error", "stale"):
        plain.xadd("cortex:tasks:dlq", {"id": "t", "reason": reason})
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        both = [(await anext(shots)).dead_letters for _ in range(2)]
    for summary in both:
        assert (summary.total, summary.reasons) == (3, (("error", 2), ("stale", 1)))


async def test_a_lane_of_the_wrong_type_is_broken_and_the_others_live(bus: Bus, plain: redis.Redis) -> None:
    """A string where a stream should be is named at its lane; the link stays ready and the rest is true."""
    plain.set("cortex:tasks:critical", "not a stream")
    plain.xadd("cortex:tasks:high", {"type": "x"})
    shot = await take_snapshot(bus)
    broken = lane_of(shot, "cortex:tasks:critical")
    assert (broken.state, broken.length, broken.backlog) == (LaneState.BROKEN, None, None)
    assert "WRONGTYPE" in broken.problem
    assert lane_of(shot, "cortex:tasks:high").length == 1
    assert shot.link.state is LinkState.READY


async def test_a_changed_refresh_takes_effect_at_once(bus: Bus) -> None:
    """Whoever waits for a slow tick gets the next snapshot as soon as the refresh is made faster."""
    source = LiveSource(bus, refresh_s=60.0)
    async with watch(source) as shots:
        await anext(shots)
        source.set_refresh(0.001)
        assert (await anext(shots)).sequence == 2
    assert source.refresh_s == 0.25


async def test_one_snapshot_with_a_pause_knows_rates(bus: Bus) -> None:
    """`settle_s` makes two looks of it; without it there is no rate."""
    assert (await take_snapshot(bus)).lanes[0].in_rate is None
    assert (await take_snapshot(bus, settle_s=0.01)).lanes[0].in_rate == 0.0


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine that a test may kill."""
    with Engine(tmp_path / "e") as running:
        yield running


def kill(engine: Engine) -> None:
    """End it as a power cut does."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


async def test_a_lost_engine_is_told_and_its_return_too(own_engine: Engine) -> None:
    """Kill -9 marks the last data as lost, with reason and time of the data; a restart makes it ready again."""
    async with Bus.connect(own_engine.url) as bus:
        await bus.publish("deploy", {}, id="t-1", priority="high")
        async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
            before = await anext(shots)
            kill(own_engine)
            lost = await first(shots, lambda shot: shot.link.state is LinkState.LOST)
            again = await anext(shots)
            own_engine.start()
            back = await first(shots, lambda shot: shot.link.state is LinkState.READY)
    assert lane_of(before, "cortex:tasks:high").length == 1
    assert lost.lanes is before.lanes
    assert (lost.at_ms, lost.link.data_ms) == (before.at_ms, before.at_ms)
    assert lost.link.reason
    assert again.link.since_ms == lost.link.since_ms
    assert back.at_ms > before.at_ms
    assert back.link.reason == ""


async def test_without_any_data_yet_a_lost_link_is_an_empty_snapshot(own_engine: Engine) -> None:
    """Nothing is made up: no lanes, no time, and the reason in words."""
    async with Bus.connect(own_engine.url) as bus:
        kill(own_engine)
        async with watch(LiveSource(bus)) as shots:
            shot = await anext(shots)
        with pytest.raises(BusUnreachableError):
            await take_snapshot(bus)
    assert (shot.at_ms, shot.lanes, shot.link.state, shot.link.data_ms) == (0, (), LinkState.LOST, None)
    assert shot.link.reason


async def test_a_filter_finds_a_task_however_small_the_pieces_are_that_it_is_searched_in(bus: Bus) -> None:
    """A table searches in small pieces, so that keys are not held up; the list that they are pieces of is one."""
    await bus.publish("x", id="old", delay=3600)
    await bus.publish_many(NewTask("x", b"", f"new-{number}") for number in range(100))
    found = await LiveSource(bus).tasks(Ask(limit=10, most=10, where=lambda row: row.key == "old"))
    assert [row.key for row in found.items] == ["old"]
