"""Tables of what stands in streams: entries, groups and consumers."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.dead_letter import DeadLetter
from observatory.model.filter.listed import CONSUMERS, ENTRIES, GROUPS
from observatory.model.listing import ConsumerRow, EntryRow, GroupRow
from observatory.model.message import Note
from observatory.model.task import DelayedTask, Task
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing import glyphs
from observatory.tui.drawing.lines import ending
from observatory.tui.sheets import fields_json
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from observatory.model.clock import Clock
    from observatory.model.filter import FieldSet


class EntryTable(Table[EntryRow]):
    """The entries of one stream: when, what has become of them, what they are, who holds them."""

    title = "Entries"
    keeps_cursor: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = ENTRIES
    empty: ClassVar[str] = "no entries here: what was settled is gone"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_entry_columns(clock), id=id)

    def identity(self, row: EntryRow) -> str:
        """An entry is its id."""
        return row.key

    def as_json(self, row: EntryRow) -> str:
        """The entry as it stands in the stream, as JSON."""
        return fields_json(row.key, row.item.fields)


class GroupTable(Table[GroupRow]):
    """The groups that read one lane."""

    title = "Groups"
    fields: ClassVar[FieldSet[Any] | None] = GROUPS
    empty: ClassVar[str] = "nobody reads this lane: no group exists yet"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_group_columns(clock), id=id)

    def identity(self, row: GroupRow) -> str:
        """A group is its name."""
        return row.view.name

    def as_json(self, row: GroupRow) -> str:
        """The group with its consumers, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)


class ConsumerTable(Table[ConsumerRow]):
    """The consumers of one group."""

    title = "Consumers"
    fields: ClassVar[FieldSet[Any] | None] = CONSUMERS
    empty: ClassVar[str] = "no consumers: nobody has read in this group"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_CONSUMER_COLUMNS, id=id)

    def identity(self, row: ConsumerRow) -> str:
        """A consumer is its name."""
        return row.name

    def as_json(self, row: ConsumerRow) -> str:
        """What the engine says of the consumer, as JSON."""
        return json.dumps(dataclasses.asdict(row), ensure_ascii=True)


def ago(clock: Clock, at_ms: int | None) -> str:
    """Return how long ago *at_ms* was, or in how long it will be."""
    if at_ms is None:
        return fmt.NONE
    seconds = (clock.now_ms() - at_ms) / 1000
    return fmt.age(seconds) if seconds >= 0 else f"in {fmt.age(-seconds)}"


def _entry_columns(clock: Clock) -> tuple[Column[EntryRow], ...]:
    return (
        Column("age", lambda row, _: (ago(clock, row.at_ms), "muted"), 7, align="right", key=lambda row: -row.at_ms),
        Column("state", _state, 9, wide=10, key=lambda row: str(row.state)),
        Column("type", _type, 12, 1, wide=18, key=lambda row: row.type or None),
        Column("task", _task, 16, 2, grow=2, most=44),
        Column("held by", _held, 14, 3, grow=1, most=36, key=lambda row: row.holds[0].consumer if row.holds else None),
        Column("from", _sender, 10, 5, wide=12, key=lambda row: getattr(row.item, "sender", "") or None),
        Column("size", lambda row, _: (fmt.size(row.size), "muted"), 8, 6, align="right", key=lambda row: row.size),
        Column("entry", lambda row, _: (row.key, "faint"), 16, 7, wide=18),
    )


def _state(row: EntryRow, _cells: int) -> Cell:
    mark = glyphs.ENTRIES[row.state]
    return f"{mark.glyph} {mark.word}", "error+" if row.problem else mark.ink


def _type(row: EntryRow, _cells: int) -> Cell:
    if row.problem:
        return f"✖ {line(row.problem, 60)}", "error"
    return line(row.type, 64) or fmt.UNKNOWN, "strong"


def _task(row: EntryRow, cells: int) -> Cell:
    return ending(line(row.task_id, 80), cells) or fmt.UNKNOWN, "text"


def _held(row: EntryRow, cells: int) -> Cell:
    if not row.holds:
        return fmt.NONE, "faint"
    first, more = row.holds[0], len(row.holds) - 1
    rest = f" +{more}" if more else ""
    idle = f" {fmt.age(first.idle_ms / 1000)}"
    name = line(first.agent or first.consumer, max(cells - len(rest) - len(idle), 4))
    return f"{name}{idle}{rest}", "text"


def _sender(row: EntryRow, _cells: int) -> Cell:
    item = row.item
    sender = item.sender if isinstance(item, Task | Note) else item.worker if isinstance(item, DeadLetter) else ""
    if isinstance(item, DelayedTask):
        return f"attempt {item.attempt}", "muted"
    return (line(sender, 40), "muted") if sender else (fmt.NONE, "faint")


def _group_columns(clock: Clock) -> tuple[Column[GroupRow], ...]:
    def waits(row: GroupRow, _cells: int) -> Cell:
        return ago(clock, row.next_waiting_ms), "faint" if row.next_waiting_ms is None else "text"

    def held(row: GroupRow, _cells: int) -> Cell:
        return ago(clock, row.oldest_pending_ms), "faint" if row.oldest_pending_ms is None else "text"

    return (
        Column("group", lambda row, _: (line(row.view.name, 64), "strong"), 16, grow=1, most=40,
               key=lambda row: row.view.name),
        Column("lag", _lag, 9, align="right", key=lambda row: row.view.lag),
        Column("pending", lambda row, _: _number(row.view.pending), 9, align="right", key=lambda row: row.view.pending),
        Column("consumers", lambda row, _: _number(row.view.consumers), 9, 1, align="right",
               key=lambda row: row.view.consumers),
        Column("next waits", waits, 10, 2, align="right", key=lambda row: row.next_waiting_ms),
        Column("oldest held", held, 11, 3, align="right", key=lambda row: row.oldest_pending_ms),
        Column("read up to", lambda row, _: (line(row.view.last_delivered, 40), "muted"), 18, 4, align="right"),
    )  # fmt: skip


def _number(value: int) -> Cell:
    return fmt.count(value), "text" if value else "faint"


def _lag(row: GroupRow, _cells: int) -> Cell:
    lag = row.view.lag
    return fmt.count(lag), "warning" if lag is None else "text" if lag else "faint"


def _inactive(row: ConsumerRow, _cells: int) -> Cell:
    if row.inactive_ms is None:
        return fmt.UNKNOWN, "muted"
    return ("never", "muted") if row.inactive_ms < 0 else (fmt.age(row.inactive_ms / 1000), "text")


_CONSUMER_COLUMNS: tuple[Column[ConsumerRow], ...] = (
    Column("consumer", lambda row, _: (line(row.name, 120), "strong"), 20, grow=1, most=60, key=lambda row: row.name),
    Column("agent", lambda row, _: (line(row.agent, 64), "text"), 12, 2, key=lambda row: row.agent),
    Column("pending", lambda row, _: _number(row.pending), 9, align="right", key=lambda row: row.pending),
    Column("asked", lambda row, _: (fmt.age(row.idle_ms / 1000), "text"), 8, 1, align="right",
           key=lambda row: row.idle_ms),
    Column("got work", _inactive, 9, 3, align="right", key=lambda row: row.inactive_ms),
)  # fmt: skip
