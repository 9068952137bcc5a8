"""Themes of the running app: from the files of the settings room to Textual's, chosen, previewed, read anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import App
from textual.command import Command as PaletteEntry
from textual.command import CommandPalette
from textual.theme import Theme

from observatory.model.text import line
from observatory.settings import themes, themes_stamp
from observatory.tui.app.palette import ThemeProvider

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.settings import ThemeSet, ThemeSpec

LOOK_S = 2.0
"""Seconds between two looks at the user's folder of themes."""


class Looks(App[int]):
    """An app whose themes come from files, are shown while they are chosen, and change as their files do."""

    theme_set: ThemeSet
    """Every theme there is."""

    _on_theme_chosen: Callable[[str], None] | None = None
    _theme_before: str | None = None

    def dress(self, known: ThemeSet, theme: str, on_chosen: Callable[[str], None] | None) -> None:
        """Take up the themes before the first paint.

        Args:
            known: Every theme there is.
            theme: Name of the one to start with.
            on_chosen: Told the name of a theme that the person chose, to keep it.

        Raises:
            SettingsError: There is no theme of that name.
        """
        self.theme_set, self._on_theme_chosen = known, on_chosen
        self._theme_folder = ThemeFolder(known)
        for spec in known.specs.values():
            self.register_theme(textual_theme(spec))
        self.theme = known.get(theme).name

    def follow_theme_files(self) -> None:
        """Look at the user's folder now and then."""
        self.set_interval(LOOK_S, self._look_at_themes, name="themes")

    def ask_for_theme(self) -> None:
        """Let the person choose: each is shown while it is highlighted."""
        self._theme_before = self.theme
        self.push_screen(CommandPalette(providers=[ThemeProvider], placeholder="Choose a theme …"))

    def choose_theme(self, name: str) -> None:
        """Take a theme and keep the choice."""
        if name not in self.theme_set.specs:
            known = ", ".join(self.theme_set.specs)
            self.notify(f"there is no theme {line(name, 40)}; there are {known}", severity="error", markup=False)
            return
        self.theme = name
        if self._on_theme_chosen is not None:
            self._on_theme_chosen(name)

    def _look_at_themes(self) -> None:
        """Take up what changed in the user's folder; a theme in use that is gone or broken stays on the screen."""
        found = self._theme_folder.changed()
        if found is None:
            return
        before, self.theme_set = self.theme_set, found
        for name, spec in found.specs.items():
            if spec != before.specs.get(name):
                self.register_theme(textual_theme(spec))
        if found.specs.get(self.theme, before.specs.get(self.theme)) != before.specs.get(self.theme):
            self.mutate_reactive(Looks.theme)
        for problem in found.problems[:3]:
            self.notify(line(problem, 300), title="theme left out", severity="warning", markup=False, timeout=10)

    @on(CommandPalette.OptionHighlighted)
    def _preview_theme(self, event: CommandPalette.OptionHighlighted) -> None:
        option = event.highlighted_event.option
        if self._theme_before is not None and isinstance(option, PaletteEntry) and option.hit.text:
            self.theme = option.hit.text

    @on(CommandPalette.Closed)
    def _palette_closed(self, event: CommandPalette.Closed) -> None:
        before, self._theme_before = self._theme_before, None
        if before is not None and not event.option_selected:
            self.theme = before


class ThemeFolder:
    """The user's folder of themes, as it was when it was last looked at.

    Args:
        known: The themes that were read from it.
    """

    def __init__(self, known: ThemeSet) -> None:
        self._folder = known.folder
        self._stamp = themes_stamp(self._folder) if self._folder else ()

    def changed(self) -> ThemeSet | None:
        """Return all themes, read again, if a file of the folder is not what it was; else None."""
        if self._folder is None or (stamp := themes_stamp(self._folder)) == self._stamp:
            return None
        self._stamp = stamp
        return themes(self._folder)


def textual_theme(spec: ThemeSpec) -> Theme:
    """Return *spec* as a theme that Textual can use."""
    return Theme(
        name=spec.name,
        primary=spec.primary,
        secondary=spec.secondary,
        accent=spec.accent,
        warning=spec.warning,
        error=spec.error,
        success=spec.success,
        foreground=spec.foreground,
        background=spec.background,
        surface=spec.surface,
        panel=spec.panel,
        dark=spec.dark,
        ansi=spec.ansi,
        variables=dict(spec.variables),
    )
