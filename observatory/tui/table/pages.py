"""The part of a long list that is loaded: a window that moves both ways, or what a search found so far.

Neither knows a screen. Both hold a bounded number of rows whatever the length of the list, and change only when a page
has arrived, so that a reading that is given up leaves nothing half done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from observatory.model.listing import Ask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from observatory.model.listing import Page, Test

RowT = TypeVar("RowT")

PAGE = 200
"""Rows that are read at once while browsing."""

HELD = 8 * PAGE
"""Rows that are held while browsing; beyond that the ones farthest from what was read last are given back."""

SEARCH_PAGE = 300
"""Rows that are looked at in one reading while searching: a key that is pressed meanwhile waits for one of them."""

SEARCHED = 100_000
"""Rows after which a search stops by itself and says how far it came."""

KEPT = 10_000
"""Rows that a search or a sorted list holds at most."""


@dataclass(frozen=True, slots=True)
class Feed(Generic[RowT]):
    """Where rows come from, a page at a time.

    Attributes:
        read: Gives the piece that is asked for.
        newest_first: The order of the list.
        both_ways: It can be read from its end towards its beginning too.
        belongs: Which rows belong to the list; what else is read is passed over. None where all do.
        searched: Rows after which a search rests.
    """

    read: Callable[[Ask], Awaitable[Page[RowT]]]
    newest_first: bool = True
    both_ways: bool = True
    belongs: Test | None = None
    searched: int = SEARCHED

    def among(self, shows: Test | None) -> Test | None:
        """Return the test for rows that belong to the list and that *shows* wants."""
        belongs = self.belongs
        if belongs is None or shows is None:
            return belongs or shows
        return lambda row: belongs(row) and shows(row)


class Window(Generic[RowT]):
    """A stretch of a list, moved by reading below or above it.

    Args:
        feed: Where rows come from.
        key: Names a row; it is the cursor at that row too.

    Attributes:
        broken: What belongs to the list and could not be read.
        barren: The last reading below brought nothing though the list goes on: where rows are so rare, a person says
            how far it is searched.
    """

    def __init__(self, feed: Feed[RowT], key: Callable[[RowT], str]) -> None:
        self._feed = feed
        self._key = key
        self.rows: tuple[RowT, ...] = ()
        self.total: int | None = None
        self.place: int | None = 0
        self.more_above = False
        self.more_below = False
        self.barren = False
        self.broken: tuple[str, ...] = ()
        self._after = ""

    async def begin(self, cursor: str = "") -> None:
        """Read the first rows, or those that follow *cursor*."""
        page = await self._read(Ask(cursor, limit=PAGE))
        self.rows = page.items
        at_top = not cursor or page.before is None
        self.place = 0 if at_top else None
        self.more_above, self.more_below = not at_top and self._feed.both_ways, page.after is not None
        self._after, self.barren = page.after or "", not page.items

    async def end(self) -> bool:
        """Go to the end of the list; False where it can only be read from its beginning."""
        if not self._feed.both_ways:
            return False
        page = await self._read(Ask(backwards=True, limit=PAGE))
        self.rows = page.items
        self.more_above, self.more_below = page.before is not None, False
        self.place = 0 if page.before is None else None if self.total is None else self.total - len(self.rows)
        return True

    async def further(self) -> None:
        """Read the rows below; a list that cannot be read backwards ends after `KEPT` rows."""
        page = await self._read(Ask(self._after or self._key(self.rows[-1]), limit=PAGE))
        known = set(map(self._key, self.rows))
        rows = (*self.rows, *(row for row in page.items if self._key(row) not in known))
        self.more_below = page.after is not None
        self._after, self.barren = page.after or "", len(rows) == len(self.rows)
        if not self._feed.both_ways:
            self.rows, self.more_below = rows[:KEPT], self.more_below and len(rows) < KEPT
            return
        gone = max(len(rows) - HELD, 0)
        self.rows, self.more_above = rows[gone:], self.more_above or gone > 0
        self.place = None if self.place is None else self.place + gone

    async def earlier(self) -> None:
        """Read the rows above."""
        before = self.place
        page = await self._read(Ask(self._key(self.rows[0]), backwards=True, limit=PAGE))
        known = set(map(self._key, self.rows))
        fresh = tuple(row for row in page.items if self._key(row) not in known)
        rows = (*fresh, *self.rows)
        self.more_above, self.more_below = page.before is not None, self.more_below or len(rows) > HELD
        if len(rows) > HELD:
            self._after = ""
        self.rows = rows[:HELD]
        self.place = 0 if not self.more_above else None if before is None else max(before - len(fresh), 0)

    async def renew(self, first: int, last: int) -> None:
        """Read again what lies between two indexes of `rows`, and keep what follows if it still does.

        A list that can only be read from its beginning is read from there: it is new only as a whole.
        """
        start = max(first - PAGE // 4, 0) if self._feed.both_ways else 0
        at_top = start == 0 and not self.more_above
        limit = last - start + 1 + PAGE // 4
        ask = Ask(limit=limit) if at_top else Ask(self._key(self.rows[start]), inclusive=True, limit=limit)
        page = await self._read(ask)
        below = self._below(self.rows[start:], page.items) if page.after is not None else ()
        rows = (*self.rows[:start], *page.items, *below)
        self.more_below = page.after is not None and (self.more_below or not below or len(rows) > HELD)
        self._after = "" if below or not self.more_below else page.after or ""
        self.rows = rows[: HELD if self._feed.both_ways else KEPT]

    def _below(self, old: Sequence[RowT], fresh: Sequence[RowT]) -> Sequence[RowT]:
        """Return those of the *old* rows that follow the *fresh* ones; none if there is a gap between them."""
        name = self._key(fresh[-1]) if fresh else ""
        return next((old[place + 1 :] for place, row in enumerate(old) if self._key(row) == name), ())

    async def _read(self, ask: Ask) -> Page[RowT]:
        page = await self._feed.read(_in_order(ask, self._feed))
        self.total = page.total if page.total is not None else self.total
        self.broken = page.broken
        return page


class Search(Generic[RowT]):
    """Rows of a list that match, gathered from its beginning, piece by piece.

    Args:
        feed: Where rows come from.
        shows: Whether a row that belongs to the list is wanted; None wants all.
    """

    def __init__(self, feed: Feed[RowT], shows: Test | None) -> None:
        self._feed = feed
        self._matches = feed.among(shows)
        self._cursor = ""
        self._limit = feed.searched
        self._most = KEPT
        self.rows: list[RowT] = []
        self.searched = 0
        self.total: int | None = None
        self.broken: tuple[str, ...] = ()
        self.exhausted = False

    @property
    def resting(self) -> bool:
        """It has come to the end, or as far as it goes by itself."""
        return self.exhausted or self.searched >= self._limit or len(self.rows) >= self._most

    def go_on(self) -> None:
        """Allow it to search and to keep as much again."""
        self._limit, self._most = self.searched + self._feed.searched, len(self.rows) + KEPT

    async def advance(self) -> None:
        """Look at one more piece and keep what matches."""
        ask = Ask(self._cursor, limit=SEARCH_PAGE, where=self._matches, most=SEARCH_PAGE)
        page = await self._feed.read(_in_order(ask, self._feed))
        self.rows += page.items
        self.searched += len(page.items) if page.searched is None else page.searched
        self.total = page.total if page.total is not None else self.total
        self.broken = page.broken
        self.exhausted = page.after is None
        self._cursor = page.after or ""


def _in_order(ask: Ask, feed: Feed[RowT]) -> Ask:
    """Return *ask* in the order of the list."""
    if ask.newest_first is feed.newest_first:
        return ask
    return replace(ask, newest_first=feed.newest_first)
