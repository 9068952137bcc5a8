"""Deliveries: work that a consumer holds, with the token that fences its settlement."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from observatory.model.text import line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from observatory.bus.client import Bus
    from observatory.bus.partitions import Partition
    from observatory.model.dead_letter import Reason
    from observatory.model.task import Task


class Outcome(StrEnum):
    """How a delivery is settled."""

    DONE = "done"
    RETRY = "retry"
    SNOOZE = "snooze"
    """Again later, without an attempt having failed."""
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Delivery:
    """One entry that one consumer holds.

    Attributes:
        partition: Where it is.
        stream: Stream key.
        task: What was read.
        deliveries: Delivery count; with the consumer's name it is the fencing token.
        problem: Why the entry cannot be a task; empty if it is one.
        poison: It was delivered so often without being settled that it is not tried again.
        since_ms: When the handler began, ms since the epoch; shown, never used to decide.
        began: The same moment on the monotonic clock, in seconds; None before it.
        running: The handler's task, once it runs.
        cancelled: Somebody asked to cancel it.
    """

    partition: Partition
    stream: str
    task: Task
    deliveries: int
    problem: str = ""
    poison: bool = False
    since_ms: int = 0
    began: float | None = None
    running: asyncio.Task[None] | None = field(default=None, compare=False)
    cancelled: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Stream and entry: the identity of what is held."""
        return self.stream, self.task.entry_id


@dataclass(frozen=True, slots=True)
class Settlement:
    """A delivery and how it ends.

    Attributes:
        stream: Stream key.
        entry_id: Entry there.
        deliveries: Delivery count of the token.
        outcome: How it ends.
        task_id: Task id.
        type: Task type.
        attempt: Attempt that ended, from 1.
        run_ms: How long the handler ran, in milliseconds.
        delay_s: Seconds until the next attempt, for a retry.
        reason: Why it is dead, for a dead letter.
        message: Last error, one line.
        result: What the handler returned; None if nothing.
        result_type: MIME type of the result.
        reply_to: Stream that waits for an answer; empty if none.
        correlation_id: What the answer is to be known by.
        digest: Where the error came from, for a dead letter.
        ordering_key: What the next task of the same key waits for; empty if it has none.
    """

    stream: str
    entry_id: str
    deliveries: int
    outcome: Outcome
    task_id: str
    type: str
    attempt: int
    run_ms: int = 0
    delay_s: float = 0.0
    reason: Reason | str = ""
    message: str = ""
    result: bytes | None = None
    result_type: str = ""
    reply_to: str = ""
    correlation_id: str = ""
    digest: str = ""
    ordering_key: str = ""

    @property
    def has_extras(self) -> bool:
        """There is something to say that most settlements do not say."""
        return self.outcome is not Outcome.DONE or self.result is not None or bool(self.reply_to or self.ordering_key)

    def arguments(self) -> tuple[str | int, ...]:
        """Return what every settlement says, in the order that `settle.lua` reads."""
        head = (self.stream, self.entry_id, self.deliveries, self.outcome, self.task_id, self.type, self.attempt)
        return (*head, self.run_ms)

    def extras(self) -> tuple[str | bytes | int, ...]:
        """Return what most settlements do not say, in the order that `settle.lua` reads."""
        failure = (round(self.delay_s * 1000), self.reason, self.message, self.digest)
        answer = (self.result or b"", self.result_type, self.reply_to, self.correlation_id)
        return (*failure, *answer, self.ordering_key)


def settle_arguments(group: str, consumer: str, settlements: Sequence[Settlement]) -> list[str | bytes | int]:
    """Return the arguments of `settle.lua` for *settlements* of one consumer."""
    args: list[str | bytes | int] = [group, consumer, len(settlements)]
    extras: list[str | bytes | int] = []
    for place, settlement in enumerate(settlements, 1):
        args += settlement.arguments()
        if settlement.has_extras:
            extras += (place, *settlement.extras())
    return args + extras


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a handler may know of its delivery besides the task.

    Attributes:
        bus: The bus it came by, to publish or to send with.
        consumer: The consumer that runs it.
        deliveries: How often it was delivered, this time included.
    """

    bus: Bus
    consumer: str
    deliveries: int
    _delivery: Delivery

    async def progress(self, share: float, note: str = "") -> None:
        """Say how far the handler is; it stands in the task's record for whoever looks.

        Args:
            share: From 0 to 1.
            note: One line in words.

        Raises:
            BusError: The engine cannot be told; the handler may as well go on.
        """
        partition = self._delivery.partition
        record = partition.keys.record(self._delivery.task.id)
        told = line(f"{min(max(share, 0.0), 1.0):.0%} {note}".strip(), 200)
        await partition.link.command("HSET", record, "progress", told)

    @property
    def cancelled(self) -> bool:
        """Somebody asked to cancel this task; its handler's coroutine is being cancelled as well."""
        return self._delivery.cancelled
