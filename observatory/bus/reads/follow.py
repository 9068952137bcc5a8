"""Following the logs of several partitions as one: facts in the order of their ids, none left out, none twice.

The engines stamp each fact when it happens. So when every partition has been read to its end at a known time of its
own clock, nothing earlier than the earliest of these times can still come, and all before it is told in order.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.bus.keys import day_of, shifted
from observatory.bus.partitions import everywhere
from observatory.bus.reads.log import DAYS_KEPT, follow, read_events
from observatory.bus.reads.whole import entry_above, told
from observatory.model.event import event_entry, event_order
from observatory.model.task import EntryId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from observatory.bus.partitions import Partition, Partitions
    from observatory.model.event import Event

LOOK_EVERY_S: Final = 0.25
"""Seconds between two looks at the ends of the logs."""

LONGEST_HELD_S: Final = 2.0
"""Seconds that a fact is kept back at most: a clock that jumped ahead leaves ids in the future."""

_PAGE: Final = 500


@dataclass(slots=True)
class _End:
    """How far one partition was read."""

    partition: Partition
    day: str
    last: str
    complete_ms: int = 0


def follow_all(
    partitions: Partitions, after: str | None, where: Callable[[Event], bool] | None = None
) -> AsyncIterator[Event]:
    """Yield facts behind the id *after* (default: those from now on), oldest first, across days, for ever.

    With *where*, only those that pass it.

    Raises:
        BusError: The log cannot be read at all; `BusUnreachableError` when an engine stays away.
    """
    if len(partitions) == 1:
        return follow(partitions.seat.link, partitions.seat.keys, after, where)
    return _passing(_follow(partitions, after), where)


async def _passing(facts: AsyncIterator[Event], where: Callable[[Event], bool] | None) -> AsyncIterator[Event]:
    async for event in facts:
        if where is None or where(event):
            yield event


async def _follow(partitions: Partitions, after: str | None) -> AsyncIterator[Event]:
    clock = asyncio.get_running_loop().time
    ends = [await _begin(partition, after) for partition in partitions]
    held: list[tuple[tuple[int, int, int, int], float, Event]] = []
    if after is not None:
        for event in await _rest_of_entry(partitions, after):
            yield event
    while True:
        full = await _read(ends, held, clock())
        horizon = min(end.complete_ms for end in ends)
        while held and (held[0][0][0] < horizon or clock() - held[0][1] > LONGEST_HELD_S):
            yield heapq.heappop(held)[2]
        if not full:
            await asyncio.sleep(LOOK_EVERY_S)


async def _read(ends: list[_End], held: list[tuple[tuple[int, int, int, int], float, Event]], now: float) -> bool:
    """Read on in all partitions, one round trip a node; say whether there is more."""
    by_number = {end.partition.number: end for end in ends}

    def args(partition: Partition) -> tuple[str, str, int]:
        end = by_number[partition.number]
        return end.day, end.last, _PAGE

    more = False
    for end, ((now_text, rows), _) in zip(
        ends, await everywhere([end.partition for end in ends], "tail", args), strict=True
    ):
        for ident, flat in rows:
            end.last = ident.decode()
            for event in read_events(ident, flat):
                fact = told(event, end.partition)
                heapq.heappush(held, (event_order(fact.id), now, fact))
        if len(rows) == _PAGE:
            end.complete_ms = EntryId.parse(end.last).ms
            more = True
        elif end.day < day_of(int(now_text)):
            # A closed day can never receive a late write, so having read to its end means that it is done.
            end.day = shifted(end.day, 1)
            more = True
        else:
            end.complete_ms = int(now_text)
    return more


async def _begin(partition: Partition, after: str | None) -> _End:
    now = await partition.link.command("TIME")
    now_ms = int(now[0]) * 1000 + int(now[1]) // 1000
    if after is None:
        return _End(partition, day_of(now_ms), f"{now_ms}-0")
    last, today = entry_above(after, partition), day_of(now_ms)
    return _End(partition, max(min(day_of(event_order(after)[0]), today), shifted(today, -DAYS_KEPT)), last)


async def _rest_of_entry(partitions: Partitions, after: str) -> list[Event]:
    """Return the facts that stand behind *after* in its own entry."""
    ms, _, number, _ = event_order(after)
    partition = partitions.numbered(number)
    if partition is None:
        return []
    entry = event_entry(after)
    rows = await partition.link.command("XRANGE", partition.keys.events(day_of(ms)), entry, entry)
    facts = (told(event, partition) for ident, flat in rows for event in read_events(ident, flat))
    return [event for event in facts if event_order(event.id) > event_order(after)]
