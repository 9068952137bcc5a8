"""`Bus`: the one object an agent's author, the app and the gateway need."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from observatory.bus import browse, letters, log
from observatory.bus.batch import Batcher
from observatory.bus.keys import Keys
from observatory.bus.lease import LeaseKeeper
from observatory.bus.link import DEADLINE_S, Link
from observatory.bus.look import look
from observatory.bus.observe import Cursor, Observation
from observatory.bus.worker import Handler, Worker
from observatory.model.agent import DEFAULT_INTERVAL_S, Heartbeat, write_heartbeat
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusBusyError, UsageError
from observatory.model.task import DEFAULT_TTL_S, MAX_TTL_S, SHARED, Lane, NewTask, Priority, TaskRecord, is_queue_name
from observatory.model.text import line
from observatory.model.wire import MAX_PAYLOAD, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType

    from observatory.bus.letters import Requeued
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.event import Event
    from observatory.model.protocols import Page
    from observatory.model.snapshot import LinkView
    from observatory.model.task import Task
    from observatory.model.wire import Malformed

LANE_BOUND: Final = 1_000_000
"""Entries in a lane above which publishing to it is refused."""

MAX_ID: Final = 200
"""Longest id of a task that may be published, in characters."""

Payload = bytes | str | Mapping[str, Any] | Sequence[Any] | None
"""What `publish` takes as a payload: bytes and text as they are, anything else as JSON."""


class PublishOutcome(StrEnum):
    """What became of a publish."""

    QUEUED = "queued"
    DELAYED = "delayed"
    DUPLICATE = "duplicate"
    """The bus knows a task of this id; nothing was added."""


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to a publish.

    Attributes:
        id: Task id.
        outcome: What became of it.
        entry_id: Its entry in the lane; for delayed work the name it waits under.
        lane: The lane it is in or will be in.
    """

    id: str
    outcome: PublishOutcome
    entry_id: str
    lane: Lane


class CancelOutcome(StrEnum):
    """What became of a cancel."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    """It runs; its worker will stop it."""
    SETTLED = "settled"
    """Too late: it is done, or a dead letter."""
    UNKNOWN = "unknown"
    """The bus remembers no task of this id."""


class Bus:
    """A connection to one bus. Make it with `Bus.connect` and use it as an asynchronous context manager.

    Every method raises `BusError` when the engine refuses, and `BusUnreachableError` when it does not answer in time.

    Args:
        link: The link to the engine.
        keys: Key names.
        name: Who we are, where an event or a task asks for it.
        clock: Where creation times come from.
    """

    def __init__(self, link: Link, keys: Keys, name: str, clock: Clock) -> None:
        self.connection = link
        self.keys = keys
        self.name = name
        self.clock = clock
        self._publish = Batcher(self._send_tasks, lanes=2)
        self._keeper: LeaseKeeper | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()

    @classmethod
    def connect(cls, url: str, *, prefix: str = "cortex", name: str = "", clock: Clock | None = None) -> Self:
        """Prepare a connection; entering the context opens it.

        Args:
            url: `redis://`, `rediss://` or `unix://`, with credentials and database in it.
            prefix: First part of every key.
            name: Who we are; `<user>@<host>` by default.
            clock: Where times come from; the system's by default.

        Raises:
            UsageError: *url* or *prefix* cannot be one.
        """
        chosen = clock or SystemClock()
        keys = Keys(prefix)
        return cls(
            Link(url, keys, chosen),
            keys,
            name or f"{os.environ.get('USER', 'operator')}@{socket.gethostname()}",
            chosen,
        )

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Reach the engine once.

        Raises:
            BusUnreachableError: Nothing answers, what answers is no Redis, or the credentials are refused.
        """
        try:
            await self.connection.open(deadline_s=deadline_s)
        except BaseException:
            await self.connection.close()
            raise

    async def close(self) -> None:
        """Send what is under way, then close every connection."""
        if self._background:
            await asyncio.wait(self._background, timeout=2.0)
        await self._publish.flush()
        if self._keeper is not None and self._pulse is not None:
            self._keeper.stop()
            self._pulse.cancel()
        for task in list(self._background):
            task.cancel()
        await self.connection.close()

    @property
    def link(self) -> LinkView:
        """How the link stands now."""
        return self.connection.view

    @property
    def url(self) -> str:
        """The address, with its secret masked."""
        return self.connection.url

    async def publish(
        self,
        type: str,  # noqa: A002 - the field's name on the wire
        payload: Payload = None,
        *,
        queue: str = SHARED,
        priority: Priority | str = Priority.NORMAL,
        ttl: float = DEFAULT_TTL_S,
        delay: float = 0.0,
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        sender: str | None = None,
        correlation_id: str = "",
    ) -> Published:
        """Publish one task. Calls made by many coroutines at once share round trips.

        Args:
            type: Kind of work; workers choose the handler by it.
            payload: Bytes or text as they are; anything else is written as JSON.
            queue: `shared`, a capability (`coding`) or an agent (`@pink`).
            priority: One of the four lanes.
            ttl: Seconds from arrival (for delayed work: from becoming due) after which it is stale.
            delay: Seconds to wait before it becomes due.
            id: Task id; made here if not given. Publishing an id again is answered, not repeated.
            sender: Who publishes; the bus's name by default.
            correlation_id: Ties a family of tasks together.

        Raises:
            UsageError: A field cannot be taken; the message names it.
            BusBusyError: The lane is at its bound; nothing was added.
        """
        body, content_type = _payload(payload)
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
            )
        )

    async def publish_task(self, task: NewTask) -> Published:
        """Publish one task that is complete with its id; see `publish`."""
        answer = await self._publish.submit(self._checked(task))
        return _accepted(task, answer)

    async def publish_many(self, tasks: Iterable[NewTask]) -> list[Published]:
        """Publish many tasks; see `publish`.

        Raises:
            BusBusyError: A lane is at its bound; the tasks before it in *tasks* were added.
        """
        checked = [self._checked(task) for task in tasks]
        answers = await asyncio.gather(*map(self._publish.submit, checked))
        return [_accepted(task, answer) for task, answer in zip(checked, answers, strict=True)]

    async def cancel(self, task_id: str, *, group: str = "workers") -> CancelOutcome:
        """Take a task back, wherever it is.

        Args:
            task_id: Its id.
            group: Group that would run it.
        """
        return CancelOutcome((await self.connection.call("cancel", (group, task_id, self.name))).decode())

    async def record(self, task_id: str) -> TaskRecord | None:
        """Return what the bus remembers of a task; None if it remembers nothing."""
        return await browse.record(self.connection, self.keys, task_id)

    async def heartbeat(
        self,
        agent: str,
        *,
        consumer: str = "",
        status: str = "idle",
        task: str = "",
        task_since_ms: int | None = None,
        load: float | None = None,
        interval_s: float = DEFAULT_INTERVAL_S,
        capabilities: Sequence[str] = (),
        version: str = "",
        done: int | None = None,
        failed: int | None = None,
    ) -> None:
        """Say that *agent* lives. `Worker` does it by itself.

        Args:
            agent: Agent name.
            consumer: Its process; the agent's name by default.
            status: Its own word; `stopped` says goodbye.
            task: Id of the task it runs.
            task_since_ms: When it began with that task, ms since the epoch.
            load: Share of its slots in use, 0 to 1.
            interval_s: Seconds until its next beat.
            capabilities: Queues and types it serves.
            version: Its version.
            done: Tasks completed since it started.
            failed: Attempts failed since it started.
        """
        beat = Heartbeat(
            agent,
            0,
            consumer or agent,
            status,
            task,
            task_since_ms,
            load,
            interval_s,
            tuple(capabilities),
            version,
            done,
            failed,
        )
        await self.connection.call("beat", (consumer or agent, agent, status, interval_s, *write_heartbeat(beat)))

    def worker(self, agent: str, handlers: Mapping[str, Handler], **options: Any) -> Worker:  # noqa: ANN401 - see Worker
        """Make a worker for *agent*; its options are those of `Worker`. Start it with `run`."""
        return Worker(self, agent, handlers, **options)

    async def dead_letters(self, *, after: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return dead letters, newest first, below the entry *after*."""
        return await letters.page_of_letters(self.connection, self.keys, after=after, limit=limit)

    async def dead_letter(self, entry_id: str) -> DeadLetter | None:
        """Return one dead letter by its entry id; None if it is gone."""
        return await letters.one_letter(self.connection, self.keys, entry_id)

    async def requeue(self, entry_ids: Iterable[str]) -> list[Requeued]:
        """Put dead letters back into the lanes they came from, with fresh attempts; one answer an entry, in order."""
        return await letters.requeue(self.connection, self.keys, entry_ids, self.name)

    async def events(self, *, after: str | None = None, limit: int = 100) -> Page[Event]:
        """Return facts of the log, newest first, below the id *after*, across days."""
        return await log.page_of_events(self.connection, self.keys, after=after, limit=limit)

    def tail(self, after: str | None = None) -> AsyncIterator[Event]:
        """Follow the log from behind the id *after*, or from now on; see `log.follow`."""
        return log.follow(self.connection, self.keys, after)

    async def entries(self, lane: Lane, *, after: str | None = None, limit: int = 100) -> Page[Task | Malformed]:
        """Return what stands in a lane, oldest first, above the entry *after*, whether it is pending or not."""
        return await browse.entries(self.connection, self.keys, lane, after=after, limit=limit)

    async def delayed(self, *, offset: int = 0, limit: int = 100) -> Page[browse.DelayedTask]:
        """Return what waits for its time, soonest first."""
        return await browse.delayed(self.connection, self.keys, offset=offset, limit=limit)

    async def observe(self, cursor: Cursor | None = None, *, deadline_s: float = 2.0) -> Observation:
        """Look at the whole bus at one instant, in one round trip.

        Args:
            cursor: That of the look before; none for the first.
            deadline_s: Seconds after which to give up.
        """
        return await look(self.connection, self.keys, cursor or Cursor(), deadline_s=deadline_s)

    def keeper(self, lease_s: float) -> LeaseKeeper:
        """Return the lease keeper of this process, started; the first worker's lease decides its pace."""
        if self._keeper is None:
            client = self.connection.blocking_client()
            flags = self.connection.flags
            self._keeper = LeaseKeeper(client, self.keys.prefix, self.keys.delayed, flags=flags, lease_s=lease_s)
            self._keeper.start()
            self._pulse = asyncio.create_task(_show_life(self._keeper), name="observatory-alive")
        return self._keeper

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold *task* until it is done; closing the bus gives it a moment to finish."""
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _checked(self, task: NewTask) -> NewTask:
        check(task)
        return task if task.created_ms else replace(task, created_ms=self.clock.now_ms())

    async def _send_tasks(self, batch: Sequence[NewTask]) -> Sequence[tuple[str, str]]:
        shapes: dict[tuple[bytes, ...], int] = {}
        rows: list[str | bytes | int] = []
        for task in batch:
            names, values = encode(task)
            shape = shapes.setdefault(names, len(shapes) + 1)
            queue = "" if task.queue == SHARED else task.queue
            rows += (self.keys.lane(task.lane), queue, task.id, task.type, task.sender)
            rows += (round(task.delay_s * 1000), shape, *values)
        args: list[str | bytes | int] = [LANE_BOUND, len(shapes)]
        for names in shapes:
            args += (len(names), *names)
        args += rows
        return [(outcome.decode(), entry.decode()) for outcome, entry in await self.connection.call("publish", args)]


def check(task: NewTask) -> None:
    """Refuse a task that cannot be published.

    Raises:
        UsageError: A field cannot be taken; the message begins with its name.
    """
    if (
        task.type
        and is_queue_name(task.queue)
        and 0 < len(task.id) <= MAX_ID
        and len(task.payload) <= MAX_PAYLOAD
        and 0 < task.ttl_s <= MAX_TTL_S
        and 0 <= task.delay_s <= MAX_TTL_S
    ):
        return
    size = len(task.payload)
    for wrong, problem in (
        (not task.type, "type: a task needs one"),
        (not is_queue_name(task.queue), f"queue: {line(task.queue, 64)!r} cannot name one"),
        (not 0 < len(task.id) <= MAX_ID, f"id: 1 to {MAX_ID} characters"),
        (size > MAX_PAYLOAD, f"payload: {size} bytes, {MAX_PAYLOAD} at most"),
        (not 0 < task.ttl_s <= MAX_TTL_S, f"ttl: {task.ttl_s} s, must be above zero and at most {MAX_TTL_S} s"),
        (not 0 <= task.delay_s <= MAX_TTL_S, f"delay: {task.delay_s} s, must be from zero to {MAX_TTL_S} s"),
    ):
        if wrong:
            raise UsageError(problem)


async def _show_life(keeper: LeaseKeeper) -> None:
    while True:
        keeper.alive()
        await asyncio.sleep(0.5)


def _accepted(task: NewTask, answer: tuple[str, str]) -> Published:
    outcome, entry = answer
    if outcome == "busy":
        raise BusBusyError(f"lane {task.lane} is full", "let it drain, or publish to another queue")
    return Published(task.id, PublishOutcome(outcome), entry, task.lane)


def _priority(value: Priority | str) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise UsageError(f"priority: {line(value, 64)!r} is none of {', '.join(Priority)}") from None


def _payload(value: Payload) -> tuple[bytes, str]:
    if value is None:
        return b"", ""
    if isinstance(value, bytes):
        return value, ""
    if isinstance(value, str):
        return value.encode(), ""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
    except (TypeError, ValueError) as error:
        raise UsageError(f"payload: cannot be written as JSON: {error}") from error
