"""`Reads`: every long list of the bus in pages, for whoever looks and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from observatory.bus.reads import engine, entries, groups, letters, log, mailbox, pending, tasks, trace
from observatory.model.clock import Clock, SystemClock
from observatory.model.listing import PendingScope
from observatory.model.task import SHARED, Lane, Priority

if TYPE_CHECKING:
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.engine import EngineReport
    from observatory.model.event import Event
    from observatory.model.listing import Ask, EntryRow, GroupRow, Mailbox, Page, PendingRow
    from observatory.model.trace import Trace


@dataclass(frozen=True, slots=True)
class Reads:
    """Lists of one bus. Each page is one round trip and costs the same at any length of its list.

    Every method raises `BusError` when the engine refuses, `BusUnreachableError` when it does not answer in time, and
    `UsageError` for a cursor that is no place in the list.

    Attributes:
        link: The link to the engine.
        keys: Key names.
        clock: The local clock, to hold against the engine's.
    """

    link: Link
    keys: Keys
    clock: Clock = field(default_factory=SystemClock)

    async def entries(self, stream: str, ask: Ask) -> Page[EntryRow]:
        """Return a piece of a lane, the dead letters, the delayed work, the broadcasts or a mailbox, by key name."""
        return await entries.page_of_entries(self.link, self.keys, stream, ask)

    async def entry(self, stream: str, key: str) -> EntryRow | None:
        """Return one entry with all its values in full; None if it is gone."""
        return await entries.one_entry(self.link, self.keys, stream, key)

    async def pending(self, ask: Ask, scope: PendingScope | None = None) -> Page[PendingRow]:
        """Return a piece of what is pending; without streams in *scope*, of the lanes that the bus client knows."""
        meant = scope or PendingScope()
        if not meant.streams:
            meant = replace(meant, streams=await self.lanes())
        return await pending.page_of_pending(self.link, self.keys, ask, meant)

    async def groups(self, stream: str) -> tuple[GroupRow, ...]:
        """Return the groups of a lane by name, with their consumers."""
        return await groups.groups_of(self.link, stream)

    async def dead_letters(self, ask: Ask, *, trash: bool = False) -> Page[DeadLetter]:
        """Return a piece of the dead letters, or of the *trash*."""
        return await letters.piece_of_letters(self.link, self.keys, ask, trash=trash)

    async def events(self, ask: Ask) -> Page[Event]:
        """Return a piece of the event log, newest first, forwards only."""
        return await log.piece_of_events(self.link, self.keys, ask)

    async def recent_tasks(self, *, most: int, streams: tuple[str, ...] = ()) -> tasks.TaskSearch:
        """Return the tasks last heard of; without *streams*, entries are looked at in the lanes that the bus knows."""
        return await tasks.recent_tasks(self.link, self.keys, streams or await self.lanes(), most=most)

    async def trace(self, task_id: str, *, streams: tuple[str, ...] = ()) -> Trace:
        """Return the life of one task; without *streams*, entries are looked for in the lanes that the bus knows."""
        return await trace.find_trace(self.link, self.keys, streams or await self.lanes(), task_id)

    async def mailbox(self, agent: str) -> Mailbox | None:
        """Return how full the mailbox of *agent* is; None if there is none."""
        return await mailbox.mailbox_of(self.link, self.keys, agent)

    async def engine(self) -> EngineReport:
        """Return everything about the server; a handful of round trips."""
        return await engine.engine_report(self.link, self.keys, self.clock)

    async def lanes(self) -> tuple[str, ...]:
        """Return the keys of the shared lanes and of the lanes of all queues that the bus has registered."""
        queues = sorted(name.decode() for name in await self.link.command("SMEMBERS", self.keys.queues))
        return tuple(self.keys.lane(Lane(queue, priority)) for queue in (SHARED, *queues) for priority in Priority)
