"""Tasks, one line each, by the newest that is known of them."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.filter.listed import TASKS
from observatory.model.listing import TaskRow
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing import glyphs
from observatory.tui.drawing.lines import ending
from observatory.tui.rows.dead_letters import short_lane
from observatory.tui.rows.entries import ago
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from observatory.model.clock import Clock
    from observatory.model.filter import FieldSet


class TaskTable(Table[TaskRow]):
    """The tasks last heard of, newest first."""

    title = "Tasks"
    keeps_cursor: ClassVar[bool] = True
    stays_on_top: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = TASKS
    empty: ClassVar[str] = "no task was heard of yet: s sends one"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_columns(clock), id=id)

    def identity(self, row: TaskRow) -> str:
        """A task is its id."""
        return row.key

    def as_json(self, row: TaskRow) -> str:
        """What is known of the task, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)


def _columns(clock: Clock) -> tuple[Column[TaskRow], ...]:
    def age(row: TaskRow, _cells: int) -> Cell:
        return ago(clock, row.at_ms), "muted"

    return (
        Column("age", age, 6, align="right", key=lambda row: -row.at_ms),
        Column("state", _state, 11, key=lambda row: row.state),
        Column("type", lambda row, _: (line(row.type, 40) or fmt.UNKNOWN, "strong"), 10, 2, wide=16,
               key=lambda row: row.type or None),
        Column("task", _task, 18, grow=2, most=60, key=lambda row: row.key),
        Column("agent", lambda row, _: (line(row.agent, 40) or fmt.NONE, "text"), 9, 1, wide=14,
               key=lambda row: row.agent or None),
        Column("try", _attempt, 3, 6, align="right", key=lambda row: row.attempt),
        Column("lane", lambda row, _: (short_lane(row.stream) or fmt.UNKNOWN, "muted"), 13, 3, wide=18, grow=1, most=28,
               key=lambda row: row.stream or None),
        Column("newest", _newest, 14, 4, grow=1, most=60, key=lambda row: row.what),
    )  # fmt: skip


def _task(row: TaskRow, cells: int) -> Cell:
    return ending(line(row.key, 80), cells), "text"


def _state(row: TaskRow, _cells: int) -> Cell:
    mark = glyphs.TASKS.get(row.state, glyphs.OTHER_TASK)
    return f"{mark.glyph} {mark.word}", mark.ink


def _attempt(row: TaskRow, _cells: int) -> Cell:
    return fmt.count(row.attempt), "warning" if row.attempt and row.attempt > 1 else "muted"


def _newest(row: TaskRow, _cells: int) -> Cell:
    words = glyphs.EVENTS[row.what].word if row.what in glyphs.EVENTS else line(row.what, 24)
    why = f": {line(row.reason, 100)}" if row.reason else ""
    foreign = ", seen by its entry only" if row.observed else ""
    return f"{words}{why}{foreign}", "muted"
