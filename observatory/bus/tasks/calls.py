"""What `Bus` can do with tasks: publish, cancel, pause lanes, look one up, and work."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from observatory.bus.base import Connected
from observatory.bus.partitions import everywhere
from observatory.bus.payloads.blobs import fetched, most_bytes, stowed
from observatory.bus.payloads.payload import Payload, written
from observatory.bus.reads import browse
from observatory.bus.tasks.outbox import Order, Outbox
from observatory.bus.tasks.publisher import DEDUPE_TTL_S, Published
from observatory.bus.tasks.publishers import Publishers, deciding
from observatory.model.errors import BusUnreachableError, UsageError
from observatory.model.retention import Retention
from observatory.model.snapshot import LinkState
from observatory.model.task import DEFAULT_TTL_S, SHARED, Lane, NewTask, Priority, TaskRecord, TaskResult
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from observatory.bus.partitions import Partitions
    from observatory.bus.payloads.blobs import BlobStore
    from observatory.model.clock import Clock


class CancelOutcome(StrEnum):
    """What became of a cancel."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    """It runs; its worker will stop it."""
    SETTLED = "settled"
    """Too late: it is done, or a dead letter."""
    UNKNOWN = "unknown"
    """The bus remembers no task of this id."""


class TaskCalls(Connected):
    """The part of `Bus` that is about tasks."""

    def __init__(self, partitions: Partitions, name: str, clock: Clock, blobs: BlobStore | None = None) -> None:
        super().__init__(partitions, name, clock, blobs)
        self._publishers = Publishers(partitions, clock)
        self._outbox: Outbox | None = None

    async def publish(
        self,
        type: str,  # noqa: A002 - the field's name on the wire
        payload: Payload = None,
        *,
        queue: str = SHARED,
        priority: Priority | str = Priority.NORMAL,
        ttl: float = DEFAULT_TTL_S,
        delay: float = 0.0,
        at: datetime | None = None,
        deadline: datetime | None = None,
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        dedupe: str = "",
        dedupe_ttl: float = DEDUPE_TTL_S,
        sender: str | None = None,
        correlation_id: str = "",
        reply_to: str = "",
        ordering_key: str = "",
        durable: bool = False,
    ) -> Published:
        """Publish one task. Calls made by many coroutines at once share round trips.

        Args:
            type: Kind of work; workers choose the handler by it.
            payload: Bytes or text as they are; anything else is written as JSON.
            queue: `shared`, a capability (`coding`) or an agent (`@pink`).
            priority: One of the four lanes.
            ttl: Seconds from arrival (for delayed work: from becoming due) after which it is stale.
            delay: Seconds to wait before it becomes due.
            at: When it becomes due, instead of *delay*; a naive time is local. The server's clock decides.
            deadline: When it is stale, instead of *ttl*; a naive time is local. The server's clock decides.
            id: Task id; made here if not given. Publishing an id again is answered, not repeated.
            dedupe: A key of the publisher's own: while it is remembered, publishing under it again is a duplicate.
            dedupe_ttl: Seconds that *dedupe* is remembered.
            sender: Who publishes; the bus's name by default.
            correlation_id: Ties a family of tasks together.
            reply_to: Stream below `<prefix>:reply:` that gets the result; `request` does it all.
            ordering_key: Tasks with the same key are handled one after another, in the order in which they arrived,
                whatever lanes they are in and however many workers there are. A task that fails keeps its place: the
                rest of its key waits for its retries.
            durable: Answer only when it is on the disk of the server and on every replica that is connected, at the
                price of the time that this takes.

        Raises:
            UsageError: A field cannot be taken; the message names it.
            BusBusyError: The lane is at its bound; nothing was added.
            NotDurableError: It was added, and disk or replicas did not say in time that they have it.
        """
        body, content_type = written(payload, most=most_bytes(self.blobs))
        if at is not None:
            delay = max(self._seconds_until(at), 0.0)
        if deadline is not None:
            ttl = self._seconds_until(deadline) - delay
        return await self.publish_task(
            NewTask(
                type=type,
                payload=body,
                id=id or uuid.uuid4().hex,
                queue=queue,
                priority=_priority(priority),
                sender=self.name if sender is None else sender,
                content_type=content_type,
                created_ms=self.clock.now_ms(),
                ttl_s=ttl,
                delay_s=delay,
                correlation_id=correlation_id,
                reply_to=reply_to,
                ordering_key=ordering_key,
            ),
            dedupe=dedupe,
            dedupe_ttl=dedupe_ttl,
            durable=durable,
        )

    async def publish_task(
        self, task: NewTask, *, dedupe: str = "", dedupe_ttl: float = DEDUPE_TTL_S, durable: bool = False
    ) -> Published:
        """Publish one task that is complete with its id; see `publish`."""
        order = Order(await stowed(self.blobs, task), dedupe, dedupe_ttl, durable)
        return await (self._publish_now(order) if self._outbox is None else self._outbox.publish(order))

    async def publish_many(self, tasks: Iterable[NewTask]) -> list[Published]:
        """Publish many tasks, in order; see `publish`.

        Raises:
            BusBusyError: A lane is at its bound; tasks of other lanes, and those before it, were added.
        """
        wanted = [await stowed(self.blobs, task) for task in tasks]
        if self._outbox is None:
            return await self._publishers.many(wanted)
        if not self._outbox and self.partitions.view.state is LinkState.READY:
            with contextlib.suppress(BusUnreachableError):
                return await self._publishers.many(wanted)
        return [await self._outbox.publish(Order(task, "", DEDUPE_TTL_S, durable=False)) for task in wanted]

    async def _publish_now(self, order: Order) -> Published:
        return await self._publishers.one(
            order.task, dedupe=order.dedupe, dedupe_ttl=order.dedupe_ttl, durable=order.durable
        )

    async def _publish_request(self, task: NewTask) -> Published:
        """Publish the task of a request, whose answer nobody would wait for once the bus can be reached again."""
        return await self._publish_now(Order(await stowed(self.blobs, task), "", DEDUPE_TTL_S, durable=False))

    def stream_for(self, task: NewTask) -> str:
        """Return the key of the lane that *task* goes to, if it is published without a dedupe key."""
        return self.partitions.of(deciding(task)).keys.lane(task.lane)

    async def cancel(self, task_id: str) -> CancelOutcome:
        """Take a task back, wherever it is; who runs it learns of it within milliseconds."""
        for partition in self.partitions.nearest_first(task_id):
            outcome = CancelOutcome((await partition.link.call("cancel", (task_id, self.name))).decode())
            if outcome is not CancelOutcome.UNKNOWN:
                return outcome
        return CancelOutcome.UNKNOWN

    async def pause(self, lanes: Iterable[Lane], *, seconds: float | None = None) -> None:
        """Stop lanes from being taken from; what runs goes on.

        A read that was already blocked may bring one more task within a second.

        Args:
            lanes: Lanes to pause.
            seconds: Until they go on by themselves; None until `resume`.
        """
        now = await self.connection.command("TIME")
        till = 0 if seconds is None else int(now[0]) * 1000 + round(seconds * 1000)
        await self._set_pause(list(lanes), till)

    async def resume(self, lanes: Iterable[Lane]) -> None:
        """Let paused lanes go on."""
        await self._set_pause(list(lanes), -1)

    async def paused(self) -> dict[Lane, int]:
        """Return paused lanes, with the end of their pause in ms of server time; 0 where it has none."""
        # A pause is set in all partitions alike; each forgets one that is over when something is taken there.
        flat = await self.connection.command("HGETALL", self.keys.paused)
        seconds, micros = await self.connection.command("TIME")
        now = int(seconds) * 1000 + int(micros) // 1000
        found = {stream.decode(): int(till) for stream, till in zip(flat[::2], flat[1::2], strict=True)}
        lanes = {lane: till for stream, till in found.items() if (lane := self.keys.lane_of(stream)) is not None}
        return {lane: till for lane, till in lanes.items() if till == 0 or till > now}

    async def retention(self) -> Retention:
        """Return what the bus keeps of its log, its dead letters and its mailboxes."""
        flat = await self.connection.command("HGETALL", self.keys.retention)
        return Retention.read({name.decode(): value.decode("utf-8", "replace") for name, value in pairs(flat)})

    async def retain(self, bounds: Retention) -> None:
        """Say what the bus keeps from now on, on a cluster each of its partitions.

        Its workers see to it within minutes; mailboxes are bound at once.
        """
        said = [part for bound in fields(bounds) for part in (bound.name, getattr(bounds, bound.name))]
        for partition in self.partitions:
            await partition.link.command("HSET", partition.keys.retention, *said)

    async def record(self, task_id: str) -> TaskRecord | None:
        """Return what the bus remembers of a task; None if it remembers nothing."""
        for partition in self.partitions.nearest_first(task_id):
            if (found := await browse.record(partition.link, task_id)) is not None:
                return found
        return None

    async def result(self, task_id: str) -> TaskResult | None:
        """Return how a task ended and what its handler returned; None if the bus remembers nothing of it.

        Raises:
            BlobError: The result is large, and cannot be had from the blob store.
        """
        for partition in self.partitions.nearest_first(task_id):
            if (found := await browse.result(partition.link, task_id)) is not None:
                body, kind = await fetched(self.blobs, found.payload, found.content_type)
                error = found.error or await browse.last_error(partition.link, partition.keys, found.record)
                return replace(found, payload=body, content_type=kind, error=error)
        return None

    async def _set_pause(self, lanes: list[Lane], till: int) -> None:
        await everywhere(
            self.partitions, "pause", lambda partition: (self.name, till, *map(partition.keys.lane, lanes))
        )

    def _seconds_until(self, moment: datetime) -> float:
        """Seconds of server time from now to *moment*; what the local clock is off by was measured when connecting."""
        return (moment.timestamp() * 1000 - self.clock.now_ms() - self.skew_ms) / 1000


def _priority(value: Priority | str) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise UsageError(f"priority: {line(value, 64)!r} is none of {', '.join(Priority)}") from None
