"""The part of `observatory bench bus` that is about a cluster: what a task costs there, and how work is shared."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis.asyncio as aioredis
from redis.crc import key_slot
from redis.exceptions import RedisError

from observatory.bench.frame import Bound, Figure, alternate, percentiles
from observatory.bus import Bus, TaskContext
from observatory.engine import Engine, find_binary
from observatory.model.errors import EngineError
from observatory.model.task import NewTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from observatory.model.task import Task

NODES: Final = 3
SLOTS: Final = 16384
WORKER_SLOTS: Final = 256
PAYLOAD: Final = b"x" * 200

REST_S: Final = 0.01
"""Seconds between two tasks for a worker that is to be asleep when the next one comes."""

UP_S: Final = 20.0
"""Seconds that a cluster is given to come up."""

_SETTINGS: Final = (
    *("--bind", "127.0.0.1", "--daemonize", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
)


async def figures(*, quick: bool) -> list[Figure]:
    """Measure the bus on a cluster of three primaries beside a single engine.

    Args:
        quick: A tenth of the tasks and two rounds instead of five.
    """
    tasks, rounds, pings = (3_000, 2, 200) if quick else (30_000, 5, 1_000)
    (port,) = _free_ports(1)
    with Engine.temporary(port=port) as engine:
        async with (
            _cluster(NODES) as ports,
            Bus.connect(f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in ports)}") as many,
            Bus.connect(engine.url) as one,
            _clients([f"redis://127.0.0.1:{port}" for port in ports]) as nodes,
            _clients([engine.url]) as alone,
        ):
            return [
                await alternate(
                    f"engine CPU per task life, cluster of {NODES} beside one engine",
                    "µs",
                    lambda: _engine_cpu(many, nodes, tasks),
                    lambda: _engine_cpu(one, alone, tasks),
                    rounds=rounds,
                    bound=Bound(must_ratio=1.3, aim_ratio=1.1, lower=True),
                ),
                *await _latency(many, one, pings, rounds),
                await alternate(
                    f"tasks per node, farthest from the mean of {NODES}, beside bare keys",
                    "%",
                    lambda: _unevenness(many, tasks),
                    lambda: _raw_unevenness(tasks),
                    rounds=1,
                    bound=Bound(must=15, aim=5, lower=True),
                ),
            ]


async def _latency(many: Bus, one: Bus, pings: int, rounds: int) -> list[Figure]:
    """From publish to the start of a handler: one worker that has nothing to do, on the cluster and on one engine.

    Nothing may wait on either, so it comes before what fills lanes without working them off.
    """
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(await _wakes(many, pings))
        theirs.append(await _wakes(one, pings))
    bounds = {0.5: Bound(must=10, aim=3, lower=True), 0.99: Bound(must=50, aim=10, lower=True)}
    return percentiles("publish to handler start, idle cluster beside one engine", "ms", ours, theirs, bounds)


async def _wakes(bus: Bus, pings: int) -> list[float]:
    """Milliseconds from publishing a task until its handler starts, for tasks of all partitions."""
    started: asyncio.Queue[float] = asyncio.Queue()

    async def handle(_task: Task, _context: TaskContext) -> None:
        started.put_nowait(time.perf_counter())

    worker = bus.worker("bench", {"bench": handle})
    running = asyncio.create_task(worker.run())
    samples = []
    for number in range(-20, pings):
        await asyncio.sleep(REST_S)
        sent = time.perf_counter()
        await bus.publish("bench", PAYLOAD)
        took = await started.get() - sent
        if number >= 0:
            samples.append(took * 1000)
    worker.stop()
    await running
    return samples


async def _engine_cpu(bus: Bus, nodes: Sequence[aioredis.Redis], tasks: int) -> float:
    """Microseconds of engine CPU for one life of a task, over all nodes: publish, take, settle, with their events."""
    before = await _engine_seconds(nodes)
    await bus.publish_many(NewTask("bench", PAYLOAD, f"bench-{number}", sender="bench") for number in range(tasks))
    done, finished = 0, asyncio.Event()

    async def handle(_task: Task, _context: TaskContext) -> None:
        nonlocal done
        done += 1
        if done == tasks:
            finished.set()

    worker = bus.worker("bench", {"bench": handle}, concurrency=WORKER_SLOTS)
    running = asyncio.create_task(worker.run())
    await finished.wait()
    worker.stop()
    await running
    spent = await _engine_seconds(nodes) - before
    await _forget(bus, tasks)
    return spent / tasks * 1e6


async def _forget(bus: Bus, tasks: int) -> None:
    """Remove the records, so that the same ids are new in the next round."""
    for partition in bus.partitions:
        keys = [
            partition.keys.record(f"bench-{number}")
            for number in range(tasks)
            if bus.partitions.of(f"bench-{number}") is partition
        ]
        for at in range(0, len(keys), 1000):
            await partition.link.command("UNLINK", *keys[at : at + 1000])


async def _unevenness(bus: Bus, tasks: int) -> float:
    """Percent by which the node with the most, or the fewest, queued tasks is off the mean."""
    await bus.publish_many(NewTask("bench", PAYLOAD, f"even-{number}", sender="bench") for number in range(tasks))
    counts: Counter[object] = Counter()
    for partition in bus.partitions:
        counts[partition.link.place] += int(
            await partition.link.command("XLEN", f"{partition.keys.prefix}:tasks:normal")
        )
    return _farthest(counts.values())


async def _raw_unevenness(tasks: int) -> float:
    """Return the same for keys of the same names, as any client of a cluster spreads them."""
    counts = Counter(key_slot(f"even-{number}".encode()) * NODES // SLOTS for number in range(tasks))
    return _farthest(counts.values())


def _farthest(counts: Any) -> float:  # noqa: ANN401 - the values of a counter
    found = list(counts)
    mean = sum(found) / NODES
    return float(max(abs(count - mean) for count in found) / mean * 100)


async def _engine_seconds(nodes: Sequence[aioredis.Redis]) -> float:
    told: list[dict[str, Any]] = [await node.info("cpu") for node in nodes]
    return sum(float(info["used_cpu_sys"]) + float(info["used_cpu_user"]) for info in told)


@contextlib.asynccontextmanager
async def _clients(urls: Sequence[str]) -> AsyncIterator[list[aioredis.Redis]]:
    clients = [aioredis.Redis.from_url(url) for url in urls]
    try:
        yield clients
    finally:
        for client in clients:
            await client.aclose()


@contextlib.asynccontextmanager
async def _cluster(size: int) -> AsyncIterator[list[int]]:
    """Run a cluster of *size* primaries on free ports of the loopback interface; yield the ports."""
    ports = _free_ports(size)
    with _processes(ports):
        async with _clients([f"redis://127.0.0.1:{port}" for port in ports]) as nodes:
            await _until_each(nodes, "PING")
            for at, node in enumerate(nodes):
                share = (SLOTS * at // size, SLOTS * (at + 1) // size - 1)
                await node.execute_command("CLUSTER", "ADDSLOTSRANGE", *share)
                await node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
                await node.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
            await _until_each(nodes, "CLUSTER INFO", f"cluster_size:{size}")
        yield ports


@contextlib.contextmanager
def _processes(ports: Sequence[int]) -> Iterator[None]:
    directory = Path(tempfile.mkdtemp(prefix="observatory-bench-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        for port in ports:
            folder = directory / str(port)
            folder.mkdir()
            words = [str(find_binary()), *_SETTINGS, "--port", str(port)]
            process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


async def _until_each(nodes: Sequence[aioredis.Redis], words: str, said: str = "") -> None:
    """Ask every node until it answers with *said* in its words, and with a cluster that is whole where it tells."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + UP_S
    for node in nodes:
        while True:
            with contextlib.suppress(RedisError, OSError):
                told = str(await node.execute_command(*words.split()))
                if said in told and "cluster_state:fail" not in told:
                    break
            if loop.time() > give_up:
                raise EngineError(f"a cluster for the benchmark did not come up within {UP_S:g} s")
            await asyncio.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    """Return free ports below 55536: nodes of a cluster talk on one that is 10000 higher."""
    found: list[int] = []
    while len(found) < count:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as one:
            port = int(one.getsockname()[1])
        if port < 55536 and port not in found:
            found.append(port)
    return found
