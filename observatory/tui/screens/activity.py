"""Screen 8: what happened to alerts, what operators did, and what was out of the ordinary, newest first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from observatory.model.agent import agent_of
from observatory.model.event import Event, EventKind
from observatory.model.text import line
from observatory.tui.acting.acting import words_of
from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.alerts import AlertTable
from observatory.tui.rows.audit import AuditTable, SentTable
from observatory.tui.rows.events import EventTable
from observatory.tui.rows.jobs import JobTable
from observatory.tui.screens.alerting import AlertingScreen
from observatory.tui.screens.base import Step
from observatory.tui.screens.lanes import fit_height
from observatory.tui.screens.listing import ListScreen
from observatory.tui.sheets import Sheet
from observatory.tui.table import Feed
from observatory.tui.table.pages import KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.snapshot import Snapshot

OPERATOR = "operator"
"""Name under which this program changes the bus."""

_BY_HAND = frozenset({
    EventKind.REQUEUED, EventKind.TRASHED, EventKind.RESTORED, EventKind.PURGED, EventKind.CANCELLED,
    EventKind.REVIVED, EventKind.CLAIMED, EventKind.GROUP_MOVED, EventKind.CONSUMER_REMOVED, EventKind.PAUSED,
    EventKind.RESUMED, EventKind.BROADCAST, EventKind.AGENT_UP, EventKind.AGENT_DOWN, EventKind.AGENT_LOST,
    EventKind.DATA_LOSS_SUSPECTED, EventKind.LOST_PAYLOAD,
})  # fmt: skip
"""Kinds that somebody decided, or that no work does in its ordinary course."""

JOBS = 50
"""Jobs that are listed."""

RENEW_MS = 5_000
"""Milliseconds of server time after which the log is searched anew."""


class ActivityTable(EventTable):
    """What was done by hand, and what was out of the ordinary."""

    title = "Activity"
    keeps_cursor: ClassVar[bool] = True
    stays_on_top: ClassVar[bool] = True
    empty: ClassVar[str] = "nothing was done by hand yet: what operators send, requeue or cancel stands here"


class Activity(AlertingScreen, ListScreen[Event]):
    """Events of operators and of agents that come and go."""

    heading: ClassVar[str] = "Activity"
    pane_title: ClassVar[str] = "Event"
    about: ClassVar[str] = "the selected event in full"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "tracing", "alerts", "jobs")]

    def body(self) -> ComposeResult:
        """What happened to alerts above what was done."""
        yield AlertTable(self.desk.clock, id="alerts")
        yield JobTable(id="jobs")
        yield AuditTable(id="audit")
        yield SentTable(id="sent")
        yield from super().body()

    def make_table(self) -> ActivityTable:
        """The events."""
        return ActivityTable(id="list")

    def begin(self) -> None:
        """Read the newest."""
        self._renewed_ms = 0
        self._turn(0)
        self.load(Feed(self.desk.source.events, both_ways=False, belongs=is_activity, searched=KEPT))

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Read again now and then."""
        return (
            Step(partial(self._show_alerts, snapshot)),
            Step(self._show_jobs),
            Step(partial(self._follow, snapshot)),
        )

    def sheet(self, row: Event) -> Sheet:
        """The event, every field of it."""
        return event_sheet(row, self.table.as_json(row))

    def traced(self) -> str:
        """The task that the event is about."""
        row = self.table.selected
        return row.task if row is not None else ""

    def _show_alerts(self, snapshot: Snapshot) -> None:
        table = self.query_one(AlertTable)
        table.show(snapshot, self.desk.alerts)
        table.look()
        fit_height(table, max(self.size.height // 4, 3))

    def _show_jobs(self) -> None:
        if not self.desk.is_old:
            self.aside("read the newest changes", self._read_jobs)

    async def _read_jobs(self) -> None:
        actions = self.desk.actions
        shown = self._changes()[self._shown]
        if isinstance(shown, JobTable):
            shown.set_all(await actions.jobs(JOBS))
        elif isinstance(shown, AuditTable):
            shown.set_all(await actions.records(JOBS))
        elif isinstance(shown, SentTable):
            shown.set_all(actions.sent())
        fit_height(shown, max(self.size.height // 4, 3))

    def _changes(self) -> tuple[JobTable | AuditTable | SentTable, ...]:
        return (self.query_one(JobTable), self.query_one(AuditTable), self.query_one(SentTable))

    def _turn(self, shown: int) -> None:
        self._shown = shown
        for place, table in enumerate(self._changes()):
            table.display = place == shown

    def action_turn(self) -> None:
        """Show the next of changes, audit, and what was sent to the engine."""
        focused = self.focused in self._changes()
        self._turn((self._shown + 1) % len(self._changes()))
        if focused:
            self._changes()[self._shown].focus()
        self._show_jobs()

    def action_steer(self, words: str = "") -> None:
        """Pause, resume or cancel the selected job, or give it another rate."""
        wish, _, value = words.strip().partition(" ")
        job = self.query_one(JobTable).selected
        if job is None or wish not in {"pause", "resume", "cancel", "rate"}:
            self.notify("select a job and say pause, resume, cancel or rate N", severity="warning", markup=False)
        elif wish == "resume":
            self.aside(f"resume {job.id}", partial(self._resume, job.id), writes=True)
        else:
            self.aside(f"{wish} {job.id}", partial(self.desk.actions.steer, job.id, wish, value.strip()), writes=True)

    def action_faster(self) -> None:
        """Double the rate of the selected job."""
        self._scale(2.0)

    def action_slower(self) -> None:
        """Halve the rate of the selected job."""
        self._scale(0.5)

    def _scale(self, factor: float) -> None:
        job = self.query_one(JobTable).selected
        if job is not None and job.rate is not None:
            self.action_steer(f"rate {job.rate * factor:g}")

    async def _resume(self, job: str) -> None:
        report = await self.desk.actions.resume(job)
        self.notify(words_of(report), severity="information" if report.done else "warning", markup=False)

    def _follow(self, snapshot: Snapshot) -> None:
        if snapshot.at_ms - self._renewed_ms >= RENEW_MS and not self.desk.is_old:
            if self._renewed_ms:
                self.loaders[self.table].renew()
            self._renewed_ms = snapshot.at_ms


def is_activity(event: Event) -> bool:
    """Say whether an event was somebody's decision, or out of the ordinary."""
    return event.kind in _BY_HAND or agent_of(event.agent) == OPERATOR


def event_sheet(event: Event, raw: str) -> Sheet:
    """Return the sheet of an event."""
    facts = (
        ("event", f"{line(event.kind, 40)}  {fmt.date_time(event.ts_ms)}", "strong"),
        ("by", line(event.agent, 120) or fmt.UNKNOWN, "text"),
        ("task", f"{line(event.task, 120) or fmt.NONE}  {line(event.type, 60)}".strip(), "text"),
        ("lane", line(event.lane, 120) or fmt.NONE, "text"),
        *((("attempt", str(event.attempt), "text"),) if event.attempt else ()),
        *((("took", fmt.milliseconds(event.ms), "text"),) if event.ms is not None else ()),
        *((("reason", line(event.reason, 400), "warning"),) if event.reason else ()),
        *((("detail", line(event.detail, 2000), "text"),) if event.detail else ()),
        ("id", line(event.id, 60), "muted"),
    )
    return Sheet(event.id, facts, None, raw)
