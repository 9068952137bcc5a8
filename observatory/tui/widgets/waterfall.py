"""The life of one task as a waterfall: every stretch a line, its bar on one common axis of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from observatory.model.text import line
from observatory.model.trace import Span, SpanKind
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing import glyphs
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from observatory.model.trace import Trace

_WHAT, _WHERE, _FOR, _END = 10, 16, 8, 15
"""Cells of what it did, where or who, how long, and how that ended."""

_BARS = {SpanKind.WAITING: "┄", SpanKind.DELAYED: "·", SpanKind.RUNNING: "━", SpanKind.DEAD: "▒"}
_INKS = {SpanKind.WAITING: "muted", SpanKind.DELAYED: "muted", SpanKind.RUNNING: "primary", SpanKind.DEAD: "error"}


class Waterfall(ListPanel[Span]):
    """The stretches of one task, in order of time."""

    title = "Trace"
    head: ClassVar[int] = 2
    keeps_cursor: ClassVar[bool] = True

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._trace: Trace | None = None
        self._words = ""

    def show(self, trace: Trace | None, words: str = "") -> None:
        """Show *trace*; without one, *words* say why."""
        if (trace, words) != (self._trace, self._words):
            self._trace, self._words = trace, words
            self.set_rows(trace.spans if trace is not None else ())
            self.refresh()

    def identity(self, row: Span) -> str:
        """A stretch is when it began and what it was."""
        return f"{row.from_ms} {row.kind} {row.attempt}"

    def draw_heading(self, width: int) -> LineBuilder:  # noqa: ARG002 - the caller cuts at the width
        """Name the task, where it is in its life, and how long that life is."""
        builder, trace = self.title_piece(), self._trace
        if trace is None:
            return builder
        builder.add(f"  {line(trace.task_id, 80)}", self.ink["strong"]).add(
            f"  {line(trace.type, 40)}", self.ink["text"]
        )
        mark = glyphs.TASKS.get(trace.state, glyphs.OTHER_TASK)
        builder.add(f"  {mark.glyph} {mark.word}", self.ink[mark.ink])
        if trace.spans:
            start, end = self._axis(trace)
            builder.add(f"  {fmt.milliseconds(end - start)} in all", self.ink["muted"])
        if not trace.complete and trace.found:
            builder.add("  ▲ its beginning is no longer in the log", self.ink["warning"])
        return builder

    def draw_columns(self, width: int) -> LineBuilder:
        """Name the columns; above the bars stands when the life began and ended."""
        ink, room = self.ink["muted"], self._room(width)
        builder = LineBuilder().gap(1).cell("what", _WHAT, ink).cell("where, who", _WHERE, ink)
        if self._trace is not None and self._trace.spans and room > 20:
            start, end = self._axis(self._trace)
            builder.cell(fmt.clock_time(start), room - 9, ink).cell(fmt.clock_time(end), 9, ink, "right")
        else:
            builder.gap(room)
        return builder.cell("for", _FOR, ink, "right").gap(1).cell("until", _END, ink)

    def draw_row(self, row: Span, width: int) -> LineBuilder:
        """Draw one stretch."""
        ink, trace = self.ink, self._trace
        style = ink[_INKS[row.kind]]
        builder = LineBuilder().gap(1).cell(f"{row.kind}", _WHAT, style)
        where = line(row.agent, 40) if row.consumer else line(row.stream.partition(":tasks:")[2] or row.stream, 40)
        attempt = f" #{row.attempt}" if row.attempt > 1 else ""
        builder.cell(f"{where}{attempt}" if where else fmt.NONE, _WHERE - 1, ink["text"]).gap(1)
        if trace is not None:
            self._draw_bar(builder, row, trace, self._room(width))
        until = row.to_ms if row.to_ms is not None else trace.at_ms if trace is not None and row.lasts else None
        took = fmt.UNKNOWN if until is None else fmt.milliseconds(max(until - row.from_ms, 0))
        mark = glyphs.EVENTS.get(row.outcome, glyphs.OTHER_EVENT)
        ended = "goes on" if row.lasts else f"{mark.glyph} {mark.word or row.outcome}"
        builder.cell(took, _FOR, ink["strong" if row.kind is SpanKind.RUNNING else "text"], "right").gap(1)
        return builder.cell(ended, _END, ink["accent" if row.lasts else mark.ink])

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say why there is nothing."""
        return LineBuilder().add(f" {self._words or 'nothing is known of this task'}", self.ink["muted"])

    def _draw_bar(self, builder: LineBuilder, row: Span, trace: Trace, room: int) -> None:
        """Draw the bar of a stretch: at least one cell wide, with an arrow at its end if it goes on."""
        start, end = self._axis(trace)
        scale = (room - 1) / max(end - start, 1)
        first = round((row.from_ms - start) * scale)
        until = row.to_ms if row.to_ms is not None else trace.at_ms if row.lasts else row.from_ms
        last = min(max(round((until - start) * scale), first), room - 1)
        bar = _BARS[row.kind] * (last - first) + ("▶" if row.lasts else _BARS[row.kind])
        builder.gap(first).add(bar, self.ink[_INKS[row.kind]]).gap(room - last - 1)

    @staticmethod
    def _axis(trace: Trace) -> tuple[int, int]:
        """Return the times at which the bars begin and end."""
        ends = [span.to_ms if span.to_ms is not None else trace.at_ms if span.lasts else span.from_ms
                for span in trace.spans]  # fmt: skip
        return min(span.from_ms for span in trace.spans), max(ends)

    @staticmethod
    def _room(width: int) -> int:
        return max(width - 1 - _WHAT - _WHERE - _FOR - 1 - _END, 4)
