"""The keys that work here, on one line, the most useful first; what is not possible now is greyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.tui.commands import live_commands
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events
    from textual.screen import Screen
    from textual.strip import Strip

    from observatory.model.commands import Command

_DISPLAY = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "escape": "esc",
    "ctrl+p": "^p",
    "ctrl+s": "^s",
    "ctrl+q": "^q",
    "comma": ",",
    "full_stop": ".",
    "equals_sign": "=",
    "plus": "+",
    "minus": "-",
    "apostrophe": "'",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
}


_STAY = frozenset({"Help", "Screens"})
"""Labels of the entries that lead to all others, and so go last where there is little room."""


class FooterLine(Drawn):
    """Drawn from the live bindings, and drawn again only when they change; every key can be clicked.

    Args:
        label: What a command is called here, where that depends; its own label by default.
    """

    def __init__(self, label: Callable[[Command], str] | None = None) -> None:
        super().__init__()
        self._label = label or (lambda command: command.label)
        self._keys: tuple[tuple[str, str, bool], ...] = ()
        self._screens: frozenset[str] = frozenset()
        self._spots: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        super().on_mount()
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)
        self._bindings_changed(self.screen)

    def draw_line(self, y: int, width: int) -> Strip:  # noqa: ARG002 - there is one line
        """Draw as many keys as fit whole; help and screens go last, and the key that leads out of here stays."""
        builder = LineBuilder()
        self._spots = []
        keys = list(self._keys)
        if _width(keys) > width:
            keys = _gathered(keys, self._screens)
        while len(keys) > 1 and _width(keys) > width:
            spare = [number for number, (_, label, _) in enumerate(keys[:-1]) if label not in _STAY]
            del keys[spare[-1] if spare else -2]
        for key, label, enabled in keys:
            shown, start = key_display(key), builder.width
            builder.gap(1).add(shown, self.ink["accent+" if enabled else "faint"])
            builder.add(f" {label} ", self.ink["muted" if enabled else "faint"])
            self._spots.append((start, builder.width, key))
        return builder.strip(width, self.ink["band"])

    def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        for start, end, key in self._spots:
            if start <= event.x < end:
                self.app.simulate_key(key if "-" not in key else "ctrl+p")

    def _bindings_changed(self, screen: Screen[object]) -> None:
        live = sorted(live_commands(screen).values(), key=lambda entry: entry[0].footer)
        keys = tuple(
            (keys[0], self._label(command), enabled) for command, _, keys, enabled in live if command.footer and keys
        )
        if keys != self._keys:
            self._screens = frozenset(
                keys[0] for command, _, keys, _ in live if keys and command.id.startswith("screen.")
            )
            self._keys = keys
            self.refresh()


Entry = tuple[str, str, bool]
"""A key, what it does, and whether it may do so now."""


def _width(keys: list[Entry]) -> int:
    """Return the cells that *keys* take."""
    return sum(len(key_display(key)) + len(label) + 3 for key, label, _ in keys)


def _gathered(keys: list[Entry], screens: frozenset[str]) -> list[Entry]:
    """Put all screens into one entry, which leads to the palette when it is clicked, before the way out."""
    numbers = [key for key, _, _ in keys if key in screens]
    if not numbers:
        return keys
    others = [entry for entry in keys if entry[0] not in screens]
    return [*others[:-1], (f"{numbers[0]}-{numbers[-1]}", "Screens", True), others[-1]]


def key_display(key: str) -> str:
    """Return the name of a key as it is written for people."""
    return _DISPLAY.get(key, key.replace("ctrl+", "^"))
