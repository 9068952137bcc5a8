"""Alerts as they are told on the screen: one line, the bell, a notice of the terminal, and the history of this run."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from observatory.model.alert import ChangeKind
from observatory.model.health import Severity
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from observatory.model.alert import Change
    from observatory.model.snapshot import Snapshot

KEPT = 500
"""Changes of alerts that are remembered in one run."""

SHOWN_MS = 10_000
"""How long the line of an alert stands, in ms; what comes meanwhile is counted on it and makes it stand anew."""

_RESOLVED = frozenset({ChangeKind.RESOLVED, ChangeKind.SETTLED})
_INKS = {Severity.CRIT: ("✖", "error+"), Severity.WARN: ("▲", "warning+")}


class Told(NamedTuple):
    """One change of an alert: its number in this run, when it was seen, and what it was."""

    number: int
    at_ms: int
    change: Change


class Notice(NamedTuple):
    """What the line of alerts says.

    Attributes:
        words: The worst of what happened, printable, with its glyph.
        ink: Its style.
        others: How many other alerts there were since the line came up.
        until_ms: When it goes, ms of the watcher's clock.
    """

    words: str
    ink: str
    others: int
    until_ms: int


class Alarm:
    """Tells what the snapshots say has happened to alerts.

    Args:
        ring: Rings the bell and lets the terminal show a notice with these words.
    """

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._number = 0
        self._history: deque[Told] = deque(maxlen=KEPT)
        self._standing: list[Change] = []
        self._notice: Notice | None = None

    @property
    def history(self) -> tuple[Told, ...]:
        """What happened to alerts in this run, newest first."""
        return tuple(reversed(self._history))

    def notice(self, now_ms: int) -> Notice | None:
        """Return what the line of alerts says now; None for nothing."""
        return self._notice if self._notice is not None and now_ms < self._notice.until_ms else None

    def look(self, snapshot: Snapshot, now_ms: int) -> None:
        """Remember what has happened since the snapshot before, and tell what is to be told.

        Args:
            snapshot: The newest there is.
            now_ms: The watcher's clock, in ms since the epoch.
        """
        for change in snapshot.alert_changes:
            self._number += 1
            self._history.append(Told(self._number, now_ms, change))
        told = [change for change in snapshot.alert_changes if change.tell]
        if not told:
            return
        self._standing = [*(self._standing if self.notice(now_ms) is not None else ()), *told]
        worst = _worst(self._standing)
        others = len({change.alert.id for change in self._standing} - {worst.alert.id})
        words, ink = _words(worst)
        self._notice = Notice(words, ink, others, now_ms + SHOWN_MS)
        if news := [change for change in told if change.kind not in _RESOLVED]:
            loud = _worst(news)
            more = f" (+{len(news) - 1} more)" if len(news) > 1 else ""
            self._ring(f"{loud.alert.severity}: {line(loud.alert.text, 200)}{more}")


def _worst(changes: Iterable[Change]) -> Change:
    """Return what matters most; of equals the newest, for it is what the last bell was about."""
    ranks = {Severity.CRIT: 2, Severity.WARN: 1}
    return max(
        enumerate(changes),
        key=lambda pair: (pair[1].kind not in _RESOLVED, ranks.get(pair[1].alert.severity, 0), pair[0]),
    )[1]


def _words(change: Change) -> tuple[str, str]:
    alert = change.alert
    if change.kind in _RESOLVED:
        return f"✓ {change.kind}: {line(alert.text, 200)}", "success+"
    glyph, ink = _INKS.get(alert.severity, ("▲", "warning+"))
    return f"{glyph} {alert.rule.id}: {line(alert.text, 200)}", ink
