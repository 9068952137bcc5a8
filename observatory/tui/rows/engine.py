"""Tables about the server: what a check found, what commands cost, which were slow, who is connected."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.engine import ClientRow, CommandCost, SlowCommand
from observatory.model.filter.listed import CLIENTS, COMMANDS, FINDINGS, SLOW
from observatory.model.health import Finding, Severity
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from observatory.model.clock import Clock
    from observatory.model.filter import FieldSet

SEVERITIES = {
    Severity.CRIT: ("✖", "error+"),
    Severity.WARN: ("▲", "warning+"),
    Severity.UNKNOWN: ("?", "muted"),
    Severity.OK: ("✓", "success"),
}
"""Glyph and style of what a check found."""


class FindingTable(Table[Finding]):
    """What `observatory doctor` finds, worst first, each with its fix."""

    title = "Findings"
    keeps_cursor: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = FINDINGS
    empty: ClassVar[str] = "✓ nothing here endangers work"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_FINDINGS, id=id)

    def identity(self, row: Finding) -> str:
        """A finding is its check and its fact."""
        return f"{row.name}: {row.what}"

    def as_json(self, row: Finding) -> str:
        """The finding, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)


class CommandTable(Table[CommandCost]):
    """What kinds of commands cost the server."""

    title = "Commands"
    fields: ClassVar[FieldSet[Any] | None] = COMMANDS
    empty: ClassVar[str] = "the server does not say what its commands cost"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_COMMANDS, id=id)

    def identity(self, row: CommandCost) -> str:
        """A kind of command is its name."""
        return row.name

    def as_json(self, row: CommandCost) -> str:
        """The cost, as JSON."""
        return json.dumps(dataclasses.asdict(row), ensure_ascii=True)


class SlowTable(Table[SlowCommand]):
    """Commands that took longer than the server's threshold, newest first."""

    title = "Slow commands"
    fields: ClassVar[FieldSet[Any] | None] = SLOW
    empty: ClassVar[str] = "✓ no command took longer than the threshold"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_slow_columns(clock), id=id)

    def identity(self, row: SlowCommand) -> str:
        """A slow command is its number in the log."""
        return row.key

    def as_json(self, row: SlowCommand) -> str:
        """The command, as JSON."""
        return json.dumps(dataclasses.asdict(row), ensure_ascii=True)


class ClientTable(Table[ClientRow]):
    """Connections, those that cost most memory first."""

    title = "Clients"
    fields: ClassVar[FieldSet[Any] | None] = CLIENTS
    empty: ClassVar[str] = "the server names no connection"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_CLIENTS, id=id)

    def identity(self, row: ClientRow) -> str:
        """A connection is its id."""
        return row.key

    def as_json(self, row: ClientRow) -> str:
        """The connection, as JSON."""
        return json.dumps(dataclasses.asdict(row), ensure_ascii=True)


def _severity(row: Finding, _cells: int) -> Cell:
    glyph, ink = SEVERITIES[row.severity]
    return f"{glyph} {line(row.name, 40)}", ink


def _fix(row: Finding, _cells: int) -> Cell:
    return (f"→ {line(row.fix, 200)}", "accent") if row.fix else (fmt.NONE, "faint")


_FINDINGS: tuple[Column[Finding], ...] = (
    Column("check", _severity, 20, wide=24, key=lambda row: row.name),
    Column("what follows", lambda row, _: (line(row.what, 300), "text"), 24, grow=3),
    Column("fix", _fix, 20, 1, grow=2),
)

_COMMANDS: tuple[Column[CommandCost], ...] = (
    Column("command", lambda row, _: (line(row.name, 40), "strong"), 14, grow=1, most=30, key=lambda row: row.name),
    Column("calls", lambda row, _: (fmt.count(row.calls), "text"), 8, align="right", key=lambda row: row.calls),
    Column("total", lambda row, _: (fmt.milliseconds(row.total_ms), "text"), 8, align="right",
           key=lambda row: row.total_ms),
    Column("each", lambda row, _: (_each(row), "muted"), 8, 1, align="right",
           key=lambda row: row.total_ms / row.calls if row.calls else None),
    Column("failed", lambda row, _: (fmt.count(row.failed), "warning" if row.failed else "faint"), 7, 2, align="right",
           key=lambda row: row.failed),
)  # fmt: skip


def _each(row: CommandCost) -> str:
    """Return what one call cost; most take microseconds."""
    if not row.calls:
        return fmt.NONE
    micros = row.total_ms / row.calls * 1000
    return f"{micros:.0f}µs" if micros < 1000 else fmt.milliseconds(micros / 1000)


def _slow_columns(clock: Clock) -> tuple[Column[SlowCommand], ...]:
    def age(row: SlowCommand, _cells: int) -> Cell:
        return fmt.age(max(clock.now_ms() - row.at_ms, 0) / 1000), "muted"

    return (
        Column("age", age, 6, align="right", key=lambda row: -row.at_ms),
        Column("took", lambda row, _: (fmt.milliseconds(row.took_ms), "warning"), 7, align="right",
               key=lambda row: row.took_ms),
        Column("command", lambda row, _: (line(" ".join(row.words), 200), "text"), 24, grow=2),
        Column("client", lambda row, _: (line(row.client, 60), "muted"), 14, 1, grow=1, most=30,
               key=lambda row: row.client),
    )  # fmt: skip


def _does(row: ClientRow, _cells: int) -> Cell:
    words = line(row.command, 30) or fmt.NONE
    return (f"{words}, waits", "muted") if row.blocked else (words, "text")


_CLIENTS: tuple[Column[ClientRow], ...] = (
    Column("name", lambda row, _: (line(row.name, 60) or line(row.address, 40), "strong"), 14, grow=1, most=40,
           key=lambda row: row.name or None),
    Column("address", lambda row, _: (line(row.address, 40), "muted"), 15, 3, key=lambda row: row.address),
    Column("does", _does, 14, 1, grow=1, most=30, key=lambda row: row.command),
    Column("idle", lambda row, _: (fmt.age(row.idle_s), "text"), 6, align="right", key=lambda row: row.idle_s),
    Column("age", lambda row, _: (fmt.age(row.age_s), "muted"), 6, 4, align="right", key=lambda row: row.age_s),
    Column("memory", lambda row, _: (fmt.size(row.memory), "text"), 8, 2, align="right", key=lambda row: row.memory),
    Column("user", lambda row, _: (line(row.user, 20) or fmt.NONE, "muted"), 8, 5, key=lambda row: row.user),
)  # fmt: skip
