"""Requests: a task with an answer, a deadline, and a word at once where nobody could answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus, DoNotRetry, TaskContext
from observatory.bus.talk.requests import NoResponder, RequestFailed, Requests, RequestTimeout
from observatory.engine import Engine
from observatory.model.clock import SystemClock
from observatory.model.errors import BusError, UsageError
from observatory.model.task import NewTask, Task
from tests.bus.conftest import held, lanes_of, working
from tests.bus.test_worker import Notebook
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


pytestmark = pytest.mark.everywhere(soak=True)


@contextlib.asynccontextmanager
async def requesting(bus: Bus) -> AsyncIterator[Requests]:
    """Requests over the link of *bus*, as another process would have them."""
    requests = Requests(bus.partitions, "tester", SystemClock(), bus.publish_task)
    try:
        yield requests
    finally:
        await requests.close()


@pytest.fixture
async def requests(bus: Bus) -> AsyncIterator[Requests]:
    """Requests on a clean engine."""
    async with requesting(bus) as opened:
        yield opened


class Responder:
    """A foreign worker that knows plain commands only: it reads the streams of a lane and answers by XADD."""

    def __init__(self, raw: Any, streams: list[str]) -> None:
        self.raw = raw
        self.streams = streams
        for stream in streams:
            raw.xgroup_create(stream, "foreign", id="0", mkstream=True)
        self.beat()

    def beat(self) -> None:
        """Ask for work, and get none yet: by this it shows that it lives."""
        for stream in self.streams:
            self.raw.xgroup_createconsumer(stream, "foreign", "f-1")

    async def next(self) -> dict[str, str]:
        """Wait for a task."""
        ((_, ((_, fields),)),) = await eventually(self._taken)
        return dict(fields)

    def _taken(self) -> Any:
        asked = (self.raw.xreadgroup("foreign", "f-1", {stream: ">"}, 1) for stream in self.streams)
        return next((rows for rows in asked if rows), None)

    def answer(self, task: dict[str, str], payload: str = "", **fields: str) -> None:
        """Answer a task in the way that the settle script does."""
        said = {"correlation_id": task["correlation_id"], "task": task["id"], "status": "done", "payload": payload}
        entry = {**said, "content_type": "", "error": "", **fields}
        self.raw.xadd(task["reply_to"], entry, maxlen=1000)


@pytest.fixture
def responder(bus: Bus, raw: Any) -> Responder:
    """A foreign worker on the shared queue."""
    return Responder(raw, lanes_of(bus))


@pytest.mark.everywhere
async def test_a_request_returns_what_the_worker_answers(
    bus: Bus, requests: Requests, responder: Responder, raw: Any
) -> None:
    """The answer reaches whoever asked, and the task says where to answer and until when."""
    asking = asyncio.create_task(requests.request("sum", {"a": 1}, timeout=7, sender="harold"))
    task = await responder.next()
    assert (task["type"], task["payload"], task["from"], task["ttl"]) == ("sum", '{"a":1}', "harold", "7")
    assert task["reply_to"].startswith(f"{bus.partitions.of(task['id']).keys.prefix}:reply:")
    responder.answer(task, '{"b":2}', content_type="application/json")
    reply = await asking
    assert (reply.task_id, reply.payload, reply.content_type) == (task["id"], b'{"b":2}', "application/json")
    assert requests.stats.answered == 1
    await eventually(lambda: raw.xlen(task["reply_to"]) == 0)
    await eventually(lambda: 0 < raw.pttl(task["reply_to"]) <= 3_600_000)


@pytest.mark.everywhere(but="cluster", soak=True)  # An engine knows its own clients only.
async def test_many_requests_share_one_stream_and_one_read(requests: Requests, responder: Responder, raw: Any) -> None:
    """A hundred requests at once, answered backwards, each get their own answer over one waiting connection."""
    asking = [asyncio.create_task(requests.request("echo", str(number))) for number in range(100)]
    tasks = [await responder.next() for _ in asking]
    assert len({task["reply_to"] for task in tasks}) == 1
    assert sum(client["cmd"] == "xread" for client in raw.client_list()) <= 1
    for task in reversed(tasks):
        responder.answer(task, task["payload"])
    assert [reply.payload for reply in await asyncio.gather(*asking)] == [str(n).encode() for n in range(100)]


@pytest.mark.everywhere
async def test_a_family_of_requests_keeps_its_correlation_id(requests: Requests, responder: Responder) -> None:
    """Two requests of one family are told apart by their tasks."""
    asking = [asyncio.create_task(requests.request("x", word, correlation_id="family")) for word in ("a", "b")]
    for task in [await responder.next(), await responder.next()]:
        assert task["correlation_id"] == "family"
        responder.answer(task, task["payload"])
    assert [reply.payload for reply in await asyncio.gather(*asking)] == [b"a", b"b"]


@pytest.mark.everywhere
async def test_an_answer_by_correlation_id_alone_is_understood(
    requests: Requests, responder: Responder, raw: Any
) -> None:
    """A foreign worker may answer with no more than the correlation id and a payload."""
    asking = asyncio.create_task(requests.request("x"))
    task = await responder.next()
    raw.xadd(task["reply_to"], {"payload": "plain", "correlation_id": task["correlation_id"]})
    assert (await asking).payload == b"plain"


@pytest.mark.everywhere
async def test_a_deadline_that_passes_is_named_and_a_late_answer_is_counted(
    requests: Requests, responder: Responder
) -> None:
    """Nobody answers in time: the caller is told, and what comes later is dropped and counted."""
    with pytest.raises(RequestTimeout, match=r"within 0\.2 s"):
        await requests.request("slow", timeout=0.2)
    responder.answer(await responder.next(), "too late")
    await eventually(lambda: requests.stats.late == 1)
    assert requests.stats.answered == 0


@pytest.mark.everywhere
async def test_a_second_answer_is_dropped_and_counted(requests: Requests, responder: Responder) -> None:
    """A task that was run twice answers twice; the first answer counts."""
    asking = asyncio.create_task(requests.request("x"))
    task = await responder.next()
    responder.answer(task, "first")
    responder.answer(task, "second")
    assert (await asking).payload == b"first"
    await eventually(lambda: requests.stats.late == 1)


@pytest.mark.everywhere
@pytest.mark.parametrize(
    ("status", "words"), [("dead", "became a dead letter: boom"), ("cancelled", "was cancelled: boom")]
)
async def test_a_task_that_failed_fails_the_request(
    requests: Requests, responder: Responder, status: str, words: str
) -> None:
    """A dead letter and a cancel are an error with their reason, not a time-out."""
    asking = asyncio.create_task(requests.request("x"))
    responder.answer(await responder.next(), status=status, error="boom")
    with pytest.raises(RequestFailed, match=words) as failed:
        await asking
    assert failed.value.reply.status == status


@pytest.mark.everywhere
async def test_where_nobody_serves_a_request_fails_at_once(bus: Bus, requests: Requests, raw: Any) -> None:
    """No worker on the queue: the caller is told at once, and nothing was published."""
    with pytest.raises(NoResponder, match="coding"):
        await requests.request("x", queue="coding", timeout=60)
    assert not any(raw.exists(stream) for stream in lanes_of(bus, queue="coding"))


@pytest.mark.everywhere
async def test_whoever_is_told_to_wait_waits(bus: Bus, requests: Requests, raw: Any) -> None:
    """With `wait` a request is published for a worker that is still to come."""
    asking = asyncio.create_task(requests.request("x", wait=True))
    await eventually(lambda: held(raw, lanes_of(bus)) == 1)
    responder = Responder(raw, lanes_of(bus))
    responder.answer(await responder.next(), "here I am")
    assert (await asking).payload == b"here I am"


@pytest.mark.everywhere
async def test_a_worker_that_beats_is_somebody_who_serves(bus: Bus, requests: Requests) -> None:
    """A live worker's queues are served, its own `@agent` queue too, others are not; its goodbye ends that."""
    async with working(bus, "pink", {"x": Notebook()}, queues=("shared", "coding")):
        await eventually(lambda: _serves(requests, "coding"))
        assert await _serves(requests, "shared")
        assert await _serves(requests, "@pink")
        assert not await _serves(requests, "deploy")
        assert not await _serves(requests, "@pin")
    for queue in ("shared", "coding", "@pink"):
        assert not await _serves(requests, queue)


async def _serves(requests: Requests, queue: str) -> bool:
    return await requests._is_served(NewTask("x", b"", "id", queue=queue), requests._partitions.of("id"))


@pytest.mark.everywhere
async def test_what_a_handler_returns_is_the_answer(bus: Bus, requests: Requests) -> None:
    """With our own worker: its result, its failure, and its goodbye each reach whoever asks."""

    async def add(task: Task, _context: TaskContext) -> dict[str, int]:
        return {"sum": sum(json.loads(task.payload))}

    async def refuse(_task: Task, _context: TaskContext) -> None:
        raise DoNotRetry("no way")

    async with working(bus, "pink", {"add": add, "refuse": refuse}):
        await eventually(lambda: _serves(requests, "shared"))
        assert json.loads((await requests.request("add", [1, 2])).payload) == {"sum": 3}
        with pytest.raises(RequestFailed, match="no way"):
            await requests.request("refuse")
    with pytest.raises(NoResponder):
        await requests.request("add", [1, 2])


@pytest.mark.everywhere
async def test_the_beats_of_foreign_agents_count(bus: Bus, requests: Requests, raw: Any) -> None:
    """Capabilities count whether they are a list in JSON or words between commas; dead agents do not."""
    await bus.heartbeat("one", capabilities=['["go"', ' "rust"]'])
    await bus.heartbeat("two", capabilities=["python"])
    await bus.heartbeat("gone", capabilities=["cobol"])
    raw.zadd(bus.partitions.of("gone").keys.agents_seen, {"gone": 1})
    assert [await _serves(requests, queue) for queue in ("go", "rust", "python", "cobol")] == [True, True, True, False]


async def test_a_hundred_idle_agents_hide_nobody(bus: Bus, requests: Requests) -> None:
    """However many agents serve something else, the one that serves the queue is found."""
    for number in range(230):
        await bus.heartbeat(f"idle-{number}", capabilities=["other"])
    assert not await _serves(requests, "rare")
    await bus.heartbeat("zoe", capabilities=["rare"], interval_s=50)
    assert await _serves(requests, "rare")


async def test_answers_come_after_the_engine_was_killed(tmp_path: Path) -> None:
    """A request that waited over kill -9 and a restart gets its answer."""
    import redis  # noqa: PLC0415 - the second client of this test alone

    engine = Engine(tmp_path / "engine")
    engine.start()
    try:
        async with Bus.connect(engine.url) as bus, requesting(bus) as requests:
            with redis.Redis.from_url(engine.url, decode_responses=True) as raw:
                responder = Responder(raw, lanes_of(bus))
                asking = asyncio.create_task(requests.request("x", timeout=60))
                task = await responder.next()
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            await asyncio.to_thread(engine.stop)
            await asyncio.to_thread(engine.start)
            with redis.Redis.from_url(engine.url, decode_responses=True) as responder.raw:
                responder.answer(task, "after all")
            assert (await asking).payload == b"after all"
    finally:
        engine.stop()


@pytest.mark.everywhere
async def test_closing_fails_what_still_waits_and_leaves_no_key(bus: Bus, responder: Responder, raw: Any) -> None:
    """Whoever waits when the bus closes is told so; no stream of replies stays behind."""
    async with requesting(bus) as requests:
        asking = asyncio.create_task(requests.request("x"))
        task = await responder.next()
        responder.answer({**task, "id": "other", "correlation_id": "other"})
        await eventually(lambda: requests.stats.late == 1)
    with pytest.raises(BusError, match="closed"):
        await asking
    with pytest.raises(BusError, match="closed"):
        await requests.request("x")
    assert not raw.exists(task["reply_to"])


async def test_a_cancelled_caller_leaves_nothing_waiting(requests: Requests, responder: Responder) -> None:
    """Giving up on a request is no error; its answer is late."""
    asking = asyncio.create_task(requests.request("x"))
    task = await responder.next()
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    responder.answer(task)
    await eventually(lambda: requests.stats.late == 1)


async def test_replies_of_the_wrong_type_fail_at_once(requests: Requests, responder: Responder, raw: Any) -> None:
    """A foreign key in the place of the replies is an error that says so, not a time-out."""
    asking = asyncio.create_task(requests.request("x", timeout=60))
    task = await responder.next()
    raw.set(task["reply_to"], "mine")
    with pytest.raises(BusError, match="something else"):
        await asking


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"timeout": 0}, "timeout"),
        ({"priority": "soon"}, "priority"),
        ({"queue": "a b"}, "queue"),
        ({"payload": {1, 2}}, "payload"),
    ],
)
async def test_what_cannot_be_asked_is_named(requests: Requests, options: dict[str, Any], problem: str) -> None:
    """A field that cannot be taken is refused before anything is sent, and named."""
    with pytest.raises(UsageError, match=f"^{problem}:"):
        await requests.request("x", **options)
