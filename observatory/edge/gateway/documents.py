"""From what the bus knows to JSON, and from JSON to what the bus takes."""

from __future__ import annotations

import base64
import binascii
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from observatory.bus.payloads.payload import written
from observatory.edge.gateway.problems import Problem
from observatory.model.wire import rfc3339

if TYPE_CHECKING:
    from observatory.bus.payloads.payload import Payload as Taken
    from observatory.edge.gateway.shapes import Payload
    from observatory.model.event import Event
    from observatory.model.message import Message
    from observatory.model.task import Task
    from observatory.model.ticket import Ticket

Document = dict[str, Any]

_JSON = "application/json"
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def payload_of(said: Payload) -> tuple[bytes, str]:
    """Return the bytes that *said* stands for, and their MIME type.

    Raises:
        Problem: 422, where it says both or is not Base64.
        UsageError: It is too large.
    """
    if said.payload_base64 is None:
        return written(cast("Taken", said.payload))
    if said.payload is not None:
        raise Problem(422, "invalid", "give payload or payloadBase64, not both", field="payloadBase64")
    try:
        body = base64.b64decode(said.payload_base64, validate=True)
    except binascii.Error:
        raise Problem(422, "invalid", "is not Base64", field="payloadBase64") from None
    return written(body)[0], said.content_type


def shown(payload: bytes, content_type: str, *, raw: bool = False) -> Document:
    """Return a payload as JSON, as text, or, where it is neither or *raw* is asked for, in Base64."""
    if not raw:
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            pass
        else:
            if content_type == _JSON or (not content_type and text[:1] in {"{", "["}):
                try:
                    return {"payload": json.loads(text, parse_constant=_refuse), "encoding": "json"}
                except (ValueError, RecursionError):
                    pass
            return {"payload": text, "encoding": "text"}
    return {"payload": base64.b64encode(payload).decode(), "encoding": "base64"}


def message_document(message: Message, receipt: str, deliveries: int, *, raw: bool = False) -> Document:
    """Return a message as it is handed out."""
    return {
        "id": message.id,
        "entryId": message.entry_id,
        "receipt": receipt,
        "type": message.type,
        "from": message.sender,
        "to": message.to,
        **shown(message.payload, message.content_type, raw=raw),
        "contentType": message.content_type,
        "arrivedAt": rfc3339(message.arrived_ms),
        "ttl": message.ttl_s,
        "deliveries": deliveries,
        "correlationId": message.correlation_id,
        "replyTo": message.reply_to,
    }


def task_document(task: Task, receipt: str, deliveries: int, *, raw: bool = False) -> Document:
    """Return a task as it is handed out."""
    return {
        "id": task.id,
        "entryId": task.entry_id,
        "receipt": receipt,
        "type": task.type,
        "from": task.sender,
        "queue": task.lane.queue,
        "priority": str(task.lane.priority),
        **shown(task.payload, task.content_type, raw=raw),
        "contentType": task.content_type,
        "arrivedAt": rfc3339(task.arrived_ms),
        "ttl": task.ttl_s,
        "attempt": task.attempt,
        "deliveries": deliveries,
        "correlationId": task.correlation_id,
        "replyTo": task.reply_to,
    }


def ticket_document(ticket: Ticket) -> Document:
    """Return a ticket."""
    return {
        "ticketId": ticket.id,
        "kind": str(ticket.kind),
        "status": str(ticket.status),
        "to": ticket.to,
        "queuedAt": _moment(ticket.queued_ms),
        "deliveredAt": _moment(ticket.delivered_ms),
        "settledAt": _moment(ticket.settled_ms),
        "reason": ticket.reason,
        "attempt": ticket.attempt,
        "owner": ticket.owner,
    }


def event_document(event: Event) -> Document:
    """Return a fact of the log."""
    return {
        "id": event.id,
        "kind": str(event.kind),
        "at": rfc3339(event.ts_ms),
        "task": event.task,
        "type": event.type,
        "lane": event.lane,
        "agent": event.agent,
        "attempt": event.attempt,
        "reason": event.reason,
        "ms": event.ms,
        "detail": event.detail,
    }


@lru_cache(maxsize=2048)
def event_text(event: Event) -> str:
    """Return a fact as JSON, written once for however many listen."""
    return as_text(event_document(event))


def as_text(document: Document) -> str:
    """Return *document* as JSON in ASCII, so that whatever foreign text holds can be sent."""
    return _ENCODER.encode(document)


def _moment(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def _refuse(word: str) -> NoReturn:
    """JSON of others may hold NaN, which is no JSON."""
    raise ValueError(word)
