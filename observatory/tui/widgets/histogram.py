"""A histogram: how many in each bucket, as bars below each other, or on one line where there is no room for bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.strip import Strip

_LABEL, _COUNT = 8, 7


class Histogram(Drawn):
    """Buckets from small to large; empty ones stay, so that nothing jumps.

    Args:
        title: What is counted.
        bounds: Upper bound of each bucket, exclusive, with its label; what lies above the last is counted in `rest`.
        rest: Label of everything above.
    """

    def __init__(
        self, title: str, bounds: Sequence[tuple[float, str]], rest: str, *, id: str | None = None  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__(id=id)
        self._title = title
        self._bounds = bounds
        self._labels = [*(label for _, label in bounds), rest]
        self._counts: tuple[int, ...] = ()
        self._words = ""

    def count(self, values: Iterable[float], words: str = "") -> None:
        """Show how *values* are spread; *words* say what part of all they are."""
        counts = [0] * len(self._labels)
        for value in values:
            counts[next((at for at, (bound, _) in enumerate(self._bounds) if value < bound), len(self._bounds))] += 1
        if (tuple(counts), words) != (self._counts, self._words):
            self._counts, self._words = tuple(counts), words
            self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw the heading or one bucket; with a single line, all of them on it."""
        if self.size.height == 1:
            return self._draw_flat(width).strip(width)
        ink = self.ink
        if y == 0:
            builder = LineBuilder().add(f" {self._title}", ink["strong"]).add(f"  {self._words}", ink["muted"])
            return builder.strip(width, ink["band"])
        if y > len(self._labels):
            return LineBuilder().strip(width)
        builder = LineBuilder().gap(1).cell(self._labels[y - 1], _LABEL, ink["muted"])
        if not self._counts:
            return builder.cell(fmt.UNKNOWN, _COUNT, ink["muted"], "right").strip(width)
        number, top = self._counts[y - 1], max(self._counts)
        builder.cell(fmt.count(number), _COUNT, ink["text" if number else "faint"], "right").gap(1)
        room = max(width - builder.width - 1, 0)
        bar = round(number / top * room) if top else 0
        return builder.add("━" * max(bar, 1 if number else 0), ink[self._ink(y - 1)]).strip(width)

    def _draw_flat(self, width: int) -> LineBuilder:  # noqa: ARG002 - the caller cuts at the width
        builder = LineBuilder().gap(1).cell(self._title, _LABEL + 3, self.ink["muted"])
        for place, label in enumerate(self._labels):
            number = self._counts[place] if self._counts else None
            builder.add(f"{label} ", self.ink["faint"])
            builder.add(fmt.count(number), self.ink[self._ink(place) if number else "faint"]).gap(2)
        return builder

    def _ink(self, place: int) -> str:
        """Return the style of a bucket: the last third is where trouble is."""
        share = place / max(len(self._labels) - 1, 1)
        return "error+" if share >= 0.85 else "warning" if share >= 0.6 else "primary"
