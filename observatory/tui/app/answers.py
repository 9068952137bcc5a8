"""What screens ask the app for: another screen, a dialog, the clipboard. One table says who answers what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.dead_letter import DeadLetter
from observatory.model.task import Task
from observatory.tui.acting.acting import words_of
from observatory.tui.commands import run_command
from observatory.tui.table import Table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from textual.notifications import SeverityLevel

    from observatory.model.plan import Report
    from observatory.tui.app.main import ObservatoryApp
    from observatory.tui.dialogs.command_line import Typed
    from observatory.tui.screens.base import DataScreen


class Answers:
    """Gives the screens of *app* what only the app has."""

    def __init__(self, app: ObservatoryApp) -> None:
        self._app = app
        self._answers: Mapping[str, Callable[[DataScreen.Asked], Awaitable[None] | None]] = {
            "screen": lambda asked: app.trail.go(asked.argument, asked.what),
            "back": lambda _: self._back(),
            "clear": lambda _: self._clear(),
            "send": lambda asked: self._send(asked.what, edits=asked.argument == "edit"),
            "help": lambda _: self._help(),
            "command-line": lambda asked: self._command_line(asked.argument),
            "context": lambda asked: self._context(asked.argument),
            "theme": lambda asked: self._theme(asked.argument),
            "past": lambda _: app.switch.to_past(),
            "live": lambda _: app.switch.to_live(),
            "freeze": lambda _: app.freeze(),
            "copy": lambda asked: app.voice.copy(asked.argument),
            **dict.fromkeys(("filter", "save-view", "view"), self._view),
        }

    async def answer(self, asked: DataScreen.Asked) -> None:
        """Give what was asked for.

        Raises:
            KeyError: Nobody knows the verb.
        """
        answer = self._answers[asked.verb](asked)
        if answer is not None:
            await answer

    async def _back(self) -> None:
        """Go to the view before; from the first one, leave."""
        if not await self._app.trail.back():
            self._app.exit(0)

    async def _clear(self) -> None:
        """Go back, but never leave."""
        await self._app.trail.back()

    def _view(self, asked: DataScreen.Asked) -> None:
        if isinstance(asked.what, Table) and asked.what.fields is not None:
            self._app.views.answer(asked.verb, asked.argument, asked.what)

    def _send(self, like: object, *, edits: bool) -> None:
        from observatory.tui.dialogs.send import SendForm  # noqa: PLC0415 - pydantic is not needed for the first paint

        known = like if isinstance(like, Task | DeadLetter) else None
        self._app.push_screen(SendForm(self._app.desk, known, edits=edits), self._sent)

    def _sent(self, report: Report | None) -> None:
        if report is not None:
            self._app.desk.changes.did(report)
            severity: SeverityLevel = "information" if report.done else "warning"
            self._app.notify(words_of(report), severity=severity, markup=False)

    def _help(self) -> None:
        from observatory.tui.dialogs.help import HelpPage  # noqa: PLC0415 - not needed for the first paint

        self._app.push_screen(HelpPage(self._app.screen, self._app.desk))

    def _command_line(self, typed: str) -> None:
        from observatory.tui.dialogs.command_line import CommandLine  # noqa: PLC0415 - not needed for the first paint

        app = self._app
        arguments: dict[str, Mapping[str, str]] = {
            "theme": dict.fromkeys(app.theme_set.specs, ""),
            "view": dict.fromkeys(app.views.names(app.focused), ""),
            "ctx": app.switch.known(),
        }
        app.push_screen(CommandLine(app.screen, arguments, typed), self._typed)

    def _context(self, name: str) -> None:
        """Turn to another bus; without a name, list them where a name can be typed."""
        if name:
            self._app.switch.turn_to(name)
        else:
            self._command_line("ctx ")

    async def _typed(self, typed: Typed | None) -> None:
        if typed is not None:
            await run_command(self._app, typed.command, typed.node, typed.argument)

    def _theme(self, name: str) -> None:
        if name:
            self._app.choose_theme(name)
        else:
            self._app.ask_for_theme()
