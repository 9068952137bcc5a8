"""The lanes, one line each, with the delayed and the dead below them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from observatory.model.snapshot import LaneState
from observatory.model.task import SHARED
from observatory.model.text import line
from observatory.tui import format as fmt
from observatory.tui import glyphs
from observatory.tui.lines import Align, LineBuilder, sparkline
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.model.snapshot import DeadLetterSummary, LaneView, Snapshot

_REMEMBERED_MS = 120_000
"""How long a lane keeps its line after it had work, in ms."""

_LONG_S = 300
"""Age of the oldest entry from which on it stands out, in seconds."""

DELAYED, DEAD = "delayed", "dead letters"


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One line of the table.

    Attributes:
        name: Its identity: stream key, or `delayed`, or `dead letters`.
        lane: The lane; None for the two lines below the lanes.
        first: It is the first of its queue, so the queue is named.
        number: Backlog of the lines that are no lane.
        letters: The dead letters, on their line.
    """

    name: str
    lane: LaneView | None
    first: bool = False
    number: int | None = None
    letters: DeadLetterSummary | None = None


class LaneTable(ListPanel[LaneRow]):
    """Backlog, lag, pending, ages and rates by lane; columns are dropped by rank before anything is cut."""

    title: ClassVar[str] = "Lanes"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._hidden = 0
        self._active_ms: dict[str, int] = {}

    def show(self, snapshot: Snapshot, room: int) -> None:
        """Show the lanes of *snapshot*; where they need more than *room* lines, some idle lanes are only counted."""
        at_ms, before = snapshot.at_ms, self._active_ms
        self._active_ms = {
            lane.stream: before.get(lane.stream, 0) if _is_idle(lane) else at_ms for lane in snapshot.lanes
        }
        lanes = self._chosen(snapshot, room - 2)
        self._hidden = len(snapshot.lanes) - len(lanes)
        self.set_rows(lane_rows(snapshot, lanes))

    def _chosen(self, snapshot: Snapshot, room: int) -> list[LaneView]:
        """Choose the lanes to show: the shared ones, those that have or lately had work, and as many more as fit.

        A lane that was busy lately keeps its line, so that the table does not jump with every task.
        """

        def rank(lane: LaneView) -> int:
            busy = snapshot.at_ms - self._active_ms[lane.stream] < _REMEMBERED_MS
            return 0 if lane.queue == SHARED or busy else 1

        # Queues of single agents are many and mostly idle: they come last.
        lanes = sorted(snapshot.lanes, key=lambda lane: lane.queue.startswith("@"))
        ranks = [rank(lane) for lane in lanes]
        best = sorted(range(len(ranks)), key=lambda index: (ranks[index], index))
        kept = set(best[: max(room, ranks.count(0))])
        return [lane for index, lane in enumerate(lanes) if index in kept]

    def identity(self, row: LaneRow) -> str:
        """A lane is its stream key."""
        return row.name

    def as_json(self, row: LaneRow) -> str:
        """The view of the lane, as JSON."""
        view = row.lane or row.letters
        data = dataclasses.asdict(view) if view else {"name": row.name, "count": row.number}
        return json.dumps(data, default=str, ensure_ascii=True)

    def draw_heading(self, width: int) -> LineBuilder:
        """Name the columns in the heading, so that the table costs no second line."""
        builder, (name_width, shown) = self.title_piece(), _layout(width)
        said = self.extent or (f"+{self._hidden} idle" if self._hidden else "")
        builder.add(f" {said}"[: max(name_width - builder.width - 1, 0)], self.ink["muted"])
        builder.to(name_width)
        for column, cells in shown:
            builder.cell(column.title, cells, self.ink["muted"], column.align)
        return builder

    def draw_row(self, row: LaneRow, width: int) -> LineBuilder:
        """Draw one lane."""
        ink, (name_width, shown) = self.ink, _layout(width)
        builder = LineBuilder().gap(1)
        if row.lane is None:
            builder.cell(row.name, name_width - 1, ink["muted"])
        else:
            queue = line(row.lane.queue, 64) if row.first else ""
            builder.cell(queue, name_width - 11, ink["text"]).gap(1)
            style = ink[f"lane-{row.lane.priority}"]
            builder.add("▎", style).cell(str(row.lane.priority), 8, style)
        for column, cells in shown:
            text, name = column.read(row, cells)
            builder.cell(text, cells, ink[name], column.align)
        return builder

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say how the first lane comes to be."""
        return (
            LineBuilder()
            .add(" no lanes yet: ", self.ink["muted"])
            .add("s", self.ink["accent+"])
            .add(" sends the first task", self.ink["muted"])
        )


def lane_rows(snapshot: Snapshot, lanes: Sequence[LaneView]) -> tuple[LaneRow, ...]:
    """Return the lines of the table: *lanes* in their order, then delayed and dead letters."""
    if not snapshot.at_ms:
        return ()
    rows = []
    queue = None
    for lane in lanes:
        rows.append(LaneRow(lane.stream, lane, first=lane.queue != queue))
        queue = lane.queue
    rows.append(LaneRow(DELAYED, None, number=snapshot.delayed))
    rows.append(LaneRow(DEAD, None, number=snapshot.dead_letters.total, letters=snapshot.dead_letters))
    return tuple(rows)


def oldest_s(lane: LaneView) -> float | None:
    """Return the age of the oldest entry of *lane* that is not settled, waiting or in hand; None if there is none."""
    ages = (lane.oldest_waiting_s, lane.oldest_pending_s)
    return max((age for age in ages if age is not None), default=None)


def _is_idle(lane: LaneView) -> bool:
    return lane.state is LaneState.IDLE and not lane.backlog and not lane.pending


Cell = tuple[str, str]
"""Text and the name of its style."""


class Column(NamedTuple):
    """One column: heading, cells on a narrow and on a wide screen, when it is dropped (largest first), what it says."""

    title: str
    tight: int
    wide: int
    rank: int
    read: Callable[[LaneRow, int], Cell]
    align: Align = "right"


def _state(row: LaneRow, _cells: int) -> Cell:
    if row.lane is not None:
        mark = glyphs.LANES[row.lane.state]
        urgent = row.lane.state is LaneState.NO_CONSUMERS and row.lane.backlog
        return f" {mark.glyph} {mark.word}", "error+" if urgent else mark.ink
    if row.letters is None:
        return (" ◷ waiting", "muted") if row.number else (" ○ none", "muted")
    if row.letters.problem:
        return " ✖ broken", "error+"
    return (" ✖ dead", "error") if row.letters.total else (" ○ none", "muted")


def _backlog(row: LaneRow, _cells: int) -> Cell:
    value = row.lane.backlog if row.lane is not None else row.number
    if row.lane is None and row.letters is not None and value:
        return fmt.count(value), "error+"
    return fmt.count(value), "faint" if value == 0 else "strong"


def _lag(row: LaneRow, _cells: int) -> Cell:
    lane = row.lane
    if lane is None or (not lane.groups and lane.state is not LaneState.BROKEN):
        return fmt.NONE, "faint"
    lag = _waiting(lane)
    return fmt.count(lag), "warning" if lag is None else "faint" if lag == 0 else "text"


def _waiting(lane: LaneView) -> int | None:
    """Return the lag; where the engine has forgotten it, what follows from the backlog, if that is known."""
    if lane.lag is not None or lane.backlog is None:
        return lane.lag
    return 0 if lane.oldest_waiting_s is None else lane.backlog - (lane.pending or 0)


def _pending(row: LaneRow, _cells: int) -> Cell:
    if row.lane is None:
        return fmt.NONE, "faint"
    return fmt.count(row.lane.pending), "faint" if row.lane.pending == 0 else "text"


def _oldest(row: LaneRow, _cells: int) -> Cell:
    if row.lane is None:
        seconds = row.letters.oldest_s if row.letters else None
        return fmt.age(seconds), "text" if seconds is not None else "faint"
    if row.lane.length is None:
        return fmt.UNKNOWN, "warning"
    seconds = oldest_s(row.lane)
    return fmt.age(seconds), "faint" if seconds is None else "warning+" if seconds >= _LONG_S else "text"


def _rate(value: float | None) -> Cell:
    return fmt.rate(value), "faint" if value == 0 else "muted" if value is None else "text"


def _in(row: LaneRow, _cells: int) -> Cell:
    if row.lane is None:
        return _rate(row.letters.rate) if row.letters else (fmt.NONE, "faint")
    return _rate(row.lane.in_rate)


def _out(row: LaneRow, _cells: int) -> Cell:
    return _rate(row.lane.out_rate) if row.lane is not None else (fmt.NONE, "faint")


def _drain(row: LaneRow, _cells: int) -> Cell:
    lane = row.lane
    if lane is None or lane.backlog == 0 or (lane.groups and _waiting(lane) == 0):
        return fmt.NONE, "faint"
    if lane.in_rate is None or lane.out_rate is None or lane.backlog is None:
        return fmt.UNKNOWN, "muted"
    if (eta := lane.drain_eta_s) is not None:
        return fmt.age(eta), "text"
    if lane.in_rate > lane.out_rate:
        return "▲ grows", "warning"
    return ("steady", "muted") if lane.out_rate else ("standing", "muted")


def _trend(row: LaneRow, cells: int) -> Cell:
    if row.lane is None:
        return "", "muted"
    return sparkline(row.lane.trend, cells - 2), "trend"


_COLUMNS: tuple[Column, ...] = (
    Column(" state", 15, 17, 0, _state, "left"),
    Column("backlog", 8, 11, 1, _backlog),
    Column("lag", 8, 10, 5, _lag),
    Column("pending", 8, 10, 2, _pending),
    Column("oldest", 7, 10, 3, _oldest),
    Column("in/s", 6, 9, 6, _in),
    Column("out/s", 6, 9, 7, _out),
    Column("drain", 9, 11, 8, _drain),
    Column("trend", 12, 12, 9, _trend),
)
_WIDE = 110
_LONGEST_TREND = 62
_NAME, _WIDEST_NAME = 19, 26


def _layout(width: int) -> tuple[int, list[tuple[Column, int]]]:
    """Return the cells for the name and for each column that fits in *width*; name and trend take what is left."""
    shown = {column: column.tight if width < _WIDE else column.wide for column in _COLUMNS}
    while len(shown) > 1 and _NAME + sum(shown.values()) > width:
        del shown[max(shown, key=lambda column: column.rank)]
    spare = max(width - 1 - _NAME - sum(shown.values()), 0)
    name = _NAME + min(spare, _WIDEST_NAME - _NAME)
    trend = _COLUMNS[-1]
    if trend in shown:
        shown[trend] = min(trend.wide + spare - (name - _NAME), _LONGEST_TREND)
    return name, list(shown.items())
