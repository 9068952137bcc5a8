"""The line where a note about a root cause is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical
from textual.widgets import Input, Label

from observatory.tui.commands import bindings
from observatory.tui.dialogs.prompt import Prompt

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class NotePrompt(Prompt[str | None]):
    """Returns the note, empty to take it away, or None where it stays as it is.

    Args:
        about: What it is about, printable.
        text: What the note says now.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("note")]

    def __init__(self, about: str, text: str) -> None:
        super().__init__()
        self._about = about
        self._text = text

    def compose(self) -> ComposeResult:
        """What it is about above, the line at the bottom."""
        with Vertical(id="note-prompt"):
            yield Label(f" Note about {self._about}", markup=False)
            yield Input(
                self._text, compact=True, id="note",
                placeholder="what colleagues should know — enter keeps, empty takes it away, esc leaves it",
            )  # fmt: skip

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_close(self) -> None:
        """Leave the note as it was."""
        self.dismiss(None)
