"""The table as it is worked with: lists that are put into it, and what keys and the mouse do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from observatory.model.commands import Situation
from observatory.tui.commands import bindings, verdict
from observatory.tui.table.columns import Column, ordered
from observatory.tui.table.face import LOADING_MORE, TableFace
from observatory.tui.table.view import View
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual import events
    from textual.binding import BindingType

    from observatory.model.filter import FieldSet

RowT = TypeVar("RowT")


class Table(TableFace[RowT]):
    """Rows in columns, of a list of any length.

    A short list is given whole (`set_all`) and sorted and filtered here; of a long one a `Loader` gives the part that
    is loaded (`set_window`). Cursor and marks stick to what a row is called.

    Args:
        columns: Columns from left to right.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("table")]

    fields: ClassVar[FieldSet[Any] | None] = None
    """What its rows can be filtered by; None where there is no filter."""

    class ViewChanged(ListPanel.Moved):
        """Another order or filter was chosen."""

    class Neared(ListPanel.Moved):
        """The rows that are loaded come to an end near what is seen."""

    class Filled(ListPanel.Moved):
        """Other rows are shown than before."""

    class WantsAll(ListPanel.Moved):
        """All rows that match are to be marked, the ones that are not loaded too."""

    class WantsFilter(ListPanel.Moved):
        """A filter is to be typed."""

    class WantsEnd(ListPanel.Moved):
        """The cursor is to go to the first row of the whole list, or to the last."""

        def __init__(self, panel: ListPanel[Any], *, last: bool) -> None:
            super().__init__(panel)
            self.last = last

    def __init__(
        self,
        columns: Sequence[Column[RowT]],
        *,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(columns, id=id, classes=classes)
        self._all: tuple[RowT, ...] = ()
        self._sought: Callable[[RowT], bool] | None = None
        self._marks_painted: frozenset[str] = frozenset()

    # -- data ------------------------------------------------------------------------------------------------

    def set_all(self, rows: Sequence[RowT]) -> None:
        """Show a list that is known whole, as the view says."""
        self._all = tuple(rows)
        self.total = len(rows)
        self.marks.renew((self.identity(row), row) for row in rows if self.marks)
        self.set_rows(self._viewed(self._all))

    def set_window(
        self,
        rows: tuple[RowT, ...],
        *,
        place: int | None,
        total: int | None,
        above: bool = False,
        below: bool = False,
        more_words: str = LOADING_MORE,
    ) -> None:
        """Show the loaded part of a longer list.

        Args:
            rows: The loaded rows, filtered and sorted already.
            place: Place of the first of them in the whole list, from 0; None where unknown.
            total: Length of the whole list; None where unknown.
            above: There are more before them.
            below: There are more after them.
            more_words: What stands below the last loaded row where there are more.
        """
        waits, self.more_words = self.more_below, more_words
        self.place, self.total, self.more_above, self.more_below = place, total, above, below
        self.marks.renew((self.identity(row), row) for row in rows if self.marks)
        self.set_rows(rows)
        if waits != below:
            self.refresh()
        self.post_message(self.Filled(self))
        self._look_ahead()

    def set_view(self, view: View[RowT]) -> None:
        """Show other rows, or the same in another order; the cursor stays on its row if that is still shown."""
        self.view = view
        self._sought = view.shows or self._sought
        if self.paged:
            self.post_message(self.ViewChanged(self))
        else:
            self.set_rows(self._viewed(self._all))
        self.refresh()

    def unmark(self, names: Iterable[str]) -> None:
        """Take the marks of the rows called *names* away, because they are done with."""
        self.marks.discard(names)
        self._marks_changed()

    def _viewed(self, rows: tuple[RowT, ...]) -> tuple[RowT, ...]:
        shows, column = self.view.shows, self.sorted_by
        kept = rows if shows is None else tuple(row for row in rows if shows(row))
        return kept if column is None else tuple(ordered(kept, column, descending=self.view.descending))

    # -- keys and mouse ------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey sorting where no column can be sorted by, and what needs a row while there is none."""
        if action == "sort" and not any(column.key for column in self.columns):
            return None
        if action == "filter" and self.fields is None:
            return None
        if action in {"mark", "range", "mark_all"}:
            return verdict(action, Situation(selection=self.selected is not None))
        return super().check_action(action, parameters)

    def action_mark(self) -> None:
        """Mark the row under the cursor, or unmark it, and go to the next."""
        if (row := self.selected) is not None:
            self.marks.end_range()
            self.marks.toggle(self.identity(row), row)
            self._marks_changed()
            self._go(self.cursor + 1)

    def action_range(self) -> None:
        """Begin a range of marks at the cursor, or end it there."""
        row = self.selected
        if self.marks.anchor:
            self.marks.end_range()
        elif row is not None:
            self.marks.begin_range(self.identity(row), row)
        self._marks_changed()

    def action_mark_all(self) -> None:
        """Mark every row that the filter shows; if all of them are marked, unmark them all."""
        loaded = [(self.identity(row), row) for row in self.rows]
        if all(name in self.marks for name, _ in loaded) and not (self.more_below or self.more_above):
            self.marks.clear()
        elif self.paged and (self.more_below or self.more_above):
            self.post_message(self.WantsAll(self))
        else:
            self.marks.add(loaded)
        self._marks_changed()

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.post_message(self.WantsFilter(self))

    def action_next_hit(self, step: int) -> None:
        """Go to the next row, or with -1 to the one before, that the filter finds; without one, the last filter."""
        sought = self._sought
        if sought is None:
            self.notify("no filter was used here yet: / types one", severity="warning", timeout=3, markup=False)
            return
        places = range(self.cursor + 1, len(self.rows)) if step > 0 else range(self.cursor - 1, -1, -1)
        place = next((place for place in places if sought(self.rows[place])), None)
        if place is None:
            self.notify("no further hit among the rows that are loaded", timeout=2, markup=False)
        else:
            self._go(place)

    def action_sort(self) -> None:
        """Sort by the chosen column; again the other way round; a third time as the list is."""
        column = self._sortable(self._chosen_column)
        if column is None:
            return
        view = self.view
        if view.column != column.title:
            order = (column.title, column.align == "right")
        elif view.descending == (column.align == "right"):
            order = (column.title, not view.descending)
        else:
            order = ("", False)
        self.set_view(View(view.filter, view.shows, *order))

    def action_sidestep(self, cells: int) -> None:
        """Choose the next column to the right or left."""
        shown = self._layout(self.size.width)
        self._chosen_column = min(max(self._chosen_column + cells, self.lead if self.head == 1 else 0), len(shown) - 1)
        self.repaint_lines(*range(self.head))

    def action_top(self) -> None:
        """Go to the first row of the whole list."""
        super().action_top()
        if self.more_above:
            self.post_message(self.WantsEnd(self, last=False))

    def action_bottom(self) -> None:
        """Go to the last row of the whole list."""
        super().action_bottom()
        if self.more_below:
            self.post_message(self.WantsEnd(self, last=True))

    def mark_rows(self, rows: Sequence[RowT]) -> None:
        """Mark all of *rows*, whether they are on the screen or not."""
        self.marks.add((self.identity(row), row) for row in rows)
        self._marks_changed()

    def relax(self) -> bool:
        """Give up one thing, for `esc`: a range, then marks, then the filter, then the order; False without any."""
        if self.marks.anchor:
            self.marks.end_range()
        elif self.marks:
            self.marks.clear()
        elif not self.view.plain:
            view = self.view
            self.set_view(View() if view.shows is None else View("", None, view.column, view.descending))
        else:
            return False
        self._marks_changed()
        return True

    def on_click(self, event: events.Click) -> None:
        """Sort by the column whose title is clicked; else as in every list."""
        if event.y == self.head - 1 and self.columns:
            at = 0
            for number, (_, cells) in enumerate(self._layout(self.size.width)):
                if at <= event.x <= at + cells:
                    self._chosen_column = number
                    self.action_sort()
                at += cells + 1
        else:
            super().on_click(event)

    def _sortable(self, number: int) -> Column[RowT] | None:
        """Return the column at *number* of those that are shown, or the first one that can be sorted by."""
        shown = [column for column, _ in self._layout(self.size.width)]
        if not 0 <= number < len(shown):
            return next((column for column in shown if column.key), None)
        return shown[number] if shown[number].key else None

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _go(self, index: int) -> None:
        super()._go(index)
        self._stretch()
        self._look_ahead()

    def _scroll(self, lines: int) -> None:
        super()._scroll(lines)
        self._look_ahead()

    def _stretch(self) -> None:
        """Let a range that is being drawn reach to the cursor."""
        anchor = self.marks.anchor
        if not anchor:
            return
        names = [self.identity(row) for row in self.rows]
        start = names.index(anchor) if anchor in names else 0
        low, high = sorted((start, self.cursor))
        self.marks.stretch_range(zip(names[low : high + 1], self.rows[low : high + 1], strict=True))
        self._marks_changed()

    def _look_ahead(self) -> None:
        """Ask for more rows before the loaded ones come to an end."""
        near = max(3 * self.body_height, 50)
        first, last = self.on_screen
        if (self.more_below and last > len(self.rows) - near) or (self.more_above and first < near):
            self.post_message(self.Neared(self))

    def _marks_changed(self) -> None:
        """Repaint the rows whose mark came or went, and the heading that counts them."""
        before, self._marks_painted = self._marks_painted, self.marks.names
        changed = before ^ self._marks_painted
        first, last = self.on_screen
        rows = enumerate(self.rows[first : last + 1], self.head)
        self.repaint_lines(*range(self.head), *(y for y, row in rows if self.identity(row) in changed))
        self.post_message(self.Moved(self))
