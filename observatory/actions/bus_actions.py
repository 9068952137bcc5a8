"""The `Actions` of a live bus: plans, and the only way to carry them out."""

from __future__ import annotations

import asyncio
import getpass
import secrets
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.actions.guard import Guard
from observatory.actions.runner import Runner
from observatory.actions.verbs import INVERSES, VERBS
from observatory.actions.verbs.verb import DONE, Draft
from observatory.bus.moves import logged, new_log
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusError, ObservatoryError, RefusedError, UsageError
from observatory.model.plan import (
    AuditRecord,
    Pace,
    Phase,
    Plan,
    Report,
    Request,
    Reversal,
    SkippedItem,
    UndoJob,
)
from observatory.model.plan.consent import NO_WORDS, Consent
from observatory.model.plan.plan import UNPACED
from observatory.model.plan.record import NAMED, digest_of
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.bus import Bus
    from observatory.model.plan import Demand, JobView, SentCall
    from observatory.model.retention import Retention


class BusActions:
    """Plans changes of a bus and carries them out.

    Args:
        bus: A connected bus.
        clock: By which plans are dated and jobs are paced.
        guard: Says whether anything may be changed; lets everything pass by default.
        actor: Who acts, for the audit; `<user>@<host>` by default.
        context: Name of the bus for people, for the audit.
        sleep: Waits for seconds of the clock.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock | None = None,
        *,
        guard: Guard | None = None,
        actor: str = "",
        context: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bus = bus
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self.guard = guard or Guard(clock=self._clock)
        self.actor = actor or f"{getpass.getuser()}@{socket.gethostname()}"
        self.context = context or bus.url
        self._sent = new_log()

    # -- what may be done ---------------------------------------------------------------------------------------

    @property
    def refusal(self) -> str:
        """Why nothing may be changed now, in words; empty if something may."""
        return self.guard.refusal

    @property
    def armed_s(self) -> float | None:
        """Seconds for which writing is allowed yet; None where no allowance holds."""
        return self.guard.armed_s

    def arm(self, seconds: float) -> None:
        """Allow writing for a while; see `Guard.arm`."""
        self.guard.arm(seconds)

    def disarm(self) -> None:
        """End an allowance."""
        self.guard.disarm()

    def demand(self, plan: Plan) -> Demand:
        """Return what it takes to agree to *plan*."""
        return self.guard.demand(plan)

    # -- plan ---------------------------------------------------------------------------------------------------

    async def plan(self, request: Request, *, pace: Pace = UNPACED) -> Plan:
        """Find out what *request* would touch, without changing anything.

        Raises:
            UsageError: The request makes no sense, naming the field.
            BusError: The bus cannot be asked.
        """
        if isinstance(request, UndoJob):
            return await self._plan_undo(request.job, pace)
        return await self._made(await VERBS[type(request)].draft(self._bus, request), pace)

    async def _plan_undo(self, job: str, pace: Pace) -> Plan:
        journal = self._bus.moves.journal
        plan = await self.planned(job)
        inverse = INVERSES.get(plan.verb)
        if inverse is None or plan.reversal is Reversal.NONE:
            raise UsageError(f"job {job}: {plan.verb} {Reversal.NONE}")
        taken_back = next((one.undone for one in await journal.jobs() if one.id == job and one.undone), "")
        if taken_back:
            raise UsageError(f"job {job} was taken back by job {taken_back}", f"undo {taken_back} to do it again")
        moved = await journal.moved(job)
        draft = await inverse(self._bus, plan, moved)
        left = [item.id for item in plan.items if item.id in moved and moved[item.id].outcome not in DONE]
        skipped = (*draft.skipped, *(SkippedItem(ident, "it was left alone in the first place") for ident in left))
        asked = f"undo of {plan.verb} {job}"
        options = {**draft.options, "undoes": job}
        return await self._made(replace(draft, asked=asked, skipped=skipped, options=options), pace, undoes=job)

    async def _made(self, draft: Draft, pace: Pace, *, undoes: str = "") -> Plan:
        return Plan(
            id=secrets.token_hex(8),
            verb=draft.verb,
            asked=draft.asked,
            items=draft.items,
            skipped=draft.skipped,
            created_ms=self._clock.now_ms(),
            options={**draft.options, "place": draft.place},
            reversal=draft.reversal,
            before=await self._bus.moves.lengths(draft.streams),
            pace=pace,
            undoes=undoes,
            warnings=draft.warnings,
        )

    async def planned(self, job: str) -> Plan:
        """Return the plan of a job.

        Raises:
            UsageError: It is not remembered.
        """
        plan = await self._bus.moves.journal.plan(job)
        if plan is None:
            raise UsageError(f"job {line(job, 60)!r} is not remembered", "see `observatory jobs ls`")
        return plan

    async def bounds(self) -> Retention:
        """Return what the bus keeps now."""
        return await self._bus.retention()

    # -- execute ------------------------------------------------------------------------------------------------

    async def execute(
        self, plan: Plan, consent: Consent = NO_WORDS, *, told: Callable[[int], None] = lambda _at: None
    ) -> Report:
        """Do what *plan* says, re-checking each item inside the atomic step that changes it.

        A plan that runs again changes nothing twice: it is one job, and says what became of it.

        Args:
            plan: What is to be done, exactly.
            consent: What somebody said to it.
            told: Told now and then how many items were passed.

        Raises:
            RefusedError: It may not be done here and now, or nobody agreed to it as it takes; that is written down.
            BusError: The bus could not be changed. The job stands where it stood, and `resume` goes on with it.
        """
        try:
            self.guard.check(plan, consent)
        except RefusedError as error:
            await self._record_refused(plan, consent, error)
            raise
        if not plan.items:
            return Report(plan, (), plan.skipped, ())
        with logged(self._sent):
            await self._write(self._record(plan, Phase.INTENT, consent))
            place = plan.options.get("place", "") if plan.is_bulk else ""
            await self._bus.moves.journal.open(plan, self.actor, place)
            return await self._run(plan, consent, told)

    async def resume(self, job: str, *, told: Callable[[int], None] = lambda _at: None) -> Report:
        """Go on with a job that was paused, or whose executor died; what was done is not done again.

        Raises:
            UsageError: No such job is remembered.
            RefusedError: Nothing may be changed here and now.
            BusError: Somebody executes it, or the bus could not be changed.
        """
        plan = await self.planned(job)
        if self.guard.refusal:
            raise RefusedError(self.guard.refusal, "nothing was changed")
        consent = Consent(reason="resumed")
        with logged(self._sent):
            await self._write(self._record(plan, Phase.INTENT, consent))
            return await self._run(plan, consent, told)

    async def steer(self, job: str, wish: str, value: str = "") -> None:
        """Pause or cancel a job, or give it another rate.

        Args:
            job: The job.
            wish: `pause`, `cancel` or `rate`.
            value: Items a second; empty for any number.

        Raises:
            UsageError: There is no such job, or it is over.
            RefusedError: Nothing may be changed here and now.
        """
        if self.guard.refusal:
            raise RefusedError(self.guard.refusal, "nothing was changed")
        if value:
            Pace(rate=float(value))
        with logged(self._sent):
            done, state = await self._bus.moves.journal.steer(job, wish, self.actor, value)
        if not done:
            problem = f"it is {state} already" if state else "there is none"
            raise UsageError(f"job {line(job, 60)!r}: {problem}", "see `observatory jobs`")
        record = AuditRecord("", 0, Phase.RESULT, job, self.actor, self.context, f"{wish} job", asked=value)
        await self._write(replace(record, outcome="done"))

    async def jobs(self, limit: int = 50) -> tuple[JobView, ...]:
        """Return the newest jobs, newest first."""
        return await self._bus.moves.journal.jobs(limit)

    async def records(self, limit: int = 100, *, before: str = "") -> tuple[AuditRecord, ...]:
        """Return what operators did, newest first, below the record *before* if it is given."""
        return await self._bus.moves.journal.records(limit, before=before)

    def sent(self) -> tuple[SentCall, ...]:
        """Return what was sent to the engine to change it, newest first."""
        return tuple(reversed(self._sent))

    async def look_at_rights(self) -> str:
        """Ask the engine whether this user may change anything, and remember it; returns why not, or nothing."""
        if not self.guard.is_safe:
            self.guard.forbid(await self._bus.moves.refusal())
        return self.guard.refusal

    async def _run(self, plan: Plan, consent: Consent, told: Callable[[int], None]) -> Report:
        runner = Runner(self._bus, plan, self.actor, self._clock, self._sleep, told)
        try:
            report = await runner.run()
        except ObservatoryError as error:
            record = self._record(plan, Phase.RESULT, consent)
            await self._write(replace(record, outcome="failed", why=line(str(error), 500)))
            raise
        if plan.undoes and report.done:
            await self._bus.moves.journal.steer(plan.undoes, "undone", self.actor, plan.id)
        record = self._record(plan, Phase.RESULT, consent)
        await self._write(
            replace(
                record,
                outcome="stopped" if report.stopped else "done",
                done=len(report.done),
                skipped=len(report.skipped),
                took_ms=report.took_ms,
                why=report.stopped,
            )
        )
        return report

    # -- audit --------------------------------------------------------------------------------------------------

    def _record(self, plan: Plan, phase: Phase, consent: Consent) -> AuditRecord:
        ids = [item.id for item in plan.items]
        few = tuple(ids) if len(ids) <= NAMED and not any(" " in ident for ident in ids) else ()
        return AuditRecord(
            "", 0, phase, plan.id, self.actor, self.context, plan.verb, plan.asked, len(ids), digest_of(ids), few,
            line(consent.reason, 500),
        )  # fmt: skip

    async def _record_refused(self, plan: Plan, consent: Consent, error: RefusedError) -> None:
        """Write down what was refused, unless nothing at all may be written here."""
        if not self.guard.refusal:
            record = self._record(plan, Phase.REFUSED, consent)
            await self._write(replace(record, outcome="refused", why=error.problem))

    async def _write(self, record: AuditRecord) -> None:
        try:
            await self._bus.moves.journal.write(record)
        except BusError:
            # What may not be written down is not done; what was done, and cannot be, is in the event log.
            if record.phase is Phase.INTENT:
                raise
