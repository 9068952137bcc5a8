"""Running one delivery: call its handler, and turn whatever happens into a settlement."""

from __future__ import annotations

import asyncio
import hashlib
import random
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from observatory.bus.payloads.blobs import is_claim, packed, redeemed
from observatory.bus.tasks.delivery import Outcome, Settlement, TaskContext
from observatory.bus.tasks.handlers import ANY_TYPE, DoNotRetry, MalformedPayloadError, Snooze
from observatory.model.dead_letter import Reason
from observatory.model.errors import UsageError
from observatory.model.text import line
from observatory.model.wire import MAX_FOREIGN_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observatory.bus.client import Bus
    from observatory.bus.tasks.delivery import Delivery
    from observatory.bus.tasks.handlers import Prepared
    from observatory.model.task import Task

RETRY_JITTER: Final = 0.1
"""Share by which the wait before a retry varies, so that what failed together does not return together."""

_ERROR_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs deliveries for one consumer.

    Attributes:
        bus: The bus, for the context of handlers and for its clock.
        consumer: The consumer.
        handlers: Prepared handlers by task type.
    """

    bus: Bus
    consumer: str
    handlers: Mapping[str, Prepared]

    async def run(self, delivery: Delivery, *, over: Callable[[], bool]) -> Settlement | None:
        """Run the handler of *delivery* and say how it is to be settled.

        Args:
            delivery: What to run.
            over: Says whether the worker is breaking off its handlers.

        Returns:
            The settlement; None if the worker broke the handler off, so that the task is given back.
        """
        delivery.began = self.bus.clock.monotonic()
        task = delivery.task
        handler = self.handlers.get(task.type) or self.handlers.get(ANY_TYPE)
        if (wrong := unfit(delivery)) is not None:
            return wrong
        if handler is None:
            return self._settlement(delivery, Outcome.DEAD, Reason.NO_HANDLER, f"no handler for {task.type!r}")
        try:
            return await self._attempt(handler, delivery)
        except asyncio.CancelledError as error:
            if delivery.cancelled:
                return self.cancelled(delivery)
            if over():
                return None
            # Nobody cancelled it from outside: the handler did it to itself, which is one more way to fail.
            return self._failed(delivery, error, _message(error), Reason.ERROR, handler.retry_delays)

    def cancelled(self, delivery: Delivery) -> Settlement:
        """Say how a delivery is to be settled whose handler was cancelled before it began."""
        return self._settlement(delivery, Outcome.CANCELLED)

    def context(self, delivery: Delivery) -> TaskContext:
        """Return what a handler may know of *delivery*."""
        return TaskContext(self.bus, self.consumer, delivery.deliveries, delivery)

    async def _attempt(self, handler: Prepared, delivery: Delivery) -> Settlement:
        context = self.context(delivery)
        limit = None if handler.timeout_s is None else asyncio.timeout(handler.timeout_s)
        try:
            if limit is None:
                return await self._done(delivery, await self._call(handler, delivery.task, context))
            async with limit:
                result = await self._call(handler, delivery.task, context)
            return await self._done(delivery, result)
        except Snooze as order:
            return replace(self._settlement(delivery, Outcome.SNOOZE, "", str(order)), delay_s=order.seconds)
        except DoNotRetry as error:
            reason = Reason.MALFORMED if isinstance(error, MalformedPayloadError) else Reason.ERROR
            return self._failed(delivery, error, _message(error), reason, ())
        except Exception as error:  # a handler may raise anything; all of it is an answer
            over = isinstance(error, TimeoutError) and limit is not None and limit.expired()
            message = f"TimeoutError: ran longer than {handler.timeout_s:g} s" if over else _message(error)
            return self._failed(delivery, error, message, Reason.ERROR, handler.retry_delays)

    async def _call(self, handler: Prepared, task: Task, context: TaskContext) -> Any:  # noqa: ANN401 - any result
        if is_claim(task.content_type):
            task = await redeemed(self.bus.blobs, task)
        return await handler.call(task, context)

    async def _done(self, delivery: Delivery, result: Any) -> Settlement:  # noqa: ANN401 - a result may be anything
        if result is None:
            return self._settlement(delivery, Outcome.DONE)
        try:
            payload, content_type = await packed(self.bus.blobs, result)
        except UsageError as error:
            raise DoNotRetry(f"result {error.problem}") from error
        done = self._settlement(delivery, Outcome.DONE)
        return replace(done, result=payload, result_type=content_type)

    def _failed(
        self, delivery: Delivery, error: BaseException, message: str, reason: Reason, delays: tuple[float, ...]
    ) -> Settlement:
        settlement = failed(delivery, message, reason, delays, ran_ms=self._ran_ms(delivery))
        return replace(settlement, digest=_digest(error)) if settlement.outcome is Outcome.DEAD else settlement

    def _settlement(
        self, delivery: Delivery, outcome: Outcome, reason: Reason | str = "", message: str = ""
    ) -> Settlement:
        return settlement_of(delivery, outcome, reason, message, ran_ms=self._ran_ms(delivery))

    def _ran_ms(self, delivery: Delivery) -> int:
        return 0 if delivery.began is None else round((self.bus.clock.monotonic() - delivery.began) * 1000)


def settlement_of(
    delivery: Delivery, outcome: Outcome, reason: Reason | str = "", message: str = "", *, ran_ms: int = 0
) -> Settlement:
    """Return how *delivery* is to be settled."""
    task = delivery.task
    return Settlement(
        delivery.stream,
        task.entry_id,
        delivery.deliveries,
        outcome,
        task.id,
        task.type,
        task.attempt,
        ran_ms,
        reason=reason,
        message=message,
        reply_to=task.reply_to,
        correlation_id=task.correlation_id,
        ordering_key=task.ordering_key,
    )


def failed(
    delivery: Delivery, message: str, reason: Reason, delays: tuple[float, ...], *, ran_ms: int = 0
) -> Settlement:
    """Return how an attempt is to be settled that failed: again after one of *delays*, or never where none is left."""
    attempt = delivery.task.attempt
    if attempt > len(delays):
        return settlement_of(delivery, Outcome.DEAD, reason, message, ran_ms=ran_ms)
    wait = delays[attempt - 1] * random.uniform(1 - RETRY_JITTER, 1 + RETRY_JITTER)
    return replace(settlement_of(delivery, Outcome.RETRY, "", message, ran_ms=ran_ms), delay_s=wait)


def unfit(delivery: Delivery) -> Settlement | None:
    """Return how a delivery is to be settled that no handler must see; None if it is fit."""
    size = len(delivery.task.payload)
    for wrong, reason, told in (
        (delivery.problem, Reason.MALFORMED, delivery.problem),
        (delivery.poison, Reason.POISON, f"delivered {delivery.deliveries} times and never settled"),
        (size > MAX_FOREIGN_PAYLOAD, Reason.TOO_LARGE, f"{size} bytes"),
    ):
        if wrong:
            return settlement_of(delivery, Outcome.DEAD, reason, told)
    return None


def _message(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception:  # an error that cannot say what it is must not take its task with it
        said = "(its message cannot be read)"
    return line(f"{type(error).__name__}: {said}" if said else type(error).__name__, _ERROR_LIMIT)


def _digest(error: BaseException) -> str:
    """Return a short digest of where *error* came from, and its innermost place: equal bugs have equal digests."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    places = [f"{Path(frame.filename).name}:{frame.name}" for frame in frames]
    digest = hashlib.sha1("|".join(places).encode(), usedforsecurity=False).hexdigest()[:10]
    return line(f"{digest} {places[-1]}:{frames[-1].lineno}", 120)
