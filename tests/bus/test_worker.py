"""Workers: strict priority, retries, dead letters, freshness, cancelling."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from observatory.bus import Bus, CancelOutcome, DoNotRetry, TaskContext
from observatory.bus.scripts import script
from observatory.bus.tasks.delivery import Delivery
from observatory.model.event import EventKind
from observatory.model.listing import Ask
from observatory.model.reduce import Books, fold
from observatory.model.task import Lane, Priority, Task, TaskState
from tests.bus.conftest import held, lane_of, lanes_of, working
from tests.conftest import eventually

pytestmark = pytest.mark.everywhere


class Notebook:
    """A handler that writes down what it was given."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    async def __call__(self, task: Task, _context: TaskContext) -> None:
        """Write the task down."""
        self.tasks.append(task)


async def failing(_task: Task, _context: TaskContext) -> None:
    """A handler that always fails."""
    raise ValueError("boom")


async def reasons(bus: Bus) -> list[str]:
    """Reasons of all dead letters."""
    return [letter.reason for letter in (await bus.dead_letters()).items]


async def test_the_whole_life_of_a_task_on_every_engine(any_engine: str) -> None:
    """Publish, fail, retry, die, requeue and complete work alike on Valkey and on Debian's Redis."""
    notebook = Notebook()
    async with Bus.connect(any_engine) as bus:
        async with working(bus, "pink", {"x": notebook, "bad": failing}, retry_delays=(0.05, 0.05)):
            await bus.publish("x")
            await bus.publish("bad", id="bad-1")
            await eventually(lambda: len(notebook.tasks) == 1)
            (letter,) = await eventually(lambda: _letters(bus))
        assert (letter.task_id, letter.reason, letter.attempts) == ("bad-1", "error", 3)
        assert letter.error == "ValueError: boom"
        async with working(bus, "pink", {"bad": notebook}):
            await bus.requeue([letter.entry_id])
            await eventually(lambda: len(notebook.tasks) == 2)
        assert (notebook.tasks[1].id, notebook.tasks[1].attempt) == ("bad-1", 1)
        assert (await bus.observe()).dead_letters.total == 0


async def _letters(bus: Bus) -> Any:
    return (await bus.dead_letters()).items


async def test_all_of_a_lane_is_served_before_any_of_the_next(bus: Bus) -> None:
    """However many low tasks came first, the critical ones start first, then high, then normal."""
    notebook = Notebook()
    for priority in ("low", "normal", "high", "critical"):
        for _ in range(20):
            await bus.publish("x", priority=priority)
    async with working(bus, "pink", {"x": notebook}, concurrency=3):
        await eventually(lambda: len(notebook.tasks) == 80)
    assert [str(task.lane.priority) for task in notebook.tasks] == (
        ["critical"] * 20 + ["high"] * 20 + ["normal"] * 20 + ["low"] * 20
    )


async def test_work_addressed_to_an_agent_reaches_that_agent(bus: Bus) -> None:
    """Nobody else serves an agent's own queue."""
    pink, red = Notebook(), Notebook()
    async with working(bus, "pink", {"*": pink}), working(bus, "red", {"*": red}):
        for _ in range(5):
            await bus.publish("x", queue="@red")
        await eventually(lambda: len(red.tasks) == 5)
    assert pink.tasks == []


async def test_a_failed_attempt_waits_five_seconds_and_then_fifteen(bus: Bus) -> None:
    """The second attempt is due at +5 s and the third at +15 s, give or take a tenth."""
    ran = Notebook()

    async def note_and_fail(task: Task, context: TaskContext) -> None:
        await ran(task, context)
        raise RuntimeError("later")

    async with working(bus, "pink", {"x": note_and_fail}):
        first = await bus.publish("x")
        waiting = await eventually(lambda: _only_delayed(bus))
        record = await bus.record(first.id)
    failed = next(event for event in (await bus.events()).items if event.kind == "retried")
    assert 4500 <= waiting.due_ms - failed.ts_ms <= 5500
    assert (waiting.attempt, record.attempt if record else 0, len(ran.tasks)) == (2, 2, 1)
    await bus.publish("x", id="older")
    async with working(bus, "pink", {"x": note_and_fail}, retry_delays=(0.01, 15.0)):
        second = await eventually(lambda: _delayed_at(bus, "older", 3))
    failed = next(event for event in (await bus.events()).items if event.kind == "retried" and event.task == "older")
    assert 13500 <= second.due_ms - failed.ts_ms <= 16500


async def _delayed(bus: Bus) -> list[Any]:
    return [row.item for row in (await bus.reads.entries(bus.keys.delayed, Ask(newest_first=False))).items]


async def _only_delayed(bus: Bus) -> Any:
    return next(iter(await _delayed(bus)), None)


async def _delayed_at(bus: Bus, task_id: str, attempt: int) -> Any:
    return next((w for w in await _delayed(bus) if w.id == task_id and w.attempt == attempt), None)


async def test_do_not_retry_is_final_at_once(bus: Bus) -> None:
    """A handler that knows better than to try again gets its way."""

    async def hopeless(_task: Task, _context: TaskContext) -> None:
        raise DoNotRetry("no such repository")

    async with working(bus, "pink", {"x": hopeless}):
        await bus.publish("x")
        (letter,) = await eventually(lambda: _letters(bus))
    assert (letter.reason, letter.attempts, letter.error) == ("error", 1, "DoNotRetry: no such repository")


async def test_what_nobody_can_handle_becomes_a_dead_letter(bus: Bus, raw: Any) -> None:
    """Unknown types and malformed entries are kept with their fields; the worker goes on."""
    notebook = Notebook()
    raw.xadd(lane_of(bus, "any"), {"foo": "bar"})
    await bus.publish("unheard-of")
    await bus.publish("x", id="after")
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: len(notebook.tasks) == 1)
        await eventually(lambda: _count_letters(bus, 2))
    assert sorted(await reasons(bus)) == ["malformed", "no_handler"]
    malformed = next(letter for letter in (await bus.dead_letters()).items if letter.reason == "malformed")
    assert malformed.fields[0] == (b"foo", b"bar")


async def _count_letters(bus: Bus, expected: int) -> bool:
    return (await bus.dead_letters()).total == expected


async def test_what_waited_too_long_is_not_run(bus: Bus, raw: Any) -> None:
    """A task whose time to live ran out in the queue becomes a stale dead letter, ours or foreign."""
    notebook = Notebook()
    old = "1000000000000-0"
    raw.xadd(lane_of(bus, "theirs", "high"), {"type": "x", "payload": "foreign", "ttl": "5m"}, id=old)
    raw.xadd(lane_of(bus, "ours"), {"id": "ours", "type": "x", "payload": "", "ttl": "60", "v": "1"}, id=old)
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: _count_letters(bus, 2))
        await bus.publish("x")
        await eventually(lambda: len(notebook.tasks) == 1)
    assert await reasons(bus) == ["stale", "stale"]


async def test_time_to_live_goes_on_through_a_retry(bus: Bus) -> None:
    """A retry does not make a task younger."""
    ran = Notebook()

    async def note_and_fail(task: Task, context: TaskContext) -> None:
        await ran(task, context)
        raise RuntimeError("later")

    async with working(bus, "pink", {"x": note_and_fail}, retry_delays=(1.5, 1.5)):
        await bus.publish("x", ttl=1)
        (letter,) = await eventually(lambda: _letters(bus))
    assert (letter.reason, len(ran.tasks)) == ("stale", 1)


async def test_cancelling_has_one_outcome_wherever_the_task_is(bus: Bus, raw: Any) -> None:
    """Queued and delayed work never runs, running work is stopped, settled work stays settled."""
    notebook, started = Notebook(), asyncio.Event()

    async def slow(_task: Task, _context: TaskContext) -> None:
        started.set()
        await asyncio.sleep(60)

    await bus.publish("x", id="queued")
    await bus.publish("x", id="delayed", delay=0.2)
    assert await bus.cancel("queued") is CancelOutcome.CANCELLED
    assert await bus.cancel("delayed") is CancelOutcome.CANCELLED
    assert await bus.cancel("never-heard-of") is CancelOutcome.UNKNOWN
    async with working(bus, "pink", {"x": notebook, "slow": slow}, lease_s=0.8) as worker:
        await bus.publish("slow", id="running")
        await started.wait()
        assert await bus.cancel("running") is CancelOutcome.REQUESTED
        await eventually(lambda: worker.stats.cancelled == 1)
        await bus.publish("x", id="done")
        await eventually(lambda: len(notebook.tasks) == 1)
        await eventually(lambda: _is(bus, "done", TaskState.DONE))
        assert await bus.cancel("done") is CancelOutcome.SETTLED
    assert [task.id for task in notebook.tasks] == ["done"]
    assert held(raw, lanes_of(bus)) == 0
    kinds = [event.task for event in (await bus.events()).items if event.kind == "cancelled"]
    assert sorted(kinds) == ["delayed", "queued", "running"]


async def _is(bus: Bus, task_id: str, state: TaskState) -> bool:
    record = await bus.record(task_id)
    return record is not None and record.state is state


async def test_stopping_lets_a_running_handler_finish_and_leaves_nothing(bus: Bus, raw: Any) -> None:
    """A graceful stop takes nothing more, finishes what it began, and removes its consumer."""
    started, release, notebook = asyncio.Event(), asyncio.Event(), Notebook()

    async def slow(task: Task, context: TaskContext) -> None:
        started.set()
        await release.wait()
        await notebook(task, context)

    worker = bus.worker("pink", {"x": slow})
    running = asyncio.create_task(worker.run())
    first = await bus.publish("x")
    await started.wait()
    worker.stop()
    await bus.publish("x", id="left-behind")
    release.set()
    await running
    assert len(notebook.tasks) == 1
    assert await _is(bus, "left-behind", TaskState.QUEUED)
    assert raw.xinfo_consumers(lane_of(bus, first.id), "workers") == []


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_no_more_handlers_run_than_there_are_slots(bus: Bus, concurrency: int) -> None:
    """Prefetch is zero: what has no slot stays in its lane."""
    most, now, done = 0, 0, 0

    async def count(_task: Task, _context: TaskContext) -> None:
        nonlocal most, now, done
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        done += 1

    for _ in range(30):
        await bus.publish("x")
    async with working(bus, "pink", {"x": count}, concurrency=concurrency):
        await eventually(lambda: done == 30)
    assert most == concurrency


async def test_what_a_blocked_read_brings_runs_at_once_and_once(bus: Bus, raw: Any) -> None:
    """An idle worker starts it without asking again, and what it has in hand just now is not started twice."""
    notebook, gate = Notebook(), asyncio.Event()

    async def hold(_task: Any) -> None:
        await gate.wait()

    raw.script_flush()
    async with working(bus, "pink", {"x": notebook, "held": hold}, concurrency=4):
        for number in range(20):
            kind, then = ("held", TaskState.RUNNING) if number < 3 else ("x", TaskState.DONE)
            task = (await bus.publish(kind)).id
            await eventually(partial(_is, bus, task, then))
        gate.set()
        books = await eventually(partial(_completed, bus, 20))
    assert books.totals[EventKind.TAKEN] == 20
    assert EventKind.REDELIVERED not in books.totals
    assert not any(raw.script_exists(script("adopt").sha.decode())), "each cost another round trip"


async def _completed(bus: Bus, expected: int) -> Books | None:
    books = fold(Books(), reversed((await bus.events(limit=10_000)).items))
    return books if books.totals.get(EventKind.COMPLETED) == expected else None


async def test_what_was_cancelled_before_it_began_took_no_time(bus: Bus) -> None:
    """Not the time since the machine was started."""
    worker = bus.worker("pink", {})
    task = Task("a", "x", b"", Lane("shared", Priority.NORMAL), "1-0")
    held = Delivery(bus.partitions.seat, "cortex:tasks:normal", task, 1)
    assert worker._runner.cancelled(held).run_ms == 0
    await worker.intake.close()
