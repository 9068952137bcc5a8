"""What screens of one list have in common: the list, and a pane with everything about the row under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual.containers import Container

from observatory.tui.screens.base import DataScreen
from observatory.tui.table import Loader, Table
from observatory.tui.widgets.payload import PayloadPane

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from observatory.tui.desk import Desk
    from observatory.tui.sheets import Sheet
    from observatory.tui.table import Feed
    from observatory.tui.widgets.list_panel import ListPanel

RowT = TypeVar("RowT")

REST_S = 0.06
"""Seconds for which the cursor rests on a row before more about it is read."""


class ListScreen(DataScreen, Generic[RowT]):
    """A table and a pane. Subclasses make the table and say what the pane shows of a row."""

    AUTO_FOCUS: ClassVar[str | None] = "#list"

    pane_title: ClassVar[str] = "Payload"
    """Title of the pane."""

    about: ClassVar[str] = "what is known of the selected row"
    """Said in the pane while nothing is selected."""

    def make_table(self) -> Table[RowT]:
        """Return the table; its id is `list`."""
        raise NotImplementedError

    def sheet(self, row: RowT) -> Sheet:
        """Return what the pane shows of *row*."""
        raise NotImplementedError

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._rest: Timer | None = None

    def body(self) -> ComposeResult:
        """Table and pane, beside or above each other as the width allows."""
        with Container(id="split", classes="split"):
            yield self.make_table()
            yield PayloadPane(self.about, title=self.pane_title, id="payload")

    @property
    def table(self) -> Table[RowT]:
        """The table."""
        return self.query_one("#list", Table)

    def load(self, feed: Feed[RowT], *, at: str = "", newest: str = "newest") -> Loader[RowT]:
        """Show the list of *feed* in the table.

        Args:
            feed: Where its rows come from.
            at: Cursor to begin behind.
            newest: What the beginning of the list is called.
        """
        table = self.table
        loader = self.loaders.get(table)
        if loader is None:
            loader = self.loaders[table] = Loader(self, table, newest=newest)
        loader.open(feed, at=at)
        return loader

    def has_selection(self) -> bool:
        """A row is under the cursor."""
        return bool(self.is_mounted and self.table.selected is not None)

    def on_list_panel_moved(self, event: ListPanel.Moved) -> None:
        """Show what is under the cursor now."""
        self._moved_in(event.panel)

    def on_table_filled(self, event: Table.Filled) -> None:
        """Show what is under the cursor now."""
        self._moved_in(event.panel)
        self.refresh_bindings()

    def on_list_panel_opened(self, event: ListPanel.Opened) -> None:
        """Go into the pane."""
        if event.panel is self.table:
            self.query_one(PayloadPane).focus()

    def show_now(self) -> None:
        """Bring the pane to what is known of the row under the cursor."""
        row = self.table.selected
        self.query_one(PayloadPane).show(self.sheet(row) if row is not None else None)

    def rested(self, row: RowT) -> None:
        """The cursor rests on *row*: time to read what the pane shows besides."""

    def _moved_in(self, panel: ListPanel[Any]) -> None:
        if panel is self.table:
            self.show_now()
            if self._rest is not None:
                self._rest.stop()
            self._rest = self.set_timer(REST_S, self._rests)

    def _rests(self) -> None:
        if self.is_attached and (row := self.table.selected) is not None:
            self.rested(row)
