"""What `Bus` can be asked without changing anything: letters, facts, one look, the doctor, the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.base import Connected
from observatory.bus.reads import log
from observatory.bus.reads.follow import follow_all
from observatory.bus.reads.look import look
from observatory.bus.reads.observe import Cursor, Observation
from observatory.bus.reads.whole import WholeReads
from observatory.model.listing import Ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from observatory.bus.care.audit import Audit
    from observatory.bus.care.neighbours import Neighbours
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.event import Event
    from observatory.model.health import Finding
    from observatory.model.listing import Page


class ReadCalls(Connected):
    """The part of `Bus` that looks."""

    @property
    def reads(self) -> WholeReads:
        """Every long list of the bus in pages."""
        return WholeReads(self.partitions, self.clock)

    async def doctor(self, *, ha: bool | None = None) -> tuple[Finding, ...]:
        """Look for dangerous settings and broken keys; each finding names its fix.

        Args:
            ha: Whether the deployment is meant to survive the loss of a server; found out if None.
        """
        from observatory.bus.care.nodes import examine_bus  # noqa: PLC0415 - only an examination needs it

        return await examine_bus(self.partitions, self.clock, ha=ha)

    async def neighbours(self) -> Neighbours:
        """Look at who else lives in the servers of the bus, and whether their keys stand in its way."""
        from observatory.bus.care.neighbours import neighbours_of  # noqa: PLC0415 - as above

        return await neighbours_of(self.partitions)

    async def audit(self, *, group: str = "workers", examples: int = 5) -> Audit:
        """Rebuild the books from the event log and compare them with what the engine holds; see `audit.audit`."""
        from observatory.bus.care.audits import audit_bus  # noqa: PLC0415 - only an audit needs it

        return await audit_bus(self.partitions, group=group, examples=examples)

    async def dead_letters(self, *, after: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return dead letters, newest first, below the entry *after*; values above 64 KB are cut."""
        return await self.reads.dead_letters(Ask(cursor=after or "", limit=limit))

    async def dead_letter(self, entry_id: str) -> DeadLetter | None:
        """Return one dead letter by its entry id, all of it; None if it is gone."""
        return await self.reads.dead_letter(entry_id)

    async def events(self, *, after: str | None = None, limit: int = 100, agent: str = "") -> Page[Event]:
        """Return facts of the log, newest first, below the id *after*, across days.

        Args:
            after: Id of a fact, or the `after` of the page before; None for the newest.
            limit: Facts at most.
            agent: Only what this agent did, and what happened in its own queue or mailbox. A page then looks at
                10,000 facts at most, says how many in `searched`, and may hold fewer than *limit* where more follow.
        """
        return await self.reads.events(Ask(after or "", limit=limit, where=self._test_of(agent)))

    def tail(self, after: str | None = None, *, agent: str = "") -> AsyncIterator[Event]:
        """Follow the log from behind the id *after*, or from now on, of one *agent* if named; see `log.follow`."""
        return follow_all(self.partitions, after, self._test_of(agent))

    def _test_of(self, agent: str) -> Callable[[Event], bool] | None:
        return log.concerns(self.partitions.of(agent).keys, agent) if agent else None

    async def observe(self, cursor: Cursor | None = None, *, deadline_s: float = 2.0) -> Observation:
        """Look at the whole bus at one instant, in one round trip a node.

        Args:
            cursor: That of the look before; none for the first.
            deadline_s: Seconds after which to give up.
        """
        return await look(self.partitions, cursor or Cursor(), deadline_s=deadline_s)
