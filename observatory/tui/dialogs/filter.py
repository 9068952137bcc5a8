"""The `/` line: a filter for the list that has the focus, applied as it is typed, with completion and history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.containers import Vertical
from textual.widgets import Input

from observatory.model.filter import Filter, FilterError, Kind, complete
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.dialogs.prompt import Prompt
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.table import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.strip import Strip
    from textual.timer import Timer

    from observatory.model.filter import Completion, FieldSet
    from observatory.tui.table import Table

_PAUSE_S = 0.08
"""Seconds without a key after which what is typed is applied."""

_SAMPLED = 400
"""Rows whose values are offered."""


class Hints(Drawn):
    """What could be typed next, or what is wrong and where."""

    def __init__(self) -> None:
        super().__init__()
        self._choices: Sequence[tuple[str, str]] = ()
        self._chosen = -1
        self._problem: tuple[str, ...] = ()

    def offer(self, choices: Sequence[tuple[str, str]], chosen: int = -1) -> None:
        """Show what could be typed next; *chosen* is the one that was taken."""
        self._choices, self._chosen, self._problem = choices, chosen, ()
        self.refresh()

    def complain(self, error: FilterError) -> None:
        """Show what is wrong, with carets under it."""
        hint = (line(error.hint, 200),) if error.hint else ()
        self._problem = (*error.pointer.split("\n"), f"column {error.column}: {line(error.what, 200)}", *hint)
        self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw one choice, or a line of the complaint."""
        ink, builder = self.ink, LineBuilder().gap(1)
        if self._problem:
            if y < len(self._problem):
                name = ("text", "error+", "error+", "muted")[min(y, 3)]
                builder.add(self._problem[y], ink[name])
        else:
            first = max(self._chosen - self.size.height + 1, 0)
            if first + y < len(self._choices):
                text, help_ = self._choices[first + y]
                builder.cell(text, 24, ink["accent+" if first + y == self._chosen else "strong"])
                builder.add(line(help_, 120), ink["muted"])
        return builder.strip(width)


class FilterPrompt(Prompt[str | None]):
    """Filters *table* as one types: enter keeps the filter and returns it, esc brings back what was.

    Args:
        table: The list.
        fields: What its rows can be filtered by.
        history: Filters used before, newest first.
        now_ms: Server time, for times such as `-5m`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("filter")]

    def __init__(self, table: Table[Any], fields: FieldSet[Any], history: Sequence[str], now_ms: int) -> None:
        super().__init__()
        self._table = table
        self._fields = fields
        self._history = [*history]
        self._now_ms = now_ms
        self._before = table.view
        self._live = live_values(table.rows[:_SAMPLED], fields)
        self._place = -1
        self._timer: Timer | None = None
        self._completion: Completion | None = None
        self._chosen = -1
        self._base = self._completed = ""

    def compose(self) -> ComposeResult:
        """Hints above, the line at the bottom."""
        with Vertical(id="prompt"):
            yield Hints()
            yield Input(
                self._before.filter, compact=True, id="filter",
                placeholder=f"filter {self._fields.rows} — tab completes, ↑ ↓ history, enter keeps, esc gives back",
            )  # fmt: skip

    def on_mount(self) -> None:
        """Offer the fields; a line that is closed while it is put together offers nothing."""
        if self.is_attached and self.query(Hints):
            self._hint()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.value == self._completed:
            return
        self._chosen, self._completion = -1, None
        self._hint()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE_S, self._apply_live)

    @on(Input.Submitted)
    def _entered(self) -> None:
        if self._apply():
            self.dismiss(self.query_one(Input).value.strip())

    def action_close(self) -> None:
        """Give back what was shown before."""
        if self._timer is not None:
            self._timer.stop()
        if self._table.view != self._before:
            self._table.set_view(self._before)
        self.dismiss(None)

    def action_complete(self) -> None:
        """Put what is offered first where the cursor is; again takes the next."""
        field = self.query_one(Input)
        if self._completion is None or self._chosen < 0:
            self._completion = complete(field.value, field.cursor_position, self._fields, self._live)
            self._base = field.value
        choices = self._completion.choices
        if not choices:
            return
        self._chosen = (self._chosen + 1) % len(choices)
        self._completed, at = self._completion.apply(self._base, choices[self._chosen])
        field.value, field.cursor_position = self._completed, at
        self.query_one(Hints).offer([(choice.text, choice.help) for choice in choices], self._chosen)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE_S, self._apply_live)

    def action_older(self) -> None:
        """Take the filter that was used before."""
        self._recall(self._place + 1)

    def action_newer(self) -> None:
        """Take the filter that was used after."""
        self._recall(self._place - 1)

    def _recall(self, place: int) -> None:
        if 0 <= place < len(self._history):
            self._place = place
            field = self.query_one(Input)
            field.value = self._history[place]
            field.cursor_position = len(field.value)

    def _hint(self) -> None:
        """Offer what could be typed next, or say what is wrong before the cursor's word."""
        field = self.query_one(Input)
        found = complete(field.value, field.cursor_position, self._fields, self._live)
        self.query_one(Hints).offer([(choice.text, choice.help) for choice in found.choices])

    def _apply_live(self) -> None:
        """Filter by what is typed so far, unless it may still become the name of a field."""
        if self.is_attached:
            field = self.query_one(Input)
            word = field.value.rpartition(" ")[2].lstrip("-(")
            if not word or not any(name.startswith(word) for name in self._fields.names):
                self._apply()

    def _apply(self) -> bool:
        """Filter the list by what is typed; say what is wrong if it cannot be read, and leave the list as it is."""
        if not self.is_attached:
            return False
        text = self.query_one(Input).value.strip()
        try:
            view = filtered(self._table.view, text, self._fields, self._now_ms)
        except FilterError as error:
            self.query_one(Hints).complain(error)
            return False
        if text != self._table.view.filter:
            self._table.set_view(view)
        return True


def filtered(view: View[Any], text: str, fields: FieldSet[Any], now_ms: int) -> View[Any]:
    """Return *view* with another filter.

    Args:
        view: What is shown, and in which order.
        text: The filter; nothing shows everything.
        fields: What the rows can be filtered by.
        now_ms: Server time, for times such as `-5m`.

    Raises:
        FilterError: The filter cannot be taken; names the column.
    """
    zone = datetime.now(UTC).astimezone().tzinfo or UTC
    found = Filter(text, fields, now_ms=now_ms, zone=zone)
    shows = None if found.empty else found
    return View("" if found.empty else text, shows, view.column, view.descending)


def live_values(rows: Sequence[Any], fields: FieldSet[Any]) -> Mapping[str, list[str]]:
    """Return what the fields that hold names hold now, for completion."""
    live: dict[str, dict[str, None]] = {}
    for field in fields.fields:
        if field.kind is Kind.NAME:
            values = live.setdefault(field.name, {})
            for row in rows:
                value = field.read(row)
                for part in value if isinstance(value, tuple) else (value,):
                    if isinstance(part, str) and part:
                        values[part] = None
    return {name: list(values) for name, values in live.items()}
