"""Working without staying: tasks for agents that come now and then, such as over HTTP.

What a visitor takes is his for `VISIT_LEASE_S` seconds from the last time that he renewed it; then it passes to
whoever serves the lane. All visits of an agent are one consumer to the engine, so what was taken at one gateway is
settled at any other, and a receipt holds nothing but a place: what is settled is read from the lane itself.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from observatory.bus.payloads.blobs import is_claim, packed, redeemed
from observatory.bus.tasks.delivery import Delivery, Outcome, settle_arguments
from observatory.bus.tasks.intake import Order
from observatory.bus.tasks.rounds import Rounds
from observatory.bus.tasks.runner import failed, settlement_of, unfit
from observatory.bus.tasks.worker import LEASE_S
from observatory.model.dead_letter import Reason
from observatory.model.errors import UsageError
from observatory.model.task import FINAL_STATES, MAX_DELIVERIES, RETRY_DELAYS_S, Task
from observatory.model.text import line
from observatory.model.wire import pairs, read_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus.client import Bus
    from observatory.bus.payloads.payload import Payload
    from observatory.bus.tasks.delivery import Settlement

VISIT_LEASE_S: Final = LEASE_S
"""Seconds in which a visitor settles or renews what he took."""

MOST_REMEMBERED: Final = 1000
"""Agents whose place in the lanes is remembered between two visits."""

_RECEIPT = re.compile(r"([^/]{1,200})/(\d{1,16}-\d{1,10})/(\d{1,9})/(\d{1,16})/([^/]{1,700})", re.ASCII)
_GROUP: Final = "workers"


class _Everything:
    """Holds whatever it is asked about: nobody here knows what other gateways hold."""

    def __contains__(self, _: object) -> bool:
        return True


class Visits:
    """Takes and settles for agents that come and go.

    Args:
        bus: The bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._rounds: dict[tuple[str, tuple[str, ...]], Rounds] = {}

    async def take(self, agent: str, queues: Sequence[str], limit: int) -> list[Delivery]:
        """Take up to *limit* tasks for *agent*, the most urgent first: of its own queue, then of *queues*.

        Raises:
            BusError: The lanes cannot be read.
        """
        rounds = self._rounds_of(agent, tuple(queues))
        found = [*(await rounds.take(limit)).entries]
        if not found:
            found += [(delivery, False) for delivery in await rounds.recover(limit, _Everything())]
        waiting = [delivery for delivery, started in found if not started]
        runs = dict(zip(map(_key, waiting), await rounds.adopt(waiting), strict=True)) if waiting else {}
        fit = []
        for delivery, started in found:
            if not (started or runs[_key(delivery)]):
                continue
            if (wrong := unfit(delivery)) is not None:
                await self._settle([wrong], delivery, agent)
                continue
            if is_claim(delivery.task.content_type):
                delivery.task = await redeemed(self._bus.blobs, delivery.task)
            fit.append(delivery)
        return fit

    def receipt(self, delivery: Delivery) -> str:
        """Return what a delivery is renewed and settled by."""
        place = f"{delivery.stream}/{delivery.task.entry_id}/{delivery.deliveries}"
        return f"{place}/{self._bus.clock.now_ms()}/{quote(delivery.task.id, safe='')}"

    async def done(self, agent: str, receipt: str, result: Payload) -> str:
        """Settle a task as done; returns `settled`, `again` (it was before) or `lost` (another has it, or it is over).

        Raises:
            UsageError: Receipt or result cannot be taken.
        """
        delivery, ran_ms = await self._delivery(receipt)
        if delivery is None:
            return await self._said_before(agent, receipt)
        settlement = settlement_of(delivery, Outcome.DONE, ran_ms=ran_ms)
        if result is not None:
            body, kind = await packed(self._bus.blobs, result)
            settlement = replace(settlement, result=body, result_type=kind)
        return await self._settle([settlement], delivery, agent)

    async def failed(self, agent: str, receipt: str, error: str, *, retry: bool) -> str:
        """Settle a task as failed: it is tried again as far as it has attempts left, unless *retry* is false."""
        delivery, ran_ms = await self._delivery(receipt)
        if delivery is None:
            return await self._said_before(agent, receipt)
        delays = RETRY_DELAYS_S if retry else ()
        message = line(error, 500) or "failed"
        settlement = failed(delivery, message, Reason.ERROR, delays, ran_ms=ran_ms)
        return await self._settle([settlement], delivery, agent)

    async def renew(self, agent: str, receipts: Sequence[str]) -> list[str]:
        """Keep tasks for another lease: `renewed`, `lost`, or `cancelled` where it should be broken off, for each."""
        answers = []
        for receipt in receipts:
            delivery, _ = await self._delivery(receipt)
            if delivery is None:
                answers.append("lost")
                continue
            args = (_GROUP, _consumer(agent), delivery.stream, delivery.task.entry_id, delivery.deliveries)
            (answer,) = await delivery.partition.link.call("renew", (*args, delivery.task.id))
            answers.append(("lost", "renewed", "cancelled")[answer])
        return answers

    async def close(self) -> None:
        """Forget every place."""
        await asyncio.gather(*(rounds.close() for rounds in self._rounds.values()))

    def _rounds_of(self, agent: str, queues: tuple[str, ...]) -> Rounds:
        key = agent, queues
        rounds = self._rounds.pop(key, None)
        if rounds is None:
            order = Order((f"@{agent}", *queues), {}, {})
            consumer = _consumer(agent)
            rounds = Rounds(self._bus, order, _GROUP, consumer, lease_s=VISIT_LEASE_S, max_deliveries=MAX_DELIVERIES)
        self._rounds[key] = rounds
        while len(self._rounds) > MOST_REMEMBERED:
            # The one that has not come for longest; it has no connection of its own.
            self._rounds.pop(next(iter(self._rounds)))
        return rounds

    async def _delivery(self, receipt: str) -> tuple[Delivery | None, int]:
        """Read what *receipt* is about from its lane; None if it is not there any more. And how long it was away."""
        found = _RECEIPT.fullmatch(receipt)
        if found is None:
            raise UsageError(f"receipt: {line(receipt, 64)!r} is none", "give back what came with the task")
        stream, entry, deliveries, taken_ms, _ = found.groups()
        partition = self._bus.partitions.of_stream(stream)
        lane = partition.keys.lane_of(stream)
        if lane is None:
            raise UsageError(f"receipt: {line(stream, 64)!r} is no lane", "give back what came with the task")
        rows = await partition.link.command("XRANGE", stream, entry, entry)
        if not rows:
            return None, 0
        read = read_entry(lane, entry, pairs(rows[0][1]))
        if not isinstance(read, Task):
            return None, 0
        ran_ms = max(self._bus.clock.now_ms() - int(taken_ms), 0)
        return Delivery(partition, stream, read, int(deliveries)), ran_ms

    async def _said_before(self, agent: str, receipt: str) -> str:
        """Return `again` if the record says that this very delivery was settled by *agent*, else `lost`."""
        _, entry, _, _, ident = receipt.split("/")
        record = await self._bus.record(unquote(ident))
        stands = record is not None and record.owner == _consumer(agent) and record.state in FINAL_STATES
        return "again" if stands and record is not None and record.entry_id == entry else "lost"

    async def _settle(self, settlements: Sequence[Settlement], delivery: Delivery, agent: str) -> str:
        args = settle_arguments(_GROUP, _consumer(agent), settlements)
        answers = await delivery.partition.link.call("settle", args)
        return str(answers[0].decode())


def _consumer(agent: str) -> str:
    return f"{agent}@visitor"


def _key(delivery: Delivery) -> tuple[str, str]:
    return delivery.key
