"""A worker whose tasks come through a gateway; its handlers are called as those of every worker."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from observatory.bus.tasks.delivery import Delivery, Outcome, TaskContext
from observatory.bus.tasks.handlers import prepare
from observatory.bus.tasks.runner import Runner
from observatory.bus.tasks.worker import WorkerStats
from observatory.model.errors import UsageError
from observatory.model.task import RETRY_DELAYS_S, SHARED, Lane, Priority, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from observatory.bus.client import Bus
    from observatory.bus.partitions import Partition
    from observatory.bus.remote.channel import Document
    from observatory.bus.remote.line import Line
    from observatory.bus.tasks.delivery import Settlement
    from observatory.bus.tasks.handlers import Handler, Middleware
    from observatory.model.errors import BusError


@dataclass(frozen=True, slots=True)
class RemoteContext(TaskContext):
    """What a handler may know of its delivery besides the task.

    Attributes:
        say: Says something to the gateway.
    """

    say: Callable[[Document], None]

    async def progress(self, share: float, note: str = "") -> None:
        """Say how far the handler is."""
        task_id = self._delivery.task.id
        bounded = min(max(share, 0.0), 1.0)
        self.say({"op": "progress", "taskId": task_id, "share": bounded, "note": note[:200]})


@dataclass(frozen=True, slots=True)
class RemoteRunner(Runner):
    """Runs deliveries that came through a gateway.

    Attributes:
        say: Says something to the gateway.
    """

    say: Callable[[Document], None]

    def context(self, delivery: Delivery) -> TaskContext:
        """Return what a handler may know of *delivery*."""
        return RemoteContext(self.bus, self.consumer, delivery.deliveries, delivery, self.say)


class RemoteWorker:
    """One consumer of an agent, served by a gateway: leases, retries and dead letters are seen to there.

    Args:
        bus: The bus to work for.
        line: The socket of the agent.
        agent: Name of the agent.
        handlers: Handler by task type, as for every worker.
        queues: Queues to serve besides its own.
        concurrency: Handler slots.
        middleware: Runs around every handler.
        version: Version of the agent.
        on_settled: Called with each settlement and what the engine answered to it.
        more: Options that only a worker at the engine has.

    Raises:
        UsageError: One of *more* is given.
    """

    def __init__(
        self,
        bus: Bus,
        line: Line,
        agent: str,
        handlers: Mapping[str, Handler],
        *,
        queues: Sequence[str] = (SHARED,),
        concurrency: int = 1,
        middleware: Sequence[Middleware] = (),
        version: str = "",
        on_settled: Callable[[Settlement, str], None] | None = None,
        **more: Any,  # noqa: ANN401 - options that are refused
    ) -> None:
        if more:
            raise UsageError(f"{next(iter(more))}: not for a worker behind a gateway", "connect to the engine itself")
        self.agent = agent
        self.consumer = f"{agent}@{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.stats = WorkerStats()
        self._line = line
        self._work = {"op": "work", "slots": concurrency, "queues": list(queues), "version": version}
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix=f"{agent}-handler")
        prepared = prepare(handlers, middleware, RETRY_DELAYS_S, self._pool)
        self._runner = RemoteRunner(bus, self.consumer, prepared, line.say)
        self._on_settled = on_settled
        self._held: dict[str, Delivery] = {}
        self._told: dict[str, Settlement] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._problem: BusError | None = None
        self._over = False

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return len(self._handling)

    async def run(self, *, drain_s: float = 30.0) -> None:
        """Work until `stop` is called, then let running handlers finish, and leave.

        Raises:
            BusError: The gateway refuses this agent.
        """
        self._line.attach(self)
        try:
            await self._stopping.wait()
            if self._handling:
                await asyncio.wait(self._handling, timeout=drain_s)
            await self._answered()
        finally:
            self._over = True
            self.dropped()
            await self._line.detach(self)
            self._pool.shutdown(wait=False, cancel_futures=True)
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """Begin with nothing more; `run` returns when the running handlers are done."""
        self._stopping.set()

    def greeting(self) -> list[Document]:
        """Ask for work."""
        return [] if self._stopping.is_set() else [self._work]

    def hear(self, frame: Document) -> None:
        """Begin a task, break one off, or take note that one was settled."""
        op = frame.get("op")
        if op == "task" and not self._stopping.is_set():
            self._begin(_delivery(frame["task"]))
        elif op == "cancel" and (held := self._held.get(frame["taskId"])) is not None and held.running is not None:
            held.cancelled = True
            held.running.cancel()
        elif op == "settled":
            self._settled(frame)

    def dropped(self) -> None:
        """Break off what runs: the gateway has given it back, and somebody else may run it."""
        self._told.clear()
        for handling in self._handling:
            handling.cancel()

    def failed(self, error: BusError) -> None:
        """End with *error*."""
        self._problem = error
        self.stop()

    def _begin(self, delivery: Delivery) -> None:
        self._held[delivery.task.id] = delivery
        if delivery.deliveries > 1:
            self.stats.recovered += 1
        delivery.running = asyncio.create_task(self._handle(delivery))
        self._handling.add(delivery.running)
        delivery.running.add_done_callback(partial(self._handled, delivery))

    async def _handle(self, delivery: Delivery) -> None:
        settlement = await self._runner.run(delivery, over=lambda: True)
        if settlement is not None:
            self.stats.failed += settlement.outcome in (Outcome.RETRY, Outcome.DEAD)
            self._told[settlement.task_id] = settlement
            self._line.say(_told(settlement))

    def _handled(self, delivery: Delivery, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if self._held.get(delivery.task.id) is delivery:
            del self._held[delivery.task.id]

    def _settled(self, frame: Document) -> None:
        settlement = self._told.pop(frame["taskId"], None)
        if frame["answer"] == "lost":
            self.stats.lost += 1
        elif frame["outcome"] == Outcome.DONE:
            self.stats.done += 1
        elif frame["outcome"] == Outcome.CANCELLED:
            self.stats.cancelled += 1
        if settlement is not None and self._on_settled is not None:
            self._on_settled(settlement, frame["answer"])

    async def _answered(self) -> None:
        """Wait a moment until the engine has answered what was said last: else it would be done again."""
        for _ in range(100):
            if not self._told:
                return
            await asyncio.sleep(0.05)


def _delivery(shown: Document) -> Delivery:
    lane = Lane(shown["queue"], Priority(shown["priority"]))
    task = Task(
        shown["id"],
        shown["type"],
        base64.b64decode(shown["payload"]),
        lane,
        shown["entryId"],
        sender=shown["from"],
        content_type=shown["contentType"],
        ttl_s=shown["ttl"],
        attempt=shown["attempt"],
        correlation_id=shown["correlationId"],
        reply_to=shown["replyTo"],
    )
    # Where it lies is known to the gateway alone, and nothing here asks for it.
    return Delivery(cast("Partition", None), str(lane), task, shown["deliveries"])


def _told(settlement: Settlement) -> Document:
    """Return a settlement as it is said to a gateway."""
    ident = settlement.task_id
    if settlement.outcome is Outcome.SNOOZE:
        return {"op": "snooze", "taskId": ident, "seconds": settlement.delay_s}
    if settlement.outcome is Outcome.DONE:
        if settlement.result is not None and settlement.result_type == "application/json":
            return {"op": "done", "taskId": ident, "result": json.loads(settlement.result)}
        if settlement.result is not None:
            return {"op": "done", "taskId": ident, "resultBase64": base64.b64encode(settlement.result).decode()}
        return {"op": "done", "taskId": ident}
    retry = settlement.outcome is Outcome.RETRY
    return {"op": "fail", "taskId": ident, "error": settlement.message[:500], "retry": retry}
