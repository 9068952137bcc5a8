"""Natural pipelining: calls that are made while one is under way travel together in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Collects items that coroutines submit and sends them in batches.

    An idle batcher sends at once, so a lone item waits for nobody; a busy one lets items gather. A second batch may
    be on its way while the first is answered, so that the engine works while the next is packed.

    Args:
        send: Sends a batch and returns one answer an item, in order; what it raises reaches every submitter.
        most: Items in a batch at most.
        lanes: Batches on their way at most.
    """

    def __init__(
        self, send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], *, most: int = 128, lanes: int = 1
    ) -> None:
        self._send = send
        self._most = most
        self._lanes = lanes
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._sending: set[asyncio.Task[Any]] = set()

    async def submit(self, item: Item) -> Answer:
        """Send *item* with whatever else is waiting, and return its answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._sending) < self._lanes and (not self._sending or len(self._waiting) >= self._most // 4):
            self._sending.add(asyncio.create_task(self._drain(), name="observatory-batch"))
        return await future

    async def flush(self) -> None:
        """Wait until everything that was submitted has been answered."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._send_batch([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])
        finally:
            # In the same step as the last look at what waits: an item that comes after it starts a task of its own.
            if (task := asyncio.current_task()) is not None:
                self._sending.discard(task)

    async def _send_batch(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._send([item for item, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
