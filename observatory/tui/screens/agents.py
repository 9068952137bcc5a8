"""Screen 5: who is alive, who is stuck, what each works on, and everything about the one under the cursor."""

from __future__ import annotations

import dataclasses
import json
import uuid
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from observatory.model.agent import AgentState
from observatory.model.filter import value_text
from observatory.model.plan import ClaimPending, Selector, TellAgents
from observatory.model.snapshot import AgentView
from observatory.model.text import line
from observatory.tui.acting.acting import pausing
from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.agents import AgentTable, urgency
from observatory.tui.screens.base import Step
from observatory.tui.screens.lanes import short_name
from observatory.tui.screens.listing import ListScreen
from observatory.tui.sheets import Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from observatory.model.listing import AgentDetail
    from observatory.model.snapshot import Snapshot
    from observatory.tui.sheets import Fact

_HELD = 12
"""Lanes that are listed of what an agent holds."""


class Agents(ListScreen[AgentView]):
    """The agents, trouble first, and the one under the cursor in full."""

    heading: ClassVar[str] = "Agents"
    pane_title: ClassVar[str] = "Agent"
    about: ClassVar[str] = "processes, work in hand and mailbox of the selected agent"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "tracing", "agents", "claiming", "pausing")]

    def make_table(self) -> AgentTable:
        """The agents."""
        return AgentTable(id="list")

    def begin(self) -> None:
        """Begin with nothing known."""
        self._detail: AgentDetail | None = None
        self._wanted = ""

    def visit(self, what: object) -> None:
        """Put the cursor on the agent called *what*."""
        self._wanted = what if isinstance(what, str) else ""
        self._find()

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Show the agents; read again what is known of the one under the cursor."""
        return (
            Step(lambda: self.table.set_all(sorted(snapshot.agents, key=urgency))),
            Step(self._find),
            Step(self._read_detail),
        )

    def sheet(self, row: AgentView) -> Sheet:
        """What the agent says of itself, and what the bus knows besides."""
        detail = self._detail if self._detail is not None and self._detail.name == row.name else None
        facts = (*_own_facts(row), *(_detail_facts(detail, self.desk.shown.at_ms) if detail else ()))
        return Sheet(row.name, facts, None, json.dumps(dataclasses.asdict(row), default=str))

    def rested(self, row: AgentView) -> None:
        """Read what the bus knows of the agent once the cursor rests on it."""
        del row
        self._read_detail()

    def action_reload(self) -> None:
        """Read again what is known of the agent."""
        self._read_detail()

    def action_work(self) -> None:
        """Show what the agent holds."""
        if (row := self.table.selected) is not None:
            self.go("pending", f"agent={value_text(row.name)}")

    def action_claim(self, agent: str = "") -> None:
        """Take all work away from the selected agent: for another one, or back to the lanes."""
        if (row := self.table.selected) is not None:
            select = Selector(filter=f"agent={value_text(row.name)}")
            self.act(ClaimPending(select, agent.removeprefix("@")))

    def action_pause(self, time: str = "") -> None:
        """Leave the selected agent in peace for a while, or let it work again."""
        if (row := self.table.selected) is not None:
            self.act(pausing((f"@{row.name}",), time))

    def action_tell(self, words: str = "") -> None:
        """Put a message into the mailbox of the selected agent."""
        if (row := self.table.selected) is not None:
            self.act(TellAgents(row.name, words, uuid.uuid4().hex))

    def traced(self) -> str:
        """The task that the agent works on."""
        row = self.table.selected
        return row.task if row is not None else ""

    def _find(self) -> None:
        names = [agent.name for agent in self.table.rows]
        if self._wanted in names:
            self.table.jump(names.index(self._wanted))
            self._wanted = ""

    def _read_detail(self) -> None:
        row = self.table.selected
        if row is not None and not self.desk.is_old:
            self.aside("read what is known of the agent", partial(self._load_detail, row.name))

    async def _load_detail(self, name: str) -> None:
        self._detail = await self.desk.source.agent(name)
        self.show_now()


def _own_facts(row: AgentView) -> tuple[Fact, ...]:
    """Return what the heartbeats say, and what follows from them."""
    silent = fmt.age(row.last_seen_s, absent="never beat: it only reads")
    alive = row.state is AgentState.ALIVE
    works = f"{line(row.task, 120)}  {line(row.task_type, 40)}".strip() or line(row.status, 40) or fmt.NONE
    facts: list[Fact] = [
        ("agent", f"{line(row.name, 120)}  {row.state or fmt.UNKNOWN}", "strong"),
        ("last beat", f"{silent} ago" if row.last_seen_s is not None else silent, "text" if alive else "warning+"),
        ("works on", works, "text"),
    ]
    if row.task:
        usual = f", {fmt.age(row.typical_s)} are usual (p99)" if row.typical_s is not None else ", what is usual: ?"
        stuck = "stuck: it beats, and takes longer than tasks of its kind do; " if row.stuck else ""
        words = f"{stuck}for {fmt.age(row.task_age_s, absent=fmt.UNKNOWN)}{usual}"
        facts.append(("since", words, "warning+" if row.stuck else "text"))
    load = fmt.UNKNOWN if row.load is None else f"{round(row.load * 100)}%"
    return (
        *facts,
        ("load", f"{load} of its slots, holds {fmt.count(row.pending)}", "text"),
        ("rate", f"{fmt.rate(row.rate)}/s done, {fmt.rate(row.error_rate)}/s failed over the last minute", "text"),
        ("in all", f"{fmt.count(row.done)} done, {fmt.count(row.failed)} failed since it started", "text"),
        ("serves", line(", ".join(row.capabilities), 400) or fmt.UNKNOWN, "text"),
        ("version", line(row.version, 60) or fmt.UNKNOWN, "muted"),
    )


def _detail_facts(detail: AgentDetail, now_ms: int) -> list[Fact]:
    """Return processes, work in hand and mailbox."""
    box = detail.mailbox
    facts: list[Fact] = [("mailbox", "none", "muted")]
    if box is not None:
        oldest = f", the oldest {fmt.age((now_ms - box.oldest_ms) / 1000)} old" if box.oldest_ms else ""
        unread = "" if box.pending is None else f", {fmt.count(box.pending)} read and not acknowledged"
        facts = [("mailbox", f"{fmt.count(box.length)} messages{unread}{oldest}", "text")]
    for place, process in enumerate(detail.processes):
        busy = f", on {line(process.task, 60)} for {fmt.age(process.task_age_s, absent='?')}" if process.task else ""
        words = f"{line(process.consumer, 100)}  {process.state}, beat {fmt.age(process.last_seen_s)} ago{busy}"
        facts.append(("processes" if place == 0 else "", words, "text"))
    for place, held in enumerate(detail.held[:_HELD]):
        words = f"{fmt.count(held.pending)} of {short_name(held.stream)} by {line(held.consumer, 80)}"
        facts.append(("holds" if place == 0 else "", words, "text"))
    if len(detail.held) > _HELD:
        facts.append(("", f"and {len(detail.held) - _HELD} more", "muted"))
    for place, task in enumerate(detail.tasks):
        words = (
            f"{line(task.key, 80)}  {line(task.type, 40)}  {task.state or fmt.UNKNOWN}, attempt {task.attempt or '?'}"
        )
        facts.append(("tasks" if place == 0 else "", words, "text"))
    return facts
