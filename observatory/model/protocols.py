"""The two protocols that tie the house together: a `Source` of snapshots and `Actions` that change things.

The screens know only these. Live and replay are two sources; which one a screen has decides what time it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observatory.model.dead_letter import DeadLetter
    from observatory.model.event import Event
    from observatory.model.plan import Plan, Report, Request
    from observatory.model.snapshot import Snapshot

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """A bounded piece of a long list.

    Attributes:
        items: The piece, in the order that was asked for.
        after: Pass it back to get the next piece; None at the end.
        total: Length of the whole list; None where it is not cheap to know.
    """

    items: tuple[T_co, ...]
    after: str | None
    total: int | None


class Source(Protocol):
    """Where snapshots come from, and what can be asked *as of their time*."""

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield a snapshot at once and then one a tick; a lost link yields old data marked as such.

        The iterator ends only when it is closed; it raises nothing for what the bus does.
        """

    async def dead_letters(self, *, after: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return dead letters, newest first, starting below the cursor *after*.

        Raises:
            BusError: The stream cannot be read; `BusUnreachableError` if nothing answers.
        """

    async def events(self, *, after: str | None = None, limit: int = 100) -> Page[Event]:
        """Return facts of the log, newest first, starting below the cursor *after*.

        Raises:
            BusError: The log cannot be read; `BusUnreachableError` if nothing answers.
        """


class Actions(Protocol):
    """How things are changed: a plan that can be looked at, then its execution."""

    async def plan(self, request: Request) -> Plan:
        """Find out what *request* would touch, without changing anything.

        Raises:
            UsageError: The request makes no sense, naming the field.
            BusError: The bus cannot be asked.
        """

    async def execute(self, plan: Plan) -> Report:
        """Do what *plan* says, re-checking each item inside the atomic step that changes it.

        Raises:
            BusError: The bus could not be changed; what was done before is in the event log.
        """
