"""Handlers: what an agent's author may write, and what becomes of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from observatory.bus import Bus, DoNotRetry, Handling, Snooze, TaskContext
from observatory.model.event import EventKind
from observatory.model.task import Lane, NewTask, Priority, Task, TaskState
from tests.bus.conftest import held, lane_of, lanes_of, working
from tests.bus.test_faults import all_events
from tests.bus.test_worker import Notebook, _is, _letters
from tests.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus.tasks.handlers import Proceed

pytestmark = pytest.mark.everywhere

NORMAL = Lane("shared", Priority.NORMAL)


class Deploy(BaseModel):
    """The payload of a deploy."""

    app: str
    replicas: int


async def test_a_handler_may_ask_for_its_payload_as_a_model(bus: Bus) -> None:
    """A payload is parsed into the model that the handler names; one that does not fit is malformed at once."""
    seen: list[Deploy] = []

    async def deploy(order: Deploy) -> None:
        seen.append(order)

    async with working(bus, "pink", {"deploy": deploy}):
        await bus.publish("deploy", {"app": "api", "replicas": 3})
        await bus.publish("deploy", {"app": "api", "replicas": "many"})
        (letter,) = await eventually(lambda: _letters(bus))
        await eventually(lambda: seen == [Deploy(app="api", replicas=3)])
    assert (letter.reason, letter.attempts) == ("malformed", 1)
    assert "replicas" in letter.error


async def test_a_plain_function_runs_in_a_thread_beside_the_loop(bus: Bus) -> None:
    """A handler that blocks does not keep the others from running."""
    release = threading.Event()
    notebook = Notebook()

    def block(_task: Task) -> None:
        release.wait(10)

    async with working(bus, "pink", {"block": block, "x": notebook}, concurrency=2):
        await bus.publish("block", priority="high")
        await bus.publish("x")
        await eventually(lambda: len(notebook.tasks) == 1)
        release.set()
        await eventually(lambda: _is_empty(bus))
    assert (await all_events(bus)).totals[EventKind.COMPLETED] == 2


async def _is_empty(bus: Bus) -> bool:
    return not (await all_events(bus)).tasks


async def test_a_result_is_kept_and_sent_to_whoever_asked(bus: Bus, raw: Any) -> None:
    """What a handler returns stands in the task's record and in the reply stream that the task names."""

    async def add(task: Task) -> dict[str, int]:
        return {"sum": sum(map(int, task.payload.split()))}

    keys = bus.partitions.of("a").keys
    reply_to = keys.replies("me")
    async with working(bus, "pink", {"add": add}):
        raw.xadd(
            lane_of(bus, "a", "high"),
            {"type": "add", "payload": "1 2 3", "id": "a", "reply_to": reply_to, "correlation_id": "c-1"},
        )
        ((_, ((_, reply),)),) = await eventually(lambda: raw.xread({reply_to: "0"}))
    assert (reply["correlation_id"], reply["task"], reply["status"]) == ("c-1", "a", "done")
    assert reply["payload"] == raw.hget(keys.record("a"), "result") == '{"sum":6}'
    assert raw.ttl(reply_to) > 0


async def test_a_reply_goes_nowhere_but_to_a_reply_stream(bus: Bus, raw: Any) -> None:
    """A task that names another key as its reply stream writes nothing there."""

    async def answer(_task: Task) -> str:
        return "hello"

    async with working(bus, "pink", {"x": answer}):
        raw.xadd(lane_of(bus, "a", "high"), {"type": "x", "id": "a", "reply_to": lane_of(bus, "a", "low")})
        await eventually(lambda: _is(bus, "a", TaskState.DONE))
    assert held(raw, lanes_of(bus, "low")) == 0


async def test_an_attempt_that_takes_too_long_is_a_failed_one(bus: Bus) -> None:
    """A handler with a time limit fails when it is over, and says so."""

    async def sleep(_task: Task) -> None:
        await asyncio.sleep(60)

    async with working(bus, "pink", {"x": Handling(sleep, timeout_s=0.05, retry_delays=())}):
        await bus.publish("x")
        (letter,) = await eventually(lambda: _letters(bus))
    assert (letter.reason, letter.error) == ("error", "TimeoutError: ran longer than 0.05 s")


async def test_a_snoozed_task_comes_again_without_having_failed(bus: Bus) -> None:
    """Snoozing uses up no attempt."""
    attempts: list[int] = []

    async def later(task: Task) -> None:
        attempts.append(task.attempt)
        if len(attempts) < 5:
            raise Snooze(0.01)

    async with working(bus, "pink", {"x": later}):
        await bus.publish("x", id="s")
        await eventually(lambda: _is(bus, "s", TaskState.DONE))
    assert attempts == [1] * 5


async def test_middleware_runs_around_every_handler_the_first_outermost(bus: Bus) -> None:
    """Layers see the task, may change the result, and see what is raised."""
    told: list[str] = []

    def layer(name: str) -> Any:
        async def around(task: Task, _context: TaskContext, proceed: Proceed) -> Any:
            told.append(f"{name} before {task.type}")
            try:
                return await proceed()
            finally:
                told.append(f"{name} after")

        return around

    notebook = Notebook()
    async with working(bus, "pink", {"x": notebook}, middleware=[layer("a"), layer("b")]):
        await bus.publish("x", id="m")
        await eventually(lambda: _is(bus, "m", TaskState.DONE))
    assert told == ["a before x", "b before x", "b after", "a after"]


async def test_equal_bugs_leave_equal_digests(bus: Bus, raw: Any) -> None:
    """A dead letter says where its error came from."""

    async def broken(task: Task) -> None:
        raise DoNotRetry(f"no such thing: {task.id}")

    dead = [partition.keys.dead_letters for partition in bus.partitions]
    async with working(bus, "pink", {"x": broken}):
        await bus.publish("x")
        await bus.publish("x")
        await eventually(lambda: held(raw, dead) == 2)
    digests = {fields["digest"] for stream in dead for _, fields in raw.xrange(stream)}
    assert len(digests) == 1
    assert "test_handlers.py:broken" in digests.pop()


class RudeError(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no")


async def test_whatever_a_handler_raises_is_an_answer(bus: Bus) -> None:
    """An error without words and a cancellation of its own are failures like others; the worker goes on."""
    notebook = Notebook()

    async def rude(_task: Task) -> None:
        raise RudeError

    async def gives_up(_task: Task) -> None:
        raise asyncio.CancelledError

    async with working(bus, "pink", {"rude": rude, "gives_up": gives_up, "x": notebook}, retry_delays=()):
        await bus.publish("rude")
        await bus.publish("gives_up")
        await bus.publish("x")
        await eventually(lambda: len(notebook.tasks) == 1)
        await eventually(lambda: _two(bus))
    assert sorted(letter.error for letter in (await bus.dead_letters()).items) == [
        "CancelledError",
        "RudeError: (its message cannot be read)",
    ]


async def _two(bus: Bus) -> bool:
    return (await bus.dead_letters()).total == 2


async def test_a_worker_that_stops_gives_back_what_it_did_not_finish(bus: Bus) -> None:
    """Work broken off at the end of the drain goes to another worker at once, not when a lease is over."""
    notebook, started = Notebook(), asyncio.Event()

    async def endless(_task: Task) -> None:
        started.set()
        await asyncio.sleep(3600)

    worker = bus.worker("pink", {"x": endless})
    running = asyncio.create_task(worker.run(drain_s=0.05))
    await bus.publish("x", id="broken-off")
    await started.wait()
    worker.stop()
    await running
    async with working(bus, "red", {"x": notebook}):
        await eventually(lambda: len(notebook.tasks) == 1, timeout=5)
    assert (notebook.tasks[0].id, notebook.tasks[0].attempt) == ("broken-off", 1)
    books = await all_events(bus)
    assert (books.totals[EventKind.GIVEN_BACK], books.totals[EventKind.COMPLETED]) == (1, 1)


async def test_a_running_task_is_cancelled_within_the_second(bus: Bus) -> None:
    """The doorbell tells whoever runs it; nobody waits for a renewal."""
    started = asyncio.Event()

    async def endless(_task: Task) -> None:
        started.set()
        await asyncio.sleep(3600)

    async with working(bus, "pink", {"x": endless}, lease_s=3600.0) as worker:
        await bus.publish("x", id="c")
        await started.wait()
        await bus.cancel("c")
        await eventually(lambda: worker.stats.cancelled == 1, timeout=5)
    assert await _is(bus, "c", TaskState.CANCELLED)


async def test_a_paused_lane_rests_until_its_time_is_over(bus: Bus) -> None:
    """Nothing is taken from a paused lane; others are served; an end time is honoured by itself."""
    notebook = Notebook()
    await bus.pause([NORMAL])
    await bus.publish("x", id="paused")
    await bus.publish("x", id="low", priority="low")
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: [task.id for task in notebook.tasks] == ["low"])
        assert await bus.paused() == {NORMAL: 0}
        await bus.pause([NORMAL], seconds=0.3)
        await eventually(lambda: [task.id for task in notebook.tasks] == ["low", "paused"])
        assert await bus.paused() == {}
        await bus.pause([NORMAL])
        await bus.resume([NORMAL])
        await bus.publish("x", id="after")
        await eventually(lambda: len(notebook.tasks) == 3)


async def test_with_aging_the_patient_come_to_their_turn(bus: Bus) -> None:
    """Behind an endless stream of critical work a low task starts once it has waited long enough."""
    notebook = Notebook()

    async def keep_busy(task: Task, context: TaskContext) -> None:
        await notebook(task, context)
        await bus.publish("x", priority="critical")

    for _ in range(3):
        await bus.publish("x", priority="critical")
    await bus.publish("patient", priority="low")
    handlers = {"x": keep_busy, "patient": notebook}
    async with working(bus, "pink", handlers, aging={Priority.LOW: 0.5}):
        await eventually(lambda: any(task.type == "patient" for task in notebook.tasks))
    at = [task.type for task in notebook.tasks].index("patient")
    assert at >= 3


async def test_publishing_many_keeps_their_order(bus: Bus, raw: Any) -> None:
    """A lane is first in, first out for one publisher, on a cluster in each partition."""
    await bus.publish_many(NewTask("x", b"", f"t-{number:04}") for number in range(1000))
    found = [[fields["id"] for _, fields in raw.xrange(lane)] for lane in lanes_of(bus)]
    assert all(names == sorted(names) for names in found)
    assert sum(map(len, found)) == 1000


async def test_a_large_payload_travels_as_a_claim_check(bus_url: str, raw: Any, tmp_path: Path) -> None:
    """With a blob store a payload above the bound is published and handled; the lane carries a small reference."""
    body = bytes(range(256)) * 4_000
    seen: list[bytes] = []

    async def handle(task: Task) -> None:
        seen.append(task.payload)

    async with Bus.connect(bus_url, blobs=tmp_path / "blobs") as bus:
        await bus.publish("x", body, id="large")
        ((_, fields),) = raw.xrange(lane_of(bus, "large"))
        assert len(fields["payload"]) < 1_000
        async with working(bus, "pink", {"x": handle}):
            await eventually(lambda: seen == [body])


async def test_a_claim_without_its_blob_says_what_is_missing(bus_url: str, tmp_path: Path) -> None:
    """A worker that has no store, or not that blob, fails the task with words that help."""
    async with Bus.connect(bus_url, blobs=tmp_path / "blobs") as bus:
        await bus.publish("x", bytes(300_000))
    async with Bus.connect(bus_url) as bus, working(bus, "pink", {"x": Notebook()}, retry_delays=()):
        (letter,) = await eventually(lambda: _letters(bus))
    assert letter.reason == "error"
    assert "blob" in letter.error
