"""What dies, and what survives it: workers, engines, keys."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import redis

from observatory.bus import Bus, TaskContext
from observatory.bus.tasks.delivery import Outcome, Settlement, settle_arguments
from observatory.engine import Engine
from observatory.model.event import EventKind
from observatory.model.reduce import Books, fold
from observatory.model.task import Task, TaskState
from tests.bus.conftest import working
from tests.bus.test_worker import Notebook
from tests.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

HANGING_WORKER = """
import asyncio, os
from observatory.bus import Bus
async def hang(task, context):
    print(task.id, flush=True)
    await asyncio.sleep(3600)
async def main():
    async with Bus.connect(os.environ["TEST_URL"]) as bus:
        await bus.worker("doomed", {"*": hang}, lease_s=1.0).run()
asyncio.run(main())
"""


def hanging_worker(url: str) -> subprocess.Popen[str]:
    """Start a real worker process whose handlers never return."""
    return subprocess.Popen(
        [sys.executable, "-c", HANGING_WORKER], env={**os.environ, "TEST_URL": url}, stdout=subprocess.PIPE, text=True
    )


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for what the process prints first."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def all_events(bus: Bus) -> Books:
    """Fold the whole log."""
    return fold(Books(), reversed((await bus.events(limit=10_000)).items))


async def test_work_of_a_killed_worker_passes_to_another(bus: Bus, bus_url: str) -> None:
    """A worker killed with work in hand loses nothing: another runs it when the lease is over."""
    notebook = Notebook()
    await bus.publish("x", id="precious")
    process = hanging_worker(bus_url)
    assert await asyncio.to_thread(first_line, process) == "precious"
    process.kill()
    process.wait()
    async with working(bus, "heir", {"x": notebook}, lease_s=1.0) as heir:
        await eventually(lambda: len(notebook.tasks) == 1)
        assert heir.stats.recovered == 1
    books = await all_events(bus)
    assert books.totals[EventKind.REDELIVERED] == 1
    assert books.totals[EventKind.COMPLETED] == 1
    process.stdout and process.stdout.close()


async def test_a_worker_that_comes_back_from_the_dead_settles_nothing(bus: Bus, bus_url: str, raw: Any) -> None:
    """A stopped process whose work passed on cannot settle it again when it continues."""
    notebook = Notebook()
    await bus.publish("x", id="once")
    process = hanging_worker(bus_url)
    try:
        await asyncio.to_thread(first_line, process)
        process.send_signal(signal.SIGSTOP)
        async with working(bus, "heir", {"x": notebook}, lease_s=1.0):
            await eventually(lambda: len(notebook.tasks) == 1)
        late = Settlement(
            "cortex:tasks:normal",
            notebook.tasks[0].entry_id,
            1,
            Outcome.DEAD,
            "once",
            "x",
            1,
            reason="error",
            message="late",
        )
        old = await bus.connection.call("settle", settle_arguments("workers", "doomed", [late]))
        assert old == [b"lost"]
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        process.stdout and process.stdout.close()
    record = await bus.record("once")
    assert record is not None
    assert record.state is TaskState.DONE
    assert raw.xlen("cortex:tasks:dlq") == 0


async def test_a_repeated_settle_is_the_same_answer(bus: Bus) -> None:
    """A worker that lost the reply to its settlement and sends it again is told that it stands."""
    reply = await bus.publish("x")
    taken = await bus.connection.call("take", ("workers", "me", 1), ("cortex:tasks:normal",))
    assert taken[0][0][1].decode() == reply.entry_id
    settle = ("workers", "me", 1, "cortex:tasks:normal", reply.entry_id, 1, "done", reply.id, "x", 1, 0)
    assert await bus.connection.call("settle", settle) == [b"settled"]
    assert await bus.connection.call("settle", settle) == [b"again"]
    assert (await all_events(bus)).totals[EventKind.COMPLETED] == 1


async def test_what_kills_its_workers_is_poison(bus: Bus, raw: Any) -> None:
    """A task delivered six times and never settled stops going round."""
    notebook = Notebook()
    await bus.publish("x", id="killer")
    await bus.connection.call("take", ("workers", "me", 1), ("cortex:tasks:normal",))
    entry = raw.xrange("cortex:tasks:normal")[0][0]
    raw.execute_command("XCLAIM", "cortex:tasks:normal", "workers", "me", 0, entry, "RETRYCOUNT", 5, "IDLE", 60_000)
    async with working(bus, "pink", {"x": notebook}, lease_s=1.0):
        (letter,) = await eventually(lambda: _letters(bus))
    assert (letter.task_id, letter.reason, notebook.tasks) == ("killer", "poison", [])


async def _letters(bus: Bus) -> tuple[object, ...]:
    return (await bus.dead_letters()).items


async def test_an_engine_killed_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """After kill -9 and a restart every acknowledged task is completed once, and nobody had to reconnect by hand."""
    engine = Engine(tmp_path / "engine")
    engine.start()
    acknowledged: list[str] = []
    done: list[str] = []

    async def handle(task: Task, _context: TaskContext) -> None:
        await asyncio.sleep(0.002)
        done.append(task.id)

    async def produce(bus: Bus) -> None:
        for number in range(300):
            answer = await bus.publish("x", id=f"t-{number}")
            acknowledged.append(answer.id)

    try:
        async with (
            Bus.connect(engine.url) as bus,
            working(bus, "pink", {"x": handle}, concurrency=4, lease_s=1.0),
        ):
            producer = asyncio.create_task(produce(bus))
            await eventually(lambda: len(done) > 50)
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            await asyncio.to_thread(engine.stop)
            await asyncio.to_thread(engine.start)
            await producer
            await eventually(lambda: set(acknowledged) <= set(done), timeout=30)
            books = await eventually(lambda: _settled(bus, 300), timeout=30)
        assert books.totals[EventKind.PUBLISHED] == 300
        assert books.totals[EventKind.COMPLETED] == 300
    finally:
        engine.stop()


async def _settled(bus: Bus, expected: int) -> Books | None:
    books = await all_events(bus)
    return books if books.totals.get(EventKind.COMPLETED) == expected and not books.tasks else None


async def test_a_flushed_engine_is_served_again_at_once(bus: Bus, raw: Any) -> None:
    """When somebody deletes everything under blocked readers, groups come back and new work flows."""
    notebook = Notebook()
    async with working(bus, "pink", {"x": notebook}):
        await bus.publish("x")
        await eventually(lambda: len(notebook.tasks) == 1)
        errors_before = nogroup_errors(raw)
        raw.flushall()
        raw.script_flush()
        await bus.publish("x")
        await eventually(lambda: len(notebook.tasks) == 2)
    lanes = 8
    # The read that was cut, what was sent behind it, and the take that makes the groups: each may see it once a lane.
    assert nogroup_errors(raw) - errors_before <= 3 * lanes


def nogroup_errors(raw: Any) -> int:
    """How often the engine has answered that a group is missing."""
    return int(raw.info("errorstats").get("errorstat_NOGROUP", {"count": 0})["count"])


async def test_a_lane_of_the_wrong_type_does_not_stop_the_others(bus: Bus, raw: Any) -> None:
    """A foreign key in a lane's place is left as it is, and the other lanes are served."""
    notebook = Notebook()
    raw.set("cortex:tasks:critical", "mine")
    async with working(bus, "pink", {"x": notebook}):
        for _ in range(3):
            await bus.publish("x", priority="low")
        await eventually(lambda: len(notebook.tasks) == 3)
    assert raw.get("cortex:tasks:critical") == "mine"
    reading = next(lane for lane in (await bus.observe()).lanes if lane.stream == "cortex:tasks:critical")
    assert "WRONGTYPE" in reading.problem
    assert reading.length is None


async def test_an_engine_out_of_memory_still_settles(tmp_path: Path) -> None:
    """At maxmemory publishing is refused in words, while taking, retrying and burying go on."""
    with Engine(tmp_path / "engine") as engine, redis.Redis.from_url(engine.url) as raw:
        async with Bus.connect(engine.url) as bus:
            await bus.publish("bad", id="b")
            raw.config_set("maxmemory", "1mb")
            refused = await asyncio.gather(bus.publish("x"), return_exceptions=True)
            assert "out of memory" in str(refused[0])

            async def fail(_task: Task, _context: TaskContext) -> None:
                raise RuntimeError("full")

            async with working(bus, "pink", {"bad": fail}, retry_delays=(0.01, 0.01)):
                (letter,) = await eventually(lambda: _letters(bus))
            assert getattr(letter, "task_id") == "b"  # noqa: B009


async def test_the_books_rebuilt_from_events_are_what_the_engine_holds(bus: Bus, raw: Any) -> None:
    """Counting events gives the same numbers as asking the engine."""

    async def handle(task: Task, _context: TaskContext) -> None:
        if task.id.endswith("3"):
            raise RuntimeError("three")

    for number in range(40):
        await bus.publish("x", id=f"t-{number}", delay=60 if number % 10 == 7 else 0)
    await bus.cancel("t-5")
    async with working(bus, "pink", {"x": handle}, retry_delays=()):
        await eventually(lambda: raw.xlen("cortex:tasks:normal") == 0)
    books = await all_events(bus)
    assert books.count(TaskState.QUEUED) == raw.xlen("cortex:tasks:normal") == 0
    assert books.count(TaskState.DELAYED) == raw.zcard("cortex:tasks:delayed") == 4
    assert books.dead(stale=False) == raw.xlen("cortex:tasks:dlq") == 4
    assert books.totals[EventKind.CANCELLED] == 1
    assert books.totals[EventKind.COMPLETED] == 31
