"""Tickets: what became of something that was handed over to the bus, in four words that any sender understands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from observatory.model.task import TaskState

if TYPE_CHECKING:
    from observatory.model.task import TaskRecord


class TicketStatus(StrEnum):
    """Where something is on its way."""

    QUEUED = "queued"
    """It waits for whom it is for."""
    DELIVERED = "delivered"
    """Somebody has it in hand."""
    ACKNOWLEDGED = "acknowledged"
    """It was handled."""
    FAILED = "failed"
    """It will not be handled; `reason` says why."""


class TicketKind(StrEnum):
    """What a ticket is for."""

    MESSAGE = "message"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the bus knows of one message or task by its id.

    Attributes:
        id: Id of the message or task.
        kind: Which of the two.
        status: Where it is.
        to: Agent of a message; stream key of the lane of a task.
        queued_ms: When the bus received it, ms of server time; None if unknown.
        delivered_ms: When a gateway first handed it out; None if it did not, or another reader took it.
        settled_ms: When it was acknowledged or failed; None if it was not, or nothing says when.
        reason: Why it failed; empty otherwise.
        attempt: Attempt that a task is at, from 1.
        owner: Who has it in hand or settled it; empty if nobody, or unknown.
    """

    id: str
    kind: TicketKind
    status: TicketStatus
    to: str
    queued_ms: int | None = None
    delivered_ms: int | None = None
    settled_ms: int | None = None
    reason: str = ""
    attempt: int = 1
    owner: str = ""


_OF_STATE = {
    TaskState.DELAYED: TicketStatus.QUEUED,
    TaskState.QUEUED: TicketStatus.QUEUED,
    TaskState.RUNNING: TicketStatus.DELIVERED,
    TaskState.DONE: TicketStatus.ACKNOWLEDGED,
    TaskState.DEAD: TicketStatus.FAILED,
    TaskState.CANCELLED: TicketStatus.FAILED,
}


def ticket_of(record: TaskRecord) -> Ticket:
    """Return the record of a task as a ticket: the entry of a dead letter tells when it died, others when they came."""
    entered = record.entry_id.rpartition(" ")[2].partition("-")[0]
    at_ms = int(entered) if entered.isdecimal() else None
    dead = record.state is TaskState.DEAD
    return Ticket(
        record.id,
        TicketKind.TASK,
        _OF_STATE[record.state],
        record.lane,
        queued_ms=None if dead else at_ms,
        settled_ms=at_ms if dead else None,
        reason=(record.reason or str(record.state)) if _OF_STATE[record.state] is TicketStatus.FAILED else "",
        attempt=record.attempt,
        owner=record.owner,
    )
