"""`observatory bench bus`: the whole life of a task beside what the raw engine does, one engine and one client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import redis.asyncio as aioredis
from redis.exceptions import NoScriptError

from observatory.bench import cluster
from observatory.bench.frame import Bound, Figure, alternate, percentiles
from observatory.bench.steady import Steady
from observatory.bus import Bus, TaskContext
from observatory.bus.scripts import script
from observatory.engine import Engine
from observatory.model.task import Lane, NewTask, Priority
from observatory.model.wire import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from observatory.model.task import Task

PAYLOAD: Final = b"x" * 200
PUBLISHERS: Final = 100
BATCH: Final = 128
LANE: Final = Lane("shared", Priority.NORMAL)
SLOTS: Final = 256


async def figures(*, quick: bool) -> list[Figure]:
    """Measure the bus.

    Args:
        quick: A tenth of the tasks and two rounds instead of five.
    """
    tasks, rounds, pings = (3_000, 2, 200) if quick else (30_000, 5, 2_000)
    with Engine.temporary() as engine:
        async with Bus.connect(engine.url) as bus, _raw_client(engine.url) as raw:
            pair = _Pair(bus, raw, tasks, pings)
            return [
                *await _throughput(pair, rounds),
                *await pair.latency(rounds),
                *await Steady(bus, raw).figures(quick=quick),
                *await _costs(pair, rounds),
                *await cluster.figures(quick=quick),
            ]


async def _throughput(pair: _Pair, rounds: int) -> list[Figure]:
    return [
        await alternate(name, "tasks/s", ours, theirs, rounds=rounds, bound=bound)
        for name, ours, theirs, bound in (
            (
                f"publish, awaited by {PUBLISHERS} coroutines",
                pair.publish,
                pair.raw_publish,
                Bound(must=20_000, aim=40_000),
            ),
            ("take and settle of a full lane", pair.drain, pair.raw_drain, Bound(must=40_000, aim=80_000)),
            (
                "whole life, producer and worker in one process",
                pair.life,
                pair.raw_life,
                Bound(must=15_000, aim=25_000, must_ratio=0.7, aim_ratio=0.9),
            ),
        )
    ]


async def _costs(pair: _Pair, rounds: int) -> list[Figure]:
    return [
        await alternate(
            "engine CPU per task life", "µs", pair.engine_cpu, None, rounds=rounds, bound=Bound(25, 15, lower=True)
        ),
        await alternate(
            "script calls per task life at load",
            "calls",
            pair.calls,
            None,
            rounds=1,
            bound=Bound(0.2, 0.05, lower=True),
        ),
        await alternate(
            "engine memory per queued task",
            "bytes",
            pair.memory,
            pair.raw_memory,
            rounds=1,
            bound=Bound(must=1_000, aim=600, lower=True),
        ),
    ]


@contextlib.asynccontextmanager
async def _raw_client(url: str) -> AsyncIterator[aioredis.Redis]:
    client = aioredis.Redis.from_url(url, protocol=2)
    try:
        yield client
    finally:
        await client.aclose()


@dataclass
class _Pair:
    """The product and the raw engine, doing the same work on the same server.

    Attributes:
        bus: The product.
        raw: A bare client.
        tasks: Tasks in a round.
        pings: Round trips in a latency round.
    """

    bus: Bus
    raw: aioredis.Redis
    tasks: int
    pings: int

    async def publish(self) -> float:
        """Tasks per second published by many coroutines at once."""
        await self.raw.flushall()
        each = self.tasks // PUBLISHERS

        async def publisher() -> None:
            for _ in range(each):
                await self.bus.publish("bench", PAYLOAD)

        start = time.perf_counter()
        await asyncio.gather(*(publisher() for _ in range(PUBLISHERS)))
        return each * PUBLISHERS / (time.perf_counter() - start)

    async def raw_publish(self) -> float:
        """Entries per second added by bare pipelined XADD: no dedupe, no record, no event."""
        await self.raw.flushall()
        start = time.perf_counter()
        for _ in range(0, self.tasks, BATCH):
            pipe = self.raw.pipeline(transaction=False)
            for _ in range(BATCH):
                pipe.execute_command("XADD", "bench", "*", *_entry())
            await pipe.execute()
        return self.tasks / (time.perf_counter() - start)

    async def drain(self) -> float:
        """Tasks per second taken and settled by one worker whose handler does nothing."""
        await self._fill()
        return self.tasks / await self._work_off(self.tasks)

    async def raw_drain(self) -> float:
        """Entries per second by bare XREADGROUP, XACK and XDEL in pages."""
        await self.raw.flushall()
        await self.raw.execute_command("XGROUP", "CREATE", "bench", "g", "0", "MKSTREAM")
        await self._raw_fill()
        start, left = time.perf_counter(), self.tasks
        while left > 0:
            reply = await self.raw.execute_command(
                "XREADGROUP", "GROUP", "g", "me", "COUNT", BATCH, "STREAMS", "bench", ">"
            )
            idents = [row[0] for row in reply[0][1]]
            left -= len(idents)
            pipe = self.raw.pipeline(transaction=False)
            pipe.execute_command("XACK", "bench", "g", *idents)
            pipe.execute_command("XDEL", "bench", *idents)
            await pipe.execute()
        return self.tasks / (time.perf_counter() - start)

    async def life(self) -> float:
        """Tasks per second that are published by many coroutines and worked off at the same time."""
        await self.raw.flushall()
        each = self.tasks // PUBLISHERS

        async def publisher() -> None:
            for _ in range(each):
                await self.bus.publish("bench", PAYLOAD)

        start = time.perf_counter()
        await asyncio.gather(self._work_off(each * PUBLISHERS), *(publisher() for _ in range(PUBLISHERS)))
        return each * PUBLISHERS / (time.perf_counter() - start)

    async def raw_life(self) -> float:
        """Tasks per second through the same scripts, called in a bare loop with arguments made beforehand."""
        await self.raw.flushall()
        batches = [_publish_arguments(start) for start in range(0, self.tasks, BATCH)]
        streams = [self.bus.keys.lane(Lane("shared", priority)) for priority in Priority]
        start = time.perf_counter()
        for batch in batches:
            await self._script("publish", [self.bus.keys.delayed], batch)
            taken = await self._script("take", streams, ["workers", "me", BATCH])
            rows: list[Any] = ["workers", "me", len(taken[0])]
            for place, ident, flat, _ in taken[0]:
                rows += (streams[place], ident, 1, "done", flat[1], "bench", 1, 0)
            await self._script("settle", [self.bus.keys.delayed], rows)
        return len(batches) * BATCH / (time.perf_counter() - start)

    async def calls(self) -> float:
        """Script calls for one life of a task, with as many slots as a batch."""
        await self.raw.execute_command("CONFIG", "RESETSTAT")
        await self._fill()
        await self._work_off(self.tasks)
        stats: dict[str, Any] = await self.raw.info("commandstats")
        return (
            float(sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))) / self.tasks
        )

    async def _script(self, name: str, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401 - a script's reply
        chosen = script(name)
        tail = (len(keys), *keys, self.bus.keys.prefix, *args)
        try:
            return await self.raw.execute_command("EVALSHA", chosen.sha, *tail)
        except NoScriptError:
            return await self.raw.execute_command("EVAL", chosen.source, *tail)

    async def latency(self, rounds: int) -> list[Figure]:
        """From publish to the start of a handler on an idle engine, beside XADD to a blocked XREADGROUP."""
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(await self._wakes())
            theirs.append(await self._raw_wakes())
        bounds = {
            0.5: Bound(must=1.0, aim=0.6, must_ratio=3.0, aim_ratio=2.0, lower=True),
            0.99: Bound(must=1.5, aim=1.0, must_ratio=3.0, aim_ratio=2.0, lower=True),
        }
        return percentiles("publish to handler start, idle engine", "ms", ours, theirs, bounds)

    async def engine_cpu(self) -> float:
        """Microseconds of engine CPU for one life of a task: publish, take, settle, with their events."""
        await self.raw.flushall()
        before = await self._engine_seconds()
        await self._fill()
        await self._work_off(self.tasks)
        return (await self._engine_seconds() - before) / self.tasks * 1e6

    async def memory(self) -> float:
        """Bytes of engine memory for one queued task, its record and its event."""
        return await self._memory_of(self._fill)

    async def raw_memory(self) -> float:
        """Bytes of engine memory for one bare entry."""
        return await self._memory_of(self._raw_fill)

    async def _fill(self) -> None:
        await self.raw.flushall()
        tasks = [NewTask("bench", PAYLOAD, f"bench-{number}", sender="bench") for number in range(self.tasks)]
        await self.bus.publish_many(tasks)

    async def _raw_fill(self) -> None:
        for _ in range(0, self.tasks, BATCH):
            pipe = self.raw.pipeline(transaction=False)
            for _ in range(BATCH):
                pipe.execute_command("XADD", "bench", "*", *_entry())
            await pipe.execute()

    async def _work_off(self, tasks: int) -> float:
        done, finished = 0, asyncio.Event()

        async def handle(_task: Task, _context: TaskContext) -> None:
            nonlocal done
            done += 1
            if done == tasks:
                finished.set()

        worker = self.bus.worker("bench", {"bench": handle}, concurrency=SLOTS)
        start = time.perf_counter()
        running = asyncio.create_task(worker.run())
        await finished.wait()
        took = time.perf_counter() - start
        worker.stop()
        await running
        return took

    async def _wakes(self) -> list[float]:
        await self.raw.flushall()
        started = asyncio.Event()
        at = 0.0

        async def handle(_task: Task, _context: TaskContext) -> None:
            nonlocal at
            at = time.perf_counter()
            started.set()

        worker = self.bus.worker("bench", {"bench": handle}, concurrency=2)
        running = asyncio.create_task(worker.run())
        samples = []
        for _ in range(self.pings):
            await asyncio.sleep(0.002)
            start = time.perf_counter()
            await self.bus.publish("bench", PAYLOAD)
            await started.wait()
            started.clear()
            samples.append((at - start) * 1000)
        worker.stop()
        await running
        return samples

    async def _raw_wakes(self) -> list[float]:
        await self.raw.flushall()
        await self.raw.execute_command("XGROUP", "CREATE", "bench", "g", "0", "MKSTREAM")
        woken: asyncio.Queue[float] = asyncio.Queue()

        async def read() -> None:
            for _ in range(self.pings):
                await self.raw.execute_command(
                    "XREADGROUP", "GROUP", "g", "me", "COUNT", 1, "BLOCK", 2000, "STREAMS", "bench", ">"
                )
                woken.put_nowait(time.perf_counter())

        reader = asyncio.create_task(read())
        samples = []
        for _ in range(self.pings):
            await asyncio.sleep(0.002)
            start = time.perf_counter()
            await self.raw.execute_command("XADD", "bench", "*", *_entry())
            samples.append((await woken.get() - start) * 1000)
        await reader
        return samples

    async def _engine_seconds(self) -> float:
        info: dict[str, Any] = await self.raw.info("cpu")
        return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])

    async def _memory_of(self, fill: Callable[[], Awaitable[None]]) -> float:
        await self.raw.execute_command("FLUSHALL", "SYNC")
        await fill()
        full = (await self.raw.info("memory"))["used_memory"]
        await self.raw.execute_command("FLUSHALL", "SYNC")
        return float(full - (await self.raw.info("memory"))["used_memory"]) / self.tasks


def _publish_arguments(start: int) -> list[Any]:
    rows: list[Any] = []
    names: tuple[bytes, ...] = ()
    for number in range(start, start + BATCH):
        task = NewTask("bench", PAYLOAD, f"bench-{number}", sender="bench", created_ms=1_770_000_000_000)
        names, values = encode(task)
        rows += (1, 0, "", *values)
    return [10**9, 1, f"cortex:tasks:{LANE.priority}", "", len(names), *names, *rows]


def _entry() -> list[bytes]:
    names, values = encode(NewTask("bench", PAYLOAD, "bench-0", sender="bench", created_ms=1_770_000_000_000))
    return [part for pair in zip(names, values, strict=True) for part in pair]
