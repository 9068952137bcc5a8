"""Moves the loaded part of a long list along with the cursor of its table: one reading at a time, the latest wins."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from observatory.model.errors import ObservatoryError
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.table.columns import ordered
from observatory.tui.table.pages import KEPT, PAGE, Search, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.widget import Widget
    from textual.worker import Worker

    from observatory.tui.table.pages import Feed
    from observatory.tui.table.widget import Table

RowT = TypeVar("RowT")

_SHOW_EVERY_S = 0.1
"""Seconds between two looks at what a search has found so far."""

_AHEAD = PAGE // 2
"""Rows that are kept loaded above and below what is seen."""


class Loader(Generic[RowT]):
    """Feeds one table.

    Args:
        host: The widget whose workers read; its end ends them.
        table: The table.
        newest: What the beginning of the list is called in words, for "newest 10k searched".
    """

    def __init__(self, host: Widget, table: Table[RowT], *, newest: str = "newest") -> None:
        self._host = host
        self._table = table
        self._newest = newest
        self._feed: Feed[RowT] | None = None
        self._window: Window[RowT] | None = None
        self._search: Search[RowT] | None = None
        self._busy = False
        self._generation = 0
        table.paged = True

    def open(self, feed: Feed[RowT], *, at: str = "") -> None:
        """Show the list of *feed*, from its beginning or from the cursor *at*, with the cursor on its first row."""
        self._feed = feed
        self._table.set_window((), place=0, total=None)
        self.restart(at=at)

    def restart(self, *, at: str = "") -> None:
        """Read from the beginning, or from the cursor *at*, what the view of the table asks for."""
        if self._feed is None:
            return
        view = self._table.view
        if view.plain and self._feed.belongs is None:
            self._search, window = None, Window(self._feed, self._table.identity)
            self._run(partial(self._begin, window, at))
        else:
            self._search = Search(self._feed, view.shows)
            self._run(partial(self._gather, self._search))

    def near(self) -> None:
        """Read on where the loaded rows come to an end near what is seen; a reading that is under way goes first."""
        if self._busy:
            return
        if self._search is not None:
            return
        first, last = self._table.on_screen
        window = self._window
        if window is None:
            return
        if window.more_below and not window.barren and last > len(self._table.rows) - _AHEAD:
            self._run(partial(self._step, window, window.further))
        elif window.more_above and first < _AHEAD:
            self._run(partial(self._step, window, window.earlier))

    def to_end(self, *, last: bool) -> None:
        """Go to the first row of the whole list or to its last."""
        window, search = self._window, self._search
        if search is not None:
            if last and not search.exhausted:
                search.go_on()
                self._run(partial(self._gather, search))
        elif not last:
            self._run(self._begin_at_top)
        elif window is not None:
            self._run(partial(self._to_last, window))

    def renew(self) -> None:
        """Read again what is on the screen, because it may have changed; never while something else is read."""
        window = self._window
        if self._busy or self._feed is None:
            return
        if self._search is not None:
            if self._search.resting and self._search.searched <= KEPT:
                self._run(partial(self._gather, Search(self._feed, self._table.view.shows), quiet=True))
        elif window is None or not window.rows:
            self.restart()
        else:
            first, last = self._table.on_screen
            self._run(partial(self._step, window, lambda: window.renew(max(first, 0), max(last, 0))))

    def mark_all(self) -> None:
        """Mark every row of the list that the view shows, the ones that are not loaded too, up to what is kept."""
        if self._feed is not None:
            self._run(partial(self._mark_all, Search(self._feed, self._table.view.shows)))

    # -- readings ----------------------------------------------------------------------------------------------

    def _run(self, reading: Callable[[], Awaitable[None]]) -> None:
        self._generation += 1
        self._busy = True
        generation = self._generation

        async def run() -> None:
            await self._guarded(reading, generation)

        _worker: Worker[None] = self._host.run_worker(
            run,
            name=f"read {self._table.id}",
            group=f"rows-{self._table.id}",
            exclusive=True,
            exit_on_error=False,
            description=f"read rows of {self._table.title}",
        )

    async def _guarded(self, reading: Callable[[], Awaitable[None]], generation: int) -> None:
        """Carry *reading* out; what goes wrong is said in the table, with the next step."""
        try:
            await reading()
        except ObservatoryError as error:
            self._table.say(f"✖ {line(str(error), 200)} (r reads again)", "error")
        finally:
            if generation == self._generation:
                self._busy = False
                self._host.call_later(self.near)

    async def _begin(self, window: Window[RowT], at: str) -> None:
        self._say_loading()
        await window.begin(at)
        self._window = window
        self._show_window(window)

    async def _begin_at_top(self) -> None:
        assert self._feed is not None  # noqa: S101 - only called with a window open
        window = Window(self._feed, self._table.identity)
        await window.begin()
        self._window = window
        self._show_window(window)
        self._table.jump(0)

    async def _to_last(self, window: Window[RowT]) -> None:
        self._table.say("loading the end …")
        if not await window.end():
            while window.more_below and len(window.rows) < PAGE * 4:
                await window.further()
                if window.barren:
                    break
        self._show_window(window)
        self._table.jump(len(window.rows) - 1)

    async def _step(self, window: Window[RowT], move: Callable[[], Awaitable[None]]) -> None:
        await move()
        self._show_window(window)

    async def _gather(self, search: Search[RowT], *, quiet: bool = False) -> None:
        if not quiet:
            self._say_loading("searching …")
        shown = 0.0
        while not search.resting:
            await search.advance()
            now = time.monotonic()
            if not quiet and now - shown > _SHOW_EVERY_S and search.rows:
                shown = now
                self._show_found(search)
        self._search = search
        self._show_found(search)

    async def _mark_all(self, search: Search[RowT]) -> None:
        self._table.say("marking …")
        while not search.resting:
            await search.advance()
        self._table.mark_rows(search.rows)
        self._table.say("" if search.exhausted else f"▲ marked among the {self._searched(search)}", "warning")

    # -- showing ------------------------------------------------------------------------------------------------

    def _show_window(self, window: Window[RowT]) -> None:
        table = self._table
        table.say(_not_read(window.broken), "warning")
        table.set_window(
            window.rows, place=window.place, total=window.total, above=window.more_above, below=window.more_below
        )

    def _show_found(self, search: Search[RowT]) -> None:
        table, column = self._table, self._table.sorted_by
        rows = search.rows if column is None else ordered(search.rows, column, descending=table.view.descending)
        if search.exhausted:
            # A source that does not know the length of its list does not know either that this was all of it.
            words = "" if search.total is not None else self._searched(search)
            table.say(_not_read(search.broken) or words, "warning" if search.broken else "muted")
        elif search.resting:
            table.say(f"▲ {self._searched(search)}, G searches on", "warning")
        else:
            table.say(f"searching … {fmt.count(search.searched)}")
        table.set_window(tuple(rows), place=0, total=len(rows), below=not search.exhausted, more_words="G searches on")

    def _searched(self, search: Search[RowT]) -> str:
        of = f" of {fmt.count(search.total)}" if search.total is not None else ""
        return f"{self._newest} {fmt.count(search.searched)}{of} searched"

    def _say_loading(self, words: str = "loading …") -> None:
        self._table.say(words)


def _not_read(broken: tuple[str, ...]) -> str:
    """Say what is missing from a list because it could not be read; empty where nothing is."""
    if not broken:
        return ""
    more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
    return f"▲ not read: {line(broken[0], 160)}{more}"
