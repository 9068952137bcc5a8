"""The worker: takes in strict priority, runs handlers, settles what they did, and looks after what others left.

Prefetch is zero: it takes as many entries as it has free slots, so an urgent task waits for one running handler
at most. Nothing that the bus does ends a worker; only `stop` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.bus.batch import Batcher
from observatory.bus.delivery import Delivery, DoNotRetry, Outcome, Settlement, TaskContext
from observatory.bus.intake import Intake
from observatory.bus.lease import CANCEL_REQUESTED
from observatory.model.agent import DEFAULT_INTERVAL_S
from observatory.model.dead_letter import Reason
from observatory.model.errors import BusError
from observatory.model.task import MAX_DELIVERIES, RETRY_DELAYS_S, SHARED, Lane, Priority, Task
from observatory.model.text import line
from observatory.model.wire import MAX_FOREIGN_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observatory.bus.client import Bus

Handler = Callable[[Task, TaskContext], Awaitable[None]]
"""Runs one task; returning settles it as done, raising as failed."""

ANY_TYPE: Final = "*"
"""Key of the handler for types that have none of their own."""

LEASE_S: Final = 30.0
"""Seconds that a delivery belongs to a consumer that has stopped renewing it."""

RETRY_JITTER: Final = 0.1
"""Share by which the wait before a retry varies, so that what failed together does not return together."""

BEAT_ON_CHANGE_S: Final = 1.0
"""Seconds between beats at least when the current task changes faster than the heartbeat interval."""

_UNSETTLED: Final = 256
_ERROR_LIMIT: Final = 500

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerStats:
    """What a worker has done since it started.

    Attributes:
        done: Tasks completed.
        failed: Attempts that failed, whether they are tried again or not.
        cancelled: Tasks cancelled while they ran.
        lost: Settlements that were refused, because the work had passed to somebody else.
        recovered: Entries taken over from dead consumers or found again among the worker's own.
    """

    done: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    recovered: int = 0


class Worker:
    """One consumer process of an agent. Made by `Bus.worker`.

    Args:
        bus: The bus to work for.
        agent: Name of the agent; its own `@agent` queue is always served, before the others of equal priority.
        handlers: Handler by task type; `*` serves types that have none.
        queues: Queues to serve, in order of preference within a priority.
        group: Consumer group.
        concurrency: Handler slots.
        heartbeat_s: Seconds between heartbeats.
        lease_s: Seconds that a delivery belongs to a silent consumer.
        retry_delays: Seconds before the second, third … attempt; after the last one a task is a dead letter.
        max_deliveries: Deliveries after which a task that keeps killing its workers is poison.
        version: Version of the agent, for its heartbeats.
    """

    def __init__(
        self,
        bus: Bus,
        agent: str,
        handlers: Mapping[str, Handler],
        *,
        queues: Sequence[str] = (SHARED,),
        group: str = "workers",
        concurrency: int = 1,
        heartbeat_s: float = DEFAULT_INTERVAL_S,
        lease_s: float = LEASE_S,
        retry_delays: Sequence[float] = RETRY_DELAYS_S,
        max_deliveries: int = MAX_DELIVERIES,
        version: str = "",
    ) -> None:
        self.agent = agent
        self.consumer = f"{agent}@{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.stats = WorkerStats()
        self._bus = bus
        self._handlers = handlers
        self._queues = tuple(queues)
        self._group = group
        self._concurrency = concurrency
        self._heartbeat_s = heartbeat_s
        self._lease_s = lease_s
        self._retry_delays = tuple(retry_delays)
        self._version = version
        own = (f"@{agent}", *self._queues)
        lanes = [Lane(queue, priority) for priority in Priority for queue in own]
        self._intake = Intake(bus, lanes, group, self.consumer, lease_s=lease_s, max_deliveries=max_deliveries)
        self._settle = Batcher(self._send_settlements)
        self._held: dict[tuple[str, str], Delivery] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self._ready: list[Delivery] = []
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._over = False

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return len(self._handling)

    async def run(self, *, drain_s: float = 30.0) -> None:
        """Work until `stop` is called, then let running handlers finish and leave.

        Args:
            drain_s: Seconds that running handlers are given at the end; then they are cancelled, and their tasks
                pass to others when their leases expire.
        """
        loop = asyncio.get_running_loop()
        keeper = self._bus.keeper(self._lease_s)
        keeper.register(
            (self._group, self.consumer),
            lambda: tuple(self._held.values()),
            lambda delivery, answer: loop.call_soon_threadsafe(self._leased, delivery, answer),
        )
        helpers = [
            asyncio.create_task(self._beat_forever(), name=f"{self.agent}-beat"),
            asyncio.create_task(self._recover_forever(), name=f"{self.agent}-recover"),
        ]
        try:
            await self._fetch_until_stopped()
            if self._handling:
                await asyncio.wait(self._handling, timeout=drain_s)
        finally:
            self._over = True
            for task in (*helpers, *self._handling):
                task.cancel()
            await asyncio.gather(*helpers, *self._handling, return_exceptions=True)
            keeper.forget((self._group, self.consumer))
            await self._settle.flush()
            with contextlib.suppress(BusError):
                await self._intake.leave()
                await self._beat("stopped")
            await self._intake.close()

    def stop(self) -> None:
        """Take nothing more; `run` returns when the running handlers are done."""
        self._stopping.set()
        self._changed.set()
        self._intake.wake()

    async def _fetch_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._changed.clear()
            free = self._concurrency - len(self._handling)
            if free <= 0 or len(self._held) > self._concurrency + _UNSETTLED:
                await self._changed.wait()
                continue
            if self._ready:
                await self._adopt(free)
                continue
            try:
                batch = await self._intake.take(free)
                if not batch.entries:
                    found = await self._intake.wait(batch.next_due_ms)
                    self._ready.extend(found)
            except BusError as error:
                log.warning("%s: %s", self.agent, error)
                await self._pause(random.uniform(0.5, 1.5))
                continue
            for delivery, started in batch.entries:
                if started:
                    self._begin(delivery)
                else:
                    self._ready.append(delivery)

    async def _adopt(self, free: int) -> None:
        """Start deliveries that did not come by `take`, most urgent first, as many as there are free slots."""
        self._ready.sort(key=lambda delivery: self._intake.rank(delivery.stream))
        chosen = self._ready[:free]
        del self._ready[:free]
        try:
            answers = await self._intake.adopt(chosen)
        except BusError as error:
            log.warning("%s: %s", self.agent, error)
            self._ready.extend(chosen)
            await self._pause(random.uniform(0.5, 1.5))
            return
        for delivery, runs in zip(chosen, answers, strict=True):
            if runs:
                self._begin(delivery)

    def _begin(self, delivery: Delivery) -> None:
        if delivery.key in self._held:
            # A reap took over what this worker still runs: the handler goes on under the new token.
            self._held[delivery.key].deliveries = delivery.deliveries
            return
        self._held[delivery.key] = delivery
        if delivery.deliveries > 1:
            self.stats.recovered += 1
        delivery.since_ms = self._bus.clock.now_ms()
        delivery.began = self._bus.clock.monotonic()
        task = asyncio.create_task(self._handle(delivery), name=f"{self.agent}-{delivery.task.id}")
        delivery.running = task
        self._handling.add(task)
        task.add_done_callback(self._handled)
        self._changed.set()

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        self._changed.set()

    async def _handle(self, delivery: Delivery) -> None:
        task = delivery.task
        handler = self._handlers.get(task.type) or self._handlers.get(ANY_TYPE)
        if delivery.problem:
            settlement = self._settlement(delivery, Outcome.DEAD, Reason.MALFORMED, delivery.problem)
        elif len(task.payload) > MAX_FOREIGN_PAYLOAD:
            settlement = self._settlement(delivery, Outcome.DEAD, Reason.TOO_LARGE, f"{len(task.payload)} bytes")
        elif handler is None:
            settlement = self._settlement(delivery, Outcome.DEAD, Reason.NO_HANDLER, f"no handler for {task.type!r}")
        else:
            settlement = await self._run_handler(handler, delivery)
        # Settling is not the handler's time: the slot is free while the answer is on its way.
        settling = asyncio.create_task(self._settle_until_answered(delivery, settlement))
        self._bus.keep(settling)

    async def _run_handler(self, handler: Handler, delivery: Delivery) -> Settlement:
        context = TaskContext(self._bus, self.consumer, delivery.deliveries, delivery)
        try:
            await handler(delivery.task, context)
        except asyncio.CancelledError:
            if not delivery.cancelled:
                self._held.pop(delivery.key, None)
                raise
            return self._settlement(delivery, Outcome.CANCELLED)
        except DoNotRetry as error:
            self.stats.failed += 1
            return self._settlement(delivery, Outcome.DEAD, Reason.ERROR, _message(error))
        except Exception as error:  # a handler may raise anything; all of it is an answer
            self.stats.failed += 1
            if delivery.task.attempt > len(self._retry_delays):
                return self._settlement(delivery, Outcome.DEAD, Reason.ERROR, _message(error))
            return self._settlement(delivery, Outcome.RETRY, "", _message(error))
        return self._settlement(delivery, Outcome.DONE)

    def _settlement(
        self, delivery: Delivery, outcome: Outcome, reason: Reason | str = "", message: str = ""
    ) -> Settlement:
        task = delivery.task
        delay_s = 0.0
        if outcome is Outcome.RETRY:
            delay_s = self._retry_delays[task.attempt - 1] * random.uniform(1 - RETRY_JITTER, 1 + RETRY_JITTER)
        return Settlement(
            delivery.stream,
            task.entry_id,
            delivery.deliveries,
            outcome,
            task.id,
            task.type,
            task.attempt,
            round((self._bus.clock.monotonic() - delivery.began) * 1000),
            delay_s,
            reason,
            message,
        )

    async def _settle_until_answered(self, delivery: Delivery, settlement: Settlement) -> None:
        answer = ""
        try:
            while not answer:
                try:
                    answer = await self._settle.submit(settlement)
                except BusError as error:
                    log.warning("%s: settling %s: %s", self.agent, settlement.task_id, error)
                    await asyncio.sleep(random.uniform(0.5, 1.5))
        finally:
            self._held.pop(delivery.key, None)
            self._changed.set()
        if answer == "lost":
            self.stats.lost += 1
        elif settlement.outcome is Outcome.DONE:
            self.stats.done += 1
        elif settlement.outcome is Outcome.CANCELLED:
            self.stats.cancelled += 1

    async def _send_settlements(self, batch: Sequence[Settlement]) -> Sequence[str]:
        args: list[str | int] = [self._group, self.consumer]
        for settlement in batch:
            args += settlement.arguments()
        return [answer.decode() for answer in await self._bus.connection.call("settle", args)]

    def _leased(self, delivery: Delivery, answer: int) -> None:
        """Act on what a renewal said; runs in the event loop."""
        if answer == CANCEL_REQUESTED and delivery.running is not None and not delivery.cancelled:
            delivery.cancelled = True
            delivery.running.cancel()

    async def _beat_forever(self) -> None:
        told = ""
        while not self._over:
            with contextlib.suppress(BusError):
                told = await self._beat("busy" if self._handling else "idle")
            for _ in range(max(round(self._heartbeat_s / BEAT_ON_CHANGE_S), 1)):
                await asyncio.sleep(min(BEAT_ON_CHANGE_S, self._heartbeat_s))
                if self._current_id() != told:
                    break

    async def _beat(self, status: str) -> str:
        current = self._current()
        await self._bus.heartbeat(
            self.agent,
            consumer=self.consumer,
            status="stopping" if self._stopping.is_set() and status != "stopped" else status,
            task=current.task.id if current else "",
            task_since_ms=current.since_ms if current else None,
            load=len(self._handling) / self._concurrency,
            interval_s=self._heartbeat_s,
            capabilities=self._queues,
            version=self._version,
            done=self.stats.done,
            failed=self.stats.failed,
        )
        return current.task.id if current else ""

    def _current(self) -> Delivery | None:
        return next((held for held in self._held.values() if held.running and not held.running.done()), None)

    def _current_id(self) -> str:
        current = self._current()
        return current.task.id if current else ""

    async def _recover_forever(self) -> None:
        """Take over what the dead left, and what this worker's own lost replies left.

        Even with every slot taken it recovers one, which is then served before anything new: otherwise the work
        of the dead would wait for as long as there is a flood.
        """
        while not self._over:
            await asyncio.sleep(self._lease_s / 4 * random.uniform(0.5, 1.5))
            room = max(self._concurrency - len(self._handling), 1) - len(self._ready)
            if room <= 0 or self._stopping.is_set():
                continue
            with contextlib.suppress(BusError):
                held = {*self._held, *(delivery.key for delivery in self._ready)}
                found = await self._intake.recover(room, held)
                if found:
                    self._ready.extend(found)
                    self._changed.set()
                    self._intake.wake()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _message(error: BaseException) -> str:
    return line(f"{type(error).__name__}: {error}", _ERROR_LIMIT)
