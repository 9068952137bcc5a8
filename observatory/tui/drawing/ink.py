"""Colours as styles: what the theme says, resolved once per theme, for widgets that draw their own lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.strip import Strip

from observatory.settings.contrast import CURSOR, MUTED, faint_share, legible

if TYPE_CHECKING:
    from collections.abc import Mapping

_OLD, _QUIET = 0.5, 0.4

_NAMED = {"red": "#ff5555", "orange": "#ff9e3d", "yellow": "#f0d000", "green": "#3fc56b", "cyan": "#2fc8d8",
          "blue": "#4f94ff", "magenta": "#e060e0", "white": "#f0f0f0"}  # fmt: skip
"""Colours that a context may have by name."""


@dataclass(slots=True)
class Ink:
    """Styles by name, for one theme.

    Args:
        variables: The theme's variables, as the app resolved them.
        old: Everything is shown as no longer true: one quiet colour, no emphasis.
    """

    variables: Mapping[str, str]
    old: bool = False
    _styles: dict[str, Style] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Style:
        """Return the style of a name: `text`, `strong`, `muted`, `faint`, a base colour, `lane-…`; `+` adds bold."""
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self._make(name)
        return style

    def faded(self) -> Ink:
        """Return the same colours as of data that is no longer true."""
        return Ink(self.variables, old=True)

    def on_cursor(self, strip: Strip) -> Strip:
        """Return *strip* as it looks under the cursor: on a bar, or reversed whole where colours cannot be mixed."""
        if self._ansi:
            return Strip([Segment(strip.text, self["cursor"])], strip.cell_length)
        # What is quiet on the ground of the screen cannot be read on the bar.
        quiet, loud = {self["faint"].color, self["muted"].color}, self["text"]
        lifted = [
            Segment(text, style + loud) if style is not None and style.color in quiet else Segment(text, style)
            for text, style, _ in strip
        ]
        return Strip(lifted, strip.cell_length).apply_style(self["cursor"])

    def named(self, color: str) -> Style:
        """Return the style of a name in a colour of the settings, as it can be read on a band of this theme.

        Args:
            color: One of the names, or `#rrggbb`; empty for the colour of text.
        """
        if not color:
            return self["text"]
        style = self._styles.get(f"named {color}")
        if style is None:
            style = self._styles[f"named {color}"] = self._named(_NAMED.get(color, color))
        return style

    def _make(self, name: str) -> Style:
        if name == "cursor":
            return self._cursor()
        if name == "alarm":
            return Style(color=self._background("error").rich_color, bold=True, reverse=True)
        if name == "underlined":
            return Style(underline=True)
        if name == "band":
            return Style() if self._ansi else Style(bgcolor=self._background("panel").rich_color)
        word, bold = name.removesuffix("+"), name.endswith("+")
        color, dim = self._color(word)
        if self.old and word not in {"faint", "accent"}:
            color, dim = self._color("faint" if word == "trend" else "muted")
        return Style(
            color=color.rich_color if color else None, bold=(bold or word == "strong") or None, dim=dim or None
        )

    def _named(self, color: str) -> Style:
        if self._ansi:
            return Style(color=Color.parse(color).rich_color, bold=True)
        text, ground = self._background("foreground").hex6, self._background("panel").hex6
        return Style(color=Color.parse(legible(color, text, ground)).rich_color, bold=True)

    def _cursor(self) -> Style:
        if self._ansi:
            return Style(reverse=True)
        return Style(
            bgcolor=self._background("background").blend(self._background("primary"), CURSOR, alpha=1).rich_color
        )

    def _color(self, word: str) -> tuple[Color | None, bool]:
        """Return the colour of a plain name, and whether it must be dimmed because it cannot be mixed."""
        if word in {"text", "strong"}:
            return (None, False) if self._ansi else (self._parsed("foreground"), False)
        if word == "trend" and not self._ansi:
            return self._mixed("trend", _QUIET), False
        if word in {"muted", "faint", "old"}:
            if self._ansi:
                return None, True
            return self._mixed("foreground", self._share(word)), False
        return self._parsed(word) or self._parsed("foreground"), False

    def _share(self, word: str) -> float:
        """Return how much of the background there is in the colour of a quiet word."""
        if word == "faint":
            return faint_share(self._background("foreground").hex6, self._background("background").hex6)
        return MUTED if word == "muted" else _OLD

    def _mixed(self, name: str, share: float) -> Color | None:
        """Return a colour with a *share* of the background in it."""
        fore, back = self._parsed(name), self._parsed("background")
        return fore.blend(back, share, alpha=1) if fore and back else fore

    def _background(self, name: str) -> Color:
        return self._parsed(name) or Color(40, 40, 40)

    def _parsed(self, name: str) -> Color | None:
        value = self.variables.get(name, "")
        try:
            return Color.parse(value) if value and not value.startswith("auto") else None
        except ColorParseError:
            return None

    @property
    def _ansi(self) -> bool:
        """Whether colours are the terminal's own and cannot be mixed."""
        background = self._parsed("background")
        return background is None or background.ansi is not None
