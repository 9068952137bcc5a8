"""Screen 6: the tasks last heard of, and the whole life of one of them."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical

from observatory.model.errors import ObservatoryError
from observatory.model.listing import TaskRow
from observatory.model.plan import CancelTasks, Selector
from observatory.model.task import FINAL_STATES
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.events import EventTable
from observatory.tui.rows.tasks import TaskTable
from observatory.tui.screens.base import Step
from observatory.tui.screens.listing import ListScreen
from observatory.tui.sheets import Sheet, entry_sheet, letter_sheet
from observatory.tui.table import Feed
from observatory.tui.widgets.payload import PayloadPane
from observatory.tui.widgets.waterfall import Waterfall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.plan import Report
    from observatory.model.snapshot import Snapshot
    from observatory.model.trace import Trace
    from observatory.tui.widgets.list_panel import ListPanel

RENEW_MS = 5_000
"""Milliseconds of server time after which the tasks are searched anew; one search reads thousands of facts."""

_KNOWN = frozenset({"task", "stream"})
"""Facts of an entry that the task says already."""

_BESIDES = {"state": "entry is"}
"""What facts of the entry are called beside those of the task."""


class Tasks(ListScreen[TaskRow]):
    """The tasks; enter or t opens the life of one: its stretches, its facts, its payload."""

    heading: ClassVar[str] = "Tasks"
    about: ClassVar[str] = "the life and the payload of the selected task"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "tracing", "cancelling")]

    def body(self) -> ComposeResult:
        """The trace above, shown once a task is opened; the list and the pane below."""
        with Vertical(id="trace"):
            yield Waterfall(id="waterfall")
            yield EventTable(id="facts")
        yield from super().body()

    def make_table(self) -> TaskTable:
        """The tasks."""
        return TaskTable(self.desk.clock, id="list")

    def begin(self) -> None:
        """Read the newest."""
        self._life = ""
        self._from_elsewhere = False
        self._trace: Trace | None = None
        self._renewed_ms = 0
        self._arrange()
        self.load(Feed(self.desk.source.tasks, both_ways=False))

    def visit(self, what: object) -> None:
        """Open the life of the task whose id is *what*."""
        if isinstance(what, str):
            self._open(what)
            self._from_elsewhere = True

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Let ages move on; read again now and then, and the opened task at every snapshot."""
        return (Step(self.table.look), Step(partial(self._follow, snapshot)))

    def sheet(self, row: TaskRow) -> Sheet:
        """What is known of the task, with its payload once its trace is read."""
        trace = self._trace if self._trace is not None and self._trace.task_id == row.key else None
        held = trace_sheet(trace) if trace is not None else Sheet(row.key, (), None, "{}")
        besides = tuple((_BESIDES.get(name, name), said, ink) for name, said, ink in held.facts if name not in _KNOWN)
        says_why = any(name == "reason" for name, *_ in besides)
        facts = (
            ("task", f"{line(row.key, 120)}  {line(row.type, 60) or fmt.UNKNOWN}", "strong"),
            ("state", f"{row.state or fmt.UNKNOWN}, {line(row.what, 40)} {fmt.date_time(row.at_ms)}", "text"),
            ("agent", line(row.agent, 80) or fmt.NONE, "text"),
            ("lane", line(row.stream, 120) or fmt.UNKNOWN, "text"),
            *((("reason", line(row.reason, 400), "error"),) if row.reason and not says_why else ()),
        )
        return Sheet(row.key, (*facts, *besides), held.payload, json.dumps(dataclasses.asdict(row), default=str))

    def rested(self, row: TaskRow) -> None:
        """Read the life of the task once the cursor rests on it."""
        if not self._life:
            self._read_trace(row.key)

    def traced(self) -> str:
        """The task under the cursor."""
        row = self.table.selected
        return row.key if row is not None else ""

    def action_trace(self, task_id: str = "") -> None:
        """Open the life of the task."""
        if wanted := task_id or self.traced():
            self._open(wanted)

    def action_reload(self) -> None:
        """Read again what is shown."""
        if self._life:
            self._read_trace(self._life)
        else:
            super().action_reload()

    def action_cancel(self) -> None:
        """Cancel the opened task, the marked ones, or the selected one."""
        marked, selected = self.table.marks.names, self.traced()
        tasks = (self._life,) if self._life else tuple(sorted(marked)) or ((selected,) if selected else ())
        if tasks:
            hidden = self.table.hidden_marks if marked and not self._life else 0
            self.act(CancelTasks(Selector(tasks)), hidden=hidden, then=self._changed)

    def _changed(self, _report: Report) -> None:
        self.table.unmark(self.table.marks.names)
        self.loaders[self.table].renew()

    def on_list_panel_opened(self, event: ListPanel.Opened) -> None:
        """From the list into the life of a task, from there into its payload."""
        if event.panel is self.table:
            self.action_trace()
        else:
            self.query_one(PayloadPane).focus()

    def step_out(self) -> bool:
        """Go back to the list, or to the screen that asked for this life."""
        if not self._life:
            return False
        self._life = ""
        self._arrange()
        self.table.focus()
        self.show_now()
        return not self._from_elsewhere

    def _open(self, task_id: str) -> None:
        self._life, self._from_elsewhere = task_id, False
        self.query_one(Waterfall).show(None, "loading …")
        self.query_one(EventTable).set_all(())
        self._arrange()
        self.query_one(Waterfall).focus()
        self._read_trace(task_id)

    def _arrange(self) -> None:
        opened = bool(self._life)
        self.query_one("#trace").display = opened
        self.table.display = not opened
        self.say_where(line(self._life, 60))
        self.refresh_bindings()

    def _follow(self, snapshot: Snapshot) -> None:
        if self.desk.is_old or not snapshot.at_ms:
            return
        if self._life:
            if self._trace is None or any(span.lasts for span in self._trace.spans):
                self._read_trace(self._life)
        elif snapshot.at_ms - self._renewed_ms >= RENEW_MS:
            self._renewed_ms = snapshot.at_ms
            self.loaders[self.table].renew()

    def _read_trace(self, task_id: str) -> None:
        self.aside("read the life of the task", partial(self._load_trace, task_id))

    async def _load_trace(self, task_id: str) -> None:
        try:
            trace = await self.desk.source.trace(task_id)
        except ObservatoryError as error:
            self.query_one(Waterfall).show(None, f"✖ {line(str(error), 200)} (r reads again)")
            return
        self._trace = trace
        if self._life != task_id:
            self.show_now()
            return
        words = f"nothing is known of {line(task_id, 60)}: {fmt.count(trace.searched)} facts and entries were searched"
        self.query_one(Waterfall).show(trace, words)
        self.query_one(EventTable).set_all(trace.events)
        self.query_one(PayloadPane).show(trace_sheet(trace))


def trace_sheet(trace: Trace) -> Sheet:
    """Return what is left of a task: its entry, its dead letter, or what the bus remembers."""
    if trace.letter is not None:
        return letter_sheet(trace.letter)
    if trace.entry is not None:
        return entry_sheet(trace.entry, trace.at_ms)
    record = trace.record
    if record is None:
        return Sheet(
            trace.task_id, (("entry", "gone: it was settled, and nothing is kept of it", "muted"),), None, "{}"
        )
    facts = (
        ("record", f"{record.state}, attempt {fmt.count(record.attempt)}", "text"),
        ("owner", line(record.owner, 120) or fmt.NONE, "text"),
        *((("reason", line(record.reason, 400), "error"),) if record.reason else ()),
        ("entry", "gone: it was settled" if record.state in FINAL_STATES else "not where the record says", "muted"),
    )
    return Sheet(trace.task_id, facts, None, json.dumps(dataclasses.asdict(record), default=str))
