"""Alerts: rules and who is told, in the `[alerts]` table of the file."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from observatory.model.alert import DEFAULT_RULES, Level, Rule
from observatory.model.health import Severity
from observatory.model.measure import MEASURES, Unit, limit_of
from observatory.model.quantity import duration_s
from observatory.model.secret import masked
from observatory.model.text import line
from observatory.settings.schema import SettingRow
from observatory.settings.toml import nearest

if TYPE_CHECKING:
    from observatory.settings.toml import Document

TABLE = "alerts"
"""Name of the table that holds them."""

RULE_KEYS = ("watch", "warn", "crit", "clear", "for", "clear_for", "subjects", "enabled")
"""What a rule in the file may say."""

GAP = 0.8
"""Share of a threshold below which a value is over, where a rule does not say: the gap keeps it from flapping."""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What is watched, and who is told.

    Attributes:
        rules: The rules, those that are shipped first.
        events: Alerts are facts of the bus's event log, too.
        webhook: Address that each is sent to as JSON; empty for none.
        command: Program, with its arguments, that is run for each; none if empty.
        rows: What the file says, for `describe`.
    """

    rules: tuple[Rule, ...] = DEFAULT_RULES
    events: bool = False
    webhook: str = ""
    command: tuple[str, ...] = ()
    rows: tuple[SettingRow, ...] = ()


def read_alerts(document: Document) -> AlertSettings:
    """Return the alerts of a settings file.

    Raises:
        SettingsError: Something in the table is wrong; names file, key and line.
    """
    table = document.data.get(TABLE, {})
    if not isinstance(table, dict):
        raise document.error((TABLE,), "must be a table", "[alerts]")
    found = AlertSettings()
    rows: list[SettingRow] = []
    for key, value in table.items():
        where = (TABLE, key)
        if key == "rules":
            found = replace(found, rules=_rules(document, value, rows))
            continue
        if key not in _PLAIN:
            raise document.error(where, "there is no such setting", nearest(key, [*_PLAIN, "rules"]))
        read, help_ = _PLAIN[key]
        try:
            changed: dict[str, Any] = {key: read(value)}
        except ValueError as error:
            raise document.error(where, str(error), help_) from None
        found = replace(found, **changed)
        rows.append(_row(document, where, value, help_))
    return replace(found, rows=tuple(rows))


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 (one kind of error for every wrong value)
    return value


def _address(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address that begins with http:// or https://")
    return parts.geturl()


def _words(value: object) -> tuple[str, ...]:
    words = shlex.split(value) if isinstance(value, str) else value if isinstance(value, list) else None
    if not words or not all(isinstance(word, str) and word for word in words):
        raise ValueError("must be a program with its arguments")
    return tuple(words)


_PLAIN = {
    "events": (_switch, "Alerts are facts of the event log, too."),
    "webhook": (_address, "Address that each alert is sent to as JSON."),
    "command": (_words, "Program that is run for each alert, which it finds as JSON on its standard input."),
}


def _rules(document: Document, tables: object, rows: list[SettingRow]) -> tuple[Rule, ...]:
    if not isinstance(tables, dict):
        raise document.error((TABLE, "rules"), "must be tables", "[alerts.rules.critical-waiting]")
    rules = {rule.id: rule for rule in DEFAULT_RULES}
    for name, table in tables.items():
        where = (TABLE, "rules", name)
        if not isinstance(table, dict):
            raise document.error(where, "must be a table", f"[alerts.rules.{name}]")
        rules[name] = _rule(document, name, table, rules.get(name))
        rows.extend(_row(document, (*where, key), value, "Alert rule.") for key, value in table.items())
    return tuple(rules.values())


def _rule(document: Document, name: str, table: dict[str, Any], known: Rule | None) -> Rule:
    """Return a shipped rule with what the file says changed, or a new one."""
    where = (TABLE, "rules", name)
    for key in table:
        if key not in RULE_KEYS:
            raise document.error((*where, key), "a rule says no such thing", nearest(key, RULE_KEYS))
    watch = table.get("watch", known.watch if known else "")
    if not isinstance(watch, str) or watch not in MEASURES:
        raise document.error((*where, "watch"), f"must be one of {', '.join(MEASURES)}", 'watch = "lane.backlog"')
    unit = MEASURES[watch].unit

    def value(key: str, read: Any, usual: Any) -> Any:  # noqa: ANN401 - any value of a rule
        try:
            return read(table[key]) if key in table else usual
        except ValueError as error:
            raise document.error((*where, key), str(error)) from None

    clear = value("clear", lambda text: _number(unit, text), None)
    found = {
        severity: value(key, lambda text: _number(unit, text), None)
        for key, severity in (("warn", Severity.WARN), ("crit", Severity.CRIT))
    }
    levels = tuple(_level(unit, limit, severity, clear) for severity, limit in found.items() if limit is not None)
    try:
        return Rule(
            id=name,
            watch=watch,
            levels=levels or (known.levels if known else ()),
            for_s=value("for", _seconds, known.for_s if known else 0.0),
            clear_for_s=value("clear_for", _seconds, known.clear_for_s if known else 10.0),
            subjects=value("subjects", _text, known.subjects if known else "*"),
            enabled=value("enabled", _switch, known.enabled if known else True),
        )
    except ValueError as error:
        raise document.error(where, str(error), "warn = 10 or crit = 100, the greater one last") from None


def _level(unit: Unit, limit: float, severity: Severity, clear: float | None) -> Level:
    if clear is None and unit not in {Unit.FLAG, Unit.SILENCE}:
        clear = limit * GAP
    return Level(limit, severity, None if clear is None else min(clear, limit))


def _number(unit: Unit, value: object) -> float:
    if isinstance(value, bool):
        value = float(value)
    return limit_of(unit, str(value))


def _seconds(value: object) -> float:
    return duration_s(str(value))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("must be a line of text")
    return value


def _row(document: Document, where: tuple[str, ...], value: object, help_: str) -> SettingRow:
    origin = f"file {document.path} line {document.line_of(*where) or '?'}"
    shown = masked(line(str(value).lower() if isinstance(value, bool) else str(value)))
    return SettingRow(".".join(where), shown, origin, help_)
