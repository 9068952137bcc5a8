"""The `Source` of the present: one bounded look at the bus a tick, and an honest word when there is none."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.bus.reads.tasks import TaskSearch
from observatory.live.assemble import Assembler
from observatory.live.detail import current_task, piece_of_tasks
from observatory.live.link import LinkTracker, retry_delay
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusUnreachableError, ObservatoryError
from observatory.model.listing import MOST_SEARCHED, AgentDetail
from observatory.model.snapshot import Origin, Snapshot
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observatory.bus import Bus
    from observatory.bus.reads.observe import Cursor, Observation
    from observatory.live.alerts import AlertKeeper
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.engine import EngineReport
    from observatory.model.event import Event
    from observatory.model.listing import Ask, EntryRow, GroupRow, Page, PendingRow, PendingScope, TaskRow
    from observatory.model.trace import Trace

DEADLINE_S = 2.0
"""Seconds after which a look has failed, whatever it waits for: what is not known by then must be shown as old."""

MOST_CURRENT = 16
"""Current tasks of one agent that are looked up at most."""

RECONNECT_S = 0.2
"""Seconds in which a connection that somebody closed while it was idle is replaced before the link counts as lost."""

REFRESH_RANGE_S = (0.25, 60.0)
"""Shortest and longest time between two looks, in seconds."""


class LiveSource:
    """Snapshots of a live bus, one a tick.

    Args:
        bus: A connected bus.
        refresh_s: Seconds between the end of one look and the next, kept within `REFRESH_RANGE_S`.
        clock: The watcher's clock; by it the link is judged, never the swarm.
        alerts: Who watches for alerts; None if nobody does.
    """

    def __init__(
        self, bus: Bus, *, refresh_s: float = 1.0, clock: Clock | None = None, alerts: AlertKeeper | None = None
    ) -> None:
        self._bus = bus
        self._clock = clock or SystemClock()
        self._link = LinkTracker(bus.url, self._clock)
        self._assembler = Assembler()
        self._last = Snapshot(at_ms=0, origin=Origin.LIVE, link=self._link.view)
        self._search = TaskSearch((), 0, whole=True)
        self._rearm = asyncio.Event()
        self._refresh_s = _within_range(refresh_s)
        self._alerts = alerts

    @property
    def alerts(self) -> AlertKeeper | None:
        """Where alerts are acknowledged and muted; None if nobody watches."""
        return self._alerts

    @property
    def refresh_s(self) -> float:
        """Seconds between the end of one look and the next."""
        return self._refresh_s

    def set_refresh(self, seconds: float) -> None:
        """Look every *seconds* from now on, kept within `REFRESH_RANGE_S`; the next look is at once."""
        self._refresh_s = _within_range(seconds)
        self._rearm.set()

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield a snapshot at once and then one a tick; a lost link yields old data marked as such.

        While the link is lost, attempts follow each other within `LONGEST_RETRY_S`, whatever the refresh. One
        iterator at a time; it ends only when it is closed.
        """
        while True:
            yield await self._tick()
            await self._pause()

    async def dead_letters(self, ask: Ask) -> Page[DeadLetter]:
        """Return a piece of the dead letters; see `Source.dead_letters`."""
        return await self._bus.reads.dead_letters(ask)

    async def events(self, ask: Ask) -> Page[Event]:
        """Return a piece of the event log; see `Source.events`."""
        return await self._bus.reads.events(ask)

    async def entries(self, stream: str, ask: Ask) -> Page[EntryRow]:
        """Return a piece of what stands in *stream*; see `Source.entries`."""
        return await self._bus.reads.entries(stream, ask)

    async def entry(self, stream: str, key: str) -> EntryRow | None:
        """Return one entry in full; see `Source.entry`."""
        return await self._bus.reads.entry(stream, key)

    async def pending(self, ask: Ask, scope: PendingScope) -> Page[PendingRow]:
        """Return a piece of what is pending; see `Source.pending`."""
        if not scope.streams:
            scope = replace(scope, streams=self._streams)
        return await self._bus.reads.pending(ask, scope)

    async def groups(self, stream: str) -> tuple[GroupRow, ...]:
        """Return the groups of a lane; see `Source.groups`."""
        return await self._bus.reads.groups(stream)

    async def agent(self, name: str) -> AgentDetail | None:
        """Return everything about one agent; see `Source.agent`."""
        detail = self._assembler.agent(name)
        mailbox = await self._bus.reads.mailbox(name)
        if detail is None and mailbox is None:
            return None
        processes = detail.processes if detail else ()
        current = []
        for ident in list(dict.fromkeys(process.task for process in processes if process.task))[:MOST_CURRENT]:
            record = await self._bus.record(ident)
            if record is not None:
                current.append(current_task(record, processes, self._last.at_ms))
        return replace(detail or AgentDetail(name), mailbox=mailbox, tasks=tuple(current))

    async def tasks(self, ask: Ask) -> Page[TaskRow]:
        """Return a piece of the tasks last heard of; see `Source.tasks`."""
        if not ask.cursor:
            self._search = await self._bus.reads.recent_tasks(most=max(ask.most, MOST_SEARCHED), streams=self._streams)
        return piece_of_tasks(self._search, ask)

    async def trace(self, task_id: str) -> Trace:
        """Return the life of one task; see `Source.trace`."""
        return await self._bus.reads.trace(task_id, streams=self._streams)

    async def engine(self) -> EngineReport:
        """Return everything about the server; see `Source.engine`."""
        return await self._bus.reads.engine()

    @property
    def _streams(self) -> tuple[str, ...]:
        """Keys of the lanes of the last look; none before the first."""
        return tuple(lane.stream for lane in self._last.lanes)

    async def _tick(self) -> Snapshot:
        sequence = self._last.sequence + 1
        try:
            observation = await _look(self._bus, self._assembler.cursor)
        except Exception as error:  # whatever a bus can do to us, the screens must go on saying what they know
            link = self._link.failed(_in_words(error))
            self._last = replace(self._last, link=link, sequence=sequence)
        else:
            link = self._link.succeeded(observation.at_ms)
            seen = self._clock.monotonic()
            await asyncio.sleep(0)  # between two pieces of work a key that waits is served
            self._last = self._assembler.add(observation, link, seen=seen, sequence=sequence)
        if self._alerts is not None:
            await asyncio.sleep(0)
            changes = self._alerts.observe(self._last)
            self._last = self._alerts.told(self._last, changes)
        return self._last

    async def _pause(self) -> None:
        """Wait until the next look is due; a changed refresh makes it due at once."""
        failures = self._link.failures
        wait_s = retry_delay(failures, random.random()) if failures else self._refresh_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._rearm.wait()
        self._rearm.clear()


async def take_snapshot(bus: Bus, *, settle_s: float = 0.0) -> Snapshot:
    """Take one snapshot.

    Args:
        bus: A connected bus.
        settle_s: Seconds between two looks that rates are made of; 0 looks once and knows no rate.

    Raises:
        BusError: The bus cannot be looked at; `BusUnreachableError` if it does not answer in time.
    """
    clock = SystemClock()
    assembler, link = Assembler(), LinkTracker(bus.url, clock)
    observation = await _look(bus, assembler.cursor)
    snapshot = assembler.add(observation, link.succeeded(observation.at_ms), seen=clock.monotonic(), sequence=1)
    if settle_s <= 0:
        return snapshot
    await asyncio.sleep(settle_s)
    observation = await _look(bus, assembler.cursor)
    return assembler.add(observation, link.succeeded(observation.at_ms), seen=clock.monotonic(), sequence=2)


async def _look(bus: Bus, cursor: Cursor) -> Observation:
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await bus.observe(cursor, deadline_s=RECONNECT_S)
    except TimeoutError:
        problem = f"no answer from {bus.url} within {DEADLINE_S:g} s"
        raise BusUnreachableError(problem, "is the engine overloaded, or the network cut?") from None


def _in_words(error: Exception) -> str:
    return line(error.problem if isinstance(error, ObservatoryError) else f"{type(error).__name__}: {error}")


def _within_range(seconds: float) -> float:
    shortest, longest = REFRESH_RANGE_S
    return min(max(seconds, shortest), longest)
