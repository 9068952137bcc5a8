"""The columns of every table of lanes: what each says of a lane, of the delayed work and of the dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.model.filter import Field, FieldSet, FieldValue
from observatory.model.filter.rows import LANES
from observatory.model.snapshot import LaneState
from observatory.model.task import Priority
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing import glyphs
from observatory.tui.drawing.lines import sparkline
from observatory.tui.table import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.model.snapshot import DeadLetterSummary, LaneView, Snapshot

DELAYED, DEAD = "delayed", "dead letters"
"""Names of the two lines below the lanes."""

_LONG_S = 300
"""Age of the oldest entry from which on it stands out, in seconds."""


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


def _through_lane(field: Field[LaneView]) -> Field[LaneRow]:
    """Return *field* of the lane of a row; of the lines below the lanes nothing is known."""

    def read(row: LaneRow) -> FieldValue:
        return None if row.lane is None else field.read(row.lane)

    return Field(field.name, field.kind, read, field.help, field.aliases, field.choices, field.words)


LANE_ROWS: FieldSet[LaneRow] = FieldSet("lanes", tuple(map(_through_lane, LANES.fields)))
"""What lines of lanes can be filtered by."""


def lane_rows(snapshot: Snapshot, lanes: Sequence[LaneView]) -> tuple[LaneRow, ...]:
    """Return the lines of a table: *lanes* in their order, with delayed and dead letters before those of single agents.

    Queues of agents are many; what they push out of view should not be the dead letters.
    """
    if not snapshot.at_ms:
        return ()
    rows = []
    queue = None
    below = [
        LaneRow(DELAYED, None, number=snapshot.delayed),
        LaneRow(DEAD, None, number=snapshot.dead_letters.total, letters=snapshot.dead_letters),
    ]
    for lane in lanes:
        if lane.queue.startswith("@"):
            rows += below
            below = []
        rows.append(LaneRow(lane.stream, lane, first=lane.queue != queue))
        queue = lane.queue
    return (*rows, *below)


def oldest_s(lane: LaneView) -> float | None:
    """Return the age of the oldest entry of *lane* that is not settled, waiting or in hand; None if there is none."""
    ages = (lane.oldest_waiting_s, lane.oldest_pending_s)
    return max((age for age in ages if age is not None), default=None)


def _state(row: LaneRow, _cells: int) -> Cell:
    if row.lane is not None:
        mark = glyphs.LANES[row.lane.state]
        urgent = row.lane.state is LaneState.NO_CONSUMERS and row.lane.backlog
        return f"{mark.glyph} {mark.word}", "error+" if urgent else mark.ink
    if row.letters is None:
        return ("◷ waiting", "muted") if row.number else ("○ none", "muted")
    if row.letters.problem:
        return "✖ broken", "error+"
    return ("✖ dead", "error") if row.letters.total else ("○ none", "muted")


def _backlog(row: LaneRow, _cells: int) -> Cell:
    value = row.lane.backlog if row.lane is not None else row.number
    if row.lane is None and row.letters is not None and value:
        return fmt.count(value), "error+"
    return fmt.count(value), "faint" if value == 0 else "strong"


def _lag(row: LaneRow, _cells: int) -> Cell:
    lane = row.lane
    if lane is None or (not lane.groups and lane.state is not LaneState.BROKEN):
        return fmt.NONE, "faint"
    lag = waiting(lane)
    return fmt.count(lag), "warning" if lag is None else "faint" if lag == 0 else "text"


def waiting(lane: LaneView) -> int | None:
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
    if lane is None or lane.backlog == 0 or (lane.groups and waiting(lane) == 0):
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
    return f" {sparkline(row.lane.trend, cells - 1)}", "trend"


def _queue(row: LaneRow, _cells: int) -> Cell:
    if row.lane is None:
        return row.name, "muted"
    return (line(row.lane.queue, 64) if row.first else ""), "text"


def _priority(row: LaneRow, _cells: int) -> Cell:
    return (f"▎{row.lane.priority}", f"lane-{row.lane.priority}") if row.lane is not None else ("", "muted")


def _of_lane(read: Callable[[LaneView], float | None]) -> Callable[[LaneRow], float | None]:
    """Return what a row is sorted by: a number of its lane; the lines below the lanes stay below."""
    return lambda row: None if row.lane is None else read(row.lane)


_URGENCY = {priority: place for place, priority in enumerate(Priority)}

LANE_COLUMNS: tuple[Column[LaneRow], ...] = (
    Column("queue", _queue, 12, wide=15, grow=1, most=18, key=lambda row: row.lane and row.lane.queue),
    Column("priority", _priority, 9, key=_of_lane(lambda lane: _URGENCY[lane.priority])),
    Column("state", _state, 14, wide=16, key=lambda row: row.lane and str(row.lane.state)),
    Column("backlog", _backlog, 7, 1, wide=10, align="right", key=_of_lane(lambda lane: lane.backlog)),
    Column("lag", _lag, 7, 5, wide=9, align="right", key=_of_lane(waiting)),
    Column("pending", _pending, 7, 2, wide=9, align="right", key=_of_lane(lambda lane: lane.pending)),
    Column("oldest", _oldest, 6, 3, wide=9, align="right", key=_of_lane(oldest_s)),
    Column("in/s", _in, 5, 6, wide=8, align="right", key=_of_lane(lambda lane: lane.in_rate)),
    Column("out/s", _out, 5, 7, wide=8, align="right", key=_of_lane(lambda lane: lane.out_rate)),
    Column("drain", _drain, 8, 8, wide=10, align="right", key=_of_lane(lambda lane: lane.drain_eta_s)),
    Column("trend", _trend, 11, 9, grow=3, most=61, align="right"),
)
