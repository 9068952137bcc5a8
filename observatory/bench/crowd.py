"""A bus at the size where other dashboards stop: long lanes, thousands of consumers, dead letters of many causes.

The entries are made inside the engine, because how fast they come is not what is measured; what moves is real: a
process of its own publishes, works and beats through the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from observatory.bus import Bus
from observatory.bus.keys import Keys
from observatory.model.task import Lane, NewTask, Priority

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis.asyncio as aioredis

    from observatory.bus import TaskContext
    from observatory.model.task import Task

CHUNK: Final = 20_000
QUEUE: Final = "flow"
BEAT_S: Final = 5.0
TICK_S: Final = 0.01

_ADD_ENTRIES: Final = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[3] .. '-' .. number, 'type', 'build', 'from', 'harold',
    'priority', ARGV[3], 'payload', '{"repo":"api","branch":"main","number":' .. number .. '}',
    'created_at', '2026-02-06T11:45:00Z', 'ttl', '604800', 'v', '1')
end
"""
_DELIVER: Final = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('XREADGROUP', 'GROUP', 'workers', string.format('agent-%d@host-%d:%d:%08x', number, number % 40, number,
    number), 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
end
"""
_BURY: Final = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local cause = number % tonumber(ARGV[3])
  redis.call('XADD', KEYS[1], '*', 'id', 'dead-' .. number, 'type', 'deploy-' .. cause % 4, 'from', 'pink',
    'priority', 'high', 'payload', '{"app":"api"}', 'created_at', '2026-02-06T11:45:00Z', 'ttl', '3600', 'v', '1',
    'reason', 'error', 'last_error',
    'Failure' .. cause .. ': node ' .. number .. ' at 10.0.0.' .. number % 250 .. ' refused', 'attempts',
    '3', 'first_seen', '1770378300000', 'source', KEYS[2], 'source_id', '1770378300000-' .. number, 'worker',
    'agent-' .. number % 1000)
end
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a bus is.

    Attributes:
        entries: Entries in each of the four shared lanes.
        consumers: Consumers that hold pending entries, of which each holds `held`.
        held: Pending entries of one consumer.
        letters: Dead letters.
        causes: Different causes among them.
        agents: Agents that beat.
        rate: Tasks that are published and worked off in a second.
    """

    entries: int = 1_000_000
    consumers: int = 1_000
    held: int = 100
    letters: int = 10_000
    causes: int = 40
    agents: int = 1_000
    rate: int = 2_000

    def tenth(self) -> Size:
        """Return a bus with a tenth of the entries, of what is pending and of the dead letters; agents are as many."""
        return replace(self, entries=self.entries // 10, held=self.held // 10, letters=self.letters // 10)


async def furnish(raw: aioredis.Redis, size: Size) -> None:
    """Fill an empty engine.

    Args:
        raw: A bare client.
        size: How large the bus is to be.
    """
    keys = Keys("cortex")
    lanes = [keys.lane(Lane("shared", priority)) for priority in Priority]
    # What is seeded is not to be saved: the log of so many entries would still be written while we measure.
    await raw.execute_command("CONFIG", "SET", "appendonly", "no")
    for lane, priority in zip(lanes, Priority, strict=True):
        for first, last in _chunks(size.entries):
            await raw.eval(_ADD_ENTRIES, 1, lane, first, last, priority)
        await raw.execute_command("XGROUP", "CREATE", lane, "workers", "0")
    for first, last in _chunks(size.consumers, 100):
        await raw.eval(_DELIVER, 1, lanes[-1], first, last, size.held)
    for first, last in _chunks(size.letters):
        await raw.eval(_BURY, 2, keys.dead_letters, lanes[1], first, last, size.causes)
    await raw.execute_command("CONFIG", "SET", "appendonly", "yes")


@contextlib.contextmanager
def flowing(url: str, size: Size) -> Iterator[None]:
    """Let tasks flow and agents beat for the length of a block, in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=_flow, args=(url, size), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _flow(url: str, size: Size) -> None:
    asyncio.run(_live(url, size))


async def _live(url: str, size: Size) -> None:
    async with Bus.connect(url, name="bench") as bus:
        worker = bus.worker("flow", {"flow": _no_work}, queues=(QUEUE,), concurrency=256)
        await asyncio.gather(worker.run(), _publish(bus, size.rate), _beat(bus, size.agents))


async def _no_work(_task: Task, _context: TaskContext) -> None:
    await asyncio.sleep(0.01)


async def _publish(bus: Bus, rate: int) -> None:
    number, begun = 0, asyncio.get_running_loop().time()
    while True:
        due = int((asyncio.get_running_loop().time() - begun) * rate)
        tasks = [NewTask("flow", b'{"repo":"api"}', f"flow-{n}", QUEUE, sender="bench") for n in range(number, due)]
        number = due
        await bus.publish_many(tasks)
        await asyncio.sleep(TICK_S)


async def _beat(bus: Bus, agents: int) -> None:
    while True:
        for number in range(agents):
            await bus.heartbeat(f"agent-{number}", consumer=f"agent-{number}@host:1:0", interval_s=BEAT_S)
            await asyncio.sleep(BEAT_S / agents)


def _chunks(count: int, length: int = CHUNK) -> Iterator[tuple[int, int]]:
    return ((first, min(first + length, count + 1) - 1) for first in range(1, count + 1, length))
