"""The review of a plan: what would be done to how many things, where, and what it takes to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from observatory.model.plan import Consent, Level, missing
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.widgets.choice import Choice
from observatory.tui.widgets.footer import FooterLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.plan import Demand, Plan

CANCEL: Final = "cancel"
"""The answer that changes nothing, unless cancelling is what is planned."""

LEAVE: Final = "leave them"
"""The answer that changes nothing where cancelling is what is planned."""

NAMED: Final = 6
"""Places, warnings and reasons of each kind that are named."""

_THINGS: Final = {
    **dict.fromkeys(("requeue", "resend", "trash", "restore", "purge", "withdraw"), "dead letter"),
    **dict.fromkeys(("cancel", "uncancel", "send"), "task"),
    **dict.fromkeys(("claim", "hand back", "dead-letter"), "pending entry"),
    **dict.fromkeys(("pause", "resume"), "place"),
}


class Review(ModalScreen[Consent | None]):
    """Returns what was said to a plan, or None.

    Args:
        plan: The plan.
        need: What it takes to agree to it.
        context: Name of the bus.
        hidden: How many of the things the filter of the list hides.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("confirm")]
    AUTO_FOCUS: ClassVar[str | None] = "Choice"

    def __init__(self, plan: Plan, need: Demand, *, context: str, hidden: int = 0) -> None:
        super().__init__()
        self._plan = plan
        self._need = need
        self._bus_name = context
        self._hidden = hidden
        self._no = LEAVE if plan.verb == CANCEL else CANCEL

    def compose(self) -> ComposeResult:
        """The question, what it concerns, what has to be typed, and the answers."""
        with Vertical(id="confirm"):
            yield Label(title_of(self._plan, self._bus_name), id="confirm-title", markup=False)
            for fact in facts_of(self._plan, self._hidden):
                yield Label(fact, markup=False)
            yield Choice([(self._no, "accent"), (self._plan.verb, "warning")], self._no)
            if self._need.level is Level.TYPE:
                yield Label(f"{self._need.why}: type {self._need.word}", classes="needed", markup=False)
                yield Word(compact=True, id="word", placeholder=self._need.word)
                yield Input(compact=True, id="reason", placeholder="why it is done")
            yield Label("", id="confirm-problem", markup=False)
        yield FooterLine()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        """Enter in a field goes on to the next; it agrees to nothing."""
        self.focus_next()

    def action_take(self) -> None:
        """Take the answer that is chosen, if all is there that it takes."""
        if self.query_one(Choice).value == self._no:
            self.dismiss(None)
            return
        consent = Consent(self._said("#word"), self._said("#reason"))
        if lacks := missing(self._need, consent):
            self.query_one("#confirm-problem", Label).update(f"✖ {lacks}")
        else:
            self.dismiss(consent)

    def action_close(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    def _said(self, field: str) -> str:
        return self.query_one(field, Input).value.strip() if self.query(field) else ""


class Word(Input):
    """A field for a word that is to be typed, letter by letter."""

    def on_paste(self, event: events.Paste) -> None:
        """Take nothing that was not typed: who pastes has not read."""
        event.prevent_default()
        event.stop()
        self.notify("type it: what is pasted does not count", severity="warning", timeout=3, markup=False)


def title_of(plan: Plan, context: str) -> str:
    """Return verb, number, kind of things and bus."""
    count, thing = len(plan.items), _THINGS.get(plan.verb, "thing")
    things = thing if count == 1 else f"{thing.removesuffix('y')}ies" if thing.endswith("y") else f"{thing}s"
    return f"{plan.verb.capitalize()} {fmt.count(count)} {things} on {line(context, 60)}?"


def facts_of(plan: Plan, hidden: int = 0) -> Iterator[str]:
    """Return the lines that say where to, from when, what is left alone, and what comes of it."""
    for target, count in plan.targets[:NAMED]:
        before = plan.before.get(target)
        change = f"  ({fmt.count(before)} → {fmt.count(plan.after[target])})" if before is not None else ""
        yield f"{fmt.count(count):>6} → {line(target, 80)}{change}"
    if (others := len(plan.targets) - NAMED) > 0:
        yield f"       and to {fmt.count(others)} other lanes"
    if not plan.targets:
        for item in plan.items[:NAMED]:
            yield f"       {line(item.label, 100)}"
        if len(plan.items) > NAMED:
            yield f"       and {fmt.count(len(plan.items) - NAMED)} more"
    if plan.span_ms is not None:
        yield f"from {fmt.date_time(plan.span_ms[0])} to {fmt.date_time(plan.span_ms[1])}"
    if plan.skipped:
        whys = dict.fromkeys(line(item.why, 60) for item in plan.skipped)
        yield f"{fmt.count(len(plan.skipped))} left alone: {'; '.join(list(whys)[:NAMED])}"
    if hidden:
        yield f"{fmt.count(hidden)} of them are hidden by the filter"
    yield from (f"▲ {line(warning, 200)}" for warning in plan.warnings[:NAMED])
    if not plan.pace.is_free:
        lasts = plan.pace.expected_s(len(plan.items))
        yield plan.pace.words + (f", about {fmt.age(lasts)}" if lasts is not None else "")
    yield f"it {plan.reversal}"
