"""The agents as a health grid: who is alive, what each works on and for how long; trouble first."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import cell_len

from observatory.model.agent import AgentState
from observatory.model.snapshot import AgentView
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing import glyphs
from observatory.tui.drawing.lines import LineBuilder, ending
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.model.snapshot import Snapshot

_CELL = 38
"""Cells that one agent needs at least where several share a line."""

_ROOMY = 46
"""Cells from which on there is room to say how many tasks an agent holds."""

_LONGEST_NAME = 14

_TROUBLE = (AgentState.DEAD, AgentState.STALE, AgentState.LATE)

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

    title = "Agents"

    _name_width, _state_width = 6, 7
    _shown: tuple[AgentView, ...] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Show the agents of *snapshot*."""
        if snapshot.agents is self._shown:  # successive snapshots share what is equal
            return
        self._shown = snapshot.agents
        agents = sorted(snapshot.agents, key=lambda agent: (_ORDER[agent.state], agent.name))
        names = max((_cells(agent.name) for agent in agents), default=0)
        states = 10 if any(agent.state in _TROUBLE for agent in agents) else 7
        widths = (min(max(names, 6), _LONGEST_NAME), states)
        if widths != (self._name_width, self._state_width):
            self._name_width, self._state_width = widths
            self.refresh()
        self.set_rows(tuple(agents))

    def identity(self, row: AgentView) -> str:
        """An agent is its name."""
        return row.name

    def as_json(self, row: AgentView) -> str:
        """The view of the agent, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)

    def per_line(self) -> int:
        """As many agents on a line as fit."""
        return max(self.size.width // _CELL, 1)

    def draw_heading(self, width: int) -> LineBuilder:
        """Count the states."""
        builder = self.title_piece()
        if extent := self.extent:
            builder.add(f"  {extent}", self.ink["muted"])
        numbers = Counter(agent.state for agent in self.rows)
        for state in (AgentState.DEAD, AgentState.STALE, AgentState.LATE, AgentState.ALIVE, AgentState.LEFT):
            number, mark = numbers[state], glyphs.AGENTS[state]
            if number and builder.width + 12 < width:
                builder.gap(2).add(f"{mark.glyph} {number} {mark.word}", self.ink[mark.ink])
        return builder

    def draw_row(self, row: AgentView, width: int) -> LineBuilder:
        """Draw one agent: state, name, what it works on, for how long, what it holds."""
        ink, mark = self.ink, glyphs.AGENTS[row.state]
        style, trouble = ink[mark.ink], row.state in _TROUBLE
        builder = LineBuilder().gap(1).add(f"{mark.glyph} ", style)
        builder.cell(line(row.name, 64), self._name_width, style if trouble else ink["text"]).gap(1)
        silence = fmt.age(row.last_seen_s) if row.last_seen_s is not None else ""
        builder.cell(f"{mark.word} {silence}" if trouble else mark.word, self._state_width, style).gap(1)
        tail = 8 if width >= _ROOMY else 0
        age = fmt.age(row.task_age_s) if row.task and row.task_age_s is not None else ""
        room = max(width - builder.width - tail - 7, 0)
        task = ending(line(row.task, 80), room) if row.task else line(row.status, 24) or fmt.NONE
        builder.cell(task, room, ink["text" if row.task else "faint"])
        builder.cell(age, 6, ink["muted"], "right")
        holds = f"holds {fmt.count(row.pending)}" if row.pending else ""
        return builder.cell(holds, tail, ink["muted"], "right").gap(1)

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say when agents appear."""
        return LineBuilder().add(" no agents yet: they appear with their first heartbeat", self.ink["muted"])


@lru_cache(maxsize=4096)
def _cells(name: str) -> int:
    """Cells that an agent's name takes; names come again with every snapshot."""
    return cell_len(line(name, 64))
