"""The two protocols that tie the house together: a `Source` of snapshots and `Actions` that change things.

The screens know only these. Live and replay are two sources; which one a screen has decides what time it shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from observatory.model.alert import Quiet
    from observatory.model.cause import CauseNote
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.engine import EngineReport
    from observatory.model.event import Event
    from observatory.model.listing import AgentDetail, Ask, EntryRow, GroupRow, Page, PendingRow, PendingScope, TaskRow
    from observatory.model.plan import AuditRecord, Consent, Demand, JobView, Plan, Report, Request, SentCall
    from observatory.model.snapshot import Snapshot
    from observatory.model.trace import Trace


class AlertDesk(Protocol):
    """Where somebody says that an alert was seen, or is not to be told for a while. It outlives a restart."""

    @property
    def mutes(self) -> tuple[Quiet, ...]:
        """The mutes that hold."""

    def acknowledge(self, ident: str, *, by: str, until_ms: int | None = None, reason: str = "") -> bool:
        """Take note that somebody has seen a firing alert, until it is over, gets worse, or *until_ms* passes.

        Returns:
            Whether there is such an alert, firing.
        """

    def mute(self, rule: str, subject: str, *, by: str, until_ms: int, reason: str = "") -> Quiet:
        """Say nothing of a rule and the subjects that match, `*` and `?` being wild, until *until_ms*."""

    def unmute(self, quiet: Quiet) -> None:
        """End a mute; what still fires is told at the next look."""


class Notebook(Protocol):
    """What operators note about root causes, for everybody who looks at the bus."""

    async def read(self) -> Mapping[str, CauseNote]:
        """Return all notes by the id of their cause.

        Raises:
            BusError: The bus cannot be read.
        """

    async def write(self, cause: str, text: str, by: str) -> None:
        """Keep *text* about a cause in the place of what was said before; empty text takes it away.

        Raises:
            UsageError: There are too many, or the text is too long.
            BusError: The bus cannot be changed.
        """


class Source(Protocol):
    """Where snapshots come from, and what can be asked *as of their time*."""

    @property
    def alerts(self) -> AlertDesk | None:
        """Where alerts are acknowledged and muted; None where nobody watches, as in a replay."""

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield a snapshot at once and then one a tick; a lost link yields old data marked as such.

        The iterator ends only when it is closed; it raises nothing for what the bus does.
        """

    async def dead_letters(self, ask: Ask) -> Page[DeadLetter]:
        """Return a piece of the dead letters; the key of one is its `entry_id`.

        Raises:
            BusError: The stream cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def events(self, ask: Ask) -> Page[Event]:
        """Return a piece of the event log, newest first, forwards only; the key of a fact is its `id`.

        Raises:
            BusError: The log cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def entries(self, stream: str, ask: Ask) -> Page[EntryRow]:
        """Return a piece of what stands in *stream*: a lane, the dead letters, the delayed work or a mailbox.

        Delayed work is ordered by when it is due. At any length of the stream a page costs the same.

        Raises:
            BusError: The stream cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def entry(self, stream: str, key: str) -> EntryRow | None:
        """Return one entry with all its values in full; None if it is gone.

        Raises:
            BusError: The stream cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def pending(self, ask: Ask, scope: PendingScope) -> Page[PendingRow]:
        """Return a piece of what was given to consumers and not acknowledged, merged over lanes and groups.

        It is ordered by entry id, so by when the work arrived. At any number of them a page costs the same.

        Raises:
            BusError: A lane cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def groups(self, stream: str) -> tuple[GroupRow, ...]:
        """Return the groups of a lane by name, with their consumers.

        Raises:
            BusError: The lane cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def agent(self, name: str) -> AgentDetail | None:
        """Return everything about one agent; None if it was never heard of and holds nothing.

        Raises:
            BusError: The bus cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def tasks(self, ask: Ask) -> Page[TaskRow]:
        """Return a piece of the tasks last heard of, newest first, forwards only; tasks of foreign agents included.

        A search begins when there is no cursor, looks at the newest `Ask.most` facts of the log and the newest entries
        of each lane, and stays the same for the asks that go on from it. `Page.searched` is always told.

        Raises:
            BusError: The bus cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def trace(self, task_id: str) -> Trace:
        """Return the life of one task; `Trace.found` says whether anything is known of it.

        Raises:
            BusError: The bus cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def engine(self) -> EngineReport:
        """Return everything about the server behind the bus.

        Raises:
            BusError: `BusUnreachableError` if nothing answers; what it only refuses to tell is None in the report.
        """


class Actions(Protocol):
    """How things are changed: a plan that can be looked at, then its execution; and whether anything may be."""

    @property
    def refusal(self) -> str:
        """Why nothing may be changed now, in words; empty if something may."""

    @property
    def armed_s(self) -> float | None:
        """Seconds for which writing is allowed yet; None where no allowance holds."""

    def arm(self, seconds: float) -> None:
        """Allow writing for a while, where it is not allowed by itself.

        Raises:
            UsageError: No time that makes sense.
            RefusedError: It cannot be allowed here.
        """

    def disarm(self) -> None:
        """End an allowance."""

    def demand(self, plan: Plan) -> Demand:
        """Return what it takes to agree to *plan*."""

    async def plan(self, request: Request) -> Plan:
        """Find out what *request* would touch, without changing anything.

        Raises:
            UsageError: The request makes no sense, naming the field.
            BusError: The bus cannot be asked.
        """

    async def execute(self, plan: Plan, consent: Consent) -> Report:
        """Do what *plan* says, re-checking each item inside the atomic step that changes it.

        Raises:
            RefusedError: It may not be done here and now, or nobody agreed to it as it takes.
            BusError: The bus could not be changed; the job of the plan can be resumed.
        """

    async def jobs(self, limit: int) -> tuple[JobView, ...]:
        """Return the newest jobs, newest first.

        Raises:
            BusError: The bus cannot be asked.
        """

    async def records(self, limit: int) -> tuple[AuditRecord, ...]:
        """Return what operators did, newest first.

        Raises:
            BusError: The bus cannot be asked.
        """

    def sent(self) -> tuple[SentCall, ...]:
        """Return what was sent to the engine to change it, newest first."""

    async def steer(self, job: str, wish: str, value: str = "") -> None:
        """Pause or cancel a job, or give it another rate: `pause`, `cancel`, `rate`.

        Raises:
            UsageError: There is no such job, or it is over.
            RefusedError: Nothing may be changed here and now.
        """

    async def resume(self, job: str) -> Report:
        """Go on with a job that was paused, or whose executor died.

        Raises:
            RefusedError: Nothing may be changed here and now.
            BusError: Somebody executes it, or the bus could not be changed.
        """
