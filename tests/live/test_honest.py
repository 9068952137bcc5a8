"""Numbers that are easily false: who is there, who is stuck, what foreign agents do, when a lane will be empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.reads.observe import ConsumerReading
from observatory.live import LiveSource
from observatory.model.agent import Heartbeat
from observatory.model.snapshot import LaneState, LaneView, Quantiles
from observatory.model.task import SHARED, Lane, Priority
from tests.bus.conftest import working
from tests.conftest import eventually
from tests.live.observations import T0, fact, group, lane, look
from tests.live.test_assemble import Watch
from tests.live.test_source import first, lane_of, watch

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus
    from observatory.model.task import Task

HIGH = "cortex:tasks:high"


@pytest.mark.parametrize(
    ("members", "beats", "expected"),
    [
        ((ConsumerReading("a", 0, 90_000),), (), LaneState.NO_CONSUMERS),
        ((ConsumerReading("a", 0, 20_000),), (), LaneState.OK),
        ((ConsumerReading("a", 1, 90_000),), (), LaneState.OK),
        ((ConsumerReading("a", 0, 90_000), ConsumerReading("b", 0, 10)), (), LaneState.OK),
        ((ConsumerReading("a", 1, 100),), (Heartbeat("a", T0 - 3_600_000),), LaneState.NO_CONSUMERS),
        ((ConsumerReading("a", 1, 100),), (Heartbeat("a", T0, status="stopped"),), LaneState.NO_CONSUMERS),
        ((ConsumerReading("a", 1, 90_000),), (Heartbeat("a", T0),), LaneState.OK),
        (None, (), LaneState.OK),
    ],
    ids=["silent", "asked lately", "holds work", "one is there", "dead", "left", "busy and alive", "not looked at"],
)
def test_nobody_serves_a_lane_only_where_that_is_known(
    members: tuple[ConsumerReading, ...] | None, beats: tuple[Heartbeat, ...], expected: LaneState
) -> None:
    """Registered consumers are gone if they are dead by heartbeat, or idle, silent and not asking for what waits."""
    reading = lane(3, 3, groups=(group(3, 1, members=members),), waiting_ms=T0 - 30_000)
    (view,) = Watch().see(look(lanes=(reading,), beats=beats)).lanes
    assert view.state is expected


async def test_consumers_that_never_come_back_leave_a_lane_without_any(bus: Bus, plain: redis.Redis) -> None:
    """Work that waits while the only consumer of its group is dead by heartbeat: nobody serves it."""
    plain.xgroup_create(HIGH, "agents", id="0", mkstream=True)
    plain.xreadgroup("agents", "pink", {HIGH: ">"})
    plain.xadd(HIGH, {"type": "t"}, id="1000-0")
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        assert lane_of(await anext(shots), HIGH).state is LaneState.OK
        plain.xadd("cortex:heartbeats", {"agent": "pink", "status": "stopped"})
        assert lane_of(await anext(shots), HIGH).state is LaneState.NO_CONSUMERS


async def test_a_paused_lane_says_so_and_until_when(bus: Bus) -> None:
    """Paused for a time, paused without end, and going on."""
    high = Lane(SHARED, Priority.HIGH)
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        await bus.pause([high])
        view = lane_of(await anext(shots), HIGH)
        assert (view.state, view.paused_until_ms) == (LaneState.PAUSED, 0)
        await bus.pause([high], seconds=60)
        shot = await anext(shots)
        view = lane_of(shot, HIGH)
        assert view.state is LaneState.PAUSED
        assert view.paused_until_ms is not None
        assert 0 < view.paused_until_ms - shot.at_ms <= 60_000
        await bus.resume([high])
        view = lane_of(await anext(shots), HIGH)
        assert (view.state, view.paused_until_ms) == (LaneState.IDLE, None)


def test_a_pause_that_is_over_is_none() -> None:
    """The end of a pause counts, also before any worker has noticed it."""
    (view,) = Watch().see(look(lanes=(lane(paused_until_ms=T0 - 1),))).lanes
    assert (view.state, view.paused_until_ms) == (LaneState.IDLE, None)


def test_stuck_is_not_slow() -> None:
    """An agent that beats is stuck when its task has run for longer than 99 of 100 of that type; else it is at work."""
    runs = tuple(fact("completed", -1, seq=number, ms=1000 + number, task_type="deploy") for number in range(100))
    started = fact("taken", -1, seq=900, task_type="deploy")
    seen = Watch()

    def after(age_s: float, *, silent_s: float = 0.0, task: str = "t") -> Any:
        beat = Heartbeat("pink", T0 - round(silent_s * 1000), task=task, task_since_ms=T0 - round(age_s * 1000))
        (agent,) = seen.see(look(beats=(beat,), events=(started, *runs))).agents
        return agent

    assert (after(1.05).stuck, after(1.05).task_type) == (False, "deploy")
    assert after(1.2).stuck is True
    assert after(1.2).typical_s == pytest.approx(1.098, abs=0.001)
    assert after(9.0, task="of unknown type").stuck is None
    seen = Watch()
    assert after(9.0, silent_s=3600).stuck is None


def test_few_runs_judge_nobody() -> None:
    """With forty runs of a type nobody knows its 99th percentile."""
    runs = tuple(fact("completed", -1, seq=number, ms=1000, task_type="deploy") for number in range(40))
    beat = Heartbeat("pink", T0, task="t", task_since_ms=T0 - 60_000)
    (agent,) = Watch().see(look(beats=(beat,), events=(fact("taken", -1, task_type="deploy"), *runs))).agents
    assert (agent.task_type, agent.stuck, agent.typical_s) == ("deploy", None, None)


def test_the_rate_of_an_agent_follows_its_own_count() -> None:
    """Thirty tasks more in ten seconds are three a second; a restart that counts from zero is not negative."""
    seen = Watch()
    seen.see(look(0, beats=(Heartbeat("pink", T0, done=100, failed=1),)))
    (agent,) = seen.see(look(10, beats=(Heartbeat("pink", T0 + 10_000, done=130, failed=2),))).agents
    assert (agent.rate, agent.error_rate) == (3.0, 0.1)
    (agent,) = seen.see(look(11, beats=(Heartbeat("pink", T0 + 11_000, done=0, failed=0),))).agents
    assert (agent.rate, agent.error_rate) == (None, None)


def test_the_wait_of_a_second_attempt_is_no_wait() -> None:
    """It holds the first run and the delay; only how long a task waited for its first start is told."""
    flow = (
        Watch().see(look(events=(fact("taken", 0, ms=5, attempt=1), fact("taken", 0, seq=1, ms=9000, attempt=2)))).flow
    )
    assert flow.wait == Quantiles(5, 5, 5, 1)


@pytest.mark.parametrize(
    ("samples", "known"), [(0, []), (5, []), (6, [0.5]), (60, [0.5, 0.95]), (300, [0.5, 0.95, 0.99])]
)
def test_a_quantile_of_few_samples_is_marked(samples: int, known: list[float]) -> None:
    """Each quantile needs samples beyond it; none at all is unknown, which is not low confidence."""
    found = Quantiles(1, 1, 1, samples)
    assert [share for share in (0.5, 0.95, 0.99) if found.confident(share)] == known
    assert found.low_confidence == (0 < samples < 60)


def test_what_more_agents_would_do_to_a_backlog() -> None:
    """Two agents settle 4/s against 3/s arriving; a third adds 2/s. Without anybody at work nobody can tell."""
    view = LaneView("shared", Priority.HIGH, HIGH, 30, 30, 2, in_rate=3.0, out_rate=4.0, working=2)
    assert (view.drain_eta_s, view.drain_eta_with(1), view.drain_eta_with(4)) == (30.0, 10.0, 30 / 9)
    growing = LaneView("shared", Priority.HIGH, HIGH, 30, 30, 2, in_rate=5.0, out_rate=4.0, working=2)
    assert (growing.drain_eta_s, growing.drain_eta_with(1)) == (None, 30.0)
    idle = LaneView("shared", Priority.HIGH, HIGH, 30, 30, 0, in_rate=0.0, out_rate=0.0)
    assert (idle.drain_eta_s, idle.drain_eta_with(5)) == (None, None)


async def test_agents_at_work_are_counted_for_the_estimate(bus: Bus, plain: redis.Redis) -> None:
    """Two agents hold work, one of them by two processes; the window of the rates is told with them."""
    for _ in range(6):
        plain.xadd(HIGH, {"type": "t"})
    plain.xgroup_create(HIGH, "agents", id="0")
    for consumer in ("pink@a:1:x", "pink@b:2:y", "red"):
        plain.xreadgroup("agents", consumer, {HIGH: ">"}, count=1)
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        assert lane_of(await anext(shots), HIGH).rate_window_s is None
        view = lane_of(await anext(shots), HIGH)
    assert (view.working, view.rate_window_s) == (2, 1.0)


async def test_foreign_work_is_counted_where_no_event_tells_of_it(bus: Bus, plain: redis.Redis) -> None:
    """Three tasks come by plain XADD and two go by plain XACK; together with one of ours that is the throughput."""
    plain.xgroup_create(HIGH, "agents", id="0", mkstream=True)
    async with watch(LiveSource(bus, refresh_s=0.25)) as shots:
        before = await anext(shots)
        for _ in range(3):
            plain.xadd(HIGH, {"type": "t"})
        await bus.publish("t", priority="high")
        rows: Any = plain.xreadgroup("agents", "go-1", {HIGH: ">"}, count=2)
        plain.xack(HIGH, "agents", *(ident for ident, _ in rows[0][1]))
        shot = await anext(shots)
        seconds = (shot.at_ms - before.at_ms) / 1000
        quiet = await anext(shots)
    assert shot.flow.foreign_in == pytest.approx(3 / seconds)
    assert shot.flow.foreign_out == pytest.approx(2 / seconds)
    assert shot.flow.published[-1] == pytest.approx(4 / seconds)
    assert shot.flow.completed[-1] == pytest.approx(2 / seconds)
    assert (quiet.flow.foreign_in, quiet.flow.foreign_out) == (0.0, 0.0)


async def test_the_work_of_our_own_clients_is_not_counted_as_foreign(bus: Bus) -> None:
    """Published, failed, delayed, promoted and completed by the bus client: every entry is explained by an event."""
    tries: list[int] = []

    async def fail_once(_task: Task) -> None:
        tries.append(1)
        if len(tries) == 2:
            raise ValueError("again")

    async with (
        watch(LiveSource(bus, refresh_s=0.25)) as shots,
        working(bus, "pink", {"t": fail_once}, retry_delays=(0.01,)),
    ):
        await bus.publish("t", priority="high")
        await first(shots, lambda shot: bool(lane_of(shot, HIGH).groups) and not shot.backlog)
        await bus.publish("t", priority="high")
        await eventually(lambda: len(tries) == 3)
        shot = await first(shots, lambda shot: shot.flow.completed[-1] > 0)
    assert (shot.flow.foreign_in, shot.flow.foreign_out) == (0.0, 0.0)
