"""The base of every widget that draws its own lines: styles of the theme, and repainting only lines that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self
from weakref import WeakKeyDictionary

from textual.geometry import Region
from textual.widget import Widget

from observatory.tui.drawing.ink import Ink
from observatory.tui.drawing.lines import blank

if TYPE_CHECKING:
    from rich.style import Style
    from textual.app import App
    from textual.strip import Strip
    from textual.theme import Theme


class Drawn(Widget):
    """A widget whose lines come from `draw_line`, in the styles of the theme.

    Its data is replaced, never mutated; whoever replaces it names the lines that changed.
    """

    DEFAULT_CSS = """
    Drawn { height: 1; width: 1fr; }
    """

    repaints: ClassVar[int] = 0
    """How often a widget of this kind asked to be repainted; what it says is only whether one did."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id, classes=classes)
        self._old = False
        self._known = True
        self._base: Style | None = None

    @property
    def ink(self) -> Ink:
        """Styles for what is true now, or for what is no longer true."""
        fresh, faded = inks(self.app)
        return faded if self._old else fresh

    def set_truth(self, *, known: bool, old: bool) -> None:
        """Say whether there is any data at all, and whether it is no longer true."""
        if (known, old) != (self._known, self._old):
            self._known, self._old = known, old
            self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw line *y* in exactly *width* cells."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """Answer Textual: one line of the content area."""
        width = self.size.width
        inside = width > 0 and 0 <= y < self.size.height
        if self._base is None:
            self._base = self.rich_style
        return (self.draw_line(y, width) if inside else blank(width)).apply_style(self._base)

    def notify_style_update(self) -> None:
        """Forget the style below every line when the style sheet changes it."""
        self._base = None
        super().notify_style_update()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Ask to be repainted, and let whoever spreads repaints know."""
        Drawn.repaints += 1
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def repaint_lines(self, *lines: int) -> None:
        """Repaint the given lines of the content area and nothing else."""
        regions = [Region(0, y, self.size.width, 1) for y in lines if 0 <= y < self.size.height]
        if regions:
            self.refresh(*regions)

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)

    def _theme_changed(self, _theme: Theme) -> None:
        self._base = None
        self.refresh()


def inks(app: App[object]) -> tuple[Ink, Ink]:
    """Return the styles of the app's present theme: fresh and faded."""
    known = _INKS.get(app)
    if known is None or known[0].variables is not app.theme_variables:
        fresh = Ink(app.theme_variables)
        known = _INKS[app] = (fresh, fresh.faded())
    return known


_INKS: WeakKeyDictionary[App[object], tuple[Ink, Ink]] = WeakKeyDictionary()
