"""The question before several things are changed at once: what, how many, where to; the focus is on leaving it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label

from observatory.tui.commands import bindings
from observatory.tui.widgets.choice import Choice
from observatory.tui.widgets.footer import FooterLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

CANCEL = "cancel"
"""The answer that changes nothing."""


class Question(NamedTuple):
    """What is asked; all of it printable.

    Attributes:
        verb: What would be done, as one lower-case word.
        title: Verb, number and kind of things.
        facts: Lines that say where to, on which bus, and what cannot be seen from here.
    """

    verb: str
    title: str
    facts: Sequence[str]


class Confirm(ModalScreen[bool]):
    """Returns whether it is to be done."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("confirm")]
    AUTO_FOCUS: ClassVar[str | None] = "Choice"

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question, what it concerns, and the answers."""
        with Vertical(id="confirm"):
            yield Label(self._question.title, id="confirm-title", markup=False)
            for fact in self._question.facts:
                yield Label(fact, markup=False)
            yield Choice([(CANCEL, "accent"), (self._question.verb, "warning")], CANCEL)
        yield FooterLine()

    def action_take(self) -> None:
        """Take the answer that is chosen."""
        self.dismiss(self.query_one(Choice).value != CANCEL)

    def action_close(self) -> None:
        """Change nothing."""
        self.dismiss(False)
