"""From the theme files of the settings room to Textual's themes, again whenever the user's own change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.theme import Theme

from observatory.settings import themes, themes_stamp

if TYPE_CHECKING:
    from observatory.settings import ThemeSet, ThemeSpec

LOOK_S = 2.0
"""Seconds between two looks at the user's folder of themes."""


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
