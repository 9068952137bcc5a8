"""One of a few words, chosen with the arrow keys, the first letter, or the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message
from textual.reactive import reactive

from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.strip import Strip


class Choice(Drawn, can_focus=True):
    """A row of words, each in its own colour; the chosen one is marked and bold."""

    value: reactive[str] = reactive("", init=False)

    class Changed(Message):
        """Another word was chosen."""

    def __init__(self, options: Sequence[tuple[str, str]], value: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._options = [(str(word), ink) for word, ink in options]
        self.set_reactive(Choice.value, str(value))

    def draw_line(self, y: int, width: int) -> Strip:  # noqa: ARG002 - there is one line
        """Draw the words."""
        builder = LineBuilder()
        for word, ink in self._options:
            chosen = word == self.value
            builder.add("● " if chosen else "○ ", self.ink[ink if chosen else "faint"])
            builder.add(word, self.ink[f"{ink}+" if chosen else "muted"]).gap(3)
        strip = builder.strip(width)
        return self.ink.on_cursor(strip) if self.has_focus else strip

    def watch_value(self) -> None:
        """Show the new choice and say so."""
        self.refresh()
        self.post_message(self.Changed())

    def on_key(self, event: events.Key) -> None:
        """Step with the arrows, jump with a first letter."""
        words = [word for word, _ in self._options]
        at = words.index(self.value)
        if event.key in {"left", "right", "space"}:
            self.value = words[(at + (-1 if event.key == "left" else 1)) % len(words)]
        elif event.character and (hits := [word for word in words if word.startswith(event.character.lower())]):
            self.value = hits[0]
        else:
            return
        event.stop()

    def on_click(self, event: events.Click) -> None:
        """Choose the word that was clicked."""
        column = 0
        for word, _ in self._options:
            column += len(word) + 5
            if event.x < column:
                self.value = word
                return

    def on_focus(self) -> None:
        """Show the focus."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the focus."""
        self.refresh()
