"""What was given to consumers and not acknowledged: who holds what, since when, how often delivered."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.filter.listed import PENDING
from observatory.model.listing import PendingRow
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.lines import ending
from observatory.tui.rows.entries import ago
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from observatory.model.clock import Clock
    from observatory.model.filter import FieldSet

LONG_IDLE_MS = 300_000
"""Idle time from which on an entry stands out, in ms."""

MANY_DELIVERIES = 4
"""Deliveries from which on an entry stands out; above five it becomes a dead letter."""


class PendingTable(Table[PendingRow]):
    """Pending entries, the oldest first."""

    title = "Pending"
    keeps_cursor: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = PENDING
    empty: ClassVar[str] = "✓ nothing is pending: every entry that was given out is acknowledged"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_columns(clock), id=id)

    def identity(self, row: PendingRow) -> str:
        """An entry in the hand of a group."""
        return row.key

    def as_json(self, row: PendingRow) -> str:
        """The row, as JSON."""
        return json.dumps(dataclasses.asdict(row), ensure_ascii=True)


def _columns(clock: Clock) -> tuple[Column[PendingRow], ...]:
    def arrived(row: PendingRow, _cells: int) -> Cell:
        return ago(clock, row.arrived_ms), "muted"

    return (
        Column("idle", _idle, 7, align="right", key=lambda row: row.hold.idle_ms),
        Column("given", _given, 5, align="right", key=lambda row: row.hold.deliveries),
        Column("agent", _agent, 10, wide=14, grow=1, most=24, key=lambda row: row.hold.agent or row.hold.consumer),
        Column("lane", lambda row, _: (line(row.lane, 64), "text"), 14, 2, wide=18, grow=1, most=28,
               key=lambda row: row.lane),
        Column("type", _type, 10, 4, wide=16, key=lambda row: row.type or None),
        Column("task", _task, 16, 1, grow=2, most=48, key=lambda row: row.task_id or None),
        Column("arrived", arrived, 8, 3, align="right", key=lambda row: -row.arrived_ms),
        Column("group", _group, 8, 5, wide=10, key=lambda row: row.hold.group),
        Column("consumer", lambda row, _: (line(row.hold.consumer, 80), "faint"), 18, 6, grow=1,
               key=lambda row: row.hold.consumer),
    )  # fmt: skip


def _idle(row: PendingRow, _cells: int) -> Cell:
    idle = row.hold.idle_ms
    return fmt.age(idle / 1000), "warning+" if idle >= LONG_IDLE_MS else "text"


def _given(row: PendingRow, _cells: int) -> Cell:
    number = row.hold.deliveries
    return f"{fmt.count(number)}x", "error+" if number >= MANY_DELIVERIES else "warning" if number > 1 else "muted"


def _agent(row: PendingRow, _cells: int) -> Cell:
    return line(row.hold.agent or row.hold.consumer, 64), "strong"


def _group(row: PendingRow, _cells: int) -> Cell:
    return line(row.hold.group, 40), "muted"


def _type(row: PendingRow, _cells: int) -> Cell:
    return line(row.type, 40) or fmt.UNKNOWN, "text"


def _task(row: PendingRow, cells: int) -> Cell:
    if row.gone:
        return "✖ body deleted", "error"
    return ending(line(row.task_id, 80), cells) or fmt.UNKNOWN, "text"
