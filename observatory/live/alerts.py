"""Alerts of one bus: raised from snapshots, told to sinks, acknowledged and muted across restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from observatory.live.sinks import Notice, Outbox
from observatory.model.alert import DEFAULT_RULES, Alerts, AlertState, Change, Quiet, Rule
from observatory.model.health import Severity
from observatory.model.text import line
from observatory.settings.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from observatory.live.sinks import Sink
    from observatory.model.clock import Clock
    from observatory.model.snapshot import Snapshot

KEPT_MS: Final = 86_400_000
"""Time after which an acknowledgement without an end is forgotten if its alert has not been seen again, in ms."""

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class _Seen:
    """An acknowledgement as it is kept: of which alert, given when."""

    ident: str
    given_ms: int
    quiet: Quiet


class AlertKeeper:
    """Watches the snapshots of one bus.

    Args:
        rules: What is watched.
        bus: What people call the bus.
        clock: The watcher's clock.
        sinks: Who is told.
        file: Where acknowledgements and mutes are kept; None forgets them at the end.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = DEFAULT_RULES,
        *,
        bus: str,
        clock: Clock,
        sinks: Iterable[Sink] = (),
        file: Path | None = None,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._file = file
        self._trouble = ""
        self._present: set[str] = set()
        self._outboxes = tuple(map(Outbox, sinks))
        self._seen, mutes = self._read()
        self._alerts = Alerts(rules, mutes)

    @property
    def mutes(self) -> tuple[Quiet, ...]:
        """The mutes that hold."""
        return self._alerts.mutes

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps alerts from being told or remembered; empty if nothing does."""
        lost = sum(outbox.dropped for outbox in self._outboxes)
        said = [self._trouble, *(outbox.problem for outbox in self._outboxes)]
        return tuple(filter(None, (*said, f"{lost} alerts were not told: too many at once" if lost else "")))

    def observe(self, snapshot: Snapshot) -> tuple[Change, ...]:
        """Look at the next snapshot, let sinks be told, and return what changed; it never waits for anybody."""
        now_ms = self._clock.now_ms()
        changes = tuple(self._remembered(change, now_ms) for change in self._alerts.observe(snapshot, now_ms))
        for change in changes:
            if change.tell:
                for outbox in self._outboxes:
                    outbox.put(Notice(change.kind, change.alert, self._bus, now_ms))
        self._forget()
        return changes

    def told(self, snapshot: Snapshot, changes: tuple[Change, ...] = ()) -> Snapshot:
        """Return *snapshot* with the alerts as they stand, and with *changes*, which `observe` returned."""
        return replace(snapshot, alerts=self._alerts.alerts, alert_changes=changes, alert_problems=self.problems)

    def acknowledge(self, ident: str, *, by: str, until_ms: int | None = None, reason: str = "") -> bool:
        """Take note that somebody has seen a firing alert, until it is over, gets worse, or *until_ms* passes.

        Returns:
            Whether there is such an alert, firing.
        """
        if not self._alerts.acknowledge(ident, by=by, until_ms=until_ms, reason=reason):
            return False
        quiet = next(alert.acknowledged for alert in self._alerts.alerts if alert.id == ident)
        if quiet is not None:
            self._seen[ident] = _Seen(ident, self._clock.now_ms(), quiet)
        self._write()
        return True

    def mute(self, rule: str, subject: str, *, by: str, until_ms: int, reason: str = "") -> Quiet:
        """Say nothing of a rule until *until_ms*; see `Alerts.mute`."""
        quiet = self._alerts.mute(rule, subject, by=by, until_ms=until_ms, reason=reason)
        self._write()
        return quiet

    def unmute(self, quiet: Quiet) -> None:
        """End a mute."""
        self._alerts.unmute(quiet)
        self._write()

    async def close(self) -> None:
        """Give what is still to be told a moment, then stop."""
        for outbox in self._outboxes:
            await outbox.close()

    # -- what a restart keeps ----------------------------------------------------------------------------------

    def _remembered(self, change: Change, now_ms: int) -> Change:
        """Keep quiet of what somebody acknowledged before a restart."""
        alert = change.alert
        seen = self._seen.get(alert.id)
        if seen is None:
            return change
        firing = alert.state is AlertState.FIRING and alert.acknowledged is None and seen.quiet.holds(now_ms)
        if not firing or _RANK[alert.severity] > _RANK[seen.quiet.severity]:
            return change
        quiet = seen.quiet
        self._alerts.acknowledge(alert.id, by=quiet.by, until_ms=quiet.until_ms, reason=quiet.reason)
        return Change(change.kind, replace(alert, acknowledged=quiet), tell=False)

    def _forget(self) -> None:
        """Forget acknowledgements whose alerts were there and are over for good."""
        present = {alert.id for alert in self._alerts.alerts}
        over = (self._present - present) & self._seen.keys()
        self._present = present
        if over:
            self._seen = {ident: seen for ident, seen in self._seen.items() if ident not in over}
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        document = {
            "acknowledged": [
                {"id": seen.ident, "given_ms": seen.given_ms, **_plain(seen.quiet)} for seen in self._seen.values()
            ],
            "muted": [_plain(quiet) for quiet in self._alerts.mutes],
        }
        try:
            write_atomically(self._file, json.dumps(document, indent=1))
        except OSError as error:
            self._trouble = f"{self._file}: cannot be written: {error.strerror}"
        else:
            self._trouble = ""

    def _read(self) -> tuple[dict[str, _Seen], tuple[Quiet, ...]]:
        now_ms = self._clock.now_ms()
        try:
            document = json.loads(self._file.read_text(encoding="utf-8")) if self._file else {}
            seen = [_Seen(row["id"], int(row["given_ms"]), _quiet(row)) for row in document.get("acknowledged", ())]
            mutes = [_quiet(row) for row in document.get("muted", ())]
        except FileNotFoundError:
            return {}, ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._trouble = line(f"{self._file}: cannot be read: {error}")
            return {}, ()
        kept = (
            one
            for one in seen
            if one.quiet.holds(now_ms) and (one.quiet.until_ms is not None or now_ms - one.given_ms < KEPT_MS)
        )
        return {one.ident: one for one in kept}, tuple(quiet for quiet in mutes if quiet.holds(now_ms))


def _plain(quiet: Quiet) -> dict[str, Any]:
    return {
        "by": quiet.by,
        "until_ms": quiet.until_ms,
        "rule": quiet.rule,
        "subject": quiet.subject,
        "reason": quiet.reason,
        "severity": str(quiet.severity),
    }


def _quiet(row: dict[str, Any]) -> Quiet:
    until = row["until_ms"]
    return Quiet(
        by=str(row["by"]),
        until_ms=None if until is None else int(until),
        rule=str(row["rule"]),
        subject=str(row["subject"]),
        reason=str(row["reason"]),
        severity=Severity(row["severity"]),
    )
