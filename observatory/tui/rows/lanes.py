"""The lanes, one line each, with the delayed and the dead below them."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from observatory.model.snapshot import LaneState
from observatory.model.task import SHARED
from observatory.tui.rows.lane_columns import LANE_COLUMNS, LANE_ROWS, LaneRow, lane_rows
from observatory.tui.table import Table

if TYPE_CHECKING:
    from observatory.model.filter import FieldSet
    from observatory.model.snapshot import LaneView, Snapshot
    from observatory.tui.drawing.lines import LineBuilder

_REMEMBERED_MS = 120_000
"""How long a lane keeps its line after it had work, in ms."""


class LaneTable(Table[LaneRow]):
    """Backlog, lag, pending, ages and rates by lane; columns are dropped by rank before anything is cut."""

    title = "Lanes"
    head: ClassVar[int] = 1
    fields: ClassVar[FieldSet[Any] | None] = LANE_ROWS
    lead: ClassVar[int] = 2

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(LANE_COLUMNS, id=id)
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
        self.set_all(lane_rows(snapshot, lanes))

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

    def _viewed(self, rows: tuple[LaneRow, ...]) -> tuple[LaneRow, ...]:
        """Name the queue on every line where lanes of one queue no longer stand together."""
        viewed = super()._viewed(rows)
        return viewed if self.view.plain else tuple(dataclasses.replace(row, first=True) for row in viewed)

    def short_words(self) -> str:
        """Say what part of the lanes is shown."""
        return self.extent or (f"+{self._hidden} idle" if self._hidden else "")

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say how the first lane comes to be."""
        return self._words_with_key(" no lanes yet: ", "s", " sends the first task")


def _is_idle(lane: LaneView) -> bool:
    return lane.state is LaneState.IDLE and not lane.backlog and not lane.pending
