"""What the app says to the terminal past Textual: the bell, a notice outside of the window, and the clipboard."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from observatory.model.text import line

if TYPE_CHECKING:
    from textual.app import App

COPY_LIMIT = 74_994
"""Longest base64 text that is sent to the terminal's clipboard; terminals drop longer ones without a word."""


class Voice:
    """Speaks to the terminal of *app*."""

    def __init__(self, app: App[int]) -> None:
        self._app = app

    def ring(self, words: str) -> None:
        """Ring the bell, and let the terminal say *words* outside of its window."""
        self._app.bell()
        self._write(notice(words))
        self._write_outside(notice(words))

    def copy(self, text: str) -> None:
        """Copy *text* by way of the terminal, so that it reaches the person's own machine."""
        text = text.encode("utf-8", "replace").decode()  # lone surrogates have no place in a terminal
        if len(text.encode()) * 4 // 3 > COPY_LIMIT:
            self._app.notify("too large for the terminal's clipboard", severity="warning", markup=False)
            return
        self._app.copy_to_clipboard(text)
        # tmux keeps OSC 52 to itself unless it is told otherwise; wrapped, it reaches the person's terminal.
        self._write_outside(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
        self._app.notify(f"copied {line(text, 60)}", timeout=2, markup=False)

    def _write(self, sequence: str) -> None:
        if (driver := self._app._driver) is not None:  # noqa: SLF001 - there is no public way to the terminal
            driver.write(sequence)

    def _write_outside(self, sequence: str) -> None:
        """Send *sequence* to the terminal around tmux, where there is one."""
        if os.environ.get("TMUX"):
            self._write(through_tmux(sequence))


def notice(words: str) -> str:
    """Return the sequence by which a terminal shows *words* outside of its window (OSC 9)."""
    return f"\x1b]9;{line(words, 200)}\x07"


def through_tmux(sequence: str) -> str:
    """Return *sequence* as tmux hands it on to the terminal around it, where `allow-passthrough` is on."""
    escaped = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{escaped}\x1b\\"
