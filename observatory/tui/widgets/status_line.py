"""The line at the top: live, frozen, replay or link down; which bus; what time. Always spelled out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from observatory.model.snapshot import LinkState, Origin
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder, fit

if TYPE_CHECKING:
    from textual.strip import Strip

    from observatory.tui.desk import Desk

_NAME = 24
"""Cells that are kept for the name of the bus, however long the state is in words."""


class StatusLine(Drawn):
    """State, context, title of the screen, engine and clock; looks again once a second and paints only a change."""

    def __init__(self, desk: Desk, title: str) -> None:
        super().__init__()
        self._desk = desk
        self._title = title
        self._read_ms: int | None = None
        self._painted: tuple[object, ...] = ()

    def on_mount(self) -> None:
        """Look at the clock once a second."""
        super().on_mount()
        self.set_interval(1.0, self.look)

    def retitle(self, title: str) -> None:
        """Say where on the screen one is; *title* is printable."""
        self._title = title
        self.look()

    def reads(self, at_ms: int | None) -> None:
        """Say when lists were read on a frozen screen, ms since the epoch; None for no reading since it froze."""
        self._read_ms = at_ms
        self.look()

    def look(self) -> None:
        """Repaint if what the line says has changed."""
        says = (self._state(), self._title, self._engine(), self._clock(), self._rights())
        if says != self._painted:
            self._painted = says
            self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:  # noqa: ARG002 - there is one line
        """Draw the line: the state first, the clock last, between them what fits."""
        words, ink = self._state()
        clock, bus = self._clock(), self._desk.bus
        marks = "  ".join(filter(None, (self._rights(), "PROTECTED" if bus.protected else "")))
        name = f"{'▌' if bus.colour else ''}{line(bus.name, 60)}"
        # Whatever else there is to say, it must be plain which bus this is.
        room = width - len(clock) - len(marks) - 9 - min(len(name), _NAME)
        builder = (
            LineBuilder().gap(0 if ink == "alarm" else 1).add(fit(words, min(cell_len(words), room)), self.ink[ink])
        )
        if marks:
            builder.gap(2).add(marks, self.ink["warning+"])
        room = width - builder.width - len(clock) - 4
        parts = [(self._title, self.ink["strong"]), (name, self.ink.named(bus.colour))]
        if len(self._title) + len(name) + 6 > room:
            parts = [(fit(name, min(len(name), max(room - 3, 1))), self.ink.named(bus.colour)), parts[0]]
        for text, style in (*parts, (self._engine(), self.ink["muted"])):
            if text and len(text) + 3 <= room:
                builder.gap(3).add(text, style)
                room -= len(text) + 3
        builder.to(width - len(clock) - 1).add(clock, self.ink["muted"])
        return builder.strip(width, self.ink["band"])

    def _state(self) -> tuple[str, str]:
        """Return the state in words and its style; with when lists were read where that was after the freeze."""
        words, ink = state_words(self._desk)
        if self._desk.frozen and self._read_ms is not None:
            words += f", lists read {fmt.clock_time(self._read_ms)}"
        return words, ink

    def _rights(self) -> str:
        """Say that nothing may be changed, or for how long something may."""
        if self._desk.read_only:
            return "READ-ONLY"
        left = self._desk.actions.armed_s
        return "" if left is None else f"WRITE {int(left) // 60}:{int(left) % 60:02d}"

    def _engine(self) -> str:
        engine = self._desk.shown.engine
        return line(f"{engine.product} {engine.version}".strip(), 40)

    def _clock(self) -> str:
        return f"{fmt.clock_time(self._desk.clock.now_ms())} UTC"


def state_words(desk: Desk) -> tuple[str, str]:
    """Return what the state of the screen is, in words, and the name of its style."""
    link = desk.latest.link
    if link.state is LinkState.CONNECTING:
        return "◌ CONNECTING", "warning+"
    return _broken_words(desk) or _whole_words(desk)


def _broken_words(desk: Desk) -> tuple[str, str] | None:
    """Return the words for data that is no longer the present; None while it is."""
    link, shown = desk.latest.link, desk.shown
    last = f"last data {fmt.clock_time(link.data_ms or shown.at_ms or None)}"
    if link.state is LinkState.LOST:
        down = max((desk.clock.now_ms() - link.since_ms) / 1000, 0.0)
        why = f" — {line(link.reason, 60)}" if link.reason else ""
        return f" ⚠ LINK DOWN {fmt.age(down)} — {last}{why} ", "alarm"
    if desk.is_silent:
        return f" ⚠ NO DATA {fmt.age(desk.silent_s)} — {last} ", "alarm"
    return None


def _whole_words(desk: Desk) -> tuple[str, str]:
    """Return the words for a link that works."""
    link, shown = desk.latest.link, desk.shown
    if shown.origin is Origin.REPLAY:
        return f"◀ REPLAY {fmt.clock_time(shown.at_ms)}", "accent+"
    if desk.frozen:
        return f"⏸ FROZEN {fmt.clock_time(shown.at_ms)}", "warning+"
    if link.state is LinkState.DEGRADED:
        return f"▲ LIVE, DEGRADED — {line(link.reason, 60)}", "warning+"
    return "● LIVE", "success+"
