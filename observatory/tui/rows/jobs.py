"""Jobs: what operators do, or did, to many things at once, and how far it is."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, ClassVar, Final

from observatory.model.plan import JobState, JobView
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobTable(Table[JobView]):
    """The newest jobs."""

    title = "Changes"
    stays_on_top: ClassVar[bool] = True
    empty: ClassVar[str] = "nobody has changed anything yet: R, X, C, T and P plan a change, z takes it back"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_COLUMNS, id=id)

    def identity(self, row: JobView) -> str:
        """A job is its id."""
        return row.id

    def as_json(self, row: JobView) -> str:
        """The job, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)


_STATES: Final[Mapping[str, tuple[str, str]]] = {
    JobState.QUEUED: ("◷ waits", "muted"),
    JobState.RUNNING: ("▸ running", "primary"),
    JobState.PAUSED: ("⏸ paused", "warning+"),
    JobState.DONE: ("✓ done", "success"),
    JobState.CANCELLED: ("⊘ cancelled", "muted"),
}


def _state(row: JobView, _cells: int) -> Cell:
    if row.abandoned:
        return "▲ abandoned", "warning+"
    return ("↩ taken back", "muted") if row.undone else _STATES[row.state]


def _far(row: JobView, _cells: int) -> Cell:
    left = f", {fmt.count(row.skipped)} left alone" if row.skipped else ""
    return f"{fmt.count(row.done)} of {fmt.count(row.total)}{left}", "text"


def _why(row: JobView, _cells: int) -> Cell:
    waits = f"behind job {row.waits_for}" if row.waits_for else ""
    return line(row.why or waits or row.asked, 200), "warning" if row.why else "muted"


_COLUMNS: Final[tuple[Column[JobView], ...]] = (
    Column("at", lambda row, _: (fmt.clock_time(row.created_ms), "faint"), 8, key=lambda row: row.created_ms),
    Column("what", lambda row, _: (line(row.verb, 20), "strong"), 11, key=lambda row: row.verb),
    Column("state", _state, 12, key=lambda row: str(row.state)),
    Column("items", _far, 14, grow=1, key=lambda row: row.total),
    Column("rate", lambda row, _: (fmt.NONE if row.rate is None else f"{row.rate:g}/s", "text"), 7, 3),
    Column("by", lambda row, _: (line(row.who, 40), "text"), 12, 4, grow=1),
    Column("why", _why, 20, 2, grow=2),
)
