"""What became of a message: read from its record and its mailbox, wherever it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.partitions import everywhere
from observatory.model.task import DEFAULT_TTL_S, EntryId
from observatory.model.ticket import Ticket, TicketKind, TicketStatus
from observatory.model.wire import duration_s

if TYPE_CHECKING:
    from observatory.bus.links.link import Reply
    from observatory.bus.partitions import Partitions


async def tickets_of(partitions: Partitions, message_id: str) -> list[Ticket]:
    """Return a ticket for each mailbox that the message *message_id* was put into, by the agents' names."""
    answers = await everywhere(partitions, "ticket", lambda _: (message_id,))
    found = [
        _ticket(message_id, partition.keys.mailbox(""), now, row)
        for partition, ((now, rows), _) in zip(partitions, answers, strict=True)
        for row in rows
    ]
    return sorted(found, key=lambda ticket: ticket.to)


def _ticket(message_id: str, head: str, now: int, row: Reply) -> Ticket:
    stream, entry, delivered, settled, stands, ttl, holder = row
    queued_ms = EntryId.parse(entry).ms
    settled_at, _, how = settled.decode().partition(" ")
    status, reason = TicketStatus.QUEUED, ""
    if how == "acknowledged":
        status = TicketStatus.ACKNOWLEDGED
    elif how:
        # Expired, or a dead letter with its reason.
        status, reason = TicketStatus.FAILED, how
    elif stands and now > queued_ms + (duration_s(ttl.decode()) if ttl else DEFAULT_TTL_S) * 1000:
        status, reason = TicketStatus.FAILED, "expired"
    elif not stands:
        status, reason = TicketStatus.FAILED, "deleted"
    elif holder:
        status = TicketStatus.DELIVERED
    return Ticket(
        message_id,
        TicketKind.MESSAGE,
        status,
        stream.decode("utf-8", "surrogateescape").removeprefix(head),
        queued_ms=queued_ms,
        delivered_ms=int(delivered) if delivered else None,
        settled_ms=int(settled_at) if settled_at else None,
        reason=reason,
        owner=holder.decode("utf-8", "replace"),
    )
