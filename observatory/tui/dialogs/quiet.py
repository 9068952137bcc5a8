"""The form that acknowledges or mutes an alert: for how long, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from observatory.model.alert import read_target
from observatory.model.quantity import duration_s
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.widgets.footer import FooterLine

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

MUTED_FOR = "1h"
"""How long a mute lasts where nobody says anything else."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What was asked for.

    Attributes:
        target: Of a mute: `RULE` or `RULE/SUBJECT`, where `*` and `?` are wild; of an acknowledgement the alert's id.
        for_s: Seconds; None for an acknowledgement that ends with its alert.
        reason: Why; may be empty.
    """

    target: str
    for_s: float | None
    reason: str


class QuietForm(ModalScreen[Silence | None]):
    """Returns what is to be quiet and for how long, or None.

    Args:
        target: Id of the alert.
        text: The alert in words.
        mutes: It is to be muted; else acknowledged.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("quiet")]
    AUTO_FOCUS: ClassVar[str | None] = "#reason"

    def __init__(self, target: str, text: str, *, mutes: bool) -> None:
        super().__init__()
        self._target = target
        self._text = text
        self._mutes = mutes

    def compose(self) -> ComposeResult:
        """What it is about, then what can be said."""
        lasts = MUTED_FOR if self._mutes else ""
        unless = "30m, 4h, 2d" if self._mutes else "until it is over or gets worse; or 30m, 4h, 2d"
        with Vertical(id="quiet"):
            yield Label("Mute" if self._mutes else "Acknowledge", id="quiet-title", markup=False)
            yield Label(line(self._text, 200), markup=False)
            with Container(id="quiet-fields"):
                if self._mutes:
                    yield Label("what", classes="name", markup=False)
                    yield Input(self._target, compact=True, id="target", placeholder="RULE or RULE/SUBJECT, * is wild")
                yield Label("reason", classes="name", markup=False)
                yield Input(compact=True, id="reason", placeholder="what others should know")
                yield Label("for", classes="name", markup=False)
                yield Input(lasts, compact=True, id="for", placeholder=unless)
            yield Label("", id="quiet-problem", markup=False)
        yield FooterLine()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_take()

    def action_take(self) -> None:
        """Take what was said, if it makes sense."""
        try:
            self.dismiss(self._silence())
        except ValueError as error:
            self.query_one("#quiet-problem", Label).update(f"✖ {line(str(error), 200)}")

    def action_close(self) -> None:
        """Say nothing."""
        self.dismiss(None)

    def _silence(self) -> Silence:
        said = self.query_one("#for", Input).value.strip()
        if self._mutes and not said:
            raise ValueError("for: a mute must end: write 30m, 4h or 2d")
        for_s = duration_s(said) if said else None
        if for_s == 0:
            raise ValueError("for: nothing lasts 0 s")
        target = self.query_one("#target", Input).value.strip() if self._mutes else self._target
        if self._mutes:
            read_target(target)
        return Silence(target, for_s, self.query_one("#reason", Input).value.strip()[:400])
