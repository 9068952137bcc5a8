"""Alerts on the screen: a toast, the bell, a notice of the terminal, and a history for the screen of activity."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from observatory.model.alert import Alerts, ChangeKind
from observatory.model.health import Severity
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.model.alert import Change, Rule
    from observatory.model.snapshot import Snapshot

KEPT = 500
"""Changes of alerts that are remembered in one run."""

_RESOLVED = frozenset({ChangeKind.RESOLVED, ChangeKind.SETTLED})


class Told(NamedTuple):
    """One change of an alert: its number in this run, when it was seen, and what it was."""

    number: int
    at_ms: int
    change: Change


class Alarm:
    """Watches the snapshots of one run.

    Args:
        rules: What is watched.
        toast: Shows words, a title and a severity of a toast.
        ring: Rings the bell and lets the terminal show a notice with these words.
    """

    def __init__(
        self, rules: Sequence[Rule], toast: Callable[[str, str, str], None], ring: Callable[[str], None]
    ) -> None:
        self._alerts = Alerts(rules)
        self._toast = toast
        self._ring = ring
        self._number = 0
        self._history: deque[Told] = deque(maxlen=KEPT)

    @property
    def history(self) -> tuple[Told, ...]:
        """What happened to alerts in this run, newest first."""
        return tuple(reversed(self._history))

    def look(self, snapshot: Snapshot, now_ms: int) -> None:
        """Look at the next snapshot and tell what happened.

        Args:
            snapshot: The newest there is.
            now_ms: The watcher's clock, in ms since the epoch.
        """
        for change in self._alerts.observe(snapshot, now_ms):
            self._number += 1
            self._history.append(Told(self._number, now_ms, change))
            if change.tell:
                self._tell(change)

    def _tell(self, change: Change) -> None:
        words = line(change.alert.text, 200)
        if change.kind in _RESOLVED:
            self._toast(words, f"✓ {change.kind}", "information")
            return
        severe = change.alert.severity is Severity.CRIT
        self._toast(words, f"{'✖' if severe else '▲'} {change.alert.rule.id}", "error" if severe else "warning")
        self._ring(f"{change.alert.severity}: {words}")


def notice(words: str) -> str:
    """Return the sequence by which a terminal shows *words* outside of its window (OSC 9)."""
    return f"\x1b]9;{line(words, 200)}\x07"


def through_tmux(sequence: str) -> str:
    """Return *sequence* as tmux hands it on to the terminal around it, where `allow-passthrough` is on."""
    escaped = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{escaped}\x1b\\"
