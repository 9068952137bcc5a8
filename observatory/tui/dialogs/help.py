"""The help page: every command that works on the screen below, from its live bindings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.screen import ModalScreen

from observatory.model.commands import refusal
from observatory.tui.commands import bindings, commands_here
from observatory.tui.format import NONE
from observatory.tui.lines import LineBuilder
from observatory.tui.widgets.footer import FooterLine, key_display
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

    from observatory.tui.desk import Desk

_KEYS, _NAME = 18, 16


@dataclass(frozen=True, slots=True)
class HelpRow:
    """One line: a group's name alone, or keys, `:` name, description, and why it is not possible now."""

    group: str
    keys: str = ""
    name: str = ""
    description: str = ""
    why_not: str = ""


class HelpList(ListPanel[HelpRow]):
    """The commands by group."""

    title: ClassVar[str] = "Help"
    selects: ClassVar[bool] = False

    def identity(self, row: HelpRow) -> str:
        """A command is its name."""
        return row.group + row.name

    def draw_heading(self, width: int) -> LineBuilder:  # noqa: ARG002 - a short heading
        """Name the screen."""
        return self.title_piece().add(f"  keys that work here   {self.extent}", self.ink["muted"])

    def draw_row(self, row: HelpRow, width: int) -> LineBuilder:  # noqa: ARG002 - the caller cuts at the width
        """Draw a group or a command."""
        ink = self.ink
        if not row.name:
            return LineBuilder().gap(1).add(row.group, ink["accent+"])
        possible = "text" if not row.why_not else "faint"
        builder = LineBuilder().gap(3).cell(row.keys, _KEYS, ink["strong" if not row.why_not else "faint"])
        builder.cell(f":{row.name}", _NAME, ink["muted"]).add(row.description, ink[possible])
        return builder.add(f" — {row.why_not}", ink["warning"]) if row.why_not else builder


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
            yield HelpList()
        yield FooterLine()

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(HelpList).set_rows(self._rows)

    def action_close(self) -> None:
        """Close the page."""
        self.dismiss(None)


def help_rows(screen: Screen[object], desk: Desk) -> tuple[HelpRow, ...]:
    """Return the lines of the page for *screen*, grouped in the order of the table of commands."""
    groups: dict[str, list[HelpRow]] = {}
    for command, _, keys, enabled in commands_here(screen).values():
        why = "" if enabled else refusal(command, desk.situation()) or "nothing is selected"
        shown = "  ".join(key_display(key) for key in keys) or NONE
        groups.setdefault(command.group, []).append(
            HelpRow(command.group, shown, command.name, command.description, why)
        )
    rows: list[HelpRow] = []
    for group, members in groups.items():
        rows += [HelpRow(group), *members]
    return tuple(rows)
