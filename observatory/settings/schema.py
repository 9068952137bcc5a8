"""Every setting there is, declared once: its key, what it may be, its default, and its help."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observatory.settings.paths import data_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observatory.model.terminal import TerminalSettings
    from observatory.settings.alerts import AlertSettings

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}(?<!:)")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "magenta", "white")
"""Colours that have a name."""

_COLOUR = re.compile(rf"{'|'.join(COLOURS)}|#[0-9a-fA-F]{{6}}")
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Settings:
    """What the user configured, complete and checked.

    Attributes:
        url: The bus to attach to; None for the embedded engine.
        prefix: First part of every key on the bus.
        theme: Name of the colours; whether there is such a theme, `ThemeSet.get` knows.
        refresh_s: Seconds between two looks at the bus.
        data_dir: Folder of the embedded engine and of recordings.
        read_only: Whether every command that changes something is taken away.
        group: Consumer group that workers read by.
        context: Name of the bus among those of the file; empty if none was chosen.
        colour: Colour in which the bus is named on the screen; empty for none.
        protected: Whether changes must be confirmed in writing.
        actor: Who acts, for the audit; empty for `<user>@<host>`.
        contexts: Names of all contexts of the file.
        alerts: What is watched, and who is told; None where the file says nothing of it.
        terminals: How messages are typed into terminals; None where the file says nothing of it.
        origins: Where each value came from; read it by `provenance`.
        rows: What the tables of the file say, for `describe`.
    """

    data_dir: Path
    url: str | None = field(default=None, repr=False)
    prefix: str = "cortex"
    theme: str = "observatory-dark"
    refresh_s: float = 1.0
    read_only: bool = False
    group: str = "workers"
    context: str = ""
    colour: str = ""
    protected: bool = False
    actor: str = ""
    contexts: tuple[str, ...] = ()
    alerts: AlertSettings | None = None
    terminals: TerminalSettings | None = None
    rows: tuple[SettingRow, ...] = field(default=(), repr=False, compare=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def provenance(self, key: str) -> str:
        """Say where the value of *key* came from: `default`, `file …`, `env …` or `flag …`.

        Raises:
            KeyError: There is no such setting.
        """
        if key not in BY_KEY:
            raise KeyError(key)
        return self.origins.get(key, "default")


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it is shown to people.

    Attributes:
        key: Its name.
        value: Its value, secrets masked; empty if it has none.
        origin: Where the value came from.
        help: What it does.
    """

    key: str
    value: str
    origin: str
    help: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        key: Its name in the file; the variable and the flag follow from it.
        kind: What it may be, in words for people.
        default: What it is when nobody says anything, in words for people.
        help: What it does, in one sentence.
        read: Turns a value from a file, variable or flag into the checked one; raises ValueError.
    """

    key: str
    kind: str
    default: str
    help: str
    read: Callable[[object], Any]

    @property
    def variable(self) -> str:
        """Environment variable that sets it."""
        return f"OBSERVATORY_{self.key.upper()}"

    @property
    def flag(self) -> str:
        """Command-line flag that sets it."""
        return f"--{self.key.replace('_', '-')}"


def defaults(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that do not stand in the schema because they depend on the user's machine."""
    return {"data_dir": data_dir(environ)}


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a line of text")
    return value.strip()


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits or _ . : - and not end with a colon")
    return value


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        wrong = ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise wrong
        try:
            number = float(value)
        except ValueError:
            raise wrong from None
        if math.isnan(number) or not low <= number <= high:
            raise wrong
        return number

    return read


def _switch(value: object) -> bool:
    found = value if isinstance(value, bool) else _WORDS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be true or false")
    return found


def _colour(value: object) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ValueError(f"must be one of {', '.join(COLOURS)}, or #rrggbb")
    return value


def _folder(value: object) -> Path:
    if isinstance(value, Path):
        return value.expanduser().absolute()
    path = Path(_text(value)).expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path, or begin with ~")
    return path


SETTINGS: tuple[Setting, ...] = (
    Setting("url", "URL", "the embedded engine", "The bus to attach to; a password in it is never shown.", _text),
    Setting("prefix", "name", Settings.prefix, "First part of every key on the bus.", _name),
    Setting("theme", "name", Settings.theme, "Colours; `observatory themes` lists them.", _text),
    Setting(
        "refresh_s",
        "0.25 to 60",
        f"{Settings.refresh_s:g}",
        "Seconds between two looks at the bus.",
        _seconds(0.25, 60),
    ),
    Setting("data_dir", "folder", "the user's data folder", "Data of the embedded engine and recordings.", _folder),
    Setting("read_only", "true or false", "false", "Takes away every command that changes something.", _switch),
    Setting("group", "name", Settings.group, "Consumer group that workers read by.", _name),
    Setting("context", "name", "none", "Which of the file's [contexts.<name>] is meant.", _name),
    Setting("colour", "colour", "none", "Colour in which the bus is named on the screen.", _colour),
    Setting("protected", "true or false", "false", "Changes must be confirmed in writing.", _switch),
    Setting("actor", "name", "user@host", "Who acts, as the audit of changes names it.", _text),
)
"""All settings, in the order in which they are shown."""

BY_KEY: Mapping[str, Setting] = {setting.key: setting for setting in SETTINGS}
"""All settings by their key."""
