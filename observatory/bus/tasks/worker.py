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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from observatory.bus.tasks.delivery import Delivery, Outcome
from observatory.bus.tasks.handlers import Handler, Middleware, prepare
from observatory.bus.tasks.intake import Order
from observatory.bus.tasks.lease import CANCEL_REQUESTED
from observatory.bus.tasks.rounds import Rounds
from observatory.bus.tasks.runner import Runner
from observatory.bus.tasks.settler import Settlers
from observatory.model.agent import DEFAULT_INTERVAL_S
from observatory.model.errors import BusError
from observatory.model.task import MAX_DELIVERIES, RETRY_DELAYS_S, SHARED, Priority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from observatory.bus.client import Bus
    from observatory.bus.tasks.delivery import Settlement
    from observatory.bus.tasks.intake import Batch

LEASE_S: Final = 30.0
"""Seconds that a delivery belongs to a consumer that has stopped renewing it."""

BEAT_ON_CHANGE_S: Final = 1.0
"""Seconds between beats at least when the current task changes faster than the heartbeat interval."""

RECOVER_EVERY_S: Final = 3.0
"""Seconds between two looks for work that nobody does, at most; a lost reply is found within ten seconds."""

STOP_S: Final = 5.0
"""Seconds that what a stopping worker still has to tell the engine may take; the rest passes on with its lease."""

_UNSETTLED: Final = 1024
_PIPELINED: Final = 16

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
        handlers: Handler by task type; `*` serves types that have none. See `handlers.Function` for what they may be.
        queues: Queues to serve, in order of preference within a priority.
        group: Consumer group.
        concurrency: Handler slots.
        heartbeat_s: Seconds between heartbeats.
        lease_s: Seconds that a delivery belongs to a silent consumer.
        retry_delays: Seconds before the second, third … attempt; after the last one a task is a dead letter.
        max_deliveries: Deliveries after which a task that keeps killing its workers is poison.
        middleware: Runs around every handler, the first one outermost.
        aging: Longest wait in seconds by priority after which the oldest task of such a lane goes before more urgent
            ones; none by default: strict priority.
        weights: Share of takes that begin with each priority, instead of strict priority.
        version: Version of the agent, for its heartbeats.
        on_settled: Called with each settlement and what the engine answered to it.
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
        middleware: Sequence[Middleware] = (),
        aging: Mapping[Priority, float] | None = None,
        weights: Mapping[Priority, float] | None = None,
        version: str = "",
        on_settled: Callable[[Settlement, str], None] | None = None,
    ) -> None:
        self.agent = agent
        self.consumer = f"{agent}@{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.stats = WorkerStats()
        self._bus = bus
        self._queues = tuple(queues)
        self._group = group
        self._concurrency = concurrency
        self._heartbeat_s = heartbeat_s
        self._lease_s = lease_s
        self._version = version
        self._on_settled = on_settled
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix=f"{agent}-handler")
        order = Order((f"@{agent}", *self._queues), aging or {}, weights or {})
        self.intake = Rounds(bus, order, group, self.consumer, lease_s=lease_s, max_deliveries=max_deliveries)
        self._runner = Runner(bus, self.consumer, prepare(handlers, middleware, retry_delays, self._pool))
        self._settler = Settlers(group, self.consumer, self._answered, self._wake)
        self._held: dict[tuple[str, str], Delivery] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self._ready: list[Delivery] = []
        self._ahead: asyncio.Task[Batch] | None = None
        self._ahead_want = 0
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._over = False

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return len(self._handling)

    @property
    def recovering(self) -> int:
        """Deliveries that this worker has taken over, or was brought by a read, and has no free slot for yet."""
        return len(self._ready)

    async def run(self, *, drain_s: float = 30.0) -> None:
        """Work until `stop` is called, then let running handlers finish, give back the rest, and leave.

        Args:
            drain_s: Seconds that running handlers are given at the end; then they are cancelled, and their tasks go
                back to their lanes at once.
        """
        loop = asyncio.get_running_loop()
        holder = (self._group, self.consumer)
        keeper = self._bus.keeper(self._lease_s)
        keeper.register(
            holder,
            lambda: (*self._held.values(), *self._ready),
            lambda delivery, answer: loop.call_soon_threadsafe(self._leased, delivery, answer),
        )
        self._bus.listen(self._heard)
        helpers = [
            asyncio.create_task(self._on_and_on(self._beat_once), name=f"{self.agent}-beat"),
            asyncio.create_task(self._on_and_on(self._recover_once), name=f"{self.agent}-recover"),
        ]
        try:
            await self._fetch_until_stopped()
            if self._handling:
                await asyncio.wait(self._handling, timeout=drain_s)
        finally:
            self._over = True
            self._bus.unlisten(self._heard)
            await self._leave(helpers)
            keeper.forget(holder)
            await self.intake.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Take nothing more; `run` returns when the running handlers are done."""
        self._stopping.set()
        self._wake()

    async def _fetch_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._changed.clear()
            free = self._concurrency - len(self._handling) - self._ahead_want
            if (free <= 0 and self._ahead is None) or len(self._held) > self._concurrency + _UNSETTLED:
                await self._changed.wait()
                continue
            try:
                await self._fetch(free)
            except BusError as error:
                log.warning("%s: %s", self.agent, error)
                await self._pause(random.uniform(0.5, 1.5))

    async def _fetch(self, free: int) -> None:
        if self._ready and free > 0:
            await self._adopt(free)
            return
        # With many slots they are filled by halves: while one half is read and begun, the engine takes the other.
        half = max(self._concurrency // 2, 1) if self._concurrency >= _PIPELINED else free
        if self._ahead is not None:
            ahead, want, self._ahead, self._ahead_want = self._ahead, self._ahead_want, None, 0
            batch = await ahead
        else:
            want = min(free, half)
            batch = await self.intake.take(want)
        rest = min(self._concurrency - len(self._handling) - len(batch.entries), half)
        if len(batch.entries) == want and rest > 0 and half < self._concurrency and not self._stopping.is_set():
            self._ahead_want = rest
            self._ahead = asyncio.create_task(self.intake.take(rest), name=f"{self.agent}-take")
        self._accept(batch.entries)
        if not batch.entries and not self._stopping.is_set():
            held = [*self._held, *(delivery.key for delivery in self._ready)]
            self._accept(await self.intake.wait(batch.next_due_ms, held))

    def _accept(self, entries: Iterable[tuple[Delivery, bool]]) -> None:
        """Begin what runs by the engine's books already, and keep the rest until it is adopted."""
        for delivery, started in entries:
            if started:
                self._begin(delivery)
            else:
                self._ready.append(delivery)

    async def _adopt(self, free: int) -> None:
        """Start deliveries that did not come by `take`, most urgent first, as many as there are free slots."""
        # What was parked after a read brought it may have come by a take since, under the same token.
        self._ready = [delivery for delivery in self._ready if delivery.key not in self._held]
        self._ready.sort(key=self.intake.rank)
        chosen = self._ready[:free]
        answers = await self.intake.adopt(chosen)
        del self._ready[:free]
        for delivery, runs in zip(chosen, answers, strict=True):
            if runs:
                self._begin(delivery)

    def _begin(self, delivery: Delivery) -> None:
        self._held[delivery.key] = delivery
        if delivery.deliveries > 1:
            self.stats.recovered += 1
        delivery.since_ms = self._bus.clock.now_ms()
        task = asyncio.create_task(self._handle(delivery))
        delivery.running = task
        self._handling.add(task)
        task.add_done_callback(partial(self._handled, delivery))

    def _handled(self, delivery: Delivery, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if task.cancelled() and delivery.cancelled:
            # Cancelled before its first step, a coroutine never runs: nobody else will say how this ended.
            self._settler.settle(delivery, self._runner.cancelled(delivery))
        self._changed.set()

    async def _handle(self, delivery: Delivery) -> None:
        settlement = await self._runner.run(delivery, over=lambda: self._over)
        if settlement is not None:
            self.stats.failed += settlement.outcome in (Outcome.RETRY, Outcome.DEAD)
            # Settling is not the handler's time: the slot is free while the answer is on its way.
            self._settler.settle(delivery, settlement)

    def _answered(self, delivery: Delivery, settlement: Settlement, answer: str) -> None:
        self._held.pop(delivery.key, None)
        self._changed.set()
        if answer == "lost":
            self.stats.lost += 1
        elif settlement.outcome is Outcome.DONE:
            self.stats.done += 1
        elif settlement.outcome is Outcome.CANCELLED:
            self.stats.cancelled += 1
        if self._on_settled is not None:
            self._on_settled(settlement, answer)

    async def _leave(self, helpers: Sequence[asyncio.Task[None]]) -> None:
        """Break off what still runs, tell the engine what is to be told, and give back what was not finished."""
        broken_off = [*helpers, *self._handling]
        for task in broken_off:
            task.cancel()
        if broken_off:
            # A handler that swallows its cancellation must not hold the process; its work passes on below.
            await asyncio.wait(broken_off, timeout=STOP_S)
        if self._ahead is not None:
            with contextlib.suppress(BusError):
                self._ready.extend(delivery for delivery, _ in (await self._ahead).entries)
        await self._settler.drain(STOP_S)
        with contextlib.suppress(BusError):
            await self.intake.give_back([*self._ready, *self._held.values()])
            await self.intake.leave()
            await self._beat("stopped")

    def _leased(self, delivery: Delivery, answer: int) -> None:
        """Act on what a renewal said; runs in the event loop."""
        if answer == CANCEL_REQUESTED:
            self._cancel(delivery)

    def _heard(self, word: str, subject: str) -> None:
        """Act on the control doorbell; what it would have said is found by renewing, should it be silent."""
        if word == "cancel":
            for delivery in self._held.values():
                if delivery.task.id == subject:
                    self._cancel(delivery)
        elif word == "wake":
            self._wake()
        elif word == "ring":
            number, _, called = subject.partition(" ")
            if called == self.consumer and number.isdecimal():
                self._called(int(number))

    def _called(self, number: int) -> None:
        """Go to the partition that rang for this worker; without a free slot, leave it to another sleeper."""
        if self.running < self._concurrency and not self._stopping.is_set():
            self._changed.set()
            self.intake.answer(number)
        else:
            self._bus.keep(asyncio.create_task(self.intake.pass_on(number)))

    def _cancel(self, delivery: Delivery) -> None:
        if delivery.running is not None and not delivery.cancelled:
            delivery.cancelled = True
            delivery.running.cancel()

    def _wake(self) -> None:
        self._changed.set()
        self.intake.wake()

    async def _on_and_on(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a helper's step; whatever one step meets, the next one comes."""
        while not self._over:
            try:
                await step()
            except BusError as error:
                log.warning("%s: %s", self.agent, error)
                await self._pause(1.0)
            except Exception:
                log.exception("%s: a helper failed and goes on", self.agent)
                await self._pause(1.0)

    async def _beat_once(self) -> None:
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

    async def _recover_once(self) -> None:
        """Take over what the dead left, and what this worker's own lost replies left; tidy the lanes.

        Even with every slot taken it recovers one, which is then served before anything new: otherwise the work
        of the dead would wait for as long as there is a flood.
        """
        await asyncio.sleep(min(self._lease_s / 4, RECOVER_EVERY_S) * random.uniform(0.5, 1.5))
        room = max(self._concurrency - len(self._handling), 1) - len(self._ready)
        if self._stopping.is_set():
            return
        if room > 0:
            held = {*self._held, *(delivery.key for delivery in self._ready)}
            for delivery in await self.intake.recover(room, held):
                if delivery.key in self._held:
                    # Reaped from itself, after a while without renewals: the handler goes on under the new token.
                    self._held[delivery.key].deliveries = delivery.deliveries
                else:
                    self._ready.append(delivery)
            if self._ready:
                self._wake()
        await self.intake.tidy()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
