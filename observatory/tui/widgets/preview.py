"""The entry that a form will add, exactly as it will stand in the stream; or what is wrong with the form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder

if TYPE_CHECKING:
    from textual.strip import Strip

    from observatory.model.task import NewTask


class Preview(Drawn):
    """A heading that says what will happen, then the fields, wrapped."""

    DEFAULT_CSS = """
    Preview { height: 7; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._fields: list[tuple[str, str]] = []
        self._heading = ""
        self._problem = ""
        self._quiet = False

    def show_entry(self, fields: list[tuple[str, str]], task: NewTask) -> None:
        """Show the entry of *task*."""
        when = f" in {fmt.age(task.delay_s)}" if task.delay_s else " now"
        heading = f"goes to {line(str(task.lane), 80)}{when}, stale after {fmt.age(task.ttl_s)}"
        if (fields, heading, "") != (self._fields, self._heading, self._problem):
            self._fields, self._heading, self._problem = fields, heading, ""
            self.refresh()

    def show_problem(self, problem: str, *, quiet: bool = False) -> None:
        """Show what is wrong; *quiet* where nobody has typed anything yet."""
        self._problem, self._quiet = line(problem, 400), quiet
        self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw a line."""
        ink = self.ink
        if self._problem:
            mark, name = ("  ", "muted") if self._quiet else ("✖ ", "error+")
            return (LineBuilder().add(mark + self._problem, ink[name]) if y == 0 else LineBuilder()).strip(width)
        if y == 0:
            return LineBuilder().add("✓ ", ink["success"]).add(self._heading, ink["text"]).strip(width)
        rows = self._laid_out(width)
        return rows[y - 1].strip(width) if y <= len(rows) else LineBuilder().strip(width)

    def _laid_out(self, width: int) -> list[LineBuilder]:
        """Put fields behind each other, a new line where the next does not fit."""
        ink = self.ink
        rows = [LineBuilder().add("XADD", ink["accent"]).add(" * ", ink["muted"])]
        for name, value in self._fields:
            text = line(value, max(width - len(name) - 3, 8))
            if rows[-1].width + len(name) + cell_len(text) + 3 > width and rows[-1].width > 2:
                rows.append(LineBuilder().gap(2))
            rows[-1].add(name, ink["muted"]).gap(1).add(text, ink["strong" if name != "id" else "text"]).gap(2)
        return rows
