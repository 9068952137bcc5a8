"""Screen 3: who holds what, since when, and how often it was delivered."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal

from observatory.model.errors import ObservatoryError
from observatory.model.filter.listed import PENDING
from observatory.model.listing import Ask, PendingRow, PendingScope
from observatory.model.plan import BuryPending, CancelTasks, ClaimPending, Selector
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.dialogs.filter import filtered
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.pending import PendingTable
from observatory.tui.screens.base import Step
from observatory.tui.screens.lanes import short_name
from observatory.tui.screens.listing import ListScreen
from observatory.tui.sheets import entry_sheet, pending_sheet
from observatory.tui.table import Feed, View
from observatory.tui.widgets.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.listing import EntryRow
    from observatory.model.plan import Report
    from observatory.model.snapshot import Snapshot
    from observatory.tui.sheets import Sheet

SURVEY_MS = 3_000
"""Milliseconds of server time between two counts of what is pending."""

COUNTED = 5_000
"""Pending entries that the histograms look at, the oldest first."""

_IDLE = ((1, "<1s"), (10, "<10s"), (60, "<1m"), (300, "<5m"), (1800, "<30m"), (7200, "<2h"))
_DELIVERIES = ((2, "1x"), (3, "2x"), (4, "3x"), (5, "4x"), (6, "5x"))


class Pending(ListScreen[PendingRow]):
    """Two histograms, the list, and the entry under the cursor with its payload."""

    heading: ClassVar[str] = "Pending"
    about: ClassVar[str] = "the entry that is held, with its payload"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "tracing", "cancelling", "claiming", "holding")]

    def body(self) -> ComposeResult:
        """Histograms above the list."""
        with Horizontal(id="histograms"):
            yield Histogram("idle", _IDLE, "≥2h", id="idle")
            yield Histogram("delivered", _DELIVERIES, "≥6x", id="deliveries")
        yield from super().body()

    def make_table(self) -> PendingTable:
        """The pending entries."""
        return PendingTable(self.desk.clock, id="list")

    def sheet(self, row: PendingRow) -> Sheet:
        """Who holds the entry; its payload as soon as it is read."""
        entry = self._entry if self._entry is not None and self._entry.key == row.entry_id else None
        return pending_sheet(row, entry_sheet(entry, self.desk.shown.at_ms) if entry else None)

    def begin(self) -> None:
        """Read everybody's."""
        self._scope = PendingScope()
        self._entry: EntryRow | None = None
        self._seen: object = None
        self._surveyed_ms = 0
        self._read()

    def visit(self, what: object) -> None:
        """Show only what *what* speaks of: a lane, a group, a consumer; or what passes a filter."""
        if isinstance(what, PendingScope):
            self._scope = what
            self._read()
        elif isinstance(what, str):
            self.table.set_view(filtered(View(), what, PENDING, self.desk.shown.at_ms))

    def step_out(self) -> bool:
        """Show everybody's again."""
        if self._scope == PendingScope():
            return False
        self._scope = PendingScope()
        self._read()
        return True

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Read again what is seen when the lanes say that something was taken or settled; let ages move on."""
        return (Step(partial(self._follow, snapshot)), Step(self.table.look))

    def rested(self, row: PendingRow) -> None:
        """Read the payload."""
        if not row.gone:
            self.aside("read the payload of a pending entry", partial(self._read_entry, row))

    def liked(self) -> object:
        """The entry that is held, once it is read."""
        return self._entry.item if self._entry is not None else None

    def traced(self) -> str:
        """The task that is held."""
        row = self.table.selected
        return row.task_id if row is not None else ""

    def action_claim(self, agent: str = "") -> None:
        """Give what is meant to *agent*, or back to its lane."""
        if rows := self._meant():
            select = Selector(tuple(row.key for row in rows))
            self.act(ClaimPending(select, agent.removeprefix("@")), hidden=self._hidden(), then=self._changed)

    def action_bury(self, error: str = "") -> None:
        """Make dead letters of what is meant."""
        if rows := self._meant():
            select = Selector(tuple(row.key for row in rows))
            self.act(BuryPending(select, error or "given up by hand"), hidden=self._hidden(), then=self._changed)

    def action_cancel(self) -> None:
        """Cancel what is meant."""
        if tasks := tuple(row.task_id for row in self._meant() if row.task_id):
            self.act(CancelTasks(Selector(tasks)), hidden=self._hidden(), then=self._changed)

    def _meant(self) -> tuple[PendingRow, ...]:
        marked, selected = self.table.marks.rows, self.table.selected
        return marked or ((selected,) if selected is not None else ())

    def _hidden(self) -> int:
        return self.table.hidden_marks if self.table.marks.rows else 0

    def _changed(self, _report: Report) -> None:
        self.table.unmark(self.table.marks.names)
        self.loaders[self.table].renew()

    def _read(self) -> None:
        source, scope = self.desk.source, self._scope
        self.say_where(*map(short_name, scope.streams), line(scope.group, 30), line(scope.consumer, 60))
        self.load(Feed(lambda ask: source.pending(ask, scope), newest_first=False), newest="oldest")
        self._survey()

    def _follow(self, snapshot: Snapshot) -> None:
        seen = tuple((lane.stream, lane.pending, lane.out_rate) for lane in snapshot.lanes if lane.pending)
        if snapshot.at_ms and seen != self._seen and not self.desk.is_old:
            if self._seen is not None:
                self.loaders[self.table].renew()
                if snapshot.at_ms - self._surveyed_ms >= SURVEY_MS:
                    self._surveyed_ms = snapshot.at_ms
                    self._survey()
            self._seen = seen

    def _survey(self) -> None:
        self.aside(
            "count pending entries by idle time and deliveries",
            partial(self._count, replace(self._scope, bodies=False)),
        )

    async def _count(self, scope: PendingScope) -> None:
        rows: list[PendingRow] = []
        cursor, total = "", None
        try:
            while len(rows) < COUNTED:
                page = await self.desk.source.pending(Ask(cursor, limit=1000, newest_first=False), scope)
                rows += page.items
                total = page.total
                if page.after is None:
                    break
                cursor = page.after
        except ObservatoryError:
            return  # the list below says what is wrong
        part = f"oldest {fmt.count(len(rows))} of {fmt.count(total)}" if total != len(rows) else ""
        self.query_one("#idle", Histogram).count((row.hold.idle_ms / 1000 for row in rows), part)
        self.query_one("#deliveries", Histogram).count((row.hold.deliveries for row in rows), part)

    async def _read_entry(self, row: PendingRow) -> None:
        self._entry = await self.desk.source.entry(row.stream, row.entry_id)
        self.show_now()
