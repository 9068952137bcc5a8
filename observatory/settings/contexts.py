"""Contexts: several buses, each with an address and manners of its own, in `[contexts.<name>]` tables of the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from observatory.model.errors import SettingsError
from observatory.settings.schema import BY_KEY
from observatory.settings.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.settings.toml import Document

TABLE = "contexts"
"""Name of the table that holds them."""

KEYS = ("url", "prefix", "theme", "refresh_s", "read_only", "protected", "colour", "group")
"""Settings that a context may choose for its bus."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class Context:
    """One bus by name.

    Attributes:
        name: What people call it.
        values: Its settings, checked, by key.
        origins: Where each stands in the file.
    """

    name: str
    values: Mapping[str, Any]
    origins: Mapping[str, str]


def read_contexts(document: Document) -> dict[str, Context]:
    """Return the contexts of a settings file, by name.

    Raises:
        SettingsError: One of them is wrong; names file, key and line.
    """
    tables = document.data.get(TABLE, {})
    if not isinstance(tables, dict):
        raise document.error((TABLE,), "must be tables", "[contexts.prod]")
    return {name: _read(document, name, table) for name, table in tables.items()}


def _read(document: Document, name: str, table: object) -> Context:
    if not _NAME.fullmatch(name):
        raise document.error((TABLE, name), "a context is called by 1 to 32 letters, digits or . _ -")
    if not isinstance(table, dict):
        raise document.error((TABLE, name), "must be a table", f'[contexts.{name}] and then url = "redis://…"')
    values, origins = {}, {}
    for key, value in table.items():
        where = (TABLE, name, key)
        if key not in KEYS:
            raise document.error(where, "a context has no such setting", nearest(key, KEYS))
        try:
            values[key] = BY_KEY[key].read(value)
        except ValueError as error:
            raise document.error(where, str(error), BY_KEY[key].help) from None
        origins[key] = f"context {name}, file {document.path} line {document.line_of(*where) or '?'}"
    return Context(name, values, origins)


def chosen(contexts: Mapping[str, Context], name: str, where: str) -> Context:
    """Return the context called *name*.

    Raises:
        SettingsError: There is none; *where* says who asked for it.
    """
    if name not in contexts:
        hint = nearest(name, contexts) if contexts else "a settings file has them, as [contexts.prod]"
        raise SettingsError(f"{where}: there is no context {name!r}", hint)
    return contexts[name]
