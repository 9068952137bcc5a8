"""All agents, one line each, with what each works on and whether that takes too long."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.agent import AgentState
from observatory.model.filter.rows import AGENTS
from observatory.model.snapshot import AgentView
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing import glyphs
from observatory.tui.drawing.lines import ending
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from observatory.model.filter import FieldSet

URGENCY = {state: place for place, state in enumerate(
    (AgentState.DEAD, AgentState.STALE, AgentState.LATE, None, AgentState.ALIVE, AgentState.LEFT)
)}  # fmt: skip
"""How badly an agent in a state wants attention, worst first."""


def urgency(agent: AgentView) -> tuple[int, str]:
    """Return what puts agents in the order in which an operator should look at them: trouble, stuck, then by name."""
    place = URGENCY[agent.state] * 2 + (1 if agent.state is AgentState.ALIVE and not agent.stuck else 0)
    return place, agent.name


class AgentTable(Table[AgentView]):
    """Agents, trouble first."""

    title = "Agents"
    keeps_cursor: ClassVar[bool] = True
    stays_on_top: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = AGENTS
    empty: ClassVar[str] = "no agents yet: they appear with their first heartbeat"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_COLUMNS, id=id)

    def identity(self, row: AgentView) -> str:
        """An agent is its name."""
        return row.name

    def as_json(self, row: AgentView) -> str:
        """The view of the agent, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)


def _state(row: AgentView, _cells: int) -> Cell:
    mark = glyphs.AGENTS[row.state]
    silent = row.state in (AgentState.DEAD, AgentState.STALE, AgentState.LATE)
    silence = f" {fmt.age(row.last_seen_s)}" if silent and row.last_seen_s is not None else ""
    if row.stuck and not silent:
        return "▲ stuck", "warning+"
    return f"{mark.glyph} {mark.word}{silence}", mark.ink


def _doing(row: AgentView, cells: int) -> Cell:
    return (ending(line(row.task, 80), cells), "text") if row.task else (line(row.status, 40) or fmt.NONE, "faint")


def _age(row: AgentView, _cells: int) -> Cell:
    if not row.task:
        return fmt.NONE, "faint"
    return fmt.age(row.task_age_s, absent=fmt.UNKNOWN), "warning+" if row.stuck else "text"


def _typical(row: AgentView, _cells: int) -> Cell:
    if not row.task:
        return fmt.NONE, "faint"
    return fmt.age(row.typical_s, absent=fmt.UNKNOWN), "muted"


def _load(row: AgentView, _cells: int) -> Cell:
    if row.load is None:
        return fmt.UNKNOWN, "muted"
    return f"{round(row.load * 100)}%", "text" if row.load else "faint"


def _number(value: int | None, ink: str = "text") -> Cell:
    return fmt.count(value), "muted" if value is None else ink if value else "faint"


def _rate(value: float | None, ink: str = "text") -> Cell:
    return fmt.rate(value), "muted" if value is None else ink if value else "faint"


_COLUMNS: tuple[Column[AgentView], ...] = (
    Column("agent", lambda row, _: (line(row.name, 64), "strong"), 12, wide=16, grow=1, most=26,
           key=lambda row: row.name),
    Column("state", _state, 12, wide=13, key=lambda row: URGENCY[row.state]),
    Column("works on", _doing, 16, 1, grow=2, most=48, key=lambda row: row.task or None),
    Column("for", _age, 6, 2, align="right", key=lambda row: row.task_age_s),
    Column("usual", _typical, 6, 7, align="right", key=lambda row: row.typical_s),
    Column("type", lambda row, _: (line(row.task_type, 40) or fmt.NONE, "muted"), 10, 8, wide=14,
           key=lambda row: row.task_type or None),
    Column("load", _load, 5, 5, align="right", key=lambda row: row.load),
    Column("holds", lambda row, _: _number(row.pending), 6, 3, align="right", key=lambda row: row.pending),
    Column("done/s", lambda row, _: _rate(row.rate), 6, 4, align="right", key=lambda row: row.rate),
    Column("fail/s", lambda row, _: _rate(row.error_rate, "error"), 6, 6, align="right",
           key=lambda row: row.error_rate),
    Column("done", lambda row, _: _number(row.done), 7, 9, align="right", key=lambda row: row.done),
    Column("failed", lambda row, _: _number(row.failed, "warning"), 6, 10, align="right", key=lambda row: row.failed),
    Column("version", lambda row, _: (line(row.version, 20) or fmt.NONE, "muted"), 8, 11, key=lambda row: row.version),
)  # fmt: skip
