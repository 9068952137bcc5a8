"""Building one line of cells: text of known width in known styles, cut and padded by cells and not by characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.strip import Strip

from observatory.model.text import ELLIPSIS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style

Align = Literal["left", "right"]

_BLOCKS = "▁▂▃▄▅▆▇█"


def fit(text: str, width: int, align: Align = "left") -> str:
    """Return *text* in exactly *width* cells: cut with an ellipsis, or padded on the other side of *align*."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        kept = set_cell_size(text, width - 1).rstrip()
        return kept + ELLIPSIS + " " * (width - 1 - cell_len(kept))
    pad = " " * (width - length)
    return pad + text if align == "right" else text + pad


def ending(text: str, width: int) -> str:
    """Return *text* in at most *width* cells, cut at its beginning: ids differ at the end."""
    if cell_len(text) <= width or width <= 0:
        return text if width > 0 else ""
    kept = text
    while kept and cell_len(kept) >= width:
        kept = kept[1:]
    return ELLIPSIS + kept.lstrip()


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw the newest *width* values as blocks, newest at the right; zero is the lowest block, no value a blank."""
    shown = [value for value in values[-width:] if value == value] if width > 0 else []  # noqa: PLR0124 - NaN
    top = max(shown, default=0.0)
    if top <= 0:
        return (_BLOCKS[0] * len(shown)).rjust(max(width, 0))
    steps = (min(int(max(value, 0.0) / top * 7 + 0.5), 7) for value in shown)
    return "".join(_BLOCKS[step] for step in steps).rjust(width)


class LineBuilder:
    """Collects styled pieces of one line and counts their cells."""

    __slots__ = ("_segments", "_width")

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._width = 0

    @property
    def width(self) -> int:
        """Cells that are filled so far."""
        return self._width

    def add(self, text: str, style: Style | None = None) -> LineBuilder:
        """Append *text* as it is."""
        if text:
            self._segments.append(Segment(text, style))
            self._width += cell_len(text)
        return self

    def cell(self, text: str, width: int, style: Style | None = None, align: Align = "left") -> LineBuilder:
        """Append *text* in exactly *width* cells."""
        return self.add(fit(text, width, align), style)

    def gap(self, width: int) -> LineBuilder:
        """Append *width* blanks."""
        return self.add(" " * max(width, 0))

    def to(self, column: int) -> LineBuilder:
        """Append blanks up to *column*."""
        return self.gap(column - self._width)

    def strip(self, width: int, base: Style | None = None) -> Strip:
        """Return the line in exactly *width* cells, over the style *base*; a cut is marked by an ellipsis."""
        strip = Strip(self._segments, self._width)
        if self._width > width > 1:
            kept = strip.crop(0, width - 1)
            style = self._segments[-1].style
            strip = Strip([*kept, Segment(ELLIPSIS.rjust(width - kept.cell_length), style)], width)
        strip = strip.adjust_cell_length(width)
        return strip.apply_style(base) if base is not None else strip


def blank(width: int) -> Strip:
    """Return an empty line of *width* cells."""
    return Strip.blank(width)
