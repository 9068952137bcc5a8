"""Themes as data: the ones we ship, then the user's own. A broken file is a problem to show, never a failure.

A theme file is TOML: `name`, `dark`, optionally `ansi`, a table `[colors]` and optionally a table `[variables]`
that refines them. Colours are `#rrggbb`; a theme with `ansi = true` takes the terminal's own, `ansi_red` and so on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from observatory.model.errors import SettingsError
from observatory.settings import paths
from observatory.settings.toml import Document, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

COLORS = (
    "primary", "secondary", "accent", "warning", "error", "success", "foreground", "background", "surface", "panel",
)  # fmt: skip
"""The colours that every theme names."""

VARIABLES: Mapping[str, str] = {
    "lane-critical": "error",
    "lane-high": "warning",
    "lane-normal": "primary",
    "lane-low": "secondary",
    "agent-alive": "success",
    "agent-late": "warning",
    "agent-stale": "accent",
    "agent-dead": "error",
    "plot-1": "primary",
    "plot-2": "accent",
    "plot-3": "secondary",
    "trend": "primary",
}
"""Colours of our own, and which of `COLORS` stands in where a theme does not name one."""

# The toolkit's own style sheet needs these in a theme of the terminal's colours.
_ANSI_VARIABLES = {"ansi-background": "background", "ansi-foreground": "foreground"}

ANSI_COLORS = frozenset(
    f"ansi_{shade}{hue}"
    for shade in ("", "bright_")
    for hue in ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
) | {"ansi_default"}
"""The terminal's own sixteen colours and its default, by the names that Textual gives them."""

_TOP = ("name", "dark", "ansi", "colors", "variables")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_OPACITY = re.compile(r" +\d{1,3}%$")
_STYLE = re.compile(
    r"(?:not )?(?:none|bold|italic|underline|reverse|strike|dim|b|i|u)(?: (?:bold|italic|underline|reverse))*"
)
# What the widgets of the toolkit take from a theme; checked by family, since each release adds some.
_FAMILIES = (
    "ansi-", "block-", "border", "button-", "footer-", "foreground-", "input-", "link-", "markdown-", "screen-",
    "scrollbar", "surface-", "text-",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ThemeSpec:
    """The colours of the screen.

    Attributes:
        name: What the user chooses it by.
        dark: Whether it is light text on dark.
        ansi: Whether its colours are the terminal's own.
        primary: Colour of titles and of what is in focus.
        secondary: Second colour of the same weight.
        accent: Colour that draws the eye.
        warning: Colour of what may go wrong.
        error: Colour of what went wrong.
        success: Colour of what went right.
        foreground: Colour of text.
        background: Colour behind everything.
        surface: Colour behind a pane.
        panel: Colour behind bars and headings.
        variables: Further colours by name; holds at least every key of `VARIABLES`.
        source: The file that it came from.
    """

    name: str
    dark: bool
    ansi: bool
    primary: str
    secondary: str
    accent: str
    warning: str
    error: str
    success: str
    foreground: str
    background: str
    surface: str
    panel: str
    variables: Mapping[str, str]
    source: Path


@dataclass(frozen=True, slots=True)
class ThemeSet:
    """Every theme there is, and what is wrong with the files that are none.

    Attributes:
        specs: Themes by name: shipped ones first, the user's after them or, with the same name, instead.
        problems: One line per broken file: file, key, line, what is wrong.
        folder: Where the user's own were looked for; None if nowhere.
    """

    specs: Mapping[str, ThemeSpec]
    problems: tuple[str, ...] = ()
    folder: Path | None = None

    def get(self, name: str) -> ThemeSpec:
        """Return the theme of that name.

        Raises:
            SettingsError: There is none; the hint names the nearest.
        """
        if name not in self.specs:
            raise SettingsError(f"there is no theme {name!r}", nearest(name, self.specs))
        return self.specs[name]


def themes(extra_dir: Path | None = None) -> ThemeSet:
    """Return the shipped themes and those of the user.

    Args:
        extra_dir: The user's folder of theme files; the usual one if None. It need not exist.
    """
    specs: dict[str, ThemeSpec] = {}
    problems: list[str] = []
    own = extra_dir or paths.themes_dir()
    for folder in (shipped_dir(), own):
        found: dict[str, ThemeSpec] = {}
        for path in _files(folder, problems):
            try:
                spec = read_theme(path)
            except SettingsError as error:
                problems.append(str(error))
                continue
            if spec.name in found:
                problems.append(f"{path}: name: {found[spec.name].source.name} has the same name")
            else:
                found[spec.name] = spec
        specs |= found
    return ThemeSet(specs, tuple(problems), own)


def themes_stamp(extra_dir: Path | None = None) -> tuple[tuple[str, int, int], ...]:
    """Return what changes whenever a theme file of the user does: names, times of change in ns, sizes in bytes.

    It reads no file, so it may be asked every second; `themes` is worth asking again when the answer differs.

    Args:
        extra_dir: The user's folder of theme files; the usual one if None. It need not exist.
    """
    found = []
    for path in _files(extra_dir or paths.themes_dir(), []):
        try:
            status = path.stat()
        except OSError:
            found.append((path.name, 0, -1))
        else:
            found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)


def shipped_dir() -> Path:
    """Return the folder of the themes we ship: inside the wheel, or at the top of an editable checkout."""
    here = Path(__file__).parent
    inside = here / "themes_data"
    return inside if inside.is_dir() else here.parents[1] / "themes"


def read_theme(path: Path) -> ThemeSpec:
    """Read one theme file.

    Raises:
        SettingsError: It cannot be read, or something in it is wrong; names file, key and line.
    """
    try:
        document = Document.read(path)
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such theme file") from None
    _known(document, (), document.data, _TOP)
    name = _one(document, "name", str)
    if not _NAME.fullmatch(name):
        raise document.error(("name",), "must be 1 to 40 lower-case letters, digits, - or _")
    ansi = _one(document, "ansi", bool, default=False)
    colors = _table(document, "colors")
    _known(document, ("colors",), colors, COLORS)
    for key in COLORS:
        if key not in colors:
            raise document.error(("colors",), f"the colour {key} is missing")
        _check_color(document, ("colors", key), colors[key], ansi=ansi)
    variables = _table(document, "variables") if "variables" in document.data else {}
    for key, value in variables.items():
        _check_variable(document, key, value, ansi=ansi)
    stand_ins = {**VARIABLES, **_ANSI_VARIABLES} if ansi else VARIABLES
    return ThemeSpec(
        name=name,
        dark=_one(document, "dark", bool),
        ansi=ansi,
        **colors,
        variables={key: colors[stand_in] for key, stand_in in stand_ins.items()} | variables,
        source=path,
    )


def _files(folder: Path, problems: list[str]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{folder}: cannot be read: {error.strerror}")
        return []


def _known(document: Document, table: tuple[str, ...], found: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in found:
        if key not in known:
            raise document.error((*table, key), "there is no such key", nearest(key, known))


def _one(document: Document, key: str, kind: type[T], default: T | None = None) -> T:
    value = document.data.get(key, default)
    if not isinstance(value, kind):
        what = "true or false" if kind is bool else "a text"
        raise document.error((key,), f"must be {what}" if key in document.data else f"is missing; it must be {what}")
    return value


def _table(document: Document, key: str) -> dict[str, Any]:
    table = document.data.get(key)
    if not isinstance(table, dict):
        raise document.error((key,), f"must be a table, [{key}]")
    return table


def _check_color(document: Document, keys: tuple[str, ...], value: object, *, ansi: bool) -> None:
    if isinstance(value, str) and (_HEX.fullmatch(value) or (ansi and value in ANSI_COLORS)):
        return
    if isinstance(value, str) and ansi and value.startswith("ansi_"):
        raise document.error(keys, "is not a colour of the terminal", nearest(value, sorted(ANSI_COLORS)))
    raise document.error(keys, "must be #rrggbb or the terminal's ansi_red etc." if ansi else "must be #rrggbb")


def _check_variable(document: Document, key: str, value: object, *, ansi: bool) -> None:
    keys = ("variables", key)
    if key not in VARIABLES and not key.startswith(_FAMILIES):
        raise document.error(keys, "there is no such key", nearest(key, VARIABLES))
    if "style" in key:
        if not isinstance(value, str) or not _STYLE.fullmatch(value):
            raise document.error(keys, "must be none, bold, italic, underline or reverse, or several of them")
        return
    bare = _OPACITY.sub("", value) if isinstance(value, str) and key not in VARIABLES else value
    _check_color(document, keys, bare, ansi=ansi)
