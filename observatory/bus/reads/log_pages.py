"""The event log as it stands, in pages of whole entries, oldest first: for whoever copies it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.bus.keys import day_of, shifted
from observatory.bus.reads.log import DAYS_KEPT
from observatory.model.task import EntryId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus.partitions import Partition

    RawEntry = tuple[bytes, Sequence[bytes]]
    """An entry: its id, its names and values in turn."""

PAGE: Final = 4_000
"""Entries of a page: some milliseconds of the engine's time."""


@dataclass(frozen=True, slots=True)
class DayLog:
    """The log of one day in one partition.

    Attributes:
        length: Entries that stand in it.
        first: Its first entry; empty if it has none.
        last: The newest entry it ever had.
        gone: Entries that were trimmed off, or deleted; None where the engine does not say.
    """

    length: int
    first: str
    last: str
    gone: int | None


async def days_of(partition: Partition) -> list[str]:
    """Return the days whose log may still be in the engine, up to today, and tomorrow's if a clock jumped.

    Raises:
        BusError: The engine cannot be asked.
    """
    today = day_of(await now_ms(partition))
    return [shifted(today, -back) for back in range(DAYS_KEPT + 1, -2, -1)]


async def now_ms(partition: Partition) -> int:
    """Return the server's time in ms.

    Raises:
        BusError: The engine cannot be asked.
    """
    seconds, micros = await partition.link.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


async def day_log(partition: Partition, day: str) -> DayLog | None:
    """Return what there is of a day; None if nothing.

    Raises:
        BusError: The log cannot be read.
    """
    key = partition.keys.events(day)
    if not await partition.link.command("EXISTS", key):
        return None
    flat = await partition.link.command("XINFO", "STREAM", key)
    said = dict(zip(flat[::2], flat[1::2], strict=False)) if isinstance(flat, list) else flat
    first = said.get(b"first-entry")
    added = said.get(b"entries-added")
    length = int(said[b"length"])
    return DayLog(
        length,
        first[0].decode() if first else "",
        said[b"last-generated-id"].decode(),
        None if added is None else int(added) - length,
    )


async def page_of_log(partition: Partition, day: str, after: str, upto: str = "+", count: int = PAGE) -> list[RawEntry]:
    """Return whole entries of a day's log behind the entry *after* (empty: from the first) up to *upto*.

    Raises:
        BusError: The log cannot be read.
    """
    start = f"({after}" if after else "-"
    rows = await partition.link.command("XRANGE", partition.keys.events(day), start, upto, "COUNT", count)
    return [(ident, flat) for ident, flat in rows]


def before_ms(ms: int) -> str:
    """Return the upper bound of a range of entries that came before *ms*."""
    return f"({ms}-0"


def later(one: str, two: str) -> str:
    """Return the later of two entry ids; an empty one is earlier than all."""
    if not one or not two:
        return one or two
    return max(one, two, key=EntryId.parse)


async def drop_day(partition: Partition, day: str, last: str) -> bool:
    """Let go of the log of a day that is over, if its newest entry is still *last*; says whether it is gone.

    Nothing is written into a day that is over, so between looking and dropping nothing can come.

    Raises:
        BusError: The engine refuses.
    """
    found = await day_log(partition, day)
    if found is None:
        return True
    if found.last != last:
        return False
    await partition.link.command("UNLINK", partition.keys.events(day))
    return True
