"""The groups of a lane with their consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.reads.observe import PARKED
from observatory.model.agent import agent_of
from observatory.model.listing import ConsumerRow, GroupRow
from observatory.model.snapshot import GroupView
from observatory.model.task import EntryId

if TYPE_CHECKING:
    from observatory.bus.links.link import Link, Reply

MOST_CONSUMERS = 5000
"""Consumers of a group that are told at most."""


async def groups_of(link: Link, stream: str) -> tuple[GroupRow, ...]:
    """Return the groups of *stream* by name; none if there is no such stream.

    Raises:
        BusError: It cannot be read.
    """
    rows = await link.call("groups", (MOST_CONSUMERS,), [stream])
    return tuple(sorted((_group(row) for row in rows), key=lambda group: group.view.name))


def _group(row: Reply) -> GroupRow:
    name, lag, pending, count, last, oldest, waiting, consumers = row
    living = [one for one in consumers if _text(one[0]) != PARKED]
    count -= len(consumers) - len(living)
    view = GroupView(_text(name), None if lag < 0 else lag, pending, count, last.decode())
    found = (
        ConsumerRow(_text(who), agent_of(_text(who)), held, idle, _known(seen)) for who, held, idle, seen in living
    )
    return GroupRow(
        view,
        tuple(sorted(found, key=lambda consumer: consumer.name)),
        EntryId.parse(oldest).ms if oldest else None,
        EntryId.parse(waiting).ms if waiting else None,
    )


def _known(inactive: int) -> int | None:
    """Lua cannot carry a nil inside a list, so -2 stands for what the engine does not say."""
    return None if inactive == -2 else inactive


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
