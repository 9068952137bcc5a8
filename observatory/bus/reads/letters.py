"""Dead letters, and what was put into the trash: reading them in pages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from observatory.bus.reads.entries import read_window
from observatory.bus.reads.paging import TESTED_BYTES, Place, Window, paged
from observatory.model.dead_letter import DeadLetter
from observatory.model.listing import Page
from observatory.model.wire import pairs, read_dead_letter

if TYPE_CHECKING:
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.model.listing import Ask


async def page_of_letters(link: Link, keys: Keys, *, after: str | None, limit: int) -> Page[DeadLetter]:
    """Return dead letters, newest first, below the entry *after*."""
    total = await link.command("XLEN", keys.dead_letters)
    end = f"({after}" if after else "+"
    rows = await link.command("XREVRANGE", keys.dead_letters, end, "-", "COUNT", limit)
    letters = tuple(read_dead_letter(ident.decode(), pairs(flat)) for ident, flat in rows)
    return Page(letters, letters[-1].entry_id if len(letters) == limit else None, total)


async def piece_of_letters(link: Link, keys: Keys, ask: Ask, *, trash: bool = False) -> Page[DeadLetter]:
    """Return a piece of the dead letters, or of the trash, in either direction; values above 64 KB are cut."""
    stream = keys.trash if trash else keys.dead_letters
    return await paged(
        ask, partial(_window, link, keys, ask, stream=stream), lambda letter: letter.entry_id, time="died"
    )


async def _window(link: Link, keys: Keys, ask: Ask, place: Place, count: int, *, stream: str) -> Window[DeadLetter]:
    window = await read_window(link, keys, stream, ask, place, count, longest=TESTED_BYTES)
    letters = [row.item for row in window.rows if isinstance(row.item, DeadLetter)]
    return Window(letters, window.more, window.total)


async def one_letter(link: Link, keys: Keys, entry_id: str) -> DeadLetter | None:
    """Return the dead letter at *entry_id*, or None if it is gone."""
    rows = await link.command("XRANGE", keys.dead_letters, entry_id, entry_id)
    return read_dead_letter(rows[0][0].decode(), pairs(rows[0][1])) if rows else None
