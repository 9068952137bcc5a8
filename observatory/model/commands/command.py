"""What a command of the screens is, and the rule that says when one may run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from observatory.model.snapshot import LinkState, Origin

LOOK: Final = "Look"
MOVE: Final = "Move"
CHANGE: Final = "Change (upper case and forms)"
APP: Final = "App"
FORM: Final = "Form"


class Needs(StrEnum):
    """What must be there before a command makes sense."""

    NOTHING = "nothing"
    SELECTION = "selection"
    """A row under the cursor."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a person can do.

    Attributes:
        id: Stable identity; keymaps and tests speak of it.
        action: The verb that carries it out where it is bound, or with `screen.` before it on the screen.
        keys: Keys it is bound to, in the names of the terminal toolkit; empty for palette and `:` only.
        label: Two words at most, for the footer.
        description: One sentence, for help and palette.
        name: Its word on the `:` command line.
        group: Heading it stands under on the help page.
        scope: Where it works; a view is a stack of scopes, see `VIEWS`.
        writes: It changes the bus, so read-only and replay take it away.
        needs: What must be there before it makes sense.
        footer: Its place in the footer, smallest first; 0 keeps it out.
        argument: What its `:` form takes after the name, as a word; empty for nothing.
        priority: It also works over a dialog and inside a text field.
    """

    id: str
    action: str
    keys: tuple[str, ...]
    label: str
    description: str
    name: str
    group: str
    scope: str
    writes: bool = False
    needs: Needs = Needs.NOTHING
    footer: int = 0
    argument: str = ""
    priority: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether a command may run now.

    Attributes:
        read_only: The operator asked for a session that changes nothing.
        origin: Where the shown snapshot comes from.
        link: The link to the bus.
        selection: There is a row under the cursor.
        why: Why nothing may be changed, in words; empty for what `read_only` says.
    """

    read_only: bool = False
    origin: Origin = Origin.LIVE
    link: LinkState = LinkState.READY
    selection: bool = True
    why: str = ""


def refusal(command: Command, situation: Situation) -> str:
    """Say in words why *command* may not run in *situation*; empty when it may."""
    if command.writes:
        if situation.origin is Origin.REPLAY:
            return "this is the past: return to live first"
        if situation.read_only:
            return situation.why or "this session is read-only"
        if situation.link not in {LinkState.READY, LinkState.DEGRADED}:
            return "the bus is not reachable now"
    if command.needs is Needs.SELECTION and not situation.selection:
        return "nothing is selected"
    return ""
