"""A list of any length in one widget: heading, rows drawn on demand, a cursor that sticks to what it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual.message import Message
from textual.strip import Strip

from observatory.model.commands import Situation
from observatory.tui.commands import bindings, needs_selection, verdict
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder, blank

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType

RowT = TypeVar("RowT")


class ListPanel(Drawn, Generic[RowT], can_focus=True):
    """One heading line, then rows; several rows may share a line (`per_line`).

    Subclasses say what a row is called (`identity`) and how it is drawn (`draw_row`).
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    title: str = ""
    """Word in the heading."""

    head: ClassVar[int] = 1
    """Lines of the heading."""

    selects: ClassVar[bool] = True
    """Whether there is a cursor; without one the keys scroll."""

    keeps_cursor: ClassVar[bool] = False
    """Whether the cursor stays on its row without the focus too, because something else shows that row."""

    stays_on_top: ClassVar[bool] = False
    """Whether the cursor stays on the first row, whichever that is, until somebody moves it."""

    class Moved(Message):
        """The cursor went to another row."""

        def __init__(self, panel: ListPanel[Any]) -> None:
            super().__init__()
            self.panel = panel

    class Opened(Moved):
        """A row was opened with enter or a second click."""

    class Copied(Moved):
        """A row is to be copied."""

        def __init__(self, panel: ListPanel[Any], what: str, text: str) -> None:
            super().__init__(panel)
            self.what = what
            self.text = text

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id, classes=classes)
        self.rows: tuple[RowT, ...] = ()
        self.cursor = 0
        self.touched = False
        self._top = 0
        self._painted_head: dict[int, Strip] = {}

    # -- what subclasses say ------------------------------------------------------------------------------

    def identity(self, row: RowT) -> str:
        """Return what *row* is called, so that the cursor finds it again."""
        raise NotImplementedError

    def draw_row(self, row: RowT, width: int) -> LineBuilder:
        """Draw *row* in at most *width* cells."""
        raise NotImplementedError

    def draw_heading(self, width: int) -> LineBuilder:  # noqa: ARG002 - subclasses use it
        """Draw the heading: the title, then whatever the panel has to say."""
        return self.title_piece()

    def draw_columns(self, width: int) -> LineBuilder:
        """Draw the second line of a heading that has two: the names of the columns."""
        return LineBuilder().cell("", width)

    def as_json(self, row: RowT) -> str:
        """Return the whole of *row* for the clipboard."""
        return self.identity(row)

    def per_line(self) -> int:
        """Return how many rows share a line at the present width."""
        return 1

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - subclasses use it
        """Draw the one line that stands where there are no rows."""
        return LineBuilder().add(" nothing yet", self.ink["muted"])

    # -- data -----------------------------------------------------------------------------------------------

    def set_rows(self, rows: tuple[RowT, ...]) -> None:
        """Show *rows*, repainting only lines that differ; with the focus, the cursor stays on its row."""
        before, self.rows = self.rows, rows
        keeps = self._holds_cursor
        held = self.identity(before[self.cursor]) if keeps and self.cursor < len(before) else ""
        top = self._top
        if held and (self.touched or not self.stays_on_top):
            shift = self._find(held, self.cursor) - self.cursor
            self.cursor += shift
            self._top += shift // self.per_line()
        elif held:
            self.cursor = self._top = 0
        else:
            self.cursor = min(self.cursor, max(len(rows) - 1, 0)) if keeps else 0
            self._top = self._top if keeps else 0
        self._clamp()
        if self._top != top or bool(before) != bool(rows):
            self.refresh()
        else:
            per_line = self.per_line()
            self.repaint_lines(
                *self._stale_head(),
                *(
                    y
                    for y in range(self.head, self.size.height)
                    if self._slice(before, y, per_line) != self._slice(rows, y, per_line)
                ),
            )
        if self.selects and bool(before) != bool(rows):
            self.refresh_bindings()

    @property
    def selected(self) -> RowT | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.selects and self.cursor < len(self.rows) else None

    @property
    def body_height(self) -> int:
        """Lines below the heading."""
        return max(self.size.height - self.head, 0)

    @property
    def lines(self) -> int:
        """Lines that all rows need."""
        return -(-len(self.rows) // self.per_line())

    @property
    def extent(self) -> str:
        """What part of the rows is on the screen, in words; empty if all are."""
        per_line = self.per_line()
        if len(self.rows) <= self.body_height * per_line:
            return ""
        first = self._top * per_line
        return f"{first + 1}-{min(first + self.body_height * per_line, len(self.rows))} of {len(self.rows)}"

    # -- drawing ----------------------------------------------------------------------------------------------

    def title_piece(self) -> LineBuilder:
        """Start a heading with the title, in the colour that says whether the panel has the focus."""
        builder = LineBuilder().add(f" {self.title}", self.ink["accent+" if self.has_focus else "strong"])
        return builder.add(" old", self.ink["muted"]) if self._old else builder

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw the heading or the rows of one line."""
        if y < self.head:
            strip = self._painted_head[y] = self._draw_head(y, width)
            return strip
        if not self.rows:
            empty = self.draw_empty if self._known else self._draw_waiting
            return (empty(width) if y == self.head else LineBuilder()).strip(width)
        per_line = self.per_line()
        first = (self._top + y - self.head) * per_line
        cell = width // per_line
        strips = []
        for offset, row in enumerate(self.rows[first : first + per_line]):
            drawn = self.draw_row(row, cell)
            on_cursor = self._holds_cursor and first + offset == self.cursor
            strips.append(self.ink.on_cursor(drawn.strip(cell)) if on_cursor else drawn.strip(cell))
        return Strip.join(strips).adjust_cell_length(width) if strips else blank(width)

    # -- keys and mouse ------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey what needs a row while there is none; where there is no cursor at all, it does not exist."""
        del parameters
        if not self.selects and needs_selection(action):
            return False
        return verdict(action, Situation(selection=self.selected is not None))

    def action_move(self, lines: int) -> None:
        """Move by lines."""
        self._go(self.cursor + lines * self.per_line()) if self.selects else self._scroll(lines)

    def action_sidestep(self, cells: int) -> None:
        """Move within a line that holds several rows."""
        if self.per_line() > 1:
            self._go(self.cursor + cells)

    def action_top(self) -> None:
        """Go to the first row."""
        self._go(0) if self.selects else self._scroll(-self.lines)

    def action_bottom(self) -> None:
        """Go to the last row."""
        self._go(len(self.rows) - 1) if self.selects else self._scroll(self.lines)

    def action_page(self, pages: float) -> None:
        """Move by a page or half of one."""
        self.action_move(round(max(self.body_height - 1, 1) * pages) or (1 if pages > 0 else -1))

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.selected is not None:
            self.touched = True
            self.post_message(self.Opened(self))

    def action_copy_name(self) -> None:
        """Copy what names the row."""
        if (row := self.selected) is not None:
            self.post_message(self.Copied(self, "name", self.identity(row)))

    def action_copy_json(self) -> None:
        """Copy the whole row."""
        if (row := self.selected) is not None:
            self.post_message(self.Copied(self, "JSON", self.as_json(row)))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is; on the row that has it, open it."""
        per_line = self.per_line()
        index = (self._top + event.y - self.head) * per_line + event.x // max(self.size.width // per_line, 1)
        if self.selects and event.y >= self.head and index < len(self.rows):
            if index == self.cursor and event.chain > 1:
                self.action_open()
            self._go(index)

    def on_mouse_scroll_down(self, _event: events.MouseScrollDown) -> None:
        """Scroll without moving the cursor."""
        self._scroll(3)

    def on_mouse_scroll_up(self, _event: events.MouseScrollUp) -> None:
        """Scroll without moving the cursor."""
        self._scroll(-3)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._clamp()
        self.refresh()

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh()

    def _stale_head(self) -> list[int]:
        """Return the lines of the heading that no longer say what they should."""
        return [y for y in range(self.head) if self._painted_head.get(y) != self._draw_head(y, self.size.width)]

    def _draw_head(self, y: int, width: int) -> Strip:
        return (self.draw_columns if y else self.draw_heading)(width).strip(width, self.ink["band"])

    def _draw_waiting(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        return LineBuilder().add(" waiting for the first data", self.ink["faint"])

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _go(self, index: int) -> None:
        """Put the cursor on a row and repaint what that changes."""
        before, top = self.cursor, self._top
        self.touched = index > 0
        self.cursor = min(max(index, 0), max(len(self.rows) - 1, 0))
        if self.cursor == before:
            return
        self._reveal()
        if self._top != top:
            self.refresh()
        else:
            per_line = self.per_line()
            self.repaint_lines(*self._stale_head(), *(self.head + at // per_line - top for at in (before, self.cursor)))
        self.post_message(self.Moved(self))

    def _scroll(self, lines: int) -> None:
        top = self._top
        self._top = min(max(top + lines, 0), max(self.lines - self.body_height, 0))
        if self._top != top:
            self.refresh()

    def _reveal(self) -> None:
        """Scroll as little as needed to see the cursor."""
        line = self.cursor // self.per_line()
        self._top = max(min(self._top, line), line - max(self.body_height, 1) + 1)

    def jump(self, index: int) -> None:
        """Put the cursor on the row at *index* of those that are loaded."""
        self._go(index)

    def _clamp(self) -> None:
        self.cursor = min(max(self.cursor, 0), max(len(self.rows) - 1, 0))
        self._top = min(max(self._top, 0), max(self.lines - self.body_height, 0))
        if self._holds_cursor:
            self._reveal()

    @property
    def _holds_cursor(self) -> bool:
        return self.selects and (self.has_focus or self.keeps_cursor)

    def _find(self, name: str, near: int) -> int:
        """Return where the row called *name* is now; if it is gone, the row that took its place."""
        for index, row in enumerate(self.rows):
            if self.identity(row) == name:
                return index
        return min(near, max(len(self.rows) - 1, 0))

    def _slice(self, rows: tuple[RowT, ...], y: int, per_line: int) -> tuple[RowT, ...]:
        first = (self._top + y - self.head) * per_line
        return rows[first : first + per_line]
