"""The dead letters as a list, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.dead_letter import DeadLetter
from observatory.model.filter.rows import DEAD_LETTERS
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.sheets import fields_json
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from observatory.model.clock import Clock
    from observatory.model.filter import FieldSet


class DeadLetterList(Table[DeadLetter]):
    """When, why, what, how often, from where, and the error."""

    title = "Dead letters"
    keeps_cursor: ClassVar[bool] = True
    stays_on_top: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = DEAD_LETTERS
    empty: ClassVar[str] = "✓ no dead letters: everything that failed was tried again and went well"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_columns(clock), id=id)

    def identity(self, row: DeadLetter) -> str:
        """A dead letter is its entry."""
        return row.entry_id

    def as_json(self, row: DeadLetter) -> str:
        """The entry as it stands in the stream, as JSON."""
        return fields_json(row.entry_id, row.fields)


def _columns(clock: Clock) -> tuple[Column[DeadLetter], ...]:
    """Return the columns; ages are told by *clock*."""

    def age(row: DeadLetter, _cells: int) -> Cell:
        return fmt.age(max(clock.now_ms() - row.died_ms, 0) / 1000), "muted"

    return (
        Column("age", age, 6, align="right", key=lambda row: -row.died_ms),
        Column("reason", lambda row, _: (line(row.reason, 32), "error"), 10, wide=11, key=lambda row: row.reason),
        Column("type", _type, 11, wide=18, key=lambda row: row.type or None),
        Column("tries", _tries, 5, 2, align="right", key=lambda row: row.attempts),
        Column("from", _source, 13, 3, wide=20, grow=1, most=28, key=lambda row: row.source),
        Column("error", lambda row, _: (line(row.error, 400) or fmt.NONE, "text"), 24, 1, grow=3),
    )


def _type(row: DeadLetter, _cells: int) -> Cell:
    return line(row.type, 64) or fmt.UNKNOWN, "strong"


def _tries(row: DeadLetter, _cells: int) -> Cell:
    return fmt.count(row.attempts) + ("↩" if row.requeues else ""), "muted"


def _source(row: DeadLetter, _cells: int) -> Cell:
    return short_lane(row.source), "muted"


def short_lane(stream: str) -> str:
    """Return a lane's key without what all lanes share."""
    return line(stream.partition(":tasks:")[2] or stream, 64)
