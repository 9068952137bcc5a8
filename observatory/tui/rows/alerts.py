"""What happened to alerts in this run, newest first."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, ClassVar

from observatory.model.alert import ChangeKind
from observatory.model.text import line
from observatory.tui import format as fmt
from observatory.tui.alarm import Told
from observatory.tui.table import Cell, Column, Table
from observatory.tui.widgets.engine_tables import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS: Mapping[str, tuple[str, str]] = {
    ChangeKind.RESOLVED: ("✓ resolved", "success"),
    ChangeKind.SETTLED: ("✓ settled", "success"),
    ChangeKind.BETTER: ("↓ better", "muted"),
}


class AlertTable(Table[Told]):
    """When an alert fired, got worse, was resolved."""

    title = "Alerts"
    stays_on_top: ClassVar[bool] = True
    empty: ClassVar[str] = "✓ no alert since this program was started"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_COLUMNS, id=id)

    def identity(self, row: Told) -> str:
        """A change is its number."""
        return str(row.number)

    def as_json(self, row: Told) -> str:
        """The alert, as JSON."""
        return json.dumps(dataclasses.asdict(row.change), default=str, ensure_ascii=True)


def _what(row: Told, _cells: int) -> Cell:
    if row.change.kind in _WORDS:
        return _WORDS[row.change.kind]
    glyph, ink = SEVERITIES[row.change.alert.severity]
    return f"{glyph} {row.change.kind}", ink


def _quiet(row: Told, _cells: int) -> Cell:
    alert = row.change.alert
    return ("acknowledged" if alert.acknowledged else "muted" if alert.muted else ""), "muted"


_COLUMNS: tuple[Column[Told], ...] = (
    Column("time", lambda row, _: (fmt.clock_time(row.at_ms), "faint"), 8, key=lambda row: row.at_ms),
    Column("what", _what, 11, key=lambda row: str(row.change.kind)),
    Column("rule", lambda row, _: (line(row.change.alert.rule.id, 40), "strong"), 16, 2, wide=20,
           key=lambda row: row.change.alert.rule.id),
    Column("alert", lambda row, _: (line(row.change.alert.text, 200), "text"), 24, grow=1),
    Column("quiet", _quiet, 12, 3),
)  # fmt: skip
