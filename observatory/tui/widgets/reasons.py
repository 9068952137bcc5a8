"""The dead letters by reason, as bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.model.snapshot import DeadLetterSummary
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from observatory.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason: its word, how many, and the share of the most frequent one."""

    reason: str
    number: int
    share: float


class ReasonBars(ListPanel[ReasonRow]):
    """Why tasks died, most frequent first."""

    title = "Dead letters"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._summary = DeadLetterSummary()
        self._known = False

    def show(self, snapshot: Snapshot) -> None:
        """Show the reasons of *snapshot*."""
        self._summary, self._known = snapshot.dead_letters, bool(snapshot.at_ms)
        most = max((number for _, number in self._summary.reasons), default=1)
        self.set_rows(tuple(ReasonRow(name, number, number / most) for name, number in self._summary.reasons))

    def identity(self, row: ReasonRow) -> str:
        """A reason is its word."""
        return row.reason

    def draw_heading(self, width: int) -> LineBuilder:
        """Say how many there are, and how many of them the bars speak of."""
        builder, letters, ink = self.title_piece(), self._summary, self.ink
        if not self._known:
            return builder
        builder.add(f"  {fmt.count(letters.total)}", ink["error+" if letters.total else "faint"])
        if letters.total and letters.counted < letters.total:
            builder.add(f"  newest {fmt.count(letters.counted)} by reason", ink["muted"])
        if letters.total and builder.width + 14 < width:
            builder.to(width - 12).add("enter", ink["accent+"]).add(" opens", ink["muted"])
        return builder

    def draw_row(self, row: ReasonRow, width: int) -> LineBuilder:
        """Draw one bar."""
        ink = self.ink
        builder = LineBuilder().gap(1).cell(line(row.reason, 64), 13, ink["text"])
        builder.cell(fmt.count(row.number), 7, ink["strong"], "right").gap(2)
        room = min(max(width - builder.width - 2, 0), 40)
        halves = max(round(row.share * room * 2), 1) if room else 0
        bar = "━" * (halves // 2) + "╸" * (halves % 2)
        return builder.add(bar, ink["error"])

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say that there are none, or why nobody knows."""
        if self._summary.problem:
            return LineBuilder().add(f" ✖ {line(self._summary.problem, 200)}", self.ink["error"])
        return LineBuilder().add(" ✓ none" if self._known else " ?", self.ink["muted"])
