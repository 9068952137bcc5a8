"""Dead letters by root cause: what they died of, how many, since when, and whom it hit."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.cause import Cause, CauseNote
from observatory.model.filter import Field, FieldSet, Kind
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.lines import sparkline
from observatory.tui.rows.entries import ago
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observatory.model.clock import Clock

CAUSES: FieldSet[Cause] = FieldSet(
    "causes",
    (
        Field("cause", Kind.TEXT, lambda row: row.title, "class and message of the error", words=True),
        Field("type", Kind.NAME, lambda row: tuple(name for name, _ in row.types), "kinds of work", words=True),
        Field("agent", Kind.NAME, lambda row: tuple(name for name, _ in row.agents), "agents it hit", words=True),
        Field("count", Kind.NUMBER, lambda row: row.count, "how many died of it"),
        Field("requeued", Kind.NUMBER, lambda row: row.requeued, "how many had been requeued before"),
        Field("last", Kind.TIME, lambda row: row.last_ms, "when the last one died"),
        Field("first", Kind.TIME, lambda row: row.first_ms, "when the first one died"),
    ),
)
"""What causes can be filtered by."""


class CauseList(Table[Cause]):
    """The causes, the most frequent first."""

    title = "Causes"
    stays_on_top: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = CAUSES
    empty: ClassVar[str] = "no dead letters, no causes"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        self.notes: Mapping[str, CauseNote] = {}
        super().__init__(_columns(clock, lambda row: self.notes.get(row.id)), id=id)

    def identity(self, row: Cause) -> str:
        """A cause is its id, which stays the same from run to run."""
        return row.id

    def as_json(self, row: Cause) -> str:
        """The cause, as JSON."""
        note = self.notes.get(row.id)
        said = {"note": dataclasses.asdict(note)} if note is not None else {}
        return json.dumps({**dataclasses.asdict(row), **said}, default=str, ensure_ascii=True)


def _types(row: Cause, _cells: int) -> Cell:
    more = f" +{len(row.types) - 1}" if len(row.types) > 1 else ""
    return (line(row.types[0][0], 40) or fmt.UNKNOWN) + more if row.types else fmt.UNKNOWN, "strong"


def _agents(row: Cause, _cells: int) -> Cell:
    first = line(row.agents[0][0], 30) if row.agents else fmt.NONE
    return f"{first} +{row.agents_hit - 1}" if row.agents_hit > 1 else first, "text"


def _again(row: Cause, _cells: int) -> Cell:
    return (f"↩ {fmt.count(row.requeued)}", "warning") if row.requeued else (fmt.NONE, "faint")


def note_words(note: CauseNote) -> str:
    """Return a note with who wrote it."""
    return f"✎ {line(note.text, 200)} ({line(note.by, 30)})"


def _columns(clock: Clock, note_of: Callable[[Cause], CauseNote | None]) -> tuple[Column[Cause], ...]:
    def cause(row: Cause, _cells: int) -> Cell:
        return f"{'✎ ' if note_of(row) is not None else ''}{row.title}", "text"

    def note(row: Cause, _cells: int) -> Cell:
        found = note_of(row)
        return (note_words(found), "accent") if found is not None else ("", "muted")

    return (
        Column("count", lambda row, _: (fmt.count(row.count), "error+"), 6, align="right", key=lambda row: row.count),
        Column("cause", cause, 26, grow=3, key=lambda row: row.title),
        Column("type", _types, 11, 1, wide=14, key=lambda row: row.types[0][0] if row.types else None),
        Column("last", lambda row, _: (ago(clock, row.last_ms), "text"), 6, 2, align="right",
               key=lambda row: -row.last_ms),
        Column("first", lambda row, _: (ago(clock, row.first_ms), "muted"), 6, 4, align="right",
               key=lambda row: -row.first_ms),
        Column("agents", _agents, 10, 3, wide=14, key=lambda row: row.agents_hit),
        Column("again", _again, 6, 5, key=lambda row: row.requeued),
        Column("trend", lambda row, cells: (sparkline(row.trend, cells), "trend"), 12, 6, align="right"),
        Column("note", note, 20, 7, grow=1, most=60, key=lambda row: found.text if (found := note_of(row)) else None),
    )  # fmt: skip
