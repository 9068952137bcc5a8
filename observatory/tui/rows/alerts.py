"""Alerts: those that stand now, worst first, and below them what happened to alerts in this run, newest first."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from observatory.model.alert import AlertState, ChangeKind
from observatory.model.text import line
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.engine import SEVERITIES
from observatory.tui.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from observatory.model.alert import Alert
    from observatory.model.clock import Clock
    from observatory.model.snapshot import Snapshot
    from observatory.tui.app.alarm import Told


class AlertRow(NamedTuple):
    """One alert, as it stands or as it was.

    Attributes:
        alert: The alert, then.
        at_ms: Since when it stands, or when that happened; ms of the watcher's clock.
        what: Its state, or what happened to it.
        number: Place of a change in the history of this run, from 1; 0 for an alert that stands now.
    """

    alert: Alert
    at_ms: int
    what: str
    number: int = 0


class AlertTable(Table[AlertRow]):
    """What fires, who knows of it, and what came and went."""

    title = "Alerts"
    stays_on_top: ClassVar[bool] = True
    empty: ClassVar[str] = "✓ no alert since this program was started"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(_columns(clock), id=id)

    def identity(self, row: AlertRow) -> str:
        """An alert is its id; a change is its number."""
        return f"#{row.number}" if row.number else row.alert.id

    def as_json(self, row: AlertRow) -> str:
        """The alert, as JSON."""
        return json.dumps({"what": row.what, **dataclasses.asdict(row.alert)}, default=str, ensure_ascii=True)

    def set_truth(self, *, known: bool, old: bool) -> None:
        """Alerts are what the watcher knows by itself: they are true while the bus is silent, too."""
        del old
        super().set_truth(known=known, old=False)

    def show(self, snapshot: Snapshot, history: Iterable[Told]) -> None:
        """Show what stands in *snapshot*, then what happened before."""
        self.say(f"▲ {line(snapshot.alert_problems[0], 200)}" if snapshot.alert_problems else "", "warning")
        self.set_all((*_standing(snapshot), *_happened(history)))


class AlertPanel(AlertTable):
    """The alerts that stand, as a panel of few lines."""

    head: ClassVar[int] = 1
    lead: ClassVar[int] = 2
    empty: ClassVar[str] = "✓ no alert fires"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(clock, id=id)
        self.columns = (_SINCE, _WHAT, _ALERT)

    def short_words(self) -> str:
        """Say what part is shown."""
        return self.extent


def _standing(snapshot: Snapshot) -> Iterator[AlertRow]:
    for alert in snapshot.alerts:
        if alert.state is not AlertState.RESOLVED:
            yield AlertRow(alert, alert.since_ms, alert.state)


def _happened(history: Iterable[Told]) -> Iterator[AlertRow]:
    for told in history:
        yield AlertRow(told.change.alert, told.at_ms, told.change.kind, told.number)


_WORDS: Mapping[str, tuple[str, str]] = {
    AlertState.PENDING: ("◌ pending", "muted"),
    ChangeKind.RESOLVED: ("✓ resolved", "success"),
    ChangeKind.SETTLED: ("✓ settled", "success"),
    ChangeKind.BETTER: ("↓ better", "muted"),
}


def _what(row: AlertRow, _cells: int) -> Cell:
    alert = row.alert
    glyph, ink = SEVERITIES[alert.severity]
    quiet = alert.muted or alert.acknowledged
    if not row.number and quiet is not None:
        end = "" if quiet.until_ms is None else f" →{fmt.clock_time(quiet.until_ms)[:5]}"
        return f"{glyph} {'muted' if alert.muted else 'seen'}{end}", "muted"
    if row.what in _WORDS:
        return _WORDS[row.what]
    return f"{glyph} {row.what}", ink.removesuffix("+") if row.number or quiet else ink


def _told(clock: Clock) -> Callable[[AlertRow, int], Cell]:
    """Return the reader of who said that an alert need not be told, for how long and why."""

    def read(row: AlertRow, _cells: int) -> Cell:
        alert = row.alert
        quiet = alert.muted or alert.acknowledged
        if quiet is None:
            return "", "muted"
        how = "muted" if alert.muted else "acknowledged"
        left = "" if quiet.until_ms is None else f", {fmt.age(max(quiet.until_ms - clock.now_ms(), 0) / 1000)} left"
        why = f": {line(quiet.reason, 120)}" if quiet.reason else ""
        return f"{how} by {line(quiet.by, 30)}{left if not row.number else ''}{why}", "muted"

    return read


_SINCE: Final[Column[AlertRow]] = Column(
    "since", lambda row, _: (fmt.clock_time(row.at_ms), "faint"), 8, key=lambda row: row.at_ms
)
_WHAT: Final[Column[AlertRow]] = Column("what", _what, 14, key=lambda row: str(row.what))
_ALERT: Final[Column[AlertRow]] = Column("alert", lambda row, _: (line(row.alert.text, 200), "text"), 30, grow=2)


def _columns(clock: Clock) -> tuple[Column[AlertRow], ...]:
    return (
        _SINCE,
        _WHAT,
        Column("rule", lambda row, _: (line(row.alert.rule.id, 40), "text" if row.number else "strong"), 17, 2,
               wide=20, key=lambda row: row.alert.rule.id),
        _ALERT,
        Column("who knows", _told(clock), 30, 3, grow=1, most=60),
    )  # fmt: skip
