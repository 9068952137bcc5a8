"""The agents as a health grid: who is alive, what each works on and for how long; trouble first."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, ClassVar

from observatory.model.agent import AgentState
from observatory.model.snapshot import AgentView
from observatory.model.text import line
from observatory.tui import format as fmt
from observatory.tui import glyphs
from observatory.tui.lines import LineBuilder
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.model.snapshot import Snapshot

_CELL = 44
"""Cells that one agent needs at least where several share a line."""

_ORDER: Mapping[AgentState | None, int] = {
    AgentState.DEAD: 0,
    AgentState.STALE: 1,
    AgentState.LATE: 2,
    None: 3,
    AgentState.ALIVE: 4,
    AgentState.LEFT: 5,
}


class AgentGrid(ListPanel[AgentView]):
    """Agents by how badly they need attention, then by name."""

    title: ClassVar[str] = "Agents"

    def show(self, snapshot: Snapshot) -> None:
        """Show the agents of *snapshot*."""
        self.set_rows(tuple(sorted(snapshot.agents, key=lambda agent: (_ORDER[agent.state], agent.name))))

    def identity(self, row: AgentView) -> str:
        """An agent is its name."""
        return row.name

    def as_json(self, row: AgentView) -> str:
        """The view of the agent, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)

    def columns(self) -> int:
        """As many agents on a line as fit."""
        return max(self.size.width // _CELL, 1)

    def draw_heading(self, width: int) -> LineBuilder:
        """Count the states."""
        builder = self.title_piece()
        if extent := self.extent:
            builder.add(f"  {extent}", self.ink["muted"])
        for state in (AgentState.DEAD, AgentState.STALE, AgentState.LATE, AgentState.ALIVE, AgentState.LEFT):
            number = sum(agent.state is state for agent in self.rows)
            mark = glyphs.AGENTS[state]
            if number and builder.width + 12 < width:
                builder.gap(2).add(f"{mark.glyph} {number} {mark.word}", self.ink[mark.ink])
        return builder

    def draw_row(self, row: AgentView, width: int) -> LineBuilder:
        """Draw one agent: state, name, what it works on, for how long, what it holds."""
        ink, mark = self.ink, glyphs.AGENTS[row.state]
        style = ink[mark.ink]
        builder = LineBuilder().gap(1).add(f"{mark.glyph} ", style)
        trouble = row.state in {AgentState.DEAD, AgentState.STALE, AgentState.LATE}
        builder.cell(line(row.name, 64), 8 if width < 60 else 14, style if trouble else ink["text"]).gap(1)
        silence = fmt.age(row.last_seen_s) if row.last_seen_s is not None else ""
        builder.cell(f"{mark.word} {silence}" if trouble else mark.word, 10, style).gap(1)
        tail = 10 if width >= 58 else 0
        age = fmt.age(row.task_age_s) if row.task and row.task_age_s is not None else ""
        task = line(row.task, 80) if row.task else line(row.status, 24) or fmt.NONE
        builder.cell(task, max(width - builder.width - tail - 8, 0), ink["text" if row.task else "faint"])
        builder.cell(age, 7, ink["muted"], "right")
        holds = f"holds {fmt.count(row.pending)}" if row.pending else ""
        return builder.cell(holds, tail, ink["muted"], "right")

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say when agents appear."""
        return LineBuilder().add(" no agents yet: they appear with their first heartbeat", self.ink["muted"])
