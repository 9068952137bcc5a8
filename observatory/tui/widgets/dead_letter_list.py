"""The dead letters as a list, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from observatory.model.dead_letter import DeadLetter
from observatory.model.text import line
from observatory.tui import format as fmt
from observatory.tui.lines import LineBuilder
from observatory.tui.widgets.list_panel import ListPanel
from observatory.tui.widgets.payload import letter_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.model.clock import Clock


class DeadLetterList(ListPanel[DeadLetter]):
    """When, why, what, how often, how old, from where, and the error; columns go before anything is cut."""

    title: ClassVar[str] = "Dead letters"
    head: ClassVar[int] = 2
    keeps_cursor: ClassVar[bool] = True

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._clock = clock
        self.status = ""
        self.status_ink = "muted"
        self.total: int | None = None

    def say(self, words: str, ink: str = "muted") -> None:
        """Say what stands in the heading, and alone where there are no rows: loading, empty, or an error."""
        if (words, ink) != (self.status, self.status_ink):
            self.status, self.status_ink = words, ink
            self.repaint_lines(0, self.head)

    def identity(self, row: DeadLetter) -> str:
        """A dead letter is its entry."""
        return row.entry_id

    def as_json(self, row: DeadLetter) -> str:
        """The entry as it stands in the stream, as JSON."""
        return letter_json(row)

    def draw_heading(self, width: int) -> LineBuilder:  # noqa: ARG002 - a short heading
        """Say where the cursor is, how many there are, and what is going on."""
        builder = self.title_piece()
        if self.rows:
            place = f"{self.cursor + 1} of {fmt.count(len(self.rows) if self.total is None else self.total)}"
            builder.add(f"  {place}", self.ink["error+"])
        if self.status and self.rows:
            builder.add(f"  {self.status}", self.ink[self.status_ink])
        return builder

    def draw_columns(self, width: int) -> LineBuilder:
        """Name the columns."""
        return self._laid_out(width, ("age", "reason", "type", "tries", "from", "error"), ("muted",) * 6)

    def draw_row(self, row: DeadLetter, width: int) -> LineBuilder:
        """Draw one dead letter."""
        age = fmt.age(max(self._clock.now_ms() - row.died_ms, 0) / 1000)
        tries = fmt.count(row.attempts) + ("↩" if row.requeues else "")
        type_, error = line(row.type, 64) or fmt.UNKNOWN, line(row.error, 400) or fmt.NONE
        texts = (age, line(row.reason, 32), type_, tries, _short_lane(row.source), error)
        return self._laid_out(width, texts, ("muted", "error", "strong", "muted", "muted", "text"))

    def _laid_out(self, width: int, texts: Sequence[str], inks: Sequence[str]) -> LineBuilder:
        """Put the six texts into the columns that fit; where the lane does not fit, the payload pane still has it."""
        ink = [self.ink[name] for name in inks]
        age, reason, type_, tries, source, error = texts
        builder = LineBuilder().gap(1).cell(age, 6, ink[0], "right").gap(2).cell(reason, 10, ink[1]).gap(1)
        builder.cell(type_, 11 if width < 110 else 18, ink[2]).gap(1).cell(tries, 5, ink[3], "right").gap(2)
        if width >= 78:
            builder.cell(source, 13 if width < 110 else 20, ink[4]).gap(1)
        return builder.cell(error, max(width - builder.width - 1, 0), ink[5])

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one line
        """Say why there are no rows, and the key to press."""
        return LineBuilder().add(f" {self.status}", self.ink[self.status_ink])

    def look(self) -> None:
        """Let the ages move on."""
        if self.rows:
            self.refresh()


def _short_lane(stream: str) -> str:
    """Return a lane's key without what all lanes share."""
    return line(stream.partition(":tasks:")[2] or stream, 64)
