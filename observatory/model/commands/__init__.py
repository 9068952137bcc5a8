"""Every command of the screens, declared once, as plain data: one module for each kind of command.

From these tables come the key bindings, the footer, the palette, the `:` names, the help page, the keymap ids, what
`observatory keys` prints and the rule that says when a command may run. They know nothing of how screens are drawn.
"""

from __future__ import annotations

from typing import Final

from observatory.model.commands.alerts import ALERTS
from observatory.model.commands.changes import CHANGES
from observatory.model.commands.command import APP, CHANGE, FORM, LOOK, MOVE, Command, Needs, Situation, refusal
from observatory.model.commands.forms import FORMS
from observatory.model.commands.frame import FRAME
from observatory.model.commands.lists import LISTS
from observatory.model.commands.screens import SCREENS
from observatory.model.commands.timeline import TIMELINE

__all__ = [
    "APP",
    "CHANGE",
    "COMMANDS",
    "FORM",
    "LOOK",
    "MOVE",
    "VIEWS",
    "Command",
    "Needs",
    "Situation",
    "command",
    "commands_of",
    "refusal",
]

COMMANDS: Final[tuple[Command, ...]] = (*SCREENS, *CHANGES, *ALERTS, *LISTS, *TIMELINE, *FRAME, *FORMS)
"""Every command there is, in the order in which help lists them."""

VIEWS: Final[dict[str, tuple[str, ...]]] = {
    "overview": ("app", "screen", "turning", "list", "table", "tracing", "alerts"),
    "lanes": ("app", "screen", "turning", "list", "table", "reading", "tracing", "lanes", "pausing"),
    "pending": ("app", "screen", "turning", "list", "table", "reading", "tracing", "cancelling", "claiming", "holding"),
    "agents": ("app", "screen", "turning", "list", "table", "reading", "tracing", "agents", "claiming", "pausing"),
    "tasks": ("app", "screen", "turning", "list", "table", "reading", "tracing", "cancelling"),
    "activity": ("app", "screen", "turning", "list", "table", "reading", "tracing", "alerts", "jobs"),
    "engine": ("app", "screen", "turning", "list", "table", "reading", "engine"),
    "dead-letters": ("app", "screen", "turning", "list", "table", "reading", "tracing", "dead-letters"),
    "timeline": ("app", "screen", "timeline"),
    "send": ("app", "form"),
    "help": ("app", "page", "list"),
    "command-line": ("app", "prompt"),
    "filter": ("app", "filter"),
    "confirm": ("app", "confirm"),
    "quiet": ("app", "quiet"),
    "note": ("app", "note"),
}
"""Scopes that are alive in each view; two commands of one view never share a key."""

_BY_ID: Final = {entry.id: entry for entry in COMMANDS}


def commands_of(view: str) -> tuple[Command, ...]:
    """Return the commands that work in *view*, in the order of the table.

    Raises:
        KeyError: There is no such view.
    """
    scopes = VIEWS[view]
    return tuple(command for command in COMMANDS if command.scope in scopes)


def command(identity: str) -> Command:
    """Return the command with the id *identity*.

    Raises:
        KeyError: There is no such command.
    """
    return _BY_ID[identity]
