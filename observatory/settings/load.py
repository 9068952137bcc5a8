"""From defaults, file, variables and flags to one checked `Settings`, and one choice back into the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observatory.files import write_atomically
from observatory.model.errors import SettingsError
from observatory.model.secret import masked
from observatory.settings import paths
from observatory.settings.contexts import Context, chosen, read_contexts
from observatory.settings.schema import BY_KEY, SETTINGS, SettingRow, Settings, defaults
from observatory.settings.toml import Document, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TABLES = frozenset({"contexts", "alerts", "tmux"})
"""Tables of the file that are read by rules of their own."""


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
    rows: list[SettingRow] = []
    contexts: dict[str, Context] = {}
    document = _open(file, environ)
    if document is not None:
        for key in (key for key in document.data if key not in _TABLES):
            values[key] = _from_file(document, key, document.data[key])
            origins[key] = f"file {document.path} line {document.line_of(key) or '?'}"
        contexts = read_contexts(document)
        values["contexts"] = tuple(contexts)
        if "alerts" in document.data:
            from observatory.settings.alerts import read_alerts  # noqa: PLC0415 - most files say nothing of them

            values["alerts"] = read_alerts(document)
            rows += values["alerts"].rows
        if "tmux" in document.data:
            from observatory.settings.terminals import described, read_terminals  # noqa: PLC0415 - as above

            values["terminals"] = read_terminals(document)
            rows += described(document)
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    context, by_flag = _context(contexts, given, environ, values)
    # A context that a flag names is nearer than any variable.
    if context is not None and not by_flag:
        _put(context, values, origins)
    for setting in SETTINGS:
        if raw := environ.get(setting.variable):
            values[setting.key] = _checked(setting.key, raw, setting.variable)
            origins[setting.key] = f"env {setting.variable}"
    if context is not None and by_flag:
        _put(context, values, origins)
    for key, value in given.items():
        values[key] = _checked(key, value, BY_KEY[key].flag if key in BY_KEY else key)
        origins[key] = f"flag {BY_KEY[key].flag}"
    return Settings(**values, origins=origins, rows=(*_rows(contexts), *rows))


def _context(
    contexts: Mapping[str, Context], given: Mapping[str, object], environ: Mapping[str, str], values: Mapping[str, Any]
) -> tuple[Context | None, bool]:
    """Return the context that is meant, if any, and whether a flag named it."""
    setting = BY_KEY["context"]
    if name := given.get(setting.key):
        return chosen(contexts, str(name), setting.flag), True
    if name := environ.get(setting.variable):
        return chosen(contexts, name, setting.variable), False
    if name := values.get(setting.key):
        return chosen(contexts, str(name), f"{setting.key} in the settings file"), False
    return None, False


def _put(context: Context, values: dict[str, Any], origins: dict[str, str]) -> None:
    values.update(context.values)
    origins.update(context.origins)


def _rows(contexts: Mapping[str, Context]) -> Iterator[SettingRow]:
    for context in contexts.values():
        for key, value in context.values.items():
            origin = context.origins[key].partition(", ")[2]
            yield SettingRow(f"contexts.{context.name}.{key}", _shown(value), origin, BY_KEY[key].help)


def describe(settings: Settings) -> list[SettingRow]:
    """Return every setting with its value, secrets masked, and where the value came from; then what tables say."""
    return [
        *(
            SettingRow(row.key, _shown(getattr(settings, row.key)), settings.provenance(row.key), row.help)
            for row in SETTINGS
        ),
        *settings.rows,
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
    try:
        write_atomically(path, text)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}") from None
