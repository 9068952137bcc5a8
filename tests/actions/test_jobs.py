"""Jobs: killed, resumed, paced, paused, queued, taken over; whatever happens, every item happens once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from observatory.actions import BusActions
from observatory.actions.runner import OvertakenError
from observatory.bus import DoNotRetry
from observatory.bus.moves import Stamp
from observatory.model.clock import ManualClock
from observatory.model.plan import Consent, JobState, Pace, Plan, RequeueDeadLetters, Selector
from tests.conftest import eventually

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus
    from observatory.model.plan import JobView

DLQ, HIGH = "cortex:tasks:dlq", "cortex:tasks:high"
EVERYTHING = RequeueDeadLetters(Selector(filter="type:*"))


def fill(plain: redis.Redis, count: int, *, kind: str = "deploy") -> list[str]:
    """Add *count* dead letters and return their ids."""
    with plain.pipeline(transaction=False) as pipe:
        for number in range(count):
            ours = {"reason": "error", "last_error": "boom", "source": HIGH}
            pipe.xadd(DLQ, {"id": f"t-{number}", "type": kind, "payload": "x" * 50, **ours})  # type: ignore[dict-item]
        return [ident.decode() for ident in pipe.execute()]


def agreed(plan: Plan) -> Consent:
    """What somebody says who read the plan."""
    return Consent(str(len(plan.items)), "because")


def tasks_in(plain: redis.Redis, stream: str) -> list[str]:
    """The task ids of a stream, in order."""
    rows: Any = plain.xrange(stream)
    return [fields[b"id"].decode() for _, fields in rows]


def abandon(plain: redis.Redis, job: str) -> None:
    """Let the lease of a job run out, as its seconds would."""
    plain.hset(f"cortex:job:{job}", "until", "0")


async def only_job(actions: BusActions) -> JobView:
    """The one job there is."""
    (job,) = await actions.jobs()
    return job


async def test_killed_at_any_point_and_resumed_everything_happens_once(
    bus: Bus, bus_url: str, plain: redis.Redis, soak: bool
) -> None:
    """Kill -9 of the executor of a 1,000-item requeue at a random point, then resume: 1,000 once, 0 lost, 0 twice."""
    dice, points, midway = random.Random(5), 50 if soak else 2, 0
    command = [sys.executable, "-m", "observatory", "requeue", "--filter", "type:deploy", "--yes", "--rate", "1500"]
    command += ["--canary", "none", "--confirm", "1000", "--reason", "because"]
    for _ in range(points):
        plain.flushall()
        fill(plain, 1000)
        executor = await asyncio.create_subprocess_exec(
            *command, env=os.environ | {"OBSERVATORY_URL": bus_url}, stdout=subprocess.DEVNULL
        )
        try:
            await eventually(lambda: plain.zcard("cortex:jobs") == 1, timeout=60)
            await asyncio.sleep(dice.random() * 0.8)
        finally:
            with contextlib.suppress(ProcessLookupError):
                executor.kill()
            await executor.wait()
        actions = BusActions(bus)
        job = await only_job(actions)
        midway += 0 < job.at < 1000
        if job.state is not JobState.DONE:
            abandon(plain, job.id)
            report = await actions.resume(job.id)
            assert (len(report.done), report.skipped) == (1000, ())
        assert (await only_job(actions)).state is JobState.DONE
        assert sorted(tasks_in(plain, HIGH)) == sorted(f"t-{number}" for number in range(1000))
        assert plain.xlen(DLQ) == 0
    assert midway, "no kill came in the middle of the job"


class Timeline:
    """A clock that only sleeping moves, and when items were done by it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.marks: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.clock.advance(max(seconds, 0.001))
        await asyncio.sleep(0)

    def told(self, at: int) -> None:
        """Note the time for each item that is new."""
        self.marks += [self.clock.monotonic()] * (at - len(self.marks))

    def busiest(self) -> int:
        """Most items in any window of one second."""
        return max(sum(mark <= other < mark + 1 for other in self.marks) for mark in self.marks)


@pytest.mark.parametrize("rate", [1, 7, 50, 333])
async def test_no_second_sees_more_than_eleven_tenths_of_the_rate(bus: Bus, plain: redis.Redis, rate: int) -> None:
    """At 50/s no one-second window exceeds 55, and the job takes about as long as it says."""
    fill(plain, rate * 4)
    line = Timeline()
    actions = BusActions(bus, line.clock, sleep=line.sleep)
    plan = await actions.plan(EVERYTHING, pace=Pace(rate=rate))
    report = await actions.execute(plan, agreed(plan), told=line.told)
    assert len(report.done) == rate * 4
    assert line.busiest() <= max(rate * 1.1, rate + 1)
    assert line.clock.monotonic() == pytest.approx(plan.pace.expected_s(rate * 4), abs=1.1)


async def test_a_poisoned_canary_stops_the_job_with_the_rest_untouched(bus: Bus, plain: redis.Redis) -> None:
    """The first item dies again: nothing else is touched, and the job waits for somebody."""

    async def never(_task: Any, _context: Any) -> None:
        raise DoNotRetry("still broken")

    letters = fill(plain, 30)
    worker = bus.worker("pink", {"*": never})
    running = asyncio.create_task(worker.run())
    actions = BusActions(bus)
    plan = await actions.plan(EVERYTHING, pace=Pace(rate=100, canary=(1, 5, 20)))
    report = await actions.execute(plan, agreed(plan))
    worker.stop()
    await running
    assert "1 of a canary of 1 died again" in report.stopped
    assert (len(report.done), report.untouched) == (1, 29)
    rows: Any = plain.xrange(DLQ)
    assert [ident.decode() for ident, _ in rows][:29] == letters[1:]
    assert ((await only_job(actions)).state, len(rows)) == (JobState.PAUSED, 30)


async def test_a_canary_that_does_well_is_followed_by_the_rest(bus: Bus, plain: redis.Redis) -> None:
    """1, 5, 20, and then all, when each step was settled."""
    seen: list[int] = []

    async def well(_task: Any, _context: Any) -> None:
        return

    fill(plain, 60)
    worker = bus.worker("pink", {"*": well}, concurrency=8)
    running = asyncio.create_task(worker.run())
    actions = BusActions(bus)
    plan = await actions.plan(EVERYTHING, pace=Pace(rate=1000, canary=(1, 5, 20)))
    report = await actions.execute(plan, agreed(plan), told=seen.append)
    worker.stop()
    await running
    assert (len(report.done), report.stopped, seen[:3]) == (60, "", [1, 6, 26])


async def test_a_lane_that_backs_up_stops_the_job(bus: Bus, plain: redis.Redis) -> None:
    """Nobody takes what is requeued: the job pauses itself long before its end, and says why."""
    fill(plain, 400)
    line = Timeline()
    actions = BusActions(bus, line.clock, sleep=line.sleep)
    plan = await actions.plan(EVERYTHING, pace=Pace(rate=20, most_waiting=30))
    report = await actions.execute(plan, agreed(plan))
    assert "backs up" in report.stopped
    assert 30 < len(report.done) < 100
    job = await only_job(actions)
    assert (job.state, "backs up" in job.why) == (JobState.PAUSED, True)


async def test_a_second_job_of_the_same_place_waits_visibly(bus: Bus, plain: redis.Redis) -> None:
    """It says behind whom it waits, and goes on when the place is free."""
    letters = fill(plain, 6)
    actions = BusActions(bus)
    first = await actions.plan(RequeueDeadLetters(Selector(tuple(letters[:3]))), pace=Pace(rate=20, most_waiting=1))
    second = await actions.plan(RequeueDeadLetters(Selector(tuple(letters[3:]))))
    await bus.moves.journal.open(first, "somebody@else", "dlq")
    await bus.moves.journal.hold(first.id, "somebody")
    waiting = asyncio.create_task(actions.execute(second))

    async def waits() -> bool:
        return any(job.waits_for == first.id for job in await actions.jobs())

    await eventually(waits)
    assert plain.xlen(DLQ) == 6
    await actions.steer(first.id, "cancel")
    assert len((await waiting).done) == 3
    assert {job.state for job in await actions.jobs()} == {JobState.DONE, JobState.CANCELLED}


async def test_a_job_is_paused_given_another_rate_and_resumed(bus: Bus, plain: redis.Redis) -> None:
    """While it runs it can be steered; resumed, it does what is left, and everything happens once."""
    fill(plain, 100)
    actions = BusActions(bus)
    plan = await actions.plan(EVERYTHING, pace=Pace(rate=20))
    running = asyncio.create_task(actions.execute(plan, agreed(plan)))

    async def has_begun() -> bool:
        jobs = await actions.jobs()
        return bool(jobs) and jobs[0].at > 3

    await eventually(has_begun)
    await actions.steer(plan.id, "pause")
    report = await running
    assert 0 < len(report.done) < 100
    assert "paused" in report.stopped
    await actions.steer(plan.id, "rate", "5000")
    began = time.monotonic()
    assert len((await actions.resume(plan.id)).done) == 100
    assert time.monotonic() - began < 4
    assert sorted(tasks_in(plain, HIGH)) == sorted(f"t-{number}" for number in range(100))


async def test_who_was_away_for_too_long_does_nothing_any_more(bus: Bus, plain: redis.Redis) -> None:
    """While one executor slept, another took the job over: the first is told, and nothing happens twice."""
    fill(plain, 30)
    other = BusActions(bus)

    async def oversleep(_seconds: float) -> None:
        ((job, *_),) = [await other.jobs()]
        if job.state is JobState.RUNNING:
            abandon(plain, job.id)
            await other.steer(job.id, "rate", "100000")
            await other.resume(job.id)

    actions = BusActions(bus, ManualClock(), sleep=oversleep)
    plan = await actions.plan(EVERYTHING, pace=Pace(rate=10))
    with pytest.raises(OvertakenError):
        await actions.execute(plan, agreed(plan))
    assert sorted(tasks_in(plain, HIGH)) == sorted(f"t-{number}" for number in range(30))
    outcomes = [record.outcome for record in await actions.records()]
    assert sorted(filter(None, outcomes)) == ["done", "done", "failed"]


async def test_who_dies_between_a_step_and_its_checkpoint_has_done_it_once(bus: Bus, plain: redis.Redis) -> None:
    """What was moved and not yet written down as passed is not moved again, and is reported as done."""
    fill(plain, 10)
    actions = BusActions(bus)
    plan = await actions.plan(EVERYTHING)
    await bus.moves.journal.open(plan, "ann", "dlq")
    holding = await bus.moves.journal.hold(plan.id, "who dies")
    moved = await bus.moves.step("requeue", Stamp(plan.id, holding.token, "ann"), {}, plan.items[:6])
    abandon(plain, plan.id)
    report = await actions.resume(plan.id)
    assert (len(report.done), report.skipped) == (10, ())
    assert report.entries[:6] == tuple(one.entry for one in moved)
    assert tasks_in(plain, HIGH) == [f"t-{number}" for number in range(10)]
    job = await only_job(actions)
    assert (job.done, job.skipped) == (10, 0)


async def test_the_same_step_of_an_older_executor_is_refused(bus: Bus, plain: redis.Redis) -> None:
    """A step with an old fencing token changes nothing, however late it arrives."""
    fill(plain, 2)
    plan = await BusActions(bus).plan(EVERYTHING)
    await bus.moves.step("requeue", Stamp(plan.id, 2, "b"), {}, plan.items[:1])
    (late,) = await bus.moves.step("requeue", Stamp(plan.id, 1, "a"), {}, plan.items[1:])
    assert (late.outcome, plain.xlen(DLQ)) == ("fenced", 1)


@pytest.mark.parametrize("seed", range(4))
async def test_executed_is_planned_less_what_is_reported(bus: Bus, plain: redis.Redis, seed: int, soak: bool) -> None:
    """Whatever others do between plan and execution: done and skipped are the plan; later arrivals are not touched."""
    dice = random.Random(seed)
    for _ in range(20 if soak else 2):
        plain.flushall()
        letters = fill(plain, dice.randrange(2, 60))
        actions = BusActions(bus)
        plan = await actions.plan(RequeueDeadLetters(Selector(filter="type:deploy")))
        assert [item.id for item in plan.items] == letters
        later = set(fill(plain, dice.randrange(20)))
        meddled = dice.sample(letters, dice.randrange(len(letters)))
        half = len(meddled) // 2
        if half:
            plain.xdel(DLQ, *meddled[:half])
        await bus.requeue(meddled[half:])
        report = await actions.execute(plan, agreed(plan))
        assert set(report.done) | {item.id for item in report.skipped} == set(letters)
        assert {item.id for item in report.skipped} == set(meddled)
        rows: Any = plain.xrange(DLQ)
        assert {ident.decode() for ident, _ in rows} == later


async def test_every_change_is_written_down_before_and_after(bus: Bus, plain: redis.Redis) -> None:
    """Intent, result and refusal, with who, what, ids, why and how long."""
    letters = fill(plain, 120)
    actions = BusActions(bus, actor="ann@desk", context="test")
    few = await actions.plan(RequeueDeadLetters(Selector(tuple(letters[:2]))))
    await actions.execute(few, Consent(reason="try again"))
    many = await actions.plan(EVERYTHING)
    with pytest.raises(Exception, match="type 118"):
        await actions.execute(many)
    refused, result, intent = await actions.records()
    assert (intent.phase, intent.op, intent.who, intent.context) == ("intent", few.id, "ann@desk", "test")
    assert (intent.ids, intent.count, intent.reason) == (tuple(letters[:2]), 2, "try again")
    assert (result.phase, result.outcome, result.done, result.digest) == ("result", "done", 2, intent.digest)
    assert result.took_ms is not None
    assert (refused.phase, refused.count, refused.ids) == ("refused", 118, ())
    assert plain.xlen(DLQ) == 118


async def test_the_command_log_holds_what_the_engine_received(bus: Bus, plain: redis.Redis) -> None:
    """Every command of a change that may write, and no other, in order; a reader's own commands are not in it."""
    actions = BusActions(bus)
    plan = await actions.plan(RequeueDeadLetters(Selector(tuple(fill(plain, 3)))))
    assert actions.sent() == ()
    with plain.monitor() as monitor:
        await actions.execute(plan)
        await bus.observe()
        plain.echo("the end")
        received: list[str] = []
        for said in monitor.listen():
            if said["command"] == "ECHO the end":
                break
            if said["client_type"] != "lua":
                received.append(said["command"].split()[0])
    sent = [call.words.split() for call in reversed(actions.sent())]
    scripts = [words[1] for words in sent if words[0] == "EVALSHA"]
    assert scripts == ["job_open.lua", "job_hold.lua", "requeue.lua", "job_note.lua"]
    assert [words[0] for words in sent] == [name for name in received if name in {"XADD", "EVALSHA"}]
    assert all(call.ms >= 0 and call.answer for call in actions.sent())
