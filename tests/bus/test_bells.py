"""Bells: an idle worker on a cluster is called to the partition in which work appears, and nothing depends on it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus, TaskContext
from observatory.bus.care.acl import ROLES, rules
from observatory.bus.tasks import rounds
from observatory.model.task import SHARED, Lane, NewTask, Priority, Task
from tests.bus.conftest import working
from tests.conftest import eventually
from tests.rigs import ClusterRig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from observatory.bus.partitions import Partition
    from observatory.bus.tasks.worker import Worker

NORMAL = Lane("shared", Priority.NORMAL)
HOUR_S = 3600.0

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def calm() -> Iterator[ClusterRig]:
    """A cluster that nobody breaks."""
    with ClusterRig(replicas=0) as running:
        yield running


@pytest.fixture
async def bus(calm: ClusterRig) -> AsyncIterator[Bus]:
    """A bus of twelve partitions that holds nothing."""
    calm.clear()
    async with Bus.connect(calm.url, name="tester") as connected:
        yield connected


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look round once, when they begin, and then not for an hour: only bells tell them of other partitions."""
    monkeypatch.setattr(rounds, "LOOK_EVERY_S", HOUR_S)
    monkeypatch.setattr(rounds, "SLEEPS_S", HOUR_S)


class Done:
    """Remembers which tasks have begun."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def __call__(self, task: Task, _context: TaskContext) -> None:
        """Note the task."""
        self.ids.append(task.id)


async def sleepers(partition: Partition, queue: str = SHARED) -> list[str]:
    """Return who sleeps for *queue* of a partition."""
    rows = await partition.link.command("ZRANGE", f"{partition.keys.prefix}:sleepers:{queue}", 0, -1)
    return [row.decode().partition("\x1f")[2] for row in rows]


async def asleep(bus: Bus, worker: Worker, *but: Partition) -> None:
    """Wait until *worker* hears bells, and is a sleeper of every partition but its home and those named."""
    home = worker.intake.home.number

    async def is_asleep() -> bool:
        heard = await bus.connection.command("PUBSUB", "NUMSUB", bus.keys.control)
        others = [part for part in bus.partitions if part.number != home and part not in but]
        return heard[1] > 0 and all([worker.consumer in await sleepers(part) for part in others])

    await eventually(is_asleep)


def name_in(bus: Bus, partition: Partition, stem: str) -> str:
    """Return an id that belongs to *partition*."""
    return next(name for n in itertools.count() if bus.partitions.of(name := f"{stem}-{n}") is partition)


@pytest.mark.usefixtures("no_looks")
async def test_an_idle_worker_begins_a_task_of_each_partition_without_looking_round(bus: Bus) -> None:
    """Wherever a task appears, the partition calls the worker that sleeps elsewhere; again and again."""
    done = Done()
    async with working(bus, "pink", {"x": done}) as worker:
        await asleep(bus, worker)
        for turn, partition in itertools.product(range(2), bus.partitions):
            name = name_in(bus, partition, f"turn{turn}")
            await bus.publish("x", id=name)
            await eventually(lambda name=name: name in done.ids)  # type: ignore[misc]
        await asleep(bus, worker)


@pytest.mark.usefixtures("no_looks")
async def test_work_that_comes_back_rings_too(bus: Bus) -> None:
    """What is tried again at once, or requeued, is begun without a look, whatever its partition."""
    ran: list[tuple[str, int]] = []
    fail = {"again", "dead"}

    async def handle(task: Task, _context: TaskContext) -> None:
        ran.append((task.id, task.attempt))
        if task.type in fail and task.attempt == 1:
            raise ValueError("once")

    async with working(bus, "pink", {"*": handle}, retry_delays=(0.0,)) as worker:
        await asleep(bus, worker)
        for partition in bus.partitions:
            again = name_in(bus, partition, "again")
            await bus.publish("again", id=again)
            await eventually(lambda again=again: (again, 2) in ran)  # type: ignore[misc]
    async with working(bus, "pink", {"*": handle}, retry_delays=()) as worker:
        await asleep(bus, worker)
        for partition in bus.partitions:
            await bus.publish("dead", id=name_in(bus, partition, "dead"))
        await eventually(lambda: _letters(bus, len(bus.partitions)))
        fail.clear()
        ran.clear()
        await asleep(bus, worker)
        await bus.requeue([letter.entry_id for letter in (await bus.dead_letters()).items])
        await eventually(lambda: len(ran) == len(bus.partitions))


@pytest.mark.usefixtures("no_looks")
async def test_a_worker_comes_when_delayed_work_elsewhere_is_due(bus: Bus) -> None:
    """When it is due is known from the look before, so it is fetched from its partition without another one."""
    done = Done()
    names = {name_in(bus, partition, "later") for partition in bus.partitions}
    for name in names:
        await bus.publish("x", id=name, delay=0.5)
    async with working(bus, "pink", {"x": done}):
        await eventually(lambda: set(done.ids) == names)


@pytest.mark.usefixtures("no_looks")
async def test_what_a_stopping_worker_gives_back_rings_for_another(bus: Bus) -> None:
    """A task that is broken off begins anew with a worker that sleeps at another partition."""
    begun: list[str] = []

    async def handle(_task: Task, context: TaskContext) -> None:
        begun.append(context.consumer)
        if len(begun) == 1:
            await asyncio.Event().wait()

    stopping, other = bus.worker("pink", {"x": handle}), bus.worker("red", {"x": handle})
    homes = {stopping.intake.home, other.intake.home}
    partition = next(part for part in bus.partitions if part not in homes)
    running = asyncio.create_task(stopping.run(drain_s=0))
    await asleep(bus, stopping)
    await bus.publish("x", id=name_in(bus, partition, "t"))
    await eventually(lambda: begun == [stopping.consumer])
    going_on = asyncio.create_task(other.run())
    try:
        await asleep(bus, other)
        stopping.stop()
        await running
        await eventually(lambda: begun == [stopping.consumer, other.consumer])
    finally:
        other.stop()
        await going_on


@pytest.mark.usefixtures("no_looks")
async def test_what_a_stopping_worker_has_tried_in_vain_rings_for_another(bus: Bus) -> None:
    """A task that is to be tried again at once calls a sleeper, for who has failed takes nothing more."""
    seat = bus.partitions.seat
    slept: list[str] = []

    async def handle(_task: Task, _context: TaskContext) -> None:
        await seat.link.call("peek", ("workers", "other", 60_000, 1, seat.keys.lane(NORMAL)))
        slept.extend(await sleepers(seat))
        worker.stop()
        raise ValueError("no")

    worker = bus.worker("pink", {"x": handle}, retry_delays=(0.0,))
    await bus.publish("x", id=name_in(bus, seat, "t"))
    await worker.run()
    assert (worker.stats.failed, slept) == (1, ["other"])
    assert await sleepers(seat) == []


async def _letters(bus: Bus, count: int) -> bool:
    return (await bus.observe()).dead_letters.total == count


@pytest.mark.usefixtures("no_looks")
async def test_a_bell_that_finds_its_hearer_busy_is_passed_on(bus: Bus) -> None:
    """A task that rings for a worker with no free slot is begun by the next one, while the first still works."""
    begun: list[str] = []
    free = asyncio.Event()

    async def handle(task: Task, _context: TaskContext) -> None:
        begun.append(task.id)
        await free.wait()

    async with contextlib.AsyncExitStack() as stack:
        workers = []
        for agent in ("pink", "red"):
            worker = await stack.enter_async_context(working(bus, agent, {"x": handle}))
            await asleep(bus, worker)
            workers.append(worker)
        stack.callback(free.set)
        # Both sleep in it, and the one that is called first gets the work of another partition.
        homes = [worker.intake.home.number for worker in workers]
        first, second = [part for part in bus.partitions if part.number not in homes][:2]
        await bus.publish("x", id=name_in(bus, first, "one"))
        await eventually(lambda: len(begun) == 1)
        busy = next(worker for worker in workers if worker.running)
        key = f"{second.keys.prefix}:sleepers:shared"
        await second.link.command("ZADD", key, "9999999999999", f"workers\x1f{busy.consumer}")
        await bus.publish("x", id=name_in(bus, second, "two"))
        await eventually(lambda: len(begun) == 2)


async def test_a_sleeper_that_died_keeps_no_task(bus: Bus) -> None:
    """The bell rings for a worker that was killed in its sleep; the look of another finds the task."""
    done = Done()
    async with working(bus, "pink", {"x": done}) as worker:
        await asleep(bus, worker)
        partition = next(part for part in bus.partitions if part.number != worker.intake.home.number)
        lane = partition.keys.lane(NORMAL)
        # It went to sleep as any worker does, later than the one that lives, so that it is called first.
        await partition.link.call("peek", ("workers", "ghost", 60_000, 1, lane))
        assert "ghost" in await sleepers(partition)
        name = name_in(bus, partition, "t")
        await bus.publish("x", id=name)
        await eventually(lambda: name in done.ids)
        assert "ghost" not in await sleepers(partition)


async def test_who_is_no_sleeper_any_more_is_not_called(bus: Bus) -> None:
    """A worker that stops takes itself out, and one that fell silent is left out when its time is over."""
    async with working(bus, "pink", {"x": Done()}) as worker:
        await asleep(bus, worker)
    assert not any([await sleepers(part) for part in bus.partitions])
    seat = bus.partitions.seat
    key = f"{seat.keys.prefix}:sleepers:shared"
    await seat.link.command("ZADD", key, 1, "workers\x1fsilent")
    async with bus.connection.client().pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(seat.keys.control)
        await channel.get_message(timeout=1)
        await bus.publish("x", id=name_in(bus, seat, "t"))
        await seat.link.command("PUBLISH", seat.keys.control, "end")
        assert await _next(channel) == b"end"
    assert await sleepers(seat) == []


async def _next(channel: Any) -> bytes:
    while True:
        message = await channel.get_message(timeout=5)
        if message is not None:
            return bytes(message["data"])


async def test_a_batch_calls_as_many_as_it_has_work_for(bus: Bus) -> None:
    """Each group hears as many bells as there are tasks, each sleeper one, and who serves other queues none."""
    seat = bus.partitions.seat
    lane, other = (seat.keys.lane(Lane(queue, Priority.NORMAL)) for queue in (SHARED, "coding"))
    for group, consumer, stream in (
        *(("workers", f"w{number}", lane) for number in range(5)),
        ("audit", "a0", lane),
        ("workers", "coder", other),
    ):
        await seat.link.call("peek", (group, consumer, 60_000, 1, stream))
    names = itertools.islice((n for n in map(str, itertools.count()) if bus.partitions.of(n) is seat), 3)
    async with bus.connection.client().pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(seat.keys.control)
        await channel.get_message(timeout=1)
        await bus.publish_many(NewTask("x", b"", name) for name in names)
        await seat.link.command("PUBLISH", seat.keys.control, "end")
        heard = []
        while (said := await _next(channel)) != b"end":
            heard.append(said.decode().rpartition(" ")[2])
    assert "a0" in heard
    assert len(heard) == len(set(heard)) == 4
    assert "coder" not in heard
    assert len(await sleepers(seat)) == 2


async def test_who_may_not_publish_to_a_channel_publishes_tasks_all_the_same(calm: ClusterRig, bus: Bus) -> None:
    """An agent with rights from before there were bells rings none; the engine says which right it lacks."""
    seat = bus.partitions.seat
    await seat.link.call("peek", ("workers", "w", 60_000, 1, seat.keys.lane(NORMAL)))
    for engine in calm.engines:
        engine.ask("ACL", "SETUSER", "old", *rules(ROLES["agent"], "cortex", "secret"), "-publish")
        engine.ask("ACL", "LOG", "RESET")
    async with Bus.connect(re.sub(r"//:[^@]*@", "//old:secret@", calm.url)) as limited:
        await limited.publish("x", id=name_in(bus, seat, "t"))
    refused = [row["object"] for engine in calm.engines for row in engine.ask("ACL", "LOG")]
    assert refused == ["publish"]


@pytest.mark.everywhere(but="cluster")
async def test_a_bus_of_one_part_has_no_sleepers(bus_url: str) -> None:
    """Where home is everything nobody is called, so nothing is kept for it."""
    done = Done()
    async with Bus.connect(bus_url) as bus, working(bus, "pink", {"x": done}):
        await bus.publish("x")
        await eventually(lambda: len(done.ids) == 1)
        assert await bus.connection.command("KEYS", "*sleepers*") == []
