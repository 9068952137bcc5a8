"""Reading a mailbox without staying: for agents that come now and then, such as over HTTP.

What a visitor takes along is his for `VISIT_LEASE_S`; then it is given to whoever reads the mailbox next. All
visitors are one reader to the engine, so what was taken at one gateway is acknowledged at any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.bus.payloads.blobs import opened
from observatory.bus.talk.postman import LEASE_S, What
from observatory.model.errors import BusError, UsageError
from observatory.model.message import Message
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus.links.link import Argument
    from observatory.bus.partitions import Partition
    from observatory.bus.payloads.blobs import BlobStore

VISIT_LEASE_S: Final = LEASE_S
"""Seconds in which a visitor acknowledges what he took; what he does not is read again."""

VISITOR: Final = "visitor"
"""Name of all visitors together in the group of a mailbox."""

_RECEIPT = re.compile(r"(\d{1,16}-\d{1,10})/(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that a visitor took along.

    Attributes:
        message: The message.
        deliveries: How often it was delivered, this time included.
    """

    message: Message
    deliveries: int

    @property
    def receipt(self) -> str:
        """What acknowledges it."""
        return f"{self.message.entry_id}/{self.deliveries}"


async def collect(partition: Partition, agent: str, limit: int, *, blobs: BlobStore | None) -> list[Taken]:
    """Take up to *limit* messages of *agent* along, the oldest first; a mailbox that is not there yet is made.

    Raises:
        BusError: The mailbox cannot be read.
    """
    stream = partition.keys.mailbox(agent)
    now, ((problem, rows),) = await partition.link.call(
        "fetch", (VISITOR, round(VISIT_LEASE_S * 1000), limit), (stream,)
    )
    if problem and not rows:
        raise BusError(f"the mailbox {stream} cannot be read: {line(problem.decode('utf-8', 'replace'))}")
    found = [Taken(Message.read(agent, ident.decode(), pairs(flat)), deliveries) for ident, flat, deliveries in rows]
    late = [taken for taken in found if taken.message.is_expired(now)]
    if late:
        await _settle(partition, [(taken.receipt, What.EXPIRE, taken.message) for taken in late], agent)
    return [Taken(await opened(blobs, taken.message), taken.deliveries) for taken in found if taken not in late]


async def acknowledge(partition: Partition, agent: str, receipts: Sequence[str]) -> list[str]:
    """Take messages off the mailbox of *agent* that a visitor took along.

    Returns:
        For each receipt `done`, `gone` (it is not in the mailbox any more) or `lost` (another reader has it now).

    Raises:
        UsageError: A receipt is none.
    """
    return await _settle(partition, [(receipt, What.ACKNOWLEDGE, None) for receipt in receipts], agent)


async def _settle(partition: Partition, wanted: Sequence[tuple[str, What, Message | None]], agent: str) -> list[str]:
    stream = partition.keys.mailbox(agent)
    args: list[Argument] = [VISITOR]
    for receipt, what, message in wanted:
        found = _RECEIPT.fullmatch(receipt)
        if found is None:
            raise UsageError(f"receipts: {line(receipt, 64)!r} is none", "give back what came with the message")
        args += (stream, found[1], int(found[2]), what)
        args += (round(message.ttl_s * 1000), message.id, message.type) if message else (0, "", "")
        args.append(agent)
    return [word.decode() for word in await partition.link.call("acknowledge", args)]
