"""The audit of operators, and the command log: who did what, and what was really sent to the engine for it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, ClassVar, Final

from observatory.model.plan import AuditRecord, Phase, SentCall
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping


class AuditTable(Table[AuditRecord]):
    """Records of the audit."""

    title = "Audit"
    stays_on_top: ClassVar[bool] = True
    empty: ClassVar[str] = "no operator has changed anything yet"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_RECORD, id=id)

    def identity(self, row: AuditRecord) -> str:
        """A record is its entry."""
        return row.id

    def as_json(self, row: AuditRecord) -> str:
        """The record, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)


class SentTable(Table[SentCall]):
    """Calls of this session."""

    title = "Sent to the engine"
    stays_on_top: ClassVar[bool] = True
    empty: ClassVar[str] = "nothing was sent from here yet that changes anything"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_CALL, id=id)

    def identity(self, row: SentCall) -> str:
        """A call is its time and its words."""
        return f"{row.at_ms} {row.ms} {row.words}"

    def as_json(self, row: SentCall) -> str:
        """The call, as JSON."""
        return json.dumps(dataclasses.asdict(row), ensure_ascii=True)


_PHASES: Final[Mapping[str, tuple[str, str]]] = {
    Phase.INTENT: ("○ intent", "muted"),
    Phase.RESULT: ("● result", "text"),
    Phase.REFUSED: ("✖ refused", "warning+"),
}


def _outcome(row: AuditRecord, _cells: int) -> Cell:
    words = f"{row.outcome}: {row.why}" if row.why else row.outcome
    return line(words, 200) or fmt.NONE, "warning" if row.why else "success" if row.outcome == "done" else "muted"


_RECORD: Final[tuple[Column[AuditRecord], ...]] = (
    Column("at", lambda row, _: (fmt.clock_time(row.at_ms), "faint"), 8, key=lambda row: row.at_ms),
    Column("phase", lambda row, _: _PHASES[row.phase], 9, 5, key=lambda row: str(row.phase)),
    Column("what", lambda row, _: (line(row.verb, 30), "strong"), 11, key=lambda row: row.verb),
    Column("things", lambda row, _: (fmt.count(row.count), "text"), 6, 2, align="right", key=lambda row: row.count),
    Column("outcome", _outcome, 12, grow=1),
    Column("by", lambda row, _: (line(row.who, 60), "text"), 12, 4, grow=1, key=lambda row: row.who),
    Column("asked", lambda row, _: (line(row.asked, 200), "text"), 14, 3, grow=2),
    Column("reason", lambda row, _: (line(row.reason, 200), "muted"), 10, 6, grow=1),
)

_CALL: Final[tuple[Column[SentCall], ...]] = (
    Column("at", lambda row, _: (fmt.clock_time(row.at_ms), "faint"), 8, key=lambda row: row.at_ms),
    Column("took", lambda row, _: (fmt.milliseconds(row.ms), "text"), 7, 2, align="right", key=lambda row: row.ms),
    Column("sent", lambda row, _: (row.words, "strong"), 30, grow=3),
    Column("answer", lambda row, _: (row.answer, "error" if row.answer.startswith("✖") else "muted"), 12, 3, grow=1),
)
