"""The `:` line: a command by its name, with completion and what each name does."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.containers import Vertical
from textual.suggester import SuggestFromList
from textual.widgets import Input

from observatory.model.commands import MOVE
from observatory.model.text import line
from observatory.tui.commands import bindings, commands_here
from observatory.tui.dialogs.prompt import Prompt
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.dom import DOMNode
    from textual.screen import Screen
    from textual.strip import Strip

    from observatory.model.commands import Command

_MATCHES = 6


class Typed(NamedTuple):
    """What was typed, understood: the command, where it is carried out, and what followed its name."""

    command: Command
    node: DOMNode
    argument: str


class Matches(Drawn):
    """Names that begin with what is typed, and what each does."""

    def __init__(self) -> None:
        super().__init__()
        self._found: Sequence[tuple[str, str, bool]] = ()
        self._problem = ""

    def show(self, found: Sequence[tuple[str, str, bool]], problem: str = "") -> None:
        """Show matches (name, description, possible now), or what is wrong."""
        self._found, self._problem = found, problem
        self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw one match."""
        builder = LineBuilder().gap(1)
        if self._problem and y == 0:
            builder.add(f"✖ {self._problem}", self.ink["error+"])
        elif not self._problem and y < len(self._found):
            name, description, enabled = self._found[y]
            builder.cell(name, 16, self.ink["strong" if enabled else "faint"])
            builder.add(description, self.ink["muted" if enabled else "faint"])
        return builder.strip(width)


class CommandLine(Prompt[Typed | None]):
    """Returns what is to be done, or None.

    Args:
        below: The screen whose commands can be typed.
        arguments: What may follow a name, each with what it is in words.
        typed: What stands on the line already.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("prompt")]

    def __init__(self, below: Screen[object], arguments: Mapping[str, Mapping[str, str]], typed: str = "") -> None:
        super().__init__()
        self._begins = typed
        here = sorted(commands_here(below).values(), key=lambda entry: entry[0].group == MOVE)
        self._here = {entry[0].name: entry for entry in here}
        self._arguments = arguments

    def compose(self) -> ComposeResult:
        """Matches above, the line at the bottom."""
        words = list(self._here)
        for name, values in self._arguments.items():
            words += [f"{name} {value}" for value in values]
        with Vertical(id="prompt"):
            yield Matches()
            yield Input(
                self._begins, select_on_focus=False,
                placeholder="command — → completes, enter runs, esc closes", suggester=SuggestFromList(words),
                compact=True, id="command",
            )  # fmt: skip

    def on_mount(self) -> None:
        """Show what there is; a line that is closed while it is put together shows nothing."""
        if self.is_attached and self.query(Matches):
            self._match(self._begins)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._match(event.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        """Take the name, or the only name that begins like it."""
        name, _, argument = event.value.strip().partition(" ")
        matches = [known for known in self._here if known.startswith(name)] if name else []
        chosen = name if name in self._here else matches[0] if len(matches) == 1 else ""
        if not name:
            self.dismiss(None)
        elif not chosen:
            many = f"could be {', '.join(matches[:4])}" if matches else "no command is called so"
            self.query_one(Matches).show((), f"{line(name, 40)}: {many}")
        elif not self._here[chosen][3]:
            self.query_one(Matches).show((), f"{chosen}: not possible now")
        else:
            command, node, _, _ = self._here[chosen]
            self.dismiss(Typed(command, node, argument.strip()))

    def action_close(self) -> None:
        """Do nothing."""
        self.dismiss(None)

    def _match(self, text: str) -> None:
        name, space, argument = text.strip().partition(" ")
        if space or (text.endswith(" ") and name in self._arguments):
            values = self._arguments.get(name, {}).items()
            found = [(value, words, True) for value, words in values if value.startswith(argument)]
        else:
            found = [
                (known, command.description, enabled)
                for known, (command, _, _, enabled) in self._here.items()
                if known.startswith(name)
            ]
        self.query_one(Matches).show(found[:_MATCHES])
