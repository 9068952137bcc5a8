"""`RemoteBus`: the bus client over a gateway."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from observatory.bus.client import Bus
from observatory.bus.payloads.blobs import most_bytes
from observatory.bus.payloads.payload import Payload, written
from observatory.bus.remote.channel import DEADLINE_S, Channel, Document
from observatory.bus.remote.elsewhere import Elsewhere
from observatory.bus.remote.facts import follow
from observatory.bus.remote.line import Line
from observatory.bus.remote.mail import RemotePostman
from observatory.bus.remote.worker import RemoteWorker
from observatory.bus.talk.broadcasts import Told
from observatory.bus.talk.mail import WINDOW, Inbox, SendOutcome, Sent, check_agent
from observatory.bus.talk.postman import LEASE_S as MAIL_LEASE_S
from observatory.bus.talk.requests import TIMEOUT_S, RequestFailed, RequestTimeout
from observatory.bus.tasks.calls import CancelOutcome
from observatory.bus.tasks.publisher import Published, PublishOutcome
from observatory.model.agent import DEFAULT_INTERVAL_S
from observatory.model.errors import UsageError
from observatory.model.message import NewMessage, Reply, ReplyStatus
from observatory.model.task import SHARED, NewTask, Priority, TaskRecord, TaskResult, TaskState
from observatory.model.ticket import Ticket, TicketKind, TicketStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

    from observatory.bus.payloads.blobs import BlobStore
    from observatory.bus.tasks.handlers import Handler
    from observatory.bus.tasks.outbox import Order
    from observatory.bus.tasks.worker import Worker
    from observatory.model.clock import Clock
    from observatory.model.event import Event

_STATES = {
    TicketStatus.QUEUED: TaskState.QUEUED,
    TicketStatus.DELIVERED: TaskState.RUNNING,
    TicketStatus.ACKNOWLEDGED: TaskState.DONE,
    TicketStatus.FAILED: TaskState.DEAD,
}


class RemoteBus(Bus):
    """A bus that is reached through a gateway; see `Bus`, and `Bus.connect`.

    Args:
        channel: The way to the gateway.
        name: Who we are.
        clock: Where creation times come from.
        blobs: Where large payloads are stored; None to refuse them.
        outbox: Folder where tasks wait while the gateway is out of reach; None to refuse them.
        signature: In whose name is sent what says nothing of that; None for whoever the key belongs to.
    """

    def __init__(
        self,
        channel: Channel,
        name: str,
        clock: Clock,
        blobs: BlobStore | None = None,
        *,
        outbox: Path | None = None,
        signature: str | None = None,
    ) -> None:
        super().__init__(Elsewhere(channel), name, clock, blobs, outbox=outbox)
        self._channel = channel
        self._signature = signature
        self._lines: dict[str, Line] = {}
        self._postman = RemotePostman(self._line_of)

    async def _reach(self, deadline_s: float = DEADLINE_S) -> None:
        if not self._reached:
            await self.partitions.open(deadline_s=deadline_s)
            self._reached = True

    async def close(self) -> None:
        """Give back what is held, and close every connection."""
        await self._postman.close()
        await super().close()

    async def _publish_now(self, order: Order) -> Published:
        task = order.task
        document = (
            _task(task)
            | self._signed(task.sender)
            | {"dedupe": order.dedupe, "dedupeTtl": order.dedupe_ttl, "durable": order.durable}
        )
        _, said = await self._channel.call("POST", "/tasks", document)
        if said["duplicate"]:
            outcome = PublishOutcome.DUPLICATE
        else:
            outcome = PublishOutcome.DELAYED if task.delay_s else PublishOutcome.QUEUED
        return Published(said["ticketId"], outcome, "", task.lane)

    async def publish_many(self, tasks: Iterable[NewTask]) -> list[Published]:
        """Publish many tasks, in order; see `publish`."""
        return [await self.publish_task(task) for task in tasks]

    def stream_for(self, task: NewTask) -> str:
        """Return the lane that *task* goes to; what its key is called is known to the engine's users alone."""
        return str(task.lane)

    async def cancel(self, task_id: str) -> CancelOutcome:
        """Take a task back, wherever it is."""
        status, said = await self._channel.call("POST", f"/tasks/{_path(task_id)}/cancel", expect=(200, 404, 409))
        if status == 404:
            return CancelOutcome.UNKNOWN
        return CancelOutcome.SETTLED if status == 409 else CancelOutcome(said["outcome"])

    async def record(self, task_id: str) -> TaskRecord | None:
        """Return what the bus remembers of a task; None if it remembers nothing."""
        found = await self.result(task_id)
        return None if found is None else found.record

    async def result(self, task_id: str) -> TaskResult | None:
        """Return how a task ended and what its handler returned; None if the bus remembers nothing of it."""
        return await self._result(task_id, 0.0)

    async def _result(self, task_id: str, wait_s: float) -> TaskResult | None:
        status, said = await self._channel.call(
            "GET",
            f"/tasks/{_path(task_id)}",
            params={"payload": "base64", "wait": wait_s},
            expect=(200, 404),
            deadline_s=wait_s + DEADLINE_S,
        )
        if status == 404:
            return None
        ticket = _ticket(said["ticket"])
        state = TaskState.CANCELLED if ticket.reason == TaskState.CANCELLED else _STATES[ticket.status]
        record = TaskRecord(
            ticket.id, state, ticket.to, "", ticket.attempt, ticket.owner, ticket.reason, cancel_requested=False
        )
        payload = base64.b64decode(said["result"] or "")
        return TaskResult(record, payload, said["contentType"], said["error"], said["progress"])

    async def tickets(self, ident: str) -> list[Ticket]:
        """Return what became of the task or message whose id is *ident*; none if unknown."""
        status, said = await self._channel.call("GET", f"/tickets/{_path(ident)}", expect=(200, 404))
        return [] if status == 404 else [_ticket(said)]

    async def heartbeat(
        self,
        agent: str,
        *,
        consumer: str = "",
        status: str = "idle",
        task: str = "",
        task_since_ms: int | None = None,  # noqa: ARG002 - the gateway is not told
        load: float | None = None,
        interval_s: float = DEFAULT_INTERVAL_S,
        capabilities: Sequence[str] = (),
        version: str = "",
        done: int | None = None,  # noqa: ARG002
        failed: int | None = None,  # noqa: ARG002
    ) -> None:
        """Say that *agent* lives."""
        document = {
            "consumer": consumer,
            "status": status,
            "task": task,
            "load": load,
            "interval": interval_s,
            "capabilities": list(capabilities),
            "version": version,
        }
        await self._channel.call("POST", f"/agents/{_agent(agent)}/heartbeat", document)

    async def send_message(self, agent: str, payload: Payload = None, **more: Any) -> Sent:  # noqa: ANN401 - see Bus
        """Put a message into one agent's mailbox; see `Bus.send_message`."""
        body, content_type = written(payload, most=most_bytes(self.blobs))
        ident = more.pop("id", None) or uuid.uuid4().hex
        sender = more.pop("sender", None)
        ttl = more.pop("ttl", None)
        sender = sender or self.name
        message = NewMessage(body, ident, to=agent, sender=sender, content_type=content_type, **more)
        return await self.post(message if ttl is None else NewMessage(**{**_fields(message), "ttl_s": ttl}))

    async def post(self, message: NewMessage) -> Sent:
        """Send one message that is complete with its id; see `send_message`."""
        document = _message(message) | self._signed(message.sender)
        status, said = await self._channel.call("POST", f"/agents/{_agent(message.to)}/send", document)
        outcome = SendOutcome.DUPLICATE if status == 200 else SendOutcome.SENT
        return Sent(message.id, message.to, outcome, "", bool(said["known"]))

    @property
    def postman(self) -> RemotePostman:
        """Who reads mailboxes through the gateway."""
        return self._postman

    def inbox(self, agent: str, *, window: int = WINDOW, lease_s: float = MAIL_LEASE_S) -> Inbox:
        """Return the mailbox of a local agent, to iterate over; each message waits for `ack`."""
        check_agent("agent", agent)
        return Inbox(self._postman, agent, agent, window, lease_s, blobs=self.blobs)

    def tail(self, after: str | None = None, *, agent: str = "") -> AsyncIterator[Event]:
        """Follow the log from behind the id *after*, or from now on; see `Bus.tail`.

        Raises:
            UsageError: Only one agent is meant: what concerns it is known to the engine's users alone.
        """
        if agent:
            raise UsageError("agent: the log of one agent cannot be followed through a gateway", "filter what comes")
        return follow(self._channel, after)

    async def broadcast(
        self,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        correlation_id: str = "",
    ) -> Told:
        """Tell all agents."""
        body, content_type = written(payload, most=most_bytes(self.blobs))
        document = {"type": type, "id": id or uuid.uuid4().hex, "correlationId": correlation_id}
        status, said = await self._channel.call("POST", "/broadcast", document | _payload(body, content_type))
        return Told(said["id"], SendOutcome.DUPLICATE if status == 200 else SendOutcome.SENT, "")

    async def request(
        self,
        type: str,  # noqa: A002 - the field's name on the wire
        payload: Payload = None,
        *,
        queue: str = SHARED,
        priority: Priority = Priority.NORMAL,
        timeout: float = TIMEOUT_S,
        wait: bool = False,  # noqa: ARG002 - nobody here knows who serves a queue
    ) -> Reply:
        """Publish a task and wait for what its handler returns; whether anybody serves its queue is not asked.

        Raises:
            RequestTimeout: Nobody answered in time.
            RequestFailed: The task is dead or cancelled.
        """
        published = await self.publish(type, payload, queue=queue, priority=priority, ttl=timeout)
        end = self.clock.monotonic() + timeout
        while (left := end - self.clock.monotonic()) > 0:
            found = await self._result(published.id, min(left, 30.0))
            if found is not None and found.is_final:
                return _reply(found)
        raise RequestTimeout(f"request {published.id} was not answered within {timeout:g} s", "ask with a longer one")

    def worker(self, agent: str, handlers: Mapping[str, Handler], **options: Any) -> Worker:  # noqa: ANN401 - see Worker
        """Make a worker for *agent*, which has `run`, `stop`, `stats` and `running` as every worker."""
        return cast("Worker", RemoteWorker(self, self._line_of(agent), agent, handlers, **options))

    def _signed(self, sender: str) -> Document:
        """Return in whose name something is sent; nothing where the gateway is to know by the key."""
        said = self._signature if sender == self.name else sender
        return {"from": said} if said else {}

    def _line_of(self, agent: str) -> Line:
        if (found := self._lines.get(agent)) is None:
            found = self._lines[agent] = Line(self._channel, agent)
        return found


def _agent(agent: str) -> str:
    check_agent("agent", agent)
    return agent


def _path(ident: str) -> str:
    """Return an id as a part of a path.

    Raises:
        UsageError: It is none that a gateway takes.
    """
    if not ident or len(ident) > 200 or not ident.isascii() or not ident.isprintable() or {" ", "/"} & set(ident):
        raise UsageError("id: 1 to 200 printable ASCII characters without blanks and slashes, through a gateway")
    return quote(ident, safe="")


def _payload(body: bytes, content_type: str) -> Document:
    return {"payloadBase64": base64.b64encode(body).decode(), "contentType": content_type}


def _task(task: NewTask) -> Document:
    return {
        "type": task.type,
        "id": task.id,
        "queue": task.queue,
        "priority": str(task.priority),
        "ttl": task.ttl_s,
        "delay": task.delay_s,
        "correlationId": task.correlation_id,
        "replyTo": task.reply_to,
        "orderingKey": task.ordering_key,
        **_payload(task.payload, task.content_type),
    }


def _message(message: NewMessage) -> Document:
    return {
        "id": message.id,
        "type": message.type,
        "ttl": message.ttl_s,
        "correlationId": message.correlation_id,
        "replyTo": message.reply_to,
        **_payload(message.payload, message.content_type),
    }


def _fields(message: NewMessage) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__dataclass_fields__}


def _ticket(said: Document) -> Ticket:
    return Ticket(
        said["ticketId"],
        TicketKind(said["kind"]),
        TicketStatus(said["status"]),
        said["to"],
        queued_ms=_ms(said["queuedAt"]),
        delivered_ms=_ms(said["deliveredAt"]),
        settled_ms=_ms(said["settledAt"]),
        reason=said["reason"],
        attempt=said["attempt"],
        owner=said["owner"],
    )


def _ms(moment: str | None) -> int | None:
    return None if moment is None else round(datetime.fromisoformat(moment).timestamp() * 1000)


def _reply(found: TaskResult) -> Reply:
    record = found.record
    status = ReplyStatus(str(record.state))
    reply = Reply(record.id, found.payload, found.content_type, record.id, "", status, found.error)
    if status is not ReplyStatus.DONE:
        raise RequestFailed(reply)
    return reply
