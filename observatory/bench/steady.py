"""How long a task waits while others flow: at a steady rate, and behind a long queue of lower priority."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.bench.frame import Bound, Figure, percentile, summarised
from observatory.model.task import NewTask, Priority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis.asyncio as aioredis

    from observatory.bus import Bus, TaskContext
    from observatory.model.task import Task

TICK_S: Final = 0.002
"""Seconds between two groups of tasks of a steady flow."""

_STAMP: Final = struct.Struct("d")


@dataclass
class Steady:
    """Measures waiting on one engine.

    Attributes:
        bus: The product.
        raw: A bare client, to begin with an empty engine.
    """

    bus: Bus
    raw: aioredis.Redis

    async def figures(self, *, quick: bool) -> list[Figure]:
        """Measure waiting at two rates, and behind low work."""
        seconds, low, urgent = (2.0, 20_000, 100) if quick else (5.0, 100_000, 500)
        found = []
        for rate, bound in ((500, Bound(must=2, aim=0.7, lower=True)), (5_000, Bound(must=5, aim=2, lower=True))):
            samples = await self.at_rate(rate, seconds)
            name = f"publish to handler start at {rate:,}/s, p99"
            found.append(summarised(name, "ms", [percentile(samples, 0.99)], bound=bound))
        samples = await self.behind_low(low, urgent)
        name = f"critical behind {low:,} low, one slot, p99"
        bound = Bound(must=3, aim=1.5, lower=True)
        return [*found, summarised(name, "ms", [percentile(samples, 0.99)], bound=bound)]

    async def at_rate(self, rate: int, seconds: float) -> list[float]:
        """Milliseconds from publish to handler start, for tasks that come at *rate* per second."""
        await self.raw.flushall()
        samples: list[float] = []
        async with self._working(samples, slots=64):
            pending: set[asyncio.Task[object]] = set()
            start, sent = time.perf_counter(), 0
            while (passed := time.perf_counter() - start) < seconds:
                while sent < rate * passed:
                    pending.add(asyncio.create_task(self.bus.publish("timed", _STAMP.pack(time.perf_counter()))))
                    sent += 1
                await asyncio.sleep(TICK_S)
                pending = {task for task in pending if not task.done()}
            while len(samples) < sent:  # noqa: ASYNC110 - the handler must stay as cheap as it can be
                await asyncio.sleep(TICK_S)
        return samples

    async def behind_low(self, low: int, urgent: int) -> list[float]:
        """Milliseconds from publish to handler start of critical tasks, while one slot works through low ones."""
        await self.raw.flushall()
        await self.bus.publish_many(
            NewTask("low", b"", f"low-{number}", sender="bench", priority=Priority.LOW) for number in range(low)
        )
        samples: list[float] = []
        async with self._working(samples, slots=1):
            for number in range(urgent):
                stamp = _STAMP.pack(time.perf_counter())
                await self.bus.publish("timed", stamp, priority=Priority.CRITICAL)
                while len(samples) <= number:  # noqa: ASYNC110 - the handler must stay as cheap as it can be
                    await asyncio.sleep(0)
        return samples

    @contextlib.asynccontextmanager
    async def _working(self, samples: list[float], *, slots: int) -> AsyncIterator[None]:
        async def timed(task: Task, _context: TaskContext) -> None:
            samples.append((time.perf_counter() - _STAMP.unpack(task.payload)[0]) * 1000)

        async def low(_task: Task, _context: TaskContext) -> None:
            return

        worker = self.bus.worker("bench", {"timed": timed, "low": low}, concurrency=slots)
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await running
