"""`Bus`: the one object an agent's author, the app and the gateway need."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from observatory.bus.care.audit import Audit, audit
from observatory.bus.care.doctor import examine
from observatory.bus.control import Doorbell, Heard
from observatory.bus.keys import Keys
from observatory.bus.links.link import DEADLINE_S, Link
from observatory.bus.payloads.blobs import BlobStore, most_bytes, stowed
from observatory.bus.payloads.payload import Payload, written
from observatory.bus.reads import browse, letters, log
from observatory.bus.reads.look import look
from observatory.bus.reads.observe import Cursor, Observation
from observatory.bus.reads.reads import Reads
from observatory.bus.talk.broadcasts import Broadcasts
from observatory.bus.talk.mail import Mail
from observatory.bus.talk.postman import LEASE_S as MAIL_LEASE_S
from observatory.bus.talk.requests import TIMEOUT_S as REQUEST_TIMEOUT_S
from observatory.bus.talk.requests import Requests
from observatory.bus.tasks.lease import LeaseKeeper
from observatory.bus.tasks.publisher import DEDUPE_TTL_S, Published, Publisher
from observatory.bus.tasks.worker import Worker
from observatory.model.agent import DEFAULT_INTERVAL_S, Heartbeat, write_heartbeat
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import UsageError
from observatory.model.listing import Ask
from observatory.model.task import DEFAULT_TTL_S, SHARED, Lane, NewTask, Priority, TaskRecord
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from observatory.bus.reads.letters import Requeued
    from observatory.bus.talk.broadcasts import Hearing, Told
    from observatory.bus.talk.mail import Inbox, Sent
    from observatory.bus.tasks.handlers import Handler
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.event import Event
    from observatory.model.health import Finding
    from observatory.model.listing import Page
    from observatory.model.message import Reply
    from observatory.model.snapshot import LinkView


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
        blobs: Where large payloads are stored; None to refuse them.
    """

    def __init__(self, link: Link, keys: Keys, name: str, clock: Clock, blobs: BlobStore | None = None) -> None:
        self.connection = link
        self.keys = keys
        self.name = name
        self.clock = clock
        self.blobs = blobs
        self.reads = Reads(link, keys, clock)
        self._publisher = Publisher(link, keys, clock)
        self._keeper: LeaseKeeper | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._doorbell = Doorbell(link, keys)
        self._skew_ms = 0
        self._mail = Mail(link, keys, name, clock, blobs=blobs)
        self._broadcasts = Broadcasts(link, keys, name, clock, blobs=blobs)
        self._requests = Requests(link, keys, name, clock, self.publish_task, blobs=blobs)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        prefix: str = "cortex",
        name: str = "",
        clock: Clock | None = None,
        blobs: str | Path | None = None,
    ) -> Self:
        """Prepare a connection; entering the context opens it.

        Args:
            url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `rediss+sentinel://`, with credentials and
                database in it.
            prefix: First part of every key.
            name: Who we are; `<user>@<host>` by default.
            clock: Where times come from; the system's by default.
            blobs: Folder, or fsspec URL, for payloads above 256 KB, results and messages included, which then travel
                as claim checks; all agents that share them need the same store.

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
            BlobStore.open(blobs) if blobs else None,
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
            seconds, micros = await self.connection.command("TIME", deadline_s=deadline_s)
            self._skew_ms = int(seconds) * 1000 + int(micros) // 1000 - self.clock.now_ms()
        except BaseException:
            await self.connection.close()
            raise

    async def close(self) -> None:
        """Send what is under way, then close every connection."""
        if self._background:
            await asyncio.wait(self._background, timeout=2.0)
        await self._publisher.close()
        await self._requests.close()
        await self._broadcasts.close()
        await self._mail.close()
        await self._doorbell.close()
        if self._keeper is not None and self._pulse is not None:
            self._keeper.stop()
            self._pulse.cancel()
            self._keeper = self._pulse = None
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
            durable: Answer only when it is on the disk of the server, at the price of the time that a sync takes.

        Raises:
            UsageError: A field cannot be taken; the message names it.
            BusBusyError: The lane is at its bound; nothing was added.
            NotDurableError: It was added, and the server did not say in time that it is on disk.
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
        stored = await stowed(self.blobs, task)
        return await self._publisher.one(stored, dedupe=dedupe, dedupe_ttl=dedupe_ttl, durable=durable)

    async def publish_many(self, tasks: Iterable[NewTask]) -> list[Published]:
        """Publish many tasks, in order; see `publish`.

        Raises:
            BusBusyError: A lane is at its bound; tasks of other lanes, and those before it, were added.
        """
        return await self._publisher.many([await stowed(self.blobs, task) for task in tasks])

    async def cancel(self, task_id: str) -> CancelOutcome:
        """Take a task back, wherever it is; who runs it learns of it within milliseconds."""
        return CancelOutcome((await self.connection.call("cancel", (task_id, self.name))).decode())

    async def pause(self, lanes: Iterable[Lane], *, seconds: float | None = None) -> None:
        """Stop lanes from being taken from; what runs goes on.

        A read that was already blocked may bring one more task within a second.

        Args:
            lanes: Lanes to pause.
            seconds: Until they go on by themselves; None until `resume`.
        """
        now = await self.connection.command("TIME")
        till = 0 if seconds is None else int(now[0]) * 1000 + round(seconds * 1000)
        await self.connection.call("pause", (self.name, till, *map(self.keys.lane, lanes)))

    async def resume(self, lanes: Iterable[Lane]) -> None:
        """Let paused lanes go on."""
        await self.connection.call("pause", (self.name, -1, *map(self.keys.lane, lanes)))

    async def paused(self) -> dict[Lane, int]:
        """Return paused lanes, with the end of their pause in ms of server time; 0 where it has none."""
        flat = await self.connection.command("HGETALL", self.keys.paused)
        found = {stream.decode(): int(till) for stream, till in zip(flat[::2], flat[1::2], strict=True)}
        return {lane: till for stream, till in found.items() if (lane := self.keys.lane_of(stream)) is not None}

    async def record(self, task_id: str) -> TaskRecord | None:
        """Return what the bus remembers of a task; None if it remembers nothing."""
        return await browse.record(self.connection, task_id)

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

    async def send_message(
        self,
        agent: str,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        ttl: float = DEFAULT_TTL_S,
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        correlation_id: str = "",
        reply_to: str = "",
    ) -> Sent:
        """Put a message into one agent's mailbox; it stays there until the agent acknowledges it.

        Args:
            agent: Whom it is for; the answer says whether the bus has ever heard of it.
            payload: Bytes or text as they are; anything else is written as JSON.
            type: What kind of message it is.
            ttl: Seconds from arrival after which it is dropped unread, with an event.
            id: Message id; made here if not given. Sending an id again is answered, not repeated.
            correlation_id: Ties a family of tasks and messages together.
            reply_to: Where an answer is expected.

        Raises:
            BusBusyError: The mailbox is at its bound; nothing was added.
        """
        return await self._mail.send(
            agent, payload, type=type, ttl=ttl, id=id, correlation_id=correlation_id, reply_to=reply_to
        )

    def inbox(self, agent: str, *, lease_s: float = MAIL_LEASE_S) -> Inbox:
        """Return the mailbox of a local agent, to iterate over; each message waits for `ack`."""
        return self._mail.inbox(agent, lease_s=lease_s)

    async def broadcast(
        self,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        correlation_id: str = "",
    ) -> Told:
        """Tell all agents; each hears it by its own cursor, and a gap if it was away for too long."""
        return await self._broadcasts.tell(payload, type=type, id=id, correlation_id=correlation_id)

    def broadcasts(self, agent: str, *, since: str | None = None) -> Hearing:
        """Return what is told to all, from the cursor of *agent* on, to iterate over; see `broadcasts.Hearing`."""
        return self._broadcasts.hear(agent, since=since)

    async def request(
        self,
        type: str,  # noqa: A002 - the field's name on the wire
        payload: Payload = None,
        *,
        queue: str = SHARED,
        priority: Priority = Priority.NORMAL,
        timeout: float = REQUEST_TIMEOUT_S,
        wait: bool = False,
    ) -> Reply:
        """Publish a task and wait for what its handler returns.

        Args:
            type: Kind of work.
            payload: Bytes or text as they are; anything else is written as JSON.
            queue: `shared`, a capability or an agent.
            priority: One of the four lanes.
            timeout: Seconds to wait; the task is stale after them.
            wait: Do not fail at once when nobody serves the queue.

        Raises:
            NoResponder: Nobody serves that queue.
            RequestTimeout: Nobody answered in time.
            RequestFailed: The task is dead or cancelled; `reply` says why.
        """
        return await self._requests.request(type, payload, queue=queue, priority=priority, timeout=timeout, wait=wait)

    async def doctor(self, *, ha: bool | None = None) -> tuple[Finding, ...]:
        """Look for dangerous settings and broken keys; each finding names its fix.

        Args:
            ha: Whether the deployment is meant to survive the loss of a server; found out if None.
        """
        return await examine(self.connection, self.keys, self.clock, ha=ha)

    async def audit(self, *, group: str = "workers", examples: int = 5) -> Audit:
        """Rebuild the books from the event log and compare them with what the engine holds; see `audit.audit`."""
        return await audit(self.connection, self.keys, group=group, examples=examples)

    async def dead_letters(self, *, after: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return dead letters, newest first, below the entry *after*."""
        return await letters.page_of_letters(self.connection, self.keys, after=after, limit=limit)

    async def dead_letter(self, entry_id: str) -> DeadLetter | None:
        """Return one dead letter by its entry id; None if it is gone."""
        return await letters.one_letter(self.connection, self.keys, entry_id)

    async def requeue(self, entry_ids: Iterable[str]) -> list[Requeued]:
        """Put dead letters back into the lanes they came from, with fresh attempts; one answer an entry, in order."""
        return await letters.requeue(self.connection, self.keys, entry_ids, self.name)

    async def events(self, *, after: str | None = None, limit: int = 100, agent: str = "") -> Page[Event]:
        """Return facts of the log, newest first, below the id *after*, across days.

        Args:
            after: Id of a fact, or the `after` of the page before; None for the newest.
            limit: Facts at most.
            agent: Only what this agent did, and what happened in its own queue or mailbox. A page then looks at
                10,000 facts at most, says how many in `searched`, and may hold fewer than *limit* where more follow.
        """
        if not agent:
            return await log.page_of_events(self.connection, self.keys, after=after, limit=limit)
        ask = Ask(after or "", limit=limit, where=log.concerns(self.keys, agent))
        return await log.piece_of_events(self.connection, self.keys, ask)

    def tail(self, after: str | None = None, *, agent: str = "") -> AsyncIterator[Event]:
        """Follow the log from behind the id *after*, or from now on, of one *agent* if named; see `log.follow`."""
        return log.follow(self.connection, self.keys, after, log.concerns(self.keys, agent) if agent else None)

    async def observe(self, cursor: Cursor | None = None, *, deadline_s: float = 2.0) -> Observation:
        """Look at the whole bus at one instant, in one round trip.

        Args:
            cursor: That of the look before; none for the first.
            deadline_s: Seconds after which to give up.
        """
        return await look(self.connection, self.keys, cursor or Cursor(), deadline_s=deadline_s)

    def keeper(self, lease_s: float) -> LeaseKeeper:
        """Return the lease keeper of this process, started; the shortest lease decides its pace."""
        if self._keeper is None:
            client = self.connection.blocking_client()
            flags = self.connection.flags
            self._keeper = LeaseKeeper(client, self.keys.prefix, self.keys.delayed, flags=flags, lease_s=lease_s)
            self._keeper.start()
            self._pulse = asyncio.create_task(_show_life(self._keeper), name="observatory-alive")
        self._keeper.keep_pace(lease_s)
        return self._keeper

    def listen(self, heard: Heard) -> None:
        """Call *heard* for every word on the control doorbell; workers use it."""
        self._doorbell.listen(heard)

    def unlisten(self, heard: Heard) -> None:
        """Do not call *heard* any more."""
        self._doorbell.unlisten(heard)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold *task* until it is done; closing the bus gives it a moment to finish."""
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _seconds_until(self, moment: datetime) -> float:
        """Seconds of server time from now to *moment*; what the local clock is off by was measured when connecting."""
        return (moment.timestamp() * 1000 - self.clock.now_ms() - self._skew_ms) / 1000


async def _show_life(keeper: LeaseKeeper) -> None:
    while True:
        keeper.alive()
        await asyncio.sleep(0.5)


def _priority(value: Priority | str) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise UsageError(f"priority: {line(value, 64)!r} is none of {', '.join(Priority)}") from None
