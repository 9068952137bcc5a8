"""Settling: what handlers did goes to the engine in batches, again and again until it answers."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, Final

from observatory.bus.tasks.delivery import settle_arguments
from observatory.model.errors import BusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.bus.links.link import Link
    from observatory.bus.tasks.delivery import Delivery, Settlement

BATCH: Final = 128

log = logging.getLogger(__name__)


class Settlers:
    """Sends settlements of one consumer, each to the partition of its delivery.

    Args:
        group: Consumer group.
        consumer: Consumer.
        answered: Called with a delivery, its settlement, and `settled`, `again` or `lost`.
        turned: Called when a settlement has freed an ordering key that something waited for.
    """

    def __init__(
        self,
        group: str,
        consumer: str,
        answered: Callable[[Delivery, Settlement, str], None],
        turned: Callable[[], None],
    ) -> None:
        self._group = group
        self._consumer = consumer
        self._answered = answered
        self._turned = turned
        self._by_number: dict[int | None, Settler] = {}

    def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Send *settlement* as soon as its partition has answered what is on its way there."""
        partition = delivery.partition
        if (settler := self._by_number.get(partition.number)) is None:
            settler = Settler(partition.link, self._group, self._consumer, self._answered, self._turned)
            self._by_number[partition.number] = settler
        settler.settle(delivery, settlement)

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything is answered, *timeout_s* seconds at most; what is not stays pending."""
        await asyncio.gather(*(settler.drain(timeout_s) for settler in self._by_number.values()))


class Settler:
    """Sends settlements of one consumer in one partition, in the order in which they came.

    Args:
        link: The link to the engine.
        group: Consumer group.
        consumer: Consumer.
        answered: Called with a delivery, its settlement, and `settled`, `again` or `lost`.
        turned: Called when a settlement has freed an ordering key that something waited for.
    """

    def __init__(
        self,
        link: Link,
        group: str,
        consumer: str,
        answered: Callable[[Delivery, Settlement, str], None],
        turned: Callable[[], None],
    ) -> None:
        self._link = link
        self._head = (group, consumer)
        self._answered = answered
        self._turned = turned
        self._waiting: deque[tuple[Delivery, Settlement]] = deque()
        self._task: asyncio.Task[None] | None = None

    def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Send *settlement* as soon as the engine has answered what is on its way."""
        self._waiting.append((delivery, settlement))
        if self._task is None:
            self._task = asyncio.create_task(self._send_all(), name="observatory-settle")

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything is answered, *timeout_s* seconds at most; what is not stays pending."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
        if self._task is not None:
            self._task.cancel()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                answers = await self._send([settlement for _, settlement in batch])
                blocked = []
                for (delivery, settlement), answer in zip(batch, answers, strict=True):
                    if answer == "blocked":
                        blocked.append((delivery, settlement))
                    else:
                        self._answered(delivery, settlement, answer)
                if blocked:
                    log.warning("%d dead letters wait: something else stands in their stream's place", len(blocked))
                    self._waiting.extend(blocked)
                    await asyncio.sleep(1.0)
        finally:
            # In the same step as the last look at what waits: what comes after it starts a task of its own.
            self._task = None

    async def _send(self, batch: Sequence[Settlement]) -> list[str]:
        args = settle_arguments(*self._head, batch)
        while True:
            try:
                answers = [answer.decode() for answer in await self._link.call("settle", args)]
            except BusError as error:
                log.warning("settling %d deliveries: %s", len(batch), error)
                await asyncio.sleep(random.uniform(0.5, 1.5))
            else:
                if len(answers) > len(batch):
                    self._turned()
                return answers[: len(batch)]
