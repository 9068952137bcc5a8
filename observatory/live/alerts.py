"""Alerts of one bus: raised from snapshots, told to sinks, acknowledged and muted across restarts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from observatory.live.quiet import QuietFile, Seen
from observatory.live.sinks import Notice, Outbox
from observatory.model.alert import DEFAULT_RULES, Alert, Alerts, AlertState, Change, Quiet, Rule
from observatory.model.health import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from observatory.live.sinks import Sink
    from observatory.model.clock import Clock
    from observatory.model.snapshot import Snapshot

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


class AlertKeeper:
    """Watches the snapshots of one bus.

    Args:
        rules: What is watched.
        bus: What people call the bus.
        clock: The watcher's clock.
        sinks: Who is told.
        file: Where acknowledgements and mutes are kept, shared with whoever else watches this bus on this machine;
            None forgets them at the end.
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
        self._file = QuietFile(file)
        self._present: set[str] = set()
        self._outboxes = tuple(map(Outbox, sinks))
        self._seen, mutes = self._file.read(clock.now_ms())
        self._alerts = Alerts(rules, mutes)

    @property
    def mutes(self) -> tuple[Quiet, ...]:
        """The mutes that hold."""
        return self._alerts.mutes

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps alerts from being told or remembered; empty if nothing does."""
        lost = sum(outbox.dropped for outbox in self._outboxes)
        said = [self._file.problem, *(outbox.problem for outbox in self._outboxes)]
        return tuple(filter(None, (*said, f"{lost} alerts were not told: too many at once" if lost else "")))

    def observe(self, snapshot: Snapshot) -> tuple[Change, ...]:
        """Look at the next snapshot, let sinks be told, and return what changed; it never waits for anybody."""
        now_ms = self._clock.now_ms()
        self._catch_up(now_ms)
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
        self._catch_up(self._clock.now_ms())
        if not self._alerts.acknowledge(ident, by=by, until_ms=until_ms, reason=reason):
            return False
        quiet = next(alert.acknowledged for alert in self._alerts.alerts if alert.id == ident)
        if quiet is not None:
            self._seen[ident] = Seen(ident, self._clock.now_ms(), quiet)
        self._write()
        return True

    def mute(self, rule: str, subject: str, *, by: str, until_ms: int, reason: str = "") -> Quiet:
        """Say nothing of a rule until *until_ms*; see `Alerts.mute`."""
        self._catch_up(self._clock.now_ms())
        quiet = self._alerts.mute(rule, subject, by=by, until_ms=until_ms, reason=reason)
        self._write()
        return quiet

    def unmute(self, quiet: Quiet) -> None:
        """End a mute."""
        self._catch_up(self._clock.now_ms())
        self._alerts.unmute(quiet)
        self._write()

    async def close(self) -> None:
        """Give what is still to be told a moment, then stop."""
        for outbox in self._outboxes:
            await outbox.close()

    # -- what a restart keeps, and what others said meanwhile --------------------------------------------------

    def _catch_up(self, now_ms: int) -> None:
        """Take up what another program on this machine acknowledged or muted."""
        if not self._file.changed():
            return
        self._seen, mutes = self._file.read(now_ms)
        self._alerts.keep_mutes(mutes)
        for alert in self._alerts.alerts:
            self._quieted(alert, now_ms)

    def _remembered(self, change: Change, now_ms: int) -> Change:
        """Keep quiet of what somebody acknowledged before a restart."""
        alert = self._quieted(change.alert, now_ms)
        return change if alert is change.alert else Change(change.kind, alert, tell=False)

    def _quieted(self, alert: Alert, now_ms: int) -> Alert:
        """Return *alert* acknowledged if somebody has said so of it, and note it; else as it is."""
        seen = self._seen.get(alert.id)
        if seen is None or alert.state is not AlertState.FIRING or alert.acknowledged is not None:
            return alert
        quiet = seen.quiet
        if not quiet.holds(now_ms) or _RANK[alert.severity] > _RANK[quiet.severity]:
            return alert
        self._alerts.acknowledge(alert.id, by=quiet.by, until_ms=quiet.until_ms, reason=quiet.reason)
        return replace(alert, acknowledged=quiet)

    def _forget(self) -> None:
        """Forget acknowledgements whose alerts were there and are over for good."""
        present = {alert.id for alert in self._alerts.alerts}
        over = (self._present - present) & self._seen.keys()
        self._present = present
        if over:
            self._seen = {ident: seen for ident, seen in self._seen.items() if ident not in over}
            self._write()

    def _write(self) -> None:
        self._file.write(self._seen.values(), self._alerts.mutes)
