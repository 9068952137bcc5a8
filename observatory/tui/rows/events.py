"""Facts of the log, newest first: when, what, which task, who, and what else is known."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.agent import agent_of
from observatory.model.event import Event
from observatory.model.filter.rows import EVENTS
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing import glyphs
from observatory.tui.drawing.lines import ending
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from observatory.model.filter import FieldSet
    from observatory.model.snapshot import Snapshot


class EventTable(Table[Event]):
    """One fact a line."""

    title = "Events"
    fields: ClassVar[FieldSet[Any] | None] = EVENTS
    empty: ClassVar[str] = "no events yet"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_COLUMNS, id=id)

    def identity(self, row: Event) -> str:
        """A fact is its id in the log."""
        return row.id

    def as_json(self, row: Event) -> str:
        """The fact, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)


class EventFeed(EventTable):
    """The newest facts, as a panel of few lines."""

    head: ClassVar[int] = 1
    lead: ClassVar[int] = 2

    def show(self, snapshot: Snapshot) -> None:
        """Show the facts of *snapshot*."""
        self.set_all(snapshot.events)

    def short_words(self) -> str:
        """Say what part is shown."""
        return self.extent if self.has_focus else "newest first"


def _what(row: Event, _cells: int) -> Cell:
    mark = glyphs.EVENTS.get(row.kind, glyphs.OTHER_EVENT)
    return f"{mark.glyph} {mark.word or line(row.kind, 24)}", mark.ink


def _who(row: Event, _cells: int) -> Cell:
    return line(agent_of(row.agent), 24) or fmt.NONE, "text" if row.agent else "faint"


def _took(row: Event, _cells: int) -> Cell:
    return (fmt.milliseconds(row.ms), "muted") if row.ms is not None else (fmt.NONE, "faint")


def _attempt(row: Event, _cells: int) -> Cell:
    return (f"{row.attempt}", "warning") if row.attempt > 1 else ("", "muted")


def _said(row: Event, _cells: int) -> Cell:
    mark = glyphs.EVENTS.get(row.kind, glyphs.OTHER_EVENT)
    words = ": ".join(part for part in (line(row.reason, 24), line(row.detail, 160)) if part)
    return words, "text" if mark.ink.endswith("+") else "muted"


_COLUMNS: tuple[Column[Event], ...] = (
    Column("time", lambda row, _: (fmt.clock_time(row.ts_ms), "faint"), 8, key=lambda row: row.ts_ms),
    Column("what", _what, 13, key=lambda row: row.kind),
    Column("type", lambda row, _: (line(row.type, 32), "text"), 9, 4, wide=14, key=lambda row: row.type or None),
    Column(
        "task",
        lambda row, cells: (ending(line(row.task, 60), cells), "muted"),
        14,
        1,
        grow=1,
        most=40,
        key=lambda row: row.task or None,
    ),
    Column("who", _who, 7, 2, wide=12, key=lambda row: row.agent or None),
    Column("#", _attempt, 2, 6),
    Column("took", _took, 6, 5, align="right", key=lambda row: row.ms),
    Column("detail", _said, 16, 3, grow=3),
)
