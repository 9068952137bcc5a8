"""From defaults, file, variables and flags to one checked `Settings`, and one choice back into the file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from observatory.model.errors import SettingsError
from observatory.model.secret import masked
from observatory.settings import paths
from observatory.settings.schema import BY_KEY, SETTINGS, Settings, defaults
from observatory.settings.toml import Document, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def load(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> Settings:
    """Return the settings that hold now: defaults, overridden by file, variables and flags in this order.

    Args:
        flags: Values by key from the command line; None among them means "not given".
        environ: The environment; an empty variable counts as not set.
        file: Settings file that must exist; if None, the usual one, which need not.

    Raises:
        SettingsError: A value, key or file is wrong; names where.
    """
    values = defaults(environ)
    origins: dict[str, str] = {}
    document = _open(file, environ)
    if document is not None:
        for key, value in document.data.items():
            values[key] = _from_file(document, key, value)
            origins[key] = f"file {document.path} line {document.line_of(key) or '?'}"
    for setting in SETTINGS:
        if raw := environ.get(setting.variable):
            values[setting.key] = _checked(setting.key, raw, setting.variable)
            origins[setting.key] = f"env {setting.variable}"
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = _checked(key, value, BY_KEY[key].flag if key in BY_KEY else key)
            origins[key] = f"flag {BY_KEY[key].flag}"
    return Settings(**values, origins=origins)


def describe(settings: Settings) -> list[SettingRow]:
    """Return every setting with its value, secrets masked, and where the value came from."""
    return [
        SettingRow(row.key, _shown(getattr(settings, row.key)), settings.provenance(row.key), row.help)
        for row in SETTINGS
    ]


def save_choice(key: str, value: str, *, file: Path | None = None) -> None:
    """Keep one value in the settings file, atomically and 0600; the rest of the file stays as written.

    Args:
        key: The setting, for instance `theme`.
        value: What it shall be, as it would be written in a variable.
        file: Settings file; the usual one if None. Made if it is missing.

    Raises:
        SettingsError: Key or value is wrong, or the file cannot be read, changed safely, or written.
    """
    checked = _checked(key, value, key)
    path = (file or paths.config_file()).resolve()
    try:
        before = Document.read(path)
    except FileNotFoundError:
        before = Document(path, "", {})
    wanted = before.data | {key: str(checked) if isinstance(checked, Path) else checked}
    text = _with_line(before, key, wanted[key])
    if Document.parse(path, text).data != wanted:
        raise before.error((key,), "is written in a way that cannot be changed safely", "change it by hand")
    _write(path, text)


def _open(file: Path | None, environ: Mapping[str, str]) -> Document | None:
    path = file or paths.config_file(environ)
    try:
        return Document.read(path)
    except FileNotFoundError:
        if file is None and not environ.get("OBSERVATORY_CONFIG"):
            return None
        raise SettingsError(f"{path}: there is no such settings file") from None


def _from_file(document: Document, key: str, value: object) -> object:
    if key not in BY_KEY:
        raise document.error((key,), "there is no such setting", nearest(key, BY_KEY))
    try:
        return BY_KEY[key].read(value)
    except ValueError as error:
        raise document.error((key,), str(error), BY_KEY[key].help) from None


def _checked(key: str, value: object, where: str) -> object:
    if key not in BY_KEY:
        raise SettingsError(f"{where}: there is no such setting", nearest(key, BY_KEY))
    try:
        return BY_KEY[key].read(value)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}", BY_KEY[key].help) from None


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else masked(str(value))


def _with_line(document: Document, key: str, value: object) -> str:
    """Return the text of *document* with the line of a top-level key replaced, or put first."""
    import tomli_w  # noqa: PLC0415 - only who writes needs it

    row = tomli_w.dumps({key: value})
    rows = document.text.splitlines(keepends=True)
    number = document.line_of(key)
    if number is None:
        return row + document.text
    rows[number - 1] = row
    return "".join(rows)


def _write(path: Path, text: str) -> None:
    temporary: Path | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise SettingsError(f"{path}: cannot be written: {error.strerror}") from None
