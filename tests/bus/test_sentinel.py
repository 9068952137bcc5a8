"""A bus whose primary is watched by Sentinels: whatever happens to the primary, clients find the next one.

What a primary has acknowledged and not yet passed to the replica that succeeds it is lost. So the tests that count
tell two kinds of acknowledgement apart: plain ones, and those that the replicas have confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis

from observatory.bus import Bus, CancelOutcome, TaskContext
from observatory.model.errors import BusError, BusUnreachableError, NotDurableError, UsageError
from observatory.model.message import Broadcast
from observatory.model.snapshot import LinkState
from tests.bus.conftest import working
from tests.bus.test_worker import Notebook, failing
from tests.conftest import eventually
from tests.rigs import NAME, PASSWORD, SENTINEL_PASSWORD, SentinelRig, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from observatory.bus.tasks.delivery import Settlement
    from observatory.model.task import Task

pytestmark = pytest.mark.xdist_group("sentinel")

REPLICAS = 2
"""All of them: with fewer, the one that is promoted may be another than the one that has confirmed."""

CONFIRM_MS = 100


@pytest.fixture(scope="module")
def calm() -> Iterator[SentinelRig]:
    """A deployment of one primary and one Sentinel in which nothing fails over."""
    with SentinelRig(replicas=1, sentinels=1) as rig:
        yield rig


@pytest.fixture
def rig() -> Iterator[SentinelRig]:
    """A primary, two replicas and three Sentinels, for one test to break."""
    with SentinelRig(replicas=REPLICAS) as running:
        yield running


class Flood:
    """Publishes on and on, and writes down what was acknowledged.

    Attributes:
        plain: Ids that the primary acknowledged.
        safe: Those that every replica had by then.
        answered: When each acknowledgement came, by `time.monotonic`.
    """

    def __init__(self, url: str, rate: float = 200.0) -> None:
        self.states = [LinkState.CONNECTING]
        self.plain: list[str] = []
        self.safe: list[str] = []
        self.answered: list[float] = []
        self._bus = Bus.connect(url, name="producer")
        self._rate = rate
        self._stopping = False

    async def __aenter__(self) -> Self:
        await self._bus.open()
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})
        await self._bus.close()

    async def stop(self) -> None:
        """Publish no more, and wait for what is under way."""
        self._stopping = True
        await self._running

    def gap_s(self, since: float) -> float:
        """Longest time without an acknowledgement from *since* on."""
        after = [since, *(at for at in self.answered if at > since)]
        return max(later - earlier for earlier, later in itertools.pairwise(after))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if self._stopping:
                    break
                group.create_task(self._publish(f"t-{number}"))
                self._note_state()
                await asyncio.sleep(1 / self._rate)

    async def _publish(self, task_id: str) -> None:
        with contextlib.suppress(NotDurableError):
            await self._bus.publish("x", id=task_id, durable=True)
            self.safe.append(task_id)
        self.plain.append(task_id)
        self.answered.append(time.monotonic())
        self._note_state()

    def _note_state(self) -> None:
        if self._bus.link.state is not self.states[-1]:
            self.states.append(self._bus.link.state)


def strangers(server: Server) -> list[str]:
    """Connections to *server* that are neither of Sentinels, nor of the replication, nor the one that asks."""
    rows = [dict(part.split("=", 1) for part in row.split()) for row in server.ask("CLIENT", "LIST").splitlines()]
    return [
        row["cmd"]
        for row in rows
        if not row["name"].startswith("sentinel-") and "S" not in row["flags"] and row["cmd"] != "client|list"
    ]


async def test_the_whole_life_of_a_task_through_sentinels(calm: SentinelRig) -> None:
    """Publish, fail, die, requeue and complete; send, tell, ask; all as on a single server."""
    notebook = Notebook()

    async def answer(_task: Task, _context: TaskContext) -> str:
        return "yes"

    async with Bus.connect(calm.url) as bus:
        handlers: Any = {"x": notebook, "bad": failing, "ask": answer}
        async with working(bus, "pink", handlers, retry_delays=(0.05, 0.05)):
            await bus.publish("x")
            await bus.publish("bad", id="bad-1")
            await eventually(lambda: len(notebook.tasks) == 1)
            (letter,) = await eventually(lambda: _letters(bus))
            assert (await bus.request("ask", timeout=5)).payload == b"yes"
        assert (letter.task_id, letter.reason, letter.attempts) == ("bad-1", "error", 3)
        async with working(bus, "pink", {"bad": notebook}):
            await bus.requeue([letter.entry_id])
            await eventually(lambda: len(notebook.tasks) == 2)
        assert (await bus.observe()).dead_letters.total == 0
        await bus.send_message("red", "hello")
        async with bus.inbox("red") as inbox:
            message = await anext(aiter(inbox))
            assert (message.payload, await message.ack()) == (b"hello", True)


async def _letters(bus: Bus) -> Any:
    return (await bus.dead_letters()).items


async def test_a_primary_killed_under_load_is_replaced_and_nothing_confirmed_is_lost(
    rig: SentinelRig, record_property: Any
) -> None:
    """After kill -9 at 200 messages a second every reader goes on by itself, and every confirmed task is done."""
    done: set[str] = set()
    release, started = asyncio.Event(), asyncio.Event()
    told: list[str] = []
    mail: list[bytes] = []
    seen: set[str] = set()
    settled: dict[str, str] = {}

    def note(settlement: Settlement, answer: str) -> None:
        settled[settlement.task_id] = answer

    async def handle(task: Task, _context: TaskContext) -> None:
        done.add(task.id)

    async def long(_task: Task, _context: TaskContext) -> None:
        started.set()
        await release.wait()

    async with contextlib.AsyncExitStack() as stack:
        agents = await stack.enter_async_context(Bus.connect(rig.url, name="agents"))
        handlers: Any = {"x": handle, "long": long}
        await stack.enter_async_context(working(agents, "pink", handlers, concurrency=8, lease_s=4.0, on_settled=note))
        await stack.enter_async_context(_reading(_hear(agents, told)))
        await stack.enter_async_context(_reading(_open_mail(agents, mail)))
        await stack.enter_async_context(_reading(_follow(agents, seen)))
        await agents.publish("long", id="long")
        await started.wait()
        flood = await stack.enter_async_context(Flood(rig.url))
        await eventually(lambda: len(done) > 100)
        first, killed = rig.primary, time.monotonic()
        await asyncio.to_thread(first.kill)
        await eventually(lambda: flood.answered[-1] > killed, timeout=20)
        back = time.monotonic() - killed
        await eventually(lambda: agents.link.state is LinkState.READY, timeout=20)
        # Clients can be faster than the majority of the Sentinels.
        await eventually(lambda: rig.primary is not first)
        assert rig.primary.role == "master"

        await agents.broadcast("after")
        await agents.send_message("red", "after")
        await eventually(lambda: told[-1:] == ["after"])
        await eventually(lambda: mail[-1:] == [b"after"])
        (pending,) = await eventually(lambda: _pending(rig, "long"))
        taken = time.monotonic()
        await eventually(lambda: _idle_ms(rig, pending) < (time.monotonic() - taken) * 1000 + 200)
        release.set()
        await flood.stop()
        await eventually(lambda: set(flood.safe) <= done, timeout=20)
        await agents.publish("x", id="last")
        await eventually(lambda: "last" in seen)
        await eventually(lambda: settled.get("long") == "settled")
    # What comes after is a connection that was opened before every Sentinel knew.
    assert flood.states[1:4] == [LinkState.READY, LinkState.LOST, LinkState.READY]
    lost = sorted(set(flood.plain) - done)
    for name, value in (
        ("acknowledged", len(flood.plain)),
        ("confirmed", len(flood.safe)),
        ("plain_lost", len(lost)),
        ("first_answer_s", round(back, 2)),
        ("gap_s", round(flood.gap_s(killed), 2)),
    ):
        record_property(name, value)
        print(name, value)


@contextlib.asynccontextmanager
async def _reading(reader: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(reader)
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _hear(bus: Bus, told: list[str]) -> None:
    async with bus.broadcasts("red", since="0") as hearing:
        async for heard in hearing:
            assert isinstance(heard, Broadcast)
            told.append(heard.payload.decode())


async def _open_mail(bus: Bus, mail: list[bytes]) -> None:
    async with bus.inbox("red") as inbox:
        async for message in inbox:
            mail.append(message.payload)
            await message.ack()


async def _follow(bus: Bus, seen: set[str]) -> None:
    async for event in bus.tail():
        seen.add(event.task)


def _pending(rig: SentinelRig, task_id: str) -> list[str]:
    primary = rig.primary
    lane = "cortex:tasks:normal"
    ident = primary.ask("HGET", f"cortex:task:{task_id}", "entry")
    return [ident] if ident and primary.ask("XPENDING", lane, "workers", ident, ident, 1) else []


def _idle_ms(rig: SentinelRig, ident: str) -> int:
    ((_, _, idle, _),) = rig.primary.ask("XPENDING", "cortex:tasks:normal", "workers", ident, ident, 1)
    return int(idle)


async def test_a_failover_on_command_takes_every_connection_along(rig: SentinelRig, record_property: Any) -> None:
    """The demoted primary, which lives on, keeps no connection of ours; cancels are heard on the new one at once."""
    done: set[str] = set()
    hanging = asyncio.Event()

    async def handle(task: Task, _context: TaskContext) -> None:
        done.add(task.id)

    async def hang(_task: Task, _context: TaskContext) -> None:
        hanging.set()
        await asyncio.sleep(60)

    async with (
        Bus.connect(rig.url) as bus,
        working(bus, "pink", {"x": handle, "hang": hang}, concurrency=8, lease_s=2.0) as pink,
        Flood(rig.url, rate=100) as flood,
    ):
        await bus.publish("hang", id="hanging")
        await hanging.wait()
        await eventually(lambda: len(done) > 20)
        first, began = rig.primary, time.monotonic()
        rig.sentinels[0].ask("SENTINEL", "FAILOVER", NAME)
        await eventually(lambda: rig.primary is not first, timeout=20)
        # It goes on believing to be the primary for some ten seconds; what it took in them would be lost.
        await eventually(lambda: strangers(first) == [], timeout=5)
        (pending,) = await eventually(lambda: _pending(rig, "hanging"))
        await eventually(lambda: _idle_ms(rig, pending) < 500)
        turned = time.monotonic()
        await eventually(lambda: flood.answered[-1] > turned + 0.5, timeout=20)
        await flood.stop()
        await eventually(lambda: set(flood.safe) <= done, timeout=20)
        assert strangers(first) == []
        assert bus.link.state is LinkState.READY
        # The thread that renews leases has followed, and stays: longer than a lease after the failover.
        await asyncio.sleep(2.0)
        await eventually(lambda: _idle_ms(rig, pending) < 700, timeout=2)
        await eventually(lambda: "subscribe" in strangers(rig.primary))
        assert await bus.cancel("hanging") is CancelOutcome.REQUESTED
        await eventually(lambda: pink.stats.cancelled == 1, timeout=3)
        lost = len(set(flood.plain) - done)
    for name, value in (("gap_s", round(flood.gap_s(began), 2)), ("plain_lost", lost)):
        record_property(name, value)
        print(name, value)


async def test_a_primary_that_hangs_is_left_and_not_believed_when_it_wakes(
    rig: SentinelRig, record_property: Any
) -> None:
    """A frozen server answers nothing; thawed, it believes to be the primary still, and nobody of ours asks it."""
    notebook = Notebook()
    async with Bus.connect(rig.url) as bus, working(bus, "pink", {"x": notebook}):
        await bus.publish("x", id="before")
        await eventually(lambda: len(notebook.tasks) == 1)
        first, began = rig.primary, time.monotonic()
        first.send(signal.SIGSTOP)
        try:
            await bus.publish("x", id="meanwhile")
            gap = time.monotonic() - began
            await eventually(lambda: "meanwhile" in [task.id for task in notebook.tasks])
            # Its lanes' readers and the doorbell were still with the frozen one.
            await eventually(lambda: "subscribe" in strangers(rig.primary))
        finally:
            first.send(signal.SIGCONT)
        await eventually(lambda: first.role)
        assert strangers(first) == []
        await bus.publish("x", id="after")
        await eventually(lambda: "after" in [task.id for task in notebook.tasks])
    record_property("gap_s", round(gap, 2))
    print("gap_s", round(gap, 2))


async def test_a_demoted_primary_is_not_asked_for_the_past() -> None:
    """One refused write cuts every connection; while only a replica is offered, reads fail and tell no old news."""
    with SentinelRig(replicas=1, sentinels=1) as rig:
        await _demote_and_promote(rig)


async def _demote_and_promote(rig: SentinelRig) -> None:
    primary, replica = rig.engines
    async with Bus.connect(rig.url) as bus:
        await asyncio.gather(*(bus.connection.command("TIME") for _ in range(5)))
        primary.ask("REPLICAOF", "127.0.0.1", replica.port)
        try:
            publishing = asyncio.create_task(bus.publish("x", id="patient"))
            await eventually(lambda: bus.link.state is LinkState.LOST)
            assert "no primary any more" in bus.link.reason
            with pytest.raises(BusUnreachableError, match="no primary any more"):
                await bus.connection.command("TIME", deadline_s=0.1)
        finally:
            primary.ask("REPLICAOF", "NO", "ONE")
        await publishing
        assert bus.link.state is LinkState.READY


async def test_a_primary_without_its_replicas_degrades_the_link(bus_url: str) -> None:
    """NOREPLICAS is waited out, reads do not hide it, and what lasts is named with the next step."""
    with redis.Redis.from_url(bus_url) as admin:
        async with Bus.connect(bus_url) as bus:
            admin.config_set("min-replicas-to-write", 1)
            try:
                publishing = asyncio.create_task(bus.publish("x"))
                await eventually(lambda: bus.link.state is LinkState.DEGRADED)
                await bus.connection.command("TIME")
                assert (str(bus.link.state), "writes are refused" in bus.link.reason) == ("degraded", True)
                with pytest.raises(BusError, match="min-replicas-to-write"):
                    await bus.connection.call("beat", ("a", "a", "idle", 5.0), deadline_s=0.1)
            finally:
                admin.config_set("min-replicas-to-write", 0)
            await publishing
            assert bus.link.state is LinkState.READY


async def test_what_keeps_a_primary_from_being_found_is_said(calm: SentinelRig, unused_tcp_port: int) -> None:
    """No Sentinel, no such name, a wrong password here or there, the wrong kind of server: each with its next step."""
    sentinel, engine = calm.sentinels[0].port, calm.engines[0].port
    nobody = calm.url.replace(str(sentinel), str(unused_tcp_port))
    for url, words, deadline_s in (
        (nobody, "no Sentinel answers .*26379", 0.2),
        (calm.url.replace(NAME, "other"), f"no primary named 'other'.*they watch: {NAME}", 60),
        (
            calm.url.replace(SENTINEL_PASSWORD, "wrong"),
            "the Sentinel .* refuses the credentials.*sentinel_password",
            60,
        ),
        (calm.url.partition("?")[0], "the Sentinel .* refuses the credentials", 60),
        (calm.url.replace(PASSWORD, "wrong"), "refuses the credentials.*user and password", 60),
        (
            calm.url.replace(str(sentinel), str(engine)).replace(SENTINEL_PASSWORD, PASSWORD),
            "does not answer as a Sentinel",
            60,
        ),
        (f"redis://:{SENTINEL_PASSWORD}@127.0.0.1:{sentinel}", "is a Sentinel.*redis\\+sentinel", 60),
    ):
        with pytest.raises(BusUnreachableError, match=words) as told:
            await Bus.connect(url).open(deadline_s=deadline_s)
        assert PASSWORD not in str(told.value)
        assert SENTINEL_PASSWORD not in str(told.value)


async def test_one_sentinel_that_answers_is_enough(calm: SentinelRig, unused_tcp_port: int) -> None:
    """Sentinels that are down are passed over."""
    async with Bus.connect(calm.url.replace("@", f"@127.0.0.1:{unused_tcp_port},")) as bus:
        await bus.publish("x")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://h1:26379,h2:26379", "name of a primary"),
        ("redis+sentinel://h1,h2/", "name of a primary"),
        ("redis+sentinel:///mymaster", "host or port"),
        ("redis+sentinel://h1:0,h2/mymaster", "host or port"),
        ("redis+sentinel://h1,,h2/mymaster", "host or port"),
        ("redis+sentinel://h1,h2/mymaster/zero", "name of a primary"),
        ("redis+sentinel://h1/mymaster?colour=red", "unknown parameter 'colour'"),
        ("unix+sentinel://h1/mymaster", "begin with"),
    ],
)
def test_a_wrong_sentinel_url_is_named_before_anything_is_tried(url: str, words: str) -> None:
    """What is missing or wrong is said, with an example."""
    with pytest.raises(UsageError, match=words):
        Bus.connect(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "redis+sentinel://me:hunter2@h1:1,h2:2/m/3?sentinel_password=hunter3&sentinel_username=w",
            "redis+sentinel://me:***@h1:1,h2:2/m/3?sentinel_password=***&sentinel_username=w",
        ),
        (
            "rediss+sentinel://[::1]:1,h2/m?sentinel_password=hunter2",
            "rediss+sentinel://[::1]:1,h2/m?sentinel_password=***",
        ),
        ("redis+sentinel://me:pw@h1,h2/m?sentinel_password=a@hunter2", None),
        ("redis+sentinel://h1:1,h2/m?sentinel_password=a@hunter2", None),
        ("redis+sentinel://:hunter2?sentinel_password=hunter3@h1/m", None),
    ],
)
def test_secrets_of_a_sentinel_url_are_never_shown(url: str, shown: str | None) -> None:
    """Neither the engine's password nor the Sentinels' is told, however ill it is written."""
    try:
        told = Bus.connect(url).url
    except UsageError as error:
        told = str(error)
    assert "hunter" not in told
    assert shown in {None, told}
