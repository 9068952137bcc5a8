"""The palette: every command of the screen below, found by its words, and the themes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from observatory.model.commands import MOVE
from observatory.tui.commands import commands_here, run_command
from observatory.tui.widgets.footer import key_display

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from observatory.tui.app.main import ObservatoryApp


class CommandProvider(Provider):
    """Commands that are possible now; the others say why on the help page."""

    async def discover(self) -> Hits:
        """Offer everything, in the order of the table."""
        for title, words, run in self._offers():
            yield DiscoveryHit(Content(title), run, text=title, help=words)

    async def search(self, query: str) -> Hits:
        """Offer what matches the query in its label, name or description."""
        matcher = self.matcher(query)
        for title, words, run in self._offers():
            score = max(matcher.match(title), matcher.match(words) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, text=title, help=words)

    def _offers(self) -> list[tuple[str, str, partial[Coroutine[Any, Any, None]]]]:
        app: ObservatoryApp = self.app  # type: ignore[assignment]
        offers = []
        for command, node, keys, enabled in commands_here(self.screen).values():
            if enabled:
                key = f"   {key_display(keys[0])}" if keys else ""
                run = partial(run_command, app, command, node)
                offers.append((command.group == MOVE, f"{command.label}{key}", command.description, run))
        return [offer[1:] for offer in sorted(offers, key=lambda offer: offer[0])]


class ThemeProvider(Provider):
    """The themes by name; the app shows each while it is highlighted."""

    async def discover(self) -> Hits:
        """Offer every theme."""
        for name, words in self._themes():
            yield DiscoveryHit(Content(name), partial(self._choose, name), text=name, help=words)

    async def search(self, query: str) -> Hits:
        """Offer themes whose name matches."""
        matcher = self.matcher(query)
        for name, words in self._themes():
            if (score := matcher.match(name)) > 0:
                yield Hit(score, matcher.highlight(name), partial(self._choose, name), text=name, help=words)

    def _choose(self, name: str) -> None:
        app: ObservatoryApp = self.app  # type: ignore[assignment]
        app.choose_theme(name)

    def _themes(self) -> list[tuple[str, str]]:
        app: ObservatoryApp = self.app  # type: ignore[assignment]
        return [
            (name, "the terminal's own colours" if spec.ansi else "dark" if spec.dark else "light")
            for name, spec in app.theme_set.specs.items()
        ]
