"""From a selector to the things that are meant, frozen: those named, those that match a filter, those of one cause."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from observatory.model.cause import cause_id, key_of, read_key
from observatory.model.clock import SystemClock
from observatory.model.errors import UsageError
from observatory.model.filter import Filter
from observatory.model.filter.listed import PENDING, TASKS
from observatory.model.filter.rows import DEAD_LETTERS
from observatory.model.listing import Ask, PendingScope
from observatory.model.plan import SkippedItem
from observatory.model.task import EntryId
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from observatory.bus import Bus
    from observatory.model.cause import KeyPart
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.filter import FieldSet
    from observatory.model.listing import PendingRow
    from observatory.model.plan import Selector

MOST: Final = 200_000
"""Things that one plan may hold."""

SEARCHED: Final = 50_000
"""Facts of the log that are looked at for tasks that match a filter."""

GONE: Final = "it is no longer there"

_PAGE: Final = 500
_AT_ONCE: Final = 50


async def letters(bus: Bus, select: Selector, *, trash: bool = False) -> tuple[list[DeadLetter], list[SkippedItem]]:
    """Return the dead letters that are meant, or what is meant in the trash, and those ids that are gone.

    Raises:
        UsageError: The selector means nothing, or cannot be read; names the field.
    """
    _require(select, "no dead letter")
    wanted = _compiled(select.filter, DEAD_LETTERS)
    tests: list[Callable[[DeadLetter], bool]] = [wanted.matches] if wanted is not None else []
    if select.cause:
        key = _key(select.key)
        tests.append(lambda letter: cause_id(key, key_of(letter, key)) == select.cause)

    def where(letter: DeadLetter) -> bool:
        return all(test(letter) for test in tests)

    if select.ids:
        ids = _entry_ids(select.ids)
        found = await bus.moves.letters(ids, trash=trash)
        skipped = [SkippedItem(ident, GONE) for ident, letter in zip(ids, found, strict=True) if letter is None]
        return [letter for letter in found if letter is not None and where(letter)], skipped
    chosen: list[DeadLetter] = []
    # A filter alone is passed as it is: what it says of times then bounds where it is looked for.
    ask: Ask | None = Ask(limit=_PAGE, where=wanted if wanted is not None and len(tests) == 1 else where, most=MOST)
    while ask is not None:
        page = await bus.reads.dead_letters(ask, trash=trash)
        chosen += page.items
        _bound(chosen)
        ask = Ask(page.after, limit=_PAGE, where=ask.where, most=MOST) if page.after is not None else None
    return chosen[::-1], []


async def pending(bus: Bus, select: Selector) -> tuple[list[PendingRow], list[SkippedItem]]:
    """Return the pending entries that are meant, oldest first; ids may be row keys, entry ids or task ids.

    Raises:
        UsageError: The selector means nothing, or cannot be read; names the field.
    """
    _require(select, "no pending entry")
    wanted = _compiled(select.filter, PENDING)
    named = frozenset(select.ids)

    def where(row: PendingRow) -> bool:
        is_named = not named or not named.isdisjoint((row.key, row.entry_id, row.task_id))
        return is_named and (wanted is None or wanted.matches(row))

    lanes = tuple(reading.stream for reading in (await bus.observe()).lanes)
    chosen: list[PendingRow] = []
    test = wanted if wanted is not None and not named else where
    ask: Ask | None = Ask(limit=_PAGE, newest_first=False, where=test, most=MOST)
    while ask is not None:
        page = await bus.reads.pending(ask, PendingScope(lanes))
        chosen += page.items
        _bound(chosen)
        ask = Ask(page.after, limit=_PAGE, newest_first=False, where=test, most=MOST) if page.after else None
    found = {name for row in chosen for name in (row.key, row.entry_id, row.task_id)}
    return chosen, [SkippedItem(ident, "nobody holds it") for ident in select.ids if ident not in found]


async def tasks(bus: Bus, select: Selector) -> list[str]:
    """Return the ids of the tasks that are meant.

    Raises:
        UsageError: The selector means nothing, or cannot be read; names the field.
    """
    _require(select, "no task")
    if select.ids and not select.filter.strip():
        return list(dict.fromkeys(select.ids))
    wanted = _compiled(select.filter, TASKS)
    lanes = tuple(reading.stream for reading in (await bus.observe()).lanes)
    search = await bus.reads.recent_tasks(most=SEARCHED, streams=lanes)
    named = frozenset(select.ids)
    rows = [row for row in search.rows if wanted is None or wanted.matches(row)]
    return [row.key for row in rows if not named or row.key in named]


async def gathered(calls: Iterable[Any]) -> list[Any]:
    """Await *calls* some at a time, so that as many as there are never wait for a connection at once."""
    waiting, results = list(calls), []
    for first in range(0, len(waiting), _AT_ONCE):
        results += await asyncio.gather(*waiting[first : first + _AT_ONCE])
    return results


def _key(text: str) -> tuple[KeyPart, ...]:
    try:
        return read_key(text)
    except ValueError as error:
        raise UsageError(f"group-by: {error}") from None


def _require(select: Selector, nothing: str) -> None:
    if select.is_empty:
        raise UsageError(f"entry_ids names {nothing}", "mark some, give their ids, or a filter")


def _bound(chosen: list[Any]) -> None:
    if len(chosen) > MOST:
        raise UsageError(f"filter: more than {MOST:,} match", "narrow it, and go on with the rest afterwards")


def _compiled(text: str, fields: FieldSet[Any]) -> Filter[Any] | None:
    if not text.strip():
        return None
    return Filter(text, fields, now_ms=SystemClock().now_ms(), zone=datetime.now().astimezone().tzinfo or UTC)


def _entry_ids(idents: Iterable[str]) -> list[str]:
    """Return *idents* in their full form, each once and in the order asked for."""
    found: dict[str, None] = {}
    for ident in idents:
        try:
            found[str(EntryId.parse(ident))] = None
        except ValueError:
            raise UsageError(
                f"entry_ids: {line(ident, 40)!r} is no entry id", "they look like 1770000000000-0"
            ) from None
    return list(found)
