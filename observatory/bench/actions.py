"""`observatory bench actions`: what a large plan costs beside bare commands that move the same entries."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import redis.asyncio as aioredis

from observatory.actions import BusActions
from observatory.bench.frame import Bound, Figure, alternate
from observatory.bus import Bus
from observatory.engine import Engine
from observatory.model.plan import Consent, RequeueDeadLetters, Selector

if TYPE_CHECKING:
    from redis.asyncio.client import Pipeline

BATCH: Final = 500
DLQ: Final = "cortex:tasks:dlq"
LANE: Final = "cortex:tasks:normal"


async def figures(*, quick: bool) -> list[Figure]:
    """Measure actions.

    Args:
        quick: Two rounds instead of five; the number of items is the same, because it belongs to the figure.
    """
    with Engine.temporary() as engine:
        raw = aioredis.Redis.from_url(engine.url, protocol=2)
        async with Bus.connect(engine.url) as bus:
            pair = _Pair(bus, raw, 10_000)
            found = [
                await alternate(
                    f"requeue of {pair.items:,} dead letters, unpaced",
                    "items/s",
                    pair.requeue,
                    pair.raw_requeue,
                    rounds=2 if quick else 5,
                    bound=Bound(must=2_000, aim=10_000, must_ratio=0.5, aim_ratio=1.0),
                ),
                await alternate(
                    f"plan of {pair.items:,} dead letters by a filter",
                    "items/s",
                    pair.plan,
                    None,
                    rounds=2 if quick else 5,
                    bound=Bound(must=2_000, aim=10_000),
                ),
            ]
        await raw.aclose()
        return found


@dataclass
class _Pair:
    """The product and bare commands, moving the same entries on the same server.

    Attributes:
        bus: The product.
        raw: A bare client.
        items: Dead letters of a round.
    """

    bus: Bus
    raw: aioredis.Redis
    items: int

    async def requeue(self) -> float:
        """Items a second of a whole execution: audit, job, every item once, checkpoints, report."""
        await self._fill()
        actions = BusActions(self.bus)
        plan = await actions.plan(RequeueDeadLetters(Selector(filter="type:deploy")))
        start = time.perf_counter()
        report = await actions.execute(plan, Consent(str(len(plan.items)), "bench"))
        took = time.perf_counter() - start
        assert len(report.done) == self.items  # noqa: S101 (a rate of less would be none)
        return self.items / took

    async def raw_requeue(self) -> float:
        """Entries a second by pipelined XADD of what was read before, and XDEL: no check, no record, no event."""
        await self._fill()
        rows = await self.raw.execute_command("XRANGE", DLQ, "-", "+")
        entries = [(ident, [part for pair in _pairs(fields) for part in pair]) for ident, fields in rows]
        start = time.perf_counter()
        for first in range(0, len(entries), BATCH):
            pipe: Pipeline = self.raw.pipeline(transaction=False)
            for ident, fields in entries[first : first + BATCH]:
                pipe.execute_command("XADD", LANE, "*", *fields)
                pipe.execute_command("XDEL", DLQ, ident)
            await pipe.execute()
        return self.items / (time.perf_counter() - start)

    async def plan(self) -> float:
        """Items a second that a filter finds and a plan freezes."""
        await self._fill()
        start = time.perf_counter()
        plan = await BusActions(self.bus).plan(RequeueDeadLetters(Selector(filter="type:deploy")))
        took = time.perf_counter() - start
        assert len(plan.items) == self.items  # noqa: S101 (see above)
        return self.items / took

    async def _fill(self) -> None:
        await self.raw.flushall()
        for first in range(0, self.items, BATCH):
            pipe: Pipeline = self.raw.pipeline(transaction=False)
            for number in range(first, first + BATCH):
                pipe.execute_command(
                    "XADD", DLQ, "*", "id", f"task-{number}", "type", "deploy", "from", "bench", "priority", "normal",
                    "payload", b"x" * 200, "ttl", "3600", "v", "1", "reason", "error", "last_error",
                    "TimeoutError: no answer from 10.0.0.7", "attempts", "3", "first_seen", "1770000000000",
                    "source", LANE, "source_id", "1770000000000-0", "worker", "pink@host:1:00000000", "digest", "",
                )  # fmt: skip
            await pipe.execute()


def _pairs(fields: object) -> list[tuple[bytes, bytes]]:
    """Return names and values, in whichever shape the client gives them."""
    if isinstance(fields, dict):
        return list(fields.items())
    assert isinstance(fields, list)  # noqa: S101 (there is no third shape)
    return list(zip(fields[::2], fields[1::2], strict=True))
