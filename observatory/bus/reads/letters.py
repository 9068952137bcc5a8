"""Dead letters: reading them in pages, and putting them back where they came from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from observatory.bus.reads.entries import read_window
from observatory.bus.reads.paging import TESTED_BYTES, Place, Window, paged
from observatory.model.dead_letter import DeadLetter
from observatory.model.listing import Page
from observatory.model.wire import pairs, read_dead_letter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.model.listing import Ask


class RequeueOutcome(StrEnum):
    """What became of one dead letter that was to be requeued."""

    REQUEUED = "requeued"
    GONE = "gone"
    """Somebody else requeued or deleted it meanwhile."""
    NO_LANE = "no lane"
    """It does not say which lane it came from."""


@dataclass(frozen=True, slots=True)
class Requeued:
    """The answer for one dead letter.

    Attributes:
        dead_id: Its entry in the dead-letter stream.
        outcome: What became of it.
        stream: Stream it went to; empty unless requeued.
        entry_id: Its new entry there; empty unless requeued.
    """

    dead_id: str
    outcome: RequeueOutcome
    stream: str = ""
    entry_id: str = ""


async def page_of_letters(link: Link, keys: Keys, *, after: str | None, limit: int) -> Page[DeadLetter]:
    """Return dead letters, newest first, below the entry *after*."""
    total = await link.command("XLEN", keys.dead_letters)
    end = f"({after}" if after else "+"
    rows = await link.command("XREVRANGE", keys.dead_letters, end, "-", "COUNT", limit)
    letters = tuple(read_dead_letter(ident.decode(), pairs(flat)) for ident, flat in rows)
    return Page(letters, letters[-1].entry_id if len(letters) == limit else None, total)


async def piece_of_letters(link: Link, keys: Keys, ask: Ask) -> Page[DeadLetter]:
    """Return a piece of the dead letters, in either direction; values above 64 KB are cut."""
    return await paged(ask, partial(_window, link, keys, ask), lambda letter: letter.entry_id, time="died")


async def _window(link: Link, keys: Keys, ask: Ask, place: Place, count: int) -> Window[DeadLetter]:
    window = await read_window(link, keys, keys.dead_letters, ask, place, count, longest=TESTED_BYTES)
    letters = [row.item for row in window.rows if isinstance(row.item, DeadLetter)]
    return Window(letters, window.more, window.total)


async def one_letter(link: Link, keys: Keys, entry_id: str) -> DeadLetter | None:
    """Return the dead letter at *entry_id*, or None if it is gone."""
    rows = await link.command("XRANGE", keys.dead_letters, entry_id, entry_id)
    return read_dead_letter(rows[0][0].decode(), pairs(rows[0][1])) if rows else None


async def requeue(link: Link, keys: Keys, entry_ids: Iterable[str], who: str) -> list[Requeued]:
    """Put dead letters back into the lanes they came from, one atomic step for all of them.

    Args:
        link: The link to the engine.
        keys: Key names.
        entry_ids: Entries of the dead-letter stream.
        who: Who does it, for the event.

    Returns:
        One answer an entry, in order.
    """
    ids = list(entry_ids)
    letters = [await one_letter(link, keys, ident) for ident in ids]
    movable = [letter for letter in letters if letter is not None and keys.lane_of(letter.source) is not None]
    args: list[str] = [uuid.uuid4().hex, who]
    for letter in movable:
        args += (letter.entry_id, letter.source, letter.task_id or f"x-dlq-{letter.entry_id}", letter.type)
    replies = await link.call("requeue", args) if movable else []
    answers = {
        letter.entry_id: Requeued(letter.entry_id, RequeueOutcome(outcome.decode()), letter.source, entry.decode())
        for letter, (outcome, entry) in zip(movable, replies, strict=True)
    }
    return [
        answers.get(ident) or Requeued(ident, RequeueOutcome.GONE if letter is None else RequeueOutcome.NO_LANE)
        for ident, letter in zip(ids, letters, strict=True)
    ]
