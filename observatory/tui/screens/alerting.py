"""What screens that list alerts have in common: acknowledging one, muting it, and ending a mute."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from observatory.model.alert import AlertState, read_target
from observatory.model.text import line
from observatory.tui.rows.alerts import AlertTable
from observatory.tui.screens.base import DataScreen

if TYPE_CHECKING:
    from observatory.model.alert import Alert
    from observatory.tui.dialogs.quiet import Silence


class AlertingScreen(DataScreen):
    """A screen with a list of alerts. What is said of one goes to the desk of the source, which outlives the app."""

    def action_acknowledge(self) -> None:
        """Say that somebody has seen the alert under the cursor."""
        alert = self._alert()
        if alert is None:
            return
        if not any(each.id == alert.id and each.state is AlertState.FIRING for each in self.desk.latest.alerts):
            self._refuse("it does not fire now, so there is nothing to acknowledge")
        else:
            self._open_form(alert, mutes=False)

    def action_mute(self) -> None:
        """Say nothing more of the alert under the cursor for a while."""
        if (alert := self._alert()) is not None:
            self._open_form(alert, mutes=True)

    def action_unmute(self) -> None:
        """End the mutes that cover the alert under the cursor."""
        alert, desk = self._alert(), self.desk.source.alerts
        if alert is None or desk is None:
            return
        covering = [mute for mute in desk.mutes if mute.covers(alert.rule.id, alert.subject)]
        for mute in covering:
            desk.unmute(mute)
        if covering:
            self.notify(f"{line(alert.id, 60)} is heard again", markup=False)
        else:
            self._refuse("no mute covers it")

    def _alert(self) -> Alert | None:
        """Return the alert under the cursor, the worst where no alert has it; say so where there is none at all."""
        row = self.query_one(AlertTable).selected
        if self.desk.source.alerts is None:
            self._refuse("nobody watches for alerts here")
        elif row is None:
            self._refuse("no alert to speak of")
        else:
            return row.alert
        return None

    def _open_form(self, alert: Alert, *, mutes: bool) -> None:
        from observatory.tui.dialogs.quiet import QuietForm  # noqa: PLC0415 - not needed for the first paint

        form = QuietForm(alert.id, alert.text, mutes=mutes)
        self.app.push_screen(form, partial(self._answered, mutes=mutes))

    def _answered(self, silence: Silence | None, *, mutes: bool) -> None:
        desk = self.desk.source.alerts
        if silence is None or desk is None:
            return
        by, now_ms = self.desk.bus.operator, self.desk.clock.now_ms()
        until_ms = None if silence.for_s is None else now_ms + round(silence.for_s * 1000)
        if mutes and until_ms is not None:
            rule, subject = read_target(silence.target)
            desk.mute(rule, subject, by=by, until_ms=until_ms, reason=silence.reason)
            self.notify(f"muted {line(silence.target, 60)}; U ends that", markup=False)
        elif desk.acknowledge(silence.target, by=by, until_ms=until_ms, reason=silence.reason):
            self.notify(f"acknowledged {line(silence.target, 60)}", markup=False)
        else:
            self._refuse("it is over by now")

    def _refuse(self, why: str) -> None:
        self.notify(why, severity="warning", timeout=3, markup=False)
