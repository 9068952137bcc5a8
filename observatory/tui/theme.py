"""From the theme files of the settings room to Textual's themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.theme import Theme

if TYPE_CHECKING:
    from observatory.settings import ThemeSpec


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
