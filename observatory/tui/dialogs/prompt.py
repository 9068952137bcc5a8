"""What the lines at the bottom have in common, in which a command or a filter is typed."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen

ResultT = TypeVar("ResultT")


class Prompt(ModalScreen[ResultT]):
    """A line at the bottom of the screen; it can be left at any time, and gives way to the palette."""

    def action_close(self) -> None:
        """Leave it as if nothing had been typed."""
        raise NotImplementedError
