"""The chart of a timeline: density by outcome, markers, playhead, what part of all is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from observatory.model.text import line
from observatory.model.timeline import MarkKind, Outcome
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder

if TYPE_CHECKING:
    from textual.events import MouseDown, MouseMove, MouseUp
    from textual.strip import Strip

    from observatory.history.player import Picture, Player

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_INKS: Final = {Outcome.OK: "plot-2", Outcome.FAILED: "warning", Outcome.DEAD: "error", Outcome.OTHER: "muted"}
_MARKS: Final = {
    MarkKind.DEATHS: ("†", "error"),
    MarkKind.LOST: ("▼", "error"),
    MarkKind.BACK: ("▲", "plot-2"),
    MarkKind.PAUSE: ("‖", "warning"),
    MarkKind.OPERATOR: ("◆", "primary"),
    MarkKind.ALERT: ("!", "warning"),
    MarkKind.GAP: ("┄", "muted"),
    MarkKind.BOOKMARK: ("★", "strong"),
}
"""Glyph and style of each marker; a bookmark is drawn over the others, and so on upwards."""

GAP: Final = "┄"
FULL: Final = 7
"""Lines of the chart in full: words, three of bars, markers, minimap, axis."""


class TimelineChart(Drawn):
    """Draws what a player looks at; in one line of bars and one of words, or in full.

    Args:
        player: The player; None where there is no past.
    """

    def __init__(self, player: Player | None, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.player = player
        self._dragging = False

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw one line."""
        player, picture = self.player, self.player.picture if self.player else None
        if player is None or picture is None:
            words = " space opens the past of this bus" if player is None else " reading the past …"
            return LineBuilder().add(words if y == 0 else "", self.ink["muted"]).strip(width)
        small = self.size.height < FULL
        if y == 0:
            return self._words(player).strip(width, self.ink["band"])
        if small:
            return self._bars(picture, 0, 1, width).strip(width)
        if y <= 3:
            return self._bars(picture, 3 - y, 3, width).strip(width)
        draw = {4: self._marks, 5: self._minimap}.get(y, self._axis)
        return draw(picture, width).strip(width)

    def look(self) -> None:
        """Read what the view is drawn from, and draw it."""
        self.refresh()
        if self.player is not None and self.size.width:
            self.run_worker(
                self._read(self.player), name="reading the timeline", group="timeline", exclusive=True,
                exit_on_error=False,
            )  # fmt: skip

    async def _read(self, player: Player) -> None:
        await player.look(self.size.width)
        self.refresh()

    def on_resize(self) -> None:
        """Read as many buckets as there are cells."""
        self.look()

    def _words(self, player: Player) -> LineBuilder:
        """Say where the playhead stands, and how it moves."""
        ink = self.ink
        state = "▶" if player.playing else "⏸"
        builder = LineBuilder().add(f" {state} {fmt.date_time(player.at_ms)} ", ink["strong"])
        builder.add(f" {player.speed:g}x", ink["text"])
        low, high = player.view
        builder.add(f"  view {fmt.age((high - low) / 1000)}", ink["muted"])
        for word, on in (("loop", player.loops), ("idle folded", player.folds_idle), ("range", player.selection)):
            if on:
                builder.add(f"  {word}", ink["warning"])
        if player.selection is not None:
            one, two = player.selection
            builder.add(f" {fmt.age(abs(two - one) / 1000)}", ink["muted"])
        builder.add("  " + " > ".join(fmt.age((two - one) / 1000) for one, two in player.trail[-4:]), ink["faint"])
        mark = next((mark for mark in self._near(player)), None)
        return builder.add(f"  {line(mark, 80)}" if mark else "", ink["text"])

    def _near(self, player: Player) -> list[str]:
        cell = self._cell(player.at_ms)
        picture = player.picture
        marks = [mark for mark in picture.marks if self._cell(mark.at_ms) == cell] if picture else []
        here = [one for one in player.timeline.bookmarks if self._cell(one.at_ms) == cell]
        return [*(f"★ {one.text}" for one in here), *(mark.text for mark in marks)]

    def _cell(self, at_ms: int) -> int:
        assert self.player is not None  # noqa: S101 (asked by who has one)
        low, high = self.player.view
        return min(max((at_ms - low) * self.size.width // max(high - low, 1), -1), self.size.width)

    def _bars(self, picture: Picture, level: int, levels: int, width: int) -> LineBuilder:
        """Draw a line of the bars: *level* 0 is the lowest of so many."""
        assert self.player is not None  # noqa: S101
        found = picture.density.by_outcome()
        totals = [sum(found[outcome][at] for outcome in Outcome) for at in range(len(picture.density.edges) - 1)]
        top = max(totals, default=0)
        playhead, chosen = self._cell(self.player.at_ms), self._chosen()
        builder = LineBuilder()
        for at in range(min(width, len(totals))):
            eighths = round(totals[at] / top * 8 * levels) if top else 0
            eighths = max(eighths, 1) if totals[at] else 0
            part = min(max(eighths - 8 * level, 0), 8)
            outcome = next((one for one in (Outcome.DEAD, Outcome.FAILED) if found[one][at]), Outcome.OK)
            glyph, style = _BLOCKS[part], self.ink[_INKS[outcome]]
            if picture.density.missing(at):
                glyph, style = GAP, self.ink["muted"]
            if at == playhead:
                glyph, style = "│", self.ink["alarm"]
            elif at in chosen and glyph == " ":
                glyph, style = "·", self.ink["warning"]
            builder.add(glyph, style)
        return builder

    def _chosen(self) -> range:
        if self.player is None or self.player.selection is None:
            return range(0)
        one, two = sorted(map(self._cell, self.player.selection))
        return range(one, two + 1)

    def _marks(self, picture: Picture, width: int) -> LineBuilder:
        """Draw the markers, the weightiest of a cell."""
        assert self.player is not None  # noqa: S101
        order = list(_MARKS)
        cells: dict[int, MarkKind] = {}
        marks = [(mark.at_ms, mark.kind) for mark in picture.marks]
        marks += [(one.at_ms, MarkKind.BOOKMARK) for one in self.player.timeline.bookmarks]
        for at_ms, kind in marks:
            at = self._cell(at_ms)
            known = cells.get(at)
            weight = -1 if kind is MarkKind.BOOKMARK else order.index(kind)
            if known is None or weight < (-1 if known is MarkKind.BOOKMARK else order.index(known)):
                cells[at] = kind
        builder = LineBuilder()
        for at in range(width):
            glyph, ink = _MARKS[cells[at]] if at in cells else (" ", "muted")
            builder.add(glyph, self.ink[ink])
        return builder

    def _minimap(self, picture: Picture, width: int) -> LineBuilder:
        """Show which part of all there is is in view."""
        assert self.player is not None  # noqa: S101
        first, last = self.player.timeline.span or picture.view
        scale = width / max(last - first, 1)
        low, high = (round((at - first) * scale) for at in picture.view)
        builder = LineBuilder().add("─" * max(low, 0), self.ink["faint"])
        builder.add("━" * max(high - max(low, 0), 1), self.ink["primary"])
        return builder.add("─" * max(width - builder.width, 0), self.ink["faint"])

    def _axis(self, picture: Picture, width: int) -> LineBuilder:
        """Write times below the bars."""
        low, high = picture.view
        builder = LineBuilder()
        for at in range(0, max(width - 8, 1), 16):
            builder.to(at).add(fmt.clock_time(low + (high - low) * at // max(width, 1)), self.ink["muted"])
        return builder

    # -- the mouse ------------------------------------------------------------------------------------------------

    def on_mouse_down(self, event: MouseDown) -> None:
        """Take the playhead: pause, and follow the hand."""
        if self.player is not None:
            self._dragging = True
            self.capture_mouse()
            self._follow(event.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        """The latest place of the hand wins."""
        if self._dragging:
            self._follow(event.x)

    def on_mouse_up(self, _event: MouseUp) -> None:
        """Let go of the playhead."""
        self._dragging = False
        self.release_mouse()

    def _follow(self, x: int) -> None:
        assert self.player is not None  # noqa: S101
        self.player.playing = False
        low, high = self.player.view
        self.player.seek(low + (high - low) * x // max(self.size.width - 1, 1))
        self.refresh()


class TimelineStrip(TimelineChart):
    """The timeline in two lines, at the bottom of every screen that shows a past."""

    def on_mount(self) -> None:
        """Be there only where there is a past."""
        super().on_mount()
        self.set_class(self.player is not None, "-shown")
