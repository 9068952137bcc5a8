"""The line above the footer that says what has just happened to alerts; it lies over the screen and goes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder, fit

if TYPE_CHECKING:
    from textual.strip import Strip

    from observatory.tui.app.alarm import Notice
    from observatory.tui.desk import Desk


class AlertLine(Drawn):
    """One line for any number of alerts; a click leads to all of them."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._notice: Notice | None = None

    def on_mount(self) -> None:
        """Look at the clock once a second."""
        super().on_mount()
        self.set_interval(1.0, self.look)

    def look(self) -> None:
        """Show what there is to say, and nothing once its time is over."""
        notice = self._desk.notice()
        if notice != self._notice:
            self._notice = notice
            self.set_class(notice is not None, "-shown")
            self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:  # noqa: ARG002 - there is one line
        """Draw the worst of what happened, and how much more there was."""
        builder, notice = LineBuilder().gap(1), self._notice
        if notice is not None:
            more = f"  +{notice.others} more, 8 shows them" if notice.others else "  8 shows all"
            room = max(width - len(more) - 2, 10)
            builder.add(fit(notice.words, min(cell_len(notice.words), room)), self.ink[notice.ink])
            builder.add(more, self.ink["muted"])
        return builder.strip(width, self.ink["band"])

    def on_click(self) -> None:
        """Go to the list of alerts."""
        self.app.simulate_key("8")
