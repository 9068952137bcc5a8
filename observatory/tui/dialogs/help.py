"""The help page: every command that works on the screen below, from its live bindings."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.screen import ModalScreen

from observatory.model.commands import refusal
from observatory.tui.commands import bindings, commands_here
from observatory.tui.drawing.format import NONE
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.widgets.footer import FooterLine, key_display
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

    from observatory.tui.desk import Desk

_INDENT, _KEYS, _NAME = 3, 15, 17


@dataclass(frozen=True, slots=True)
class HelpRow:
    """One line: the name of a group alone, or keys, `:` name, description, and why it is not possible now."""

    group: str
    keys: str = ""
    name: str = ""
    description: str = ""
    why_not: str = ""


class HelpList(ListPanel[HelpRow]):
    """The commands by group; descriptions are wrapped, not cut."""

    title = "Help"
    selects: ClassVar[bool] = False

    def __init__(self, entries: tuple[HelpRow, ...]) -> None:
        super().__init__()
        self._entries = entries

    def on_resize(self) -> None:
        """Wrap to the new width."""
        room = max(self.size.width - _INDENT - _KEYS - _NAME - 1, 20)
        rows: list[HelpRow] = []
        for entry in self._entries:
            first, *rest = textwrap.wrap(entry.description, room) or [""]
            rows.append(replace(entry, description=first))
            rows += [HelpRow(entry.group, " ", " ", part, entry.why_not) for part in rest]
        self.set_rows(tuple(rows))
        super().on_resize()

    def identity(self, row: HelpRow) -> str:
        """A line is what it says."""
        return row.group + row.name + row.description

    def draw_heading(self, width: int) -> LineBuilder:  # noqa: ARG002 - a short heading
        """Say what is listed."""
        return self.title_piece().add(f"  keys that work here   {self.extent}", self.ink["muted"])

    def draw_row(self, row: HelpRow, width: int) -> LineBuilder:  # noqa: ARG002 - wrapped to the width already
        """Draw a group or a command."""
        ink = self.ink
        if not row.name:
            return LineBuilder().gap(1).add(row.group, ink["accent+"])
        builder = LineBuilder().gap(_INDENT).cell(row.keys, _KEYS, ink["faint" if row.why_not else "strong"])
        name = f":{row.name}" if row.name.strip() else ""
        return builder.cell(name, _NAME, ink["muted"]).add(row.description, ink["faint" if row.why_not else "text"])


class HelpPage(ModalScreen[None]):
    """A page over the screen that it explains."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("page")]
    AUTO_FOCUS: ClassVar[str | None] = "HelpList"

    def __init__(self, below: Screen[object], desk: Desk) -> None:
        super().__init__()
        self._rows = help_rows(below, desk)

    def compose(self) -> ComposeResult:
        """The list, and how to close it."""
        with Vertical(id="help"):
            yield HelpList(self._rows)
        yield FooterLine()

    def action_close(self) -> None:
        """Close the page."""
        self.dismiss(None)


def help_rows(screen: Screen[object], desk: Desk) -> tuple[HelpRow, ...]:
    """Return the lines of the page for *screen*, grouped in the order of the table of commands."""
    groups: dict[str, list[HelpRow]] = {}
    for command, _, keys, enabled in commands_here(screen).values():
        why = "" if enabled else refusal(command, desk.situation()) or "nothing is selected"
        shown = "  ".join(key_display(key) for key in keys) or NONE
        words = f"{command.description} Not now: {why}." if why else command.description
        groups.setdefault(command.group, []).append(HelpRow(command.group, shown, command.name, words, why))
    rows: list[HelpRow] = []
    for group, members in groups.items():
        rows += [HelpRow(group), *members]
    return tuple(rows)
