"""What of a table is seen: heading, columns, rows, marks, and what is being waited for. No key is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.table.columns import Column, layout
from observatory.tui.table.marks import Marks
from observatory.tui.table.view import View
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.strip import Strip

RowT = TypeVar("RowT")

MARK = "▌"
"""Stands before a marked row."""

LOADING_MORE = "loading more"
"""Stands below the last loaded row while the next ones are on their way."""

_ARROWS = {False: "▲", True: "▼"}


class TableFace(ListPanel[RowT]):
    """Rows in columns, with a heading that says how many there are and which of them are shown.

    Args:
        columns: Columns from left to right.
    """

    head: ClassVar[int] = 2

    lead: ClassVar[int] = 1
    """Columns whose titles give way to the title of the table where the heading has one line."""

    empty: ClassVar[str] = "nothing here"
    """Said where a list has no rows; names the key to press where there is one."""

    def __init__(
        self,
        columns: Sequence[Column[RowT]],
        *,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self.marks: Marks[RowT] = Marks()
        self.view: View[RowT] = View()
        self.total: int | None = None
        self.place: int | None = 0
        self.more_above = False
        self.more_below = False
        self.more_words = LOADING_MORE
        self.paged = False
        self.words, self.words_ink = "", "muted"
        self.aside = ""
        self._chosen_column = -1
        self._laid: tuple[int, tuple[tuple[Column[RowT], int], ...]] = (-1, ())
        self._painted_rows: dict[int, Strip] = {}

    # -- what it says ----------------------------------------------------------------------------------------

    def say(self, words: str, ink: str = "muted") -> None:
        """Say in the heading what is going on, and alone where there are no rows: loading, partial, an error."""
        if (words, ink) != (self.words, self.words_ink):
            self.words, self.words_ink = words, ink
            self.repaint_lines(0, self.head)

    def tell(self, aside: str) -> None:
        """Say behind the title what the list is of; *aside* is printable."""
        if aside != self.aside:
            self.aside = aside
            self.repaint_lines(0)

    @property
    def sorted_by(self) -> Column[RowT] | None:
        """The column that the rows are sorted by; None for the order of the list itself."""
        return next((column for column in self.columns if column.title == self.view.column), None)

    @property
    def hidden_marks(self) -> int:
        """Marked rows that the filter does not show."""
        return self.marks.hidden(self.view.shows) if self.view.shows is not None else 0

    @property
    def lines(self) -> int:
        """Lines that all loaded rows need, and one more where others are still to come."""
        return super().lines + (1 if self.more_below and self.rows else 0)

    @property
    def on_screen(self) -> tuple[int, int]:
        """Index of the first and of the last row that can be seen."""
        return self._top, min(self._top + self.body_height, len(self.rows)) - 1

    def look(self) -> None:
        """Repaint what reads differently by now, such as ages, and nothing else."""
        width = self.size.width
        self.repaint_lines(
            *self._stale_head(),
            *(y for y, strip in self._painted_rows.items() if strip != self._draw_row_line(y, width)),
        )

    # -- drawing ----------------------------------------------------------------------------------------------

    def draw_heading(self, width: int) -> LineBuilder:
        """Say where the cursor is, how many rows there are, what is marked, filtered, and going on."""
        builder = self.title_piece()
        if self.head == 1:
            return self._draw_short_heading(builder, width)
        if self.aside:
            builder.add(f" {self.aside}", self.ink["muted"])
        if place := self.position:
            builder.add(f"  {place}", self.ink["text"])
        if marked := self.marked_words:
            builder.add(f"  {MARK}{marked}", self.ink["accent+"])
        if self.view.filter:
            builder.add("  / ", self.ink["accent"]).add(self.view.filter, self.ink["text"])
        if self.words and self.rows:
            builder.add(f"  {self.words}", self.ink[self.words_ink])
        return builder

    @property
    def position(self) -> str:
        """Where the cursor is, in words: `3 of 412`; a place that nobody knows is `?`."""
        if not self.rows:
            return ""
        more = "+" if self.total is None and (self.more_below or self.more_above) else ""
        total = f"{len(self.rows) if self.total is None else self.total:,}{more}"
        if self.view.shows is not None and not self.paged:
            total = f"{len(self.rows):,} of {total}"
        place = fmt.UNKNOWN if self.place is None else f"{self.place + self.cursor + 1:,}"
        return f"{place} of {total}" if self.selects else total

    @property
    def marked_words(self) -> str:
        """How many rows are marked, and how many of them the filter hides; empty without marks."""
        if not self.marks:
            return ""
        hidden = self.hidden_marks
        said = f"{fmt.count(len(self.marks))} marked" + (f", {fmt.count(hidden)} hidden" if hidden else "")
        return f"{said}, range" if self.marks.anchor else said

    def _draw_short_heading(self, builder: LineBuilder, width: int) -> LineBuilder:
        """Put title, extent and column titles on one line."""
        laid = self._layout(width)
        start = sum(cells + 1 for _, cells in laid[: self.lead])
        said = f"{MARK}{self.marked_words}" if self.marks else self.short_words()
        if builder.width + len(said) + 1 <= start:
            builder.add(f" {said}", self.ink["accent+" if self.marks else "muted"])
        builder.to(start)
        return self._draw_titles(builder, laid[self.lead :], self.lead)

    def short_words(self) -> str:
        """Say what stands behind the title of a one-line heading."""
        return self.extent

    def draw_columns(self, width: int) -> LineBuilder:
        """Name the columns."""
        return self._draw_titles(LineBuilder(), self._layout(width), 0)

    def _draw_titles(self, builder: LineBuilder, laid: Sequence[tuple[Column[RowT], int]], first: int) -> LineBuilder:
        for number, (column, cells) in enumerate(laid, first):
            sorts, ink = column.title == self.view.column, self.ink["muted"]
            if sorts:
                ink = self.ink["accent+"]
            builder.add(_ARROWS[self.view.descending] if sorts else " ", ink)
            if self.has_focus and number == self._chosen_column:
                ink = self.ink["accent+"] + self.ink["underlined"]
            pad = max(cells - len(column.title), 0)
            builder.gap(pad if column.align == "right" else 0).cell(column.title, cells - pad, ink)
            builder.gap(pad if column.align == "left" else 0)
        return builder

    def draw_row(self, row: RowT, width: int) -> LineBuilder:
        """Draw the cells of one row."""
        builder, ink = LineBuilder(), self.ink
        marked = self.identity(row) in self.marks
        for column, cells in self._layout(width):
            text, name = column.read(row, cells)
            builder.add(MARK if marked and not builder.width else " ", ink["accent+"] if marked else None)
            builder.cell(text, cells, ink[name], column.align)
        return builder

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw the heading, a row, or below the last one that more are on their way."""
        if self.more_below and self.rows and y - self.head + self._top == len(self.rows):
            return self.draw_after().strip(width)
        if y < self.head or not self.rows:
            return super().draw_line(y, width)
        strip = self._painted_rows[y] = self._draw_row_line(y, width)
        return strip

    def _draw_row_line(self, y: int, width: int) -> Strip:
        return super().draw_line(y, width)

    def draw_after(self) -> LineBuilder:
        """Say that the next rows are on their way, or what brings them."""
        return LineBuilder().add(f" … {self.more_words}", self.ink["faint"])

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say why there are no rows, and the key to press."""
        if self.words:
            return LineBuilder().add(f" {self.words}", self.ink[self.words_ink])
        if self.view.shows is not None:
            return self._words_with_key(" nothing matches the filter: ", "esc", " clears it")
        return LineBuilder().add(f" {self.empty}", self.ink["muted"])

    def _words_with_key(self, before: str, key: str, after: str) -> LineBuilder:
        muted = self.ink["muted"]
        return LineBuilder().add(before, muted).add(key, self.ink["accent+"]).add(after, muted)

    def _layout(self, width: int) -> tuple[tuple[Column[RowT], int], ...]:
        if self._laid[0] != width:
            self._laid = (width, layout(self.columns, width))
        return self._laid[1]
