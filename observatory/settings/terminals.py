"""Agents in terminals: which sessions hold some, and what each kind looks like, in the `[tmux]` table of the file."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from observatory.model.quantity import duration_s
from observatory.model.terminal import AgentKind, Newlines, TerminalSettings
from observatory.model.text import BLOCK_LIMIT, line
from observatory.settings.schema import SettingRow
from observatory.settings.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from observatory.settings.toml import Document

    Read = Callable[[object], object]

TABLE: Final = "tmux"
"""Name of the table that holds them."""

MOST_ROWS: Final = 50


def read_terminals(document: Document) -> TerminalSettings:
    """Return what a settings file says of terminals.

    Raises:
        SettingsError: Something in the table is wrong; names file, key and line.
    """
    table = document.data.get(TABLE, {})
    if not isinstance(table, dict):
        raise document.error((TABLE,), "must be a table", "[tmux]")
    found = TerminalSettings()
    kinds = dict(found.kinds)
    tables = table.get("kinds", {})
    if not isinstance(tables, dict):
        raise document.error((TABLE, "kinds"), "must be tables", "[tmux.kinds.mine]")
    for name, said in tables.items():
        kinds[name] = _kind(document, name, said, kinds.get(name))
    plain = {key: value for key, value in table.items() if key != "kinds"}
    return replace(found, kinds=kinds, **_values(document, (TABLE,), plain, _PLAIN))


def described(document: Document) -> Iterator[SettingRow]:
    """Yield what the table of a file that could be read says, for people."""
    table = document.data[TABLE]
    for key, value in table.items():
        if key != "kinds":
            yield _row(document, (TABLE, key), value)
    for name, said in table.get("kinds", {}).items():
        for key, value in said.items():
            yield _row(document, (TABLE, "kinds", name, key), value)


def _row(document: Document, where: tuple[str, ...], value: object) -> SettingRow:
    origin = f"file {document.path} line {document.line_of(*where) or '?'}"
    return SettingRow(".".join(where), line(str(value)), origin, "How messages are typed into tmux panes.")


def _kind(document: Document, name: str, table: object, known: AgentKind | None) -> AgentKind:
    """Return a shipped kind with what the file says changed, or a new one."""
    where = (TABLE, "kinds", name)
    if not isinstance(table, dict):
        raise document.error(where, "must be a table", f"[tmux.kinds.{name}]")
    values = _values(document, where, table, _OF_KIND)
    if known is None and "prompts" not in values:
        raise document.error(where, "says no prompts", r"prompts = ['\$ ?$']: what its screen shows while it waits")
    return replace(known or AgentKind(name, ()), **values)


def _values(
    document: Document, where: tuple[str, ...], table: Mapping[str, object], known: Mapping[str, tuple[str, Read]]
) -> dict[str, Any]:
    values = {}
    for key, value in table.items():
        if key not in known:
            raise document.error((*where, key), "there is no such setting", nearest(key, known))
        name, read = known[key]
        try:
            values[name] = read(value)
        except ValueError as error:
            raise document.error((*where, key), str(error)) from None
    return values


def _pattern(value: object) -> re.Pattern[str]:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a regular expression")
    try:
        return re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None


def _patterns(value: object) -> tuple[re.Pattern[str], ...]:
    if not isinstance(value, list):
        raise ValueError("must be a list of regular expressions")  # noqa: TRY004 (one kind of error for every wrong value)
    return tuple(map(_pattern, value))


def _sessions(value: object) -> re.Pattern[str]:
    pattern = _pattern(value)
    if "agent" not in pattern.groupindex:
        raise ValueError("must have a group (?P<agent>…), the name of the agent")
    return pattern


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ValueError("must be a list of names of programs")
    return tuple(value)


def _seconds(value: object) -> float:
    if isinstance(value, bool):
        raise ValueError("must be a time, as in 500ms, 5s or 30m")  # noqa: TRY004 (as above)
    return duration_s(str(value))


def _rows(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_ROWS:
        raise ValueError(f"must be a number of rows from 1 to {MOST_ROWS}")
    return value


def _most(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 80 <= value <= BLOCK_LIMIT:
        raise ValueError(f"must be a number of bytes from 80 to {BLOCK_LIMIT}")
    return value


def _newlines(value: object) -> Newlines:
    if not isinstance(value, str) or value not in set(Newlines):
        raise ValueError(f"must be one of {', '.join(Newlines)}")
    return Newlines(value)


def _format(value: object) -> str:
    if not isinstance(value, str) or "{text}" not in value or not value.isprintable():
        raise ValueError("must be a line with {text} in it; {from}, {type} and {id} are known besides")
    return value


_PLAIN: Mapping[str, tuple[str, Read]] = {"sessions": ("sessions", _sessions), "give_up": ("give_up_s", _seconds)}
_OF_KIND: Mapping[str, tuple[str, Read]] = {
    "commands": ("commands", _names),
    "prompts": ("prompts", _patterns),
    "busy": ("busy", _patterns),
    "rows": ("rows", _rows),
    "newlines": ("newlines", _newlines),
    "cooldown": ("cooldown_s", _seconds),
    "most": ("most_bytes", _most),
    "format": ("format", _format),
}
