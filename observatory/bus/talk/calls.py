"""What `Bus` can do to converse: heartbeats, messages, broadcasts, requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from observatory.bus.talk import visits
from observatory.bus.talk.broadcasts import Broadcasts
from observatory.bus.talk.journal import Journal, check_journal
from observatory.bus.talk.mail import WINDOW, Mail, check_agent
from observatory.bus.talk.mailbell import MailBell, Rang
from observatory.bus.talk.postman import LEASE_S as MAIL_LEASE_S
from observatory.bus.talk.requests import TIMEOUT_S as REQUEST_TIMEOUT_S
from observatory.bus.talk.requests import Requests
from observatory.bus.talk.rung import RungPostman
from observatory.bus.talk.sides import Sides
from observatory.bus.talk.tickets import tickets_of
from observatory.bus.tasks.calls import TaskCalls
from observatory.model.agent import DEFAULT_INTERVAL_S, Heartbeat, write_heartbeat
from observatory.model.task import DEFAULT_TTL_S, SHARED, Priority
from observatory.model.ticket import ticket_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus.partitions import Partitions
    from observatory.bus.payloads.blobs import BlobStore
    from observatory.bus.payloads.payload import Payload
    from observatory.bus.talk.broadcasts import Hearing, Told
    from observatory.bus.talk.mail import Inbox, Sent
    from observatory.bus.talk.visits import Taken
    from observatory.model.clock import Clock
    from observatory.model.event import EventKind
    from observatory.model.message import NewMessage, Reply
    from observatory.model.ticket import Ticket


class TalkCalls(TaskCalls):
    """The part of `Bus` that is about conversation."""

    def __init__(
        self,
        partitions: Partitions,
        name: str,
        clock: Clock,
        blobs: BlobStore | None = None,
        *,
        many_inboxes: bool = False,
    ) -> None:
        super().__init__(partitions, name, clock, blobs)
        self._many_inboxes = many_inboxes
        self._mailbell = MailBell(partitions)
        self._mails: dict[int | None, Mail] = {}
        self._broadcasts: Broadcasts | None = None
        self._requests = Requests(partitions, name, clock, self._publish_request, blobs=blobs)

    async def note(
        self, kind: EventKind, *, lane: str = "", agent: str = "", reason: str = "", detail: str = ""
    ) -> None:
        """Write a fact into the event log that goes with no change of the bus, such as an alert.

        Args:
            kind: What happened.
            lane: Key of the lane that it is about.
            agent: Who says so, or whom it is about.
            reason: One word of why.
            detail: One line of anything else.
        """
        await self.partitions.seat.link.call("note", (kind, lane, agent, reason, detail))

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
        await self.partitions.of(agent).link.call(
            "beat", (consumer or agent, agent, status, interval_s, *write_heartbeat(beat))
        )

    async def send_message(
        self,
        agent: str,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        ttl: float = DEFAULT_TTL_S,
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        sender: str | None = None,
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
            sender: Who sends; the bus's name by default.
            correlation_id: Ties a family of tasks and messages together.
            reply_to: Where an answer is expected.

        Raises:
            BusBusyError: The mailbox is at its bound; nothing was added.
        """
        return await self._mail_of(agent).send(
            agent,
            payload,
            type=type,
            ttl=ttl,
            id=id,
            sender=sender,
            correlation_id=correlation_id,
            reply_to=reply_to,
        )

    async def post(self, message: NewMessage) -> Sent:
        """Send one message that is complete with its id; see `send_message`."""
        return await self._mail_of(message.to).send_message(message)

    def inbox(self, agent: str, *, window: int = WINDOW, lease_s: float = MAIL_LEASE_S) -> Inbox:
        """Return the mailbox of a local agent, to iterate over; each message waits for `ack`.

        Args:
            agent: Whose mailbox.
            window: Messages held unacknowledged at most; at that many it reads no further.
            lease_s: Seconds of silence after which another reader may take over what this one holds.
        """
        return self._mail_of(agent).inbox(agent, window=window, lease_s=lease_s)

    async def collect(self, agent: str, *, limit: int = 100) -> list[Taken]:
        """Take messages of *agent* along without staying; see `visits`. What is not acknowledged in time is read again.

        Args:
            agent: Whose mailbox.
            limit: Messages at most.
        """
        check_agent("agent", agent)
        return await visits.collect(self.partitions.of(agent), agent, limit, blobs=self.blobs)

    async def acknowledge(self, agent: str, receipts: Sequence[str]) -> list[str]:
        """Acknowledge what `collect` brought, by receipt: `done`, `gone` or `lost` for each."""
        check_agent("agent", agent)
        return await visits.acknowledge(self.partitions.of(agent), agent, receipts)

    async def tickets(self, ident: str) -> list[Ticket]:
        """Return what became of the task, or of the message in each mailbox, whose id is *ident*; none if unknown."""
        # A message that became a dead letter has the record of a task as well.
        found, record = await asyncio.gather(tickets_of(self.partitions, ident), self.record(ident))
        return found or ([] if record is None else [ticket_of(record)])

    def hear_mail(self, agent: str, rang: Rang) -> None:
        """Call *rang* whenever somebody sends to *agent* by the bus client; bells may be lost."""
        self._mailbell.listen(agent, rang)

    def unhear_mail(self, agent: str, rang: Rang) -> None:
        """Do not call *rang* for *agent* any more."""
        self._mailbell.unlisten(agent, rang)

    async def broadcast(
        self,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        correlation_id: str = "",
    ) -> Told:
        """Tell all agents; each hears it by its own cursor, and a gap if it was away for too long."""
        return await self._all_agents().tell(payload, type=type, id=id, correlation_id=correlation_id)

    def broadcasts(self, agent: str, *, since: str | None = None) -> Hearing:
        """Return what is told to all, from the cursor of *agent* on, to iterate over; see `broadcasts.Hearing`."""
        return self._all_agents().hear(agent, since=since)

    @property
    def sides(self) -> Sides:
        """Which agents of an older system have moved to this bus."""
        return Sides(self.partitions.seat)

    def journal(self, name: str, *, stream: str = "") -> Journal:
        """Return the journal *name*, which the lines of files are moved into.

        Args:
            name: What it is called.
            stream: Key of this bus that the lines go to instead of a stream of its own.

        Raises:
            UsageError: *name* cannot name one, or *stream* is no key of this bus.
        """
        check_journal(name)
        partition = self.partitions.of_stream(stream) if stream else self.partitions.of(name)
        return Journal(partition, name, stream, self.name)

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

    async def _close_talk(self) -> None:
        """Send what is under way, give back what was read, and close the connections."""
        await self._mailbell.close()
        await self._requests.close()
        if self._broadcasts is not None:
            await self._broadcasts.close()
        for mail in self._mails.values():
            await mail.close()

    def _mail_of(self, agent: str) -> Mail:
        partition = self.partitions.of(agent)
        if (mail := self._mails.get(partition.number)) is None:
            postman = RungPostman(partition.link, self.clock, self._mailbell) if self._many_inboxes else None
            mail = Mail(partition.link, partition.keys, self.name, self.clock, blobs=self.blobs, postman=postman)
            self._mails[partition.number] = mail
        return mail

    def _all_agents(self) -> Broadcasts:
        if self._broadcasts is None:
            seat = self.partitions.seat
            self._broadcasts = Broadcasts(seat.link, seat.keys, self.name, self.clock, blobs=self.blobs)
        return self._broadcasts
