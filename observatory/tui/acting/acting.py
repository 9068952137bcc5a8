"""What every screen can do to the bus: plan, review, carry out, tell, take back; and allow writing for a while."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from textual.screen import Screen

from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.plan import Consent, Level, PauseLanes, ResumeLanes, Reversal, UndoJob
from observatory.model.plan.pace import pace_for
from observatory.model.quantity import duration_s
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.model.plan import Plan, Report, Request
    from observatory.tui.desk import Desk

PACED_FROM: Final = 21
"""Dead letters from which on a requeue is paced, behind a canary."""

RATE: Final = 50.0
"""Items a second of a paced requeue, until somebody says otherwise."""

ARMED_FOR: Final = "15m"
"""How long writing is allowed where nobody says."""


class Acting(Screen[None]):
    """The part of a screen that changes things."""

    desk: Desk

    def aside(self, name: str, work: Callable[[], Awaitable[None]], *, writes: bool = False) -> None:
        """Do *work* beside the keys; see `DataScreen`."""
        raise NotImplementedError

    def act(self, request: Request, *, hidden: int = 0, then: Callable[[Report], None] = lambda _report: None) -> None:
        """Plan *request*; ask where it takes more than a key, and carry it out.

        Args:
            request: What is wanted.
            hidden: How many of the things the filter of the list hides.
            then: Told what was done.
        """
        name = f"plan of {type(request).__name__} {hash(request)}"
        self.aside(name, partial(self._plan, request, hidden, then), writes=True)

    async def _plan(self, request: Request, hidden: int, then: Callable[[Report], None]) -> None:
        plan = await self.desk.actions.plan(request)
        if plan.verb == "requeue" and len(plan.items) >= PACED_FROM:
            plan = replace(plan, pace=pace_for(RATE))
        if not plan.items:
            whys = dict.fromkeys(item.why for item in plan.skipped)
            words = f"{plan.verb}: nothing to do{': ' if whys else ''}{'; '.join(list(whys)[:3])}"
            self.notify(line(words, 300), severity="warning", markup=False)
            return
        need = self.desk.actions.demand(plan)
        if need.level is Level.NONE:
            await self._carry_out(plan, then, Consent())
            return
        from observatory.tui.acting.review import Review  # noqa: PLC0415 - not needed for the first paint

        def answered(consent: Consent | None) -> None:
            if consent is not None:
                self.aside(f"{plan.verb} {plan.id}", partial(self._carry_out, plan, then, consent), writes=True)

        self.app.push_screen(Review(plan, need, context=self.desk.context, hidden=hidden), answered)

    async def _carry_out(self, plan: Plan, then: Callable[[Report], None], consent: Consent) -> None:
        if not plan.pace.is_free:
            self.notify(f"{plan.verb}: {plan.pace.words}; screen 8 shows how far it is", markup=False)
        with self.desk.changes.making():
            report = await self.desk.actions.execute(plan, consent)
            self.desk.changes.did(report)
        self.notify(words_of(report), severity="information" if report.done else "warning", markup=False)
        then(report)

    def action_undo(self) -> None:
        """Take back what was done last."""
        self._undo(self.desk.changes.last)

    def action_redo(self) -> None:
        """Do again what was taken back last."""
        self._undo(self.desk.changes.last_undone)

    def _undo(self, job: str) -> None:
        if self.desk.changes.is_making:
            self.notify("a change is still being made", severity="warning", timeout=3, markup=False)
        elif job:
            self.act(UndoJob(job))
        else:
            self.notify("nothing of this session is left to take back", severity="warning", timeout=3, markup=False)

    def action_write(self, words: str = "") -> None:
        """Allow writing for a while, or not any more: `on 15m`, `off`."""
        switch, _, time = words.strip().partition(" ")
        try:
            if switch == "off":
                self.desk.actions.disarm()
                self.notify("writing is not allowed any more", markup=False)
            else:
                seconds = duration_s(time or (ARMED_FOR if switch in {"", "on"} else switch))
                self.desk.actions.arm(seconds)
                self.notify(f"writing is allowed for {seconds / 60:g} minutes", severity="warning", markup=False)
        except (ObservatoryError, ValueError) as error:
            self.notify(line(str(error), 200), title="write", severity="error", markup=False)
        self.refresh_bindings()


def words_of(report: Report) -> str:
    """Return the report as a toast: what was done, where it is now, and how to take it back."""
    done = set(report.done)
    where = {line(item.target, 80) for item in report.plan.items if item.id in done and item.target}
    places = f" → {', '.join(sorted(where)[:3])}" if where else ""
    back = "" if not report.done or report.plan.reversal is Reversal.NONE else "; z takes it back"
    return f"{line(report.summary, 300)}{places}{back}"


def pausing(places: tuple[str, ...], time: str, *, paused: bool = False) -> Request:
    """Return the request that pauses *places*, or lets them go on.

    Args:
        places: Lanes or agents.
        time: For how long, as in `10m`; `off` to let them go on; empty for until somebody says so.
        paused: They are paused now, so that without a time they go on.

    Raises:
        UsageError: *time* is none.
    """
    if time.strip() == "off" or (paused and not time.strip()):
        return ResumeLanes(places)
    try:
        return PauseLanes(places, duration_s(time) if time.strip() else None)
    except ValueError as error:
        raise UsageError(f"pause: {error}", "as in 10m") from None
