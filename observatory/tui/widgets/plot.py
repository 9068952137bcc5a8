"""A chart drawn by plotext: bounded in size, drawn again only when its data changed, and at most once a second."""

from __future__ import annotations

import asyncio
import importlib
import math
import re
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from textual.strip import Strip  # noqa: TC002 - an annotation of the class

from observatory.model.snapshot import TREND_LENGTH
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder, blank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.model.clock import Clock

WIDEST, HIGHEST = 150, 24
"""Largest chart that is drawn, in cells: what it costs grows with its area."""

_PERIOD_S, _FLAT_PERIOD_S = 1.0, 5.0
"""Seconds between two drawings; lines that are flat from end to end only get longer, which waits for a later look."""

_PLOTEXT = "plotext"
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_BRAILLE = re.compile("[\u2801-\u28ff]")
_STROKES = ("", "+", "x", "o")
"""What series are drawn with where there are no colours; the first stays a fine line."""

_AXIS = -1
_LABEL = 6
_HUGE = 1e15
_USUAL, _HEADROOM, _SPIKE = 0.95, 1.5, 6.0


class Series(NamedTuple):
    """One line of a chart: its word, the name of its style, its values (oldest first, NaN for a gap), its newest."""

    name: str
    ink: str
    values: tuple[float, ...]
    now: str


class Plot(Drawn):
    """A heading that is the legend, the chart, and a few lines of words below it."""

    def __init__(self, title: str, label: Callable[[float], str], clock: Clock, *, tick_s: float, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._title, self._label, self._clock, self._tick_s = title, label, clock, tick_s
        self._series: tuple[Series, ...] = ()
        self._notes: tuple[tuple[str, ...], ...] = ()
        self._values: tuple[tuple[float, ...], ...] = ()
        self._chart: list[Strip] = []
        self._chart_key: object = None
        self._drawn_at = -math.inf
        self._waiting = False

    def say(self, series: tuple[Series, ...], notes: tuple[tuple[str, ...], ...] = ()) -> None:
        """Take new data and say its numbers at once, in the legend and the notes; `draw` brings the chart."""
        if notes != self._notes:
            self._notes = notes
            self.repaint_lines(*range(self.size.height - len(notes), self.size.height))
        # One NaN is not equal to another unless it is the same object, and a gap that stays is no change.
        series = tuple(item._replace(values=tuple(map(_same_nan, item.values))) for item in series)
        if series != self._series:
            before, self._series = self._series, series
            if [(item.name, item.now) for item in before] != [(item.name, item.now) for item in series]:
                self.repaint_lines(0)

    def draw(self) -> None:
        """Bring the chart up to the data, at most once a second, and only if the data changed."""
        values = self._newest_values()
        if self._waiting or values == self._values:
            return
        since_s = self._clock.monotonic() - self._drawn_at
        if self._chart and since_s < _FLAT_PERIOD_S and all(len(set(series)) < 2 for series in values):
            return
        if since_s < _PERIOD_S:
            self._waiting = True
            self.set_timer(_PERIOD_S - since_s, self._due)
        else:
            self._due()

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw the legend, a line of the chart, or a note."""
        if y == 0:
            return self._legend(width).strip(width, self.ink["band"])
        height = self.size.height - 1 - len(self._notes)
        if y > height:
            builder = LineBuilder()
            for part in self._notes[y - height - 1]:
                if builder.width + len(part) + 2 <= width:
                    builder.gap(1 if not builder.width else 2).add(part, self.ink["muted"])
            return builder.strip(width)
        chart = self._drawn(*self._room())
        return chart[y - 1].adjust_cell_length(width) if y <= len(chart) else blank(width)

    def _due(self) -> None:
        if _PLOTEXT not in sys.modules:
            self._waiting = True
            self.run_worker(self._load(), name="plotext", description="load what draws charts")
            return
        self._waiting = False
        self._values = self._newest_values()
        if any(self._values):
            self._drawn_at = self._clock.monotonic()
        before, after = self._chart, self._drawn(*self._room())
        changed = [y for y, (old, new) in enumerate(zip_longest(before, after), 1) if old != new]
        self.repaint_lines(*([0, *changed] if changed else []))

    def _newest_values(self) -> tuple[tuple[float, ...], ...]:
        """Return what there is to draw; a series without any value is none, however long nothing was known."""
        return tuple(series.values if any(map(math.isfinite, series.values)) else () for series in self._series)

    def _room(self) -> tuple[int, int]:
        """Return the width and the height of the chart, between the legend and the notes."""
        return min(self.size.width - 1, WIDEST), min(self.size.height - 1 - len(self._notes), HIGHEST)

    async def _load(self) -> None:
        """Load plotext beside everything else: no key waits for its 100 ms."""
        await asyncio.to_thread(importlib.import_module, _PLOTEXT)
        self._due()

    def _legend(self, width: int) -> LineBuilder:
        builder = LineBuilder().add(f" {self._title}", self.ink["strong"])
        numbers = builder.width + sum(len(series.name) + len(series.now) + 5 for series in self._series) <= width
        for number, series in enumerate(self._series):
            builder.gap(2).add(f"{self._stroke(number) or '━'} ", self.ink[series.ink]).add(
                series.name, self.ink["muted"]
            )
            if numbers:
                builder.add(f" {series.now}", self.ink["text"])
        highest = max((value for part in self._values for value in part if math.isfinite(value)), default=0.0)
        peak = f"▲ {self._label(highest)}"
        if highest > _nice(ceiling(self._values)) and builder.width + 2 + len(peak) <= width:
            builder.gap(2).add(peak, self.ink["warning"])
        return builder

    def _stroke(self, number: int) -> str:
        """Return the letter that a series is drawn with; empty where its colour tells it from the others."""
        return _STROKES[number % len(_STROKES)] if self.app.no_color else ""

    def _drawn(self, width: int, height: int) -> list[Strip]:
        """Return the lines of the chart, from the cache unless data, size or colours changed."""
        key = (self._values, width, height)
        ink = self.ink
        if key != self._chart_key or ink is not self._chart_ink:
            self._chart_key, self._chart_ink = key, ink
            self._chart = self._styled(chart_text(self._values, width, height, self._label, self._tick_s))
        return self._chart

    _chart_ink: object = None

    def _styled(self, text: str) -> list[Strip]:
        """Turn plotext's colours, which are numbers of series, into the styles of the theme."""
        lines = []
        for row in text.split("\n"):
            builder, style = LineBuilder().gap(1), None
            for index, piece in enumerate(_SGR.split(row)):
                if index % 2:
                    number = _series_number(piece, style)
                    style = number
                elif piece:
                    if style is None or style == _AXIS:
                        builder.add(piece, self.ink["faint"])
                        continue
                    stroke = self._stroke(style)
                    builder.add(_BRAILLE.sub(stroke, piece) if stroke else piece, self.ink[self._series[style].ink])
            lines.append(builder.strip(builder.width))
        return lines


def chart_text(
    values: Sequence[tuple[float, ...]], width: int, height: int, label: Callable[[float], str], tick_s: float
) -> str:
    """Let plotext draw *values*; each colour in the result is `(0, 0, number of the series + 1)`.

    Args:
        values: The series, oldest value first; what is not finite is a gap. The axis is as long as a trend gets, so
            that it stands still while the series grow.
        width: Cells of the whole chart.
        height: Lines of the whole chart.
        label: How a value is written beside the axis.
        tick_s: Seconds between two values.

    Returns:
        Lines with colour sequences, or empty text where there is no room for a chart.
    """
    if width < 20 or height < 4 or not any(values):
        return ""
    import plotext  # noqa: PLC0415 - the first paint does not wait for it, `Plot` loads it aside

    top = _nice(ceiling(values))
    length = max(TREND_LENGTH, *(len(series) for series in values))
    plotext.terminal.limit(False, False)  # the widget knows its size; the process's own terminal may be another
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.canvas("default")
    figure.axes(False)
    figure.legend(False)
    for number, series in enumerate(values):
        marker = plotext.marker("braille", plotext.pixel(foreground=(0, 0, number + 1)))
        # plotext's kernel aborts the process on NaN, so that every run between two gaps is a signal of its own.
        for start, run in _runs(series, top):
            first = length - len(series) + start
            figure.draw(figure.signal(list(range(first, first + len(run))), run, marker=marker).lines(len(run) > 1))
    span = max(length - 1, 1)
    figure.ruler(0).lim(0, span)
    figure.ruler(0).ticks([0, span / 2, span], [_ago(length * tick_s), _ago(length * tick_s / 2), "now"])
    figure.ruler(1).lim(0, top)
    figure.ruler(1).ticks([0, top / 2, top], [label(value).rjust(_LABEL) for value in (0.0, top / 2, top)])
    figure.ruler([0, 1], [0, 1]).pixel(plotext.pixel(foreground=(0, 0, 255)))
    text: str = figure.build().string()
    return text.rstrip("\n")


def ceiling(values: Sequence[Sequence[float]]) -> float:
    """Return the largest value that the axis must show.

    A short spike would flatten everything else for as long as it is in view, so that it is cut at the ceiling and
    its height is said in the legend instead.
    """
    finite = sorted(min(value, _HUGE) for series in values for value in series if math.isfinite(value))
    if not finite:
        return 1.0
    usual = finite[int(len(finite) * _USUAL)]
    return usual * _HEADROOM if finite[-1] > usual * _SPIKE and usual > 0 else finite[-1]


def _same_nan(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _runs(series: Sequence[float], top: float) -> list[tuple[int, list[float]]]:
    """Return the stretches without a gap: where each starts, and its values."""
    found: list[tuple[int, list[float]]] = []
    open_run = False
    for index, value in enumerate(series):
        if math.isfinite(value):
            if not open_run:
                found.append((index, []))
            found[-1][1].append(min(max(value, 0.0), top))
        open_run = math.isfinite(value)
    return found


def _nice(top: float) -> float:
    """Return the smallest of 1, 2, 4, 5, 10 … that is not below *top*, so that the axis stands still."""
    if top <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(top))
    return next((step * scale for step in (1, 2, 4, 5, 8, 10) if step * scale >= top), 10 * scale)


def _ago(seconds: float) -> str:
    return f"-{seconds:.0f}s" if seconds < 120 else f"-{seconds / 60:.0f}m"


def _series_number(codes: str, before: int | None) -> int | None:
    """Read a colour sequence back into the number of a series; backgrounds mean nothing."""
    if codes in {"", "0"}:
        return None
    match = re.search(r"38;2;0;0;(\d+)", codes)
    if match is None:
        return before
    number = int(match[1])
    return _AXIS if number == 255 else number - 1
