"""Screen 2: the lanes, and inside one of them its groups, their consumers, and every entry."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Container, Vertical

from observatory.model.listing import ConsumerRow, GroupRow, PendingScope, at_time
from observatory.model.quantity import moment
from observatory.model.snapshot import LaneState
from observatory.model.text import line
from observatory.tui.acting.acting import pausing
from observatory.tui.commands import bindings
from observatory.tui.rows.entries import ConsumerTable, EntryTable, GroupTable
from observatory.tui.rows.lane_columns import DEAD, DELAYED, LANE_COLUMNS, LANE_ROWS, LaneRow, lane_rows
from observatory.tui.screens.base import DataScreen, Step
from observatory.tui.sheets import entry_sheet
from observatory.tui.table import Feed, Loader, Table
from observatory.tui.widgets.payload import PayloadPane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.filter import FieldSet
    from observatory.model.snapshot import LaneView, Snapshot
    from observatory.tui.widgets.list_panel import ListPanel


class AllLanes(Table[LaneRow]):
    """Every lane there is, busy or idle, then the delayed work and the dead letters."""

    title = "Lanes"
    keeps_cursor: ClassVar[bool] = True
    fields: ClassVar[FieldSet[Any] | None] = LANE_ROWS
    empty: ClassVar[str] = "no lanes yet: s sends the first task"

    def identity(self, row: LaneRow) -> str:
        """A lane is its stream key."""
        return row.name


class Lanes(DataScreen):
    """Lanes; enter goes into one: its groups above, its entries below, the payload beside them."""

    heading: ClassVar[str] = "Lanes"
    AUTO_FOCUS: ClassVar[str | None] = "#all"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "tracing", "lanes", "pausing")]

    def body(self) -> ComposeResult:
        """All lanes, and below what is shown of the one that is opened."""
        yield AllLanes(LANE_COLUMNS, id="all")
        with Vertical(id="stream"):
            yield GroupTable(self.desk.clock, id="groups")
            yield ConsumerTable(id="consumers")
            with Container(id="split", classes="split"):
                yield EntryTable(self.desk.clock, id="entries")
                yield PayloadPane("the payload of the selected entry", id="payload")

    def begin(self) -> None:
        """Begin outside of every lane."""
        self._stream = ""
        self._group = ""
        self._from_elsewhere = False
        self._newest_first = True
        self._following = False
        self._lane: LaneView | None = None
        self.loaders[self.entries] = Loader(self, self.entries)
        self.query_one("#stream").display = False

    @property
    def entries(self) -> EntryTable:
        """The entries of the opened lane."""
        return self.query_one(EntryTable)

    def visit(self, what: object) -> None:
        """Open the lane whose stream key is *what*."""
        if isinstance(what, str):
            row = next((row for row in self.query_one(AllLanes).rows if row.name == what), None)
            self._open_lane(row) if row is not None else self._enter(what)
            self._from_elsewhere = bool(self._stream)

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Show the lanes; inside one, read again what may have changed."""
        return (
            Step(partial(self._show_lanes, snapshot)),
            Step(partial(self._catch_up, snapshot)),
        )

    def _show_lanes(self, snapshot: Snapshot) -> None:
        """Show all lanes, those of single agents last."""
        lanes = sorted(snapshot.lanes, key=lambda lane: lane.queue.startswith("@"))
        self.query_one(AllLanes).set_all(lane_rows(snapshot, lanes))

    def has_selection(self) -> bool:
        """There is a row under the cursor of the panel that has the focus."""
        return isinstance(self.focused, Table) and self.focused.selected is not None

    # -- going in and out -----------------------------------------------------------------------------------------

    def on_list_panel_opened(self, event: ListPanel.Opened) -> None:
        """Go one step further in: lane, group, consumer; from an entry into its payload."""
        panel = event.panel
        row = panel.selected
        if isinstance(row, LaneRow):
            self._open_lane(row)
        elif isinstance(row, GroupRow):
            self._open_group(row)
        elif isinstance(row, ConsumerRow):
            self.go("pending", PendingScope((self._stream,), self._group, row.name))
        elif panel is self.entries:
            self.query_one(PayloadPane).focus()

    def liked(self) -> object:
        """The entry under the cursor."""
        row = self.entries.selected
        return row.item if row is not None and self._stream else None

    def action_pause(self, time: str = "") -> None:
        """Pause the opened lane or the one under the cursor for a while, or let it go on."""
        row = self.query_one(AllLanes).selected
        stream = self._stream or (row.name if row is not None else "")
        if stream:
            lane = next((lane for lane in self.desk.shown.lanes if lane.stream == stream), None)
            self.act(pausing((stream,), time, paused=lane is not None and lane.state is LaneState.PAUSED))

    def traced(self) -> str:
        """The task of the entry under the cursor."""
        row = self.entries.selected
        return row.task_id if row is not None and self._stream else ""

    def step_out(self) -> bool:
        """Leave the payload, then the consumers, then the lane: to the list, or to the screen that pointed at it."""
        if isinstance(self.focused, PayloadPane):
            self.entries.focus()
        elif self._group:
            self._show_groups()
            self.query_one(GroupTable).focus()
        elif self._stream:
            self._stream = ""
            self._arrange()
            self.query_one(AllLanes).focus()
            return not self._from_elsewhere
        else:
            return False
        return True

    def _open_lane(self, row: LaneRow) -> None:
        if row.name == DEAD:
            self.action_show_screen("dead-letters")
        elif row.name == DELAYED:
            prefix = next((lane.stream.partition(":tasks:")[0] for lane in self.desk.shown.lanes), "")
            if prefix:
                self._enter(f"{prefix}:tasks:delayed")
        else:
            self._enter(row.name)

    def _enter(self, stream: str) -> None:
        """Show the groups and entries of *stream*."""
        self._stream, self._group, self._lane, self._from_elsewhere = stream, "", None, False
        entries = self.entries
        entries.marks.clear()
        self._show_groups()
        self._read_entries()
        self._catch_up(self.desk.shown)
        entries.focus()

    def _open_group(self, row: GroupRow) -> None:
        self._group = row.view.name
        consumers = self.query_one(ConsumerTable)
        consumers.set_all(row.consumers)
        self._arrange()
        consumers.focus()

    def _show_groups(self) -> None:
        self._group = ""
        self._arrange()

    def _arrange(self) -> None:
        """Show the panels that belong to where one is, and say where that is."""
        inside = bool(self._stream)
        self.query_one(AllLanes).display = not inside
        self.query_one("#stream").display = inside
        self.query_one(GroupTable).display = inside and not self._group
        self.query_one(ConsumerTable).display = bool(self._group)
        self.say_where(short_name(self._stream) if inside else "", line(self._group, 30))
        self.refresh_bindings()

    # -- what is read ----------------------------------------------------------------------------------------------

    def action_turn(self) -> None:
        """Read the entries from the other end."""
        self._newest_first = not self._newest_first
        self._read_entries()

    def action_follow(self) -> None:
        """Stay at the newest entry, or stop doing so."""
        self._following = not self._following
        self._say_order()
        if self._following:
            self.loaders[self.entries].to_end(last=not self._newest_first)

    def action_goto(self, text: str = "") -> None:
        """Go to the entries of a time."""
        if not self._stream or not text:
            self.notify("goto: open a lane first, then :goto 14:03 or :goto -5m", severity="warning", markup=False)
            return
        try:
            span = moment(text, now_ms=self.desk.shown.at_ms or self.desk.clock.now_ms())
        except ValueError as error:
            self.notify(f"goto: {line(str(error), 200)}", severity="error", markup=False)
            return
        edge = span.high if self._newest_first else span.low
        self._read_entries(at=at_time(edge, newest_first=self._newest_first))

    def action_reload(self) -> None:
        """Read again what is shown."""
        if self._stream:
            self._read_entries()

    def _read_entries(self, at: str = "") -> None:
        self._say_order()
        source, stream = self.desk.source, self._stream
        self.loaders[self.entries].open(
            Feed(lambda ask: source.entries(stream, ask), newest_first=self._newest_first), at=at
        )

    def _say_order(self) -> None:
        order = "newest first" if self._newest_first else "oldest first"
        self.entries.tell(f"{order}, following" if self._following else order)

    def _catch_up(self, snapshot: Snapshot) -> None:
        """Read groups and entries again where the lane is no longer as it was."""
        if not self._stream or self.desk.is_old:
            return
        lane = next((lane for lane in snapshot.lanes if lane.stream == self._stream), None)
        if lane is None or lane != self._lane:
            loader = self.loaders[self.entries]
            if self._following:
                loader.to_end(last=not self._newest_first)
            elif self._lane is not None:
                loader.renew()
            self._lane = lane
            if lane is not None:
                self.aside("read the groups of the lane", partial(self._read_groups, self._stream))
        self.entries.look()

    async def _read_groups(self, stream: str) -> None:
        groups = await self.desk.source.groups(stream)
        if stream != self._stream:
            return
        table = self.query_one(GroupTable)
        table.set_all(groups)
        fit_height(table, 6)
        for group in groups:
            if group.view.name == self._group:
                consumers = self.query_one(ConsumerTable)
                consumers.set_all(group.consumers)
                fit_height(consumers, 10)

    def on_list_panel_moved(self, event: ListPanel.Moved) -> None:
        """Show the payload of the entry under the cursor."""
        self._show_entry(event.panel)

    def on_table_filled(self, event: Table.Filled) -> None:
        """Show the payload of the entry under the cursor now."""
        self._show_entry(event.panel)
        self.refresh_bindings()

    def _show_entry(self, panel: ListPanel[Any]) -> None:
        entries = self.entries
        if panel is entries:
            row = entries.selected
            sheet = entry_sheet(row, self.desk.shown.at_ms) if row is not None else None
            self.query_one(PayloadPane).show(sheet)


def fit_height(panel: ListPanel[Any], most: int) -> None:
    """Let *panel* be as high as its rows need, up to *most* lines of them."""
    height = min(max(panel.lines, 1), most) + panel.head
    if panel.styles.height is None or panel.styles.height.value != height:
        panel.styles.height = height


def short_name(stream: str) -> str:
    """Return a stream's key without what all of them share."""
    return line(stream.partition(":tasks:")[2] or stream, 64)
