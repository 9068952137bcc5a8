"""The recorder: keeps the past of a bus, whoever else looks at it. One at a time, by lease.

It seals hours that are over, lets days go that may go, and holds the books against what the engine counts: where
foreign agents work, who write no events, it writes down what it counted.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.bus.reads.observe import Cursor
from observatory.bus.talk.history import LEASE_MS, archive_id, hold_lease
from observatory.history.archive import Archive
from observatory.history.chronicle import Chronicle
from observatory.history.hot import HotLog
from observatory.history.seal import HOUR_MS, KEEP_DAYS, Sealer
from observatory.history.stretch import Cache
from observatory.model.books import LaneSample
from observatory.model.event import EventKind, event_order
from observatory.model.reduce import lane_sample
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from observatory.bus import Bus
    from observatory.bus.keys import Keys
    from observatory.bus.reads.observe import LaneReading, Observation
    from observatory.history.archive import Manifest
    from observatory.model.books import Books

SAMPLE_S: Final = 5.0
"""Seconds between two looks at what the engine counts."""

VITALS_MS: Final = 60_000
"""Ms between two samples of the engine itself."""

DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept.

    Attributes:
        days: Days after which segments go; 0 for no bound.
        bytes: Bytes above which the oldest segments go; 0 for no bound.
        hot_days: Whole days that stay in the engine after they were sealed.
    """

    days: int = 90
    bytes: int = 20 << 30
    hot_days: int = KEEP_DAYS


class Recorder:
    """Records one bus into an archive below a folder.

    Args:
        bus: A connected bus.
        base: Folder of all archives.
        keep: What is kept.
        tell: Told in words what was done.
        sample_s: Seconds between two looks.
    """

    def __init__(
        self,
        bus: Bus,
        base: Path,
        *,
        keep: Keep | None = None,
        tell: Callable[[str], None] | None = None,
        sample_s: float = SAMPLE_S,
    ) -> None:
        self._bus = bus
        self._base = base
        self._keep = keep or Keep()
        self._tell = tell or (lambda _words: None)
        self._sample_s = sample_s
        self._token = uuid.uuid4().hex
        self._cursor = Cursor()
        self._hot: HotLog | None = None
        self._vitals_ms = 0
        self._beats: dict[str, str] = {}
        self._hour = -1
        self._leads = False

    @property
    def leads(self) -> bool:
        """Whether the lease was ours when we last asked."""
        return self._leads

    async def run(self) -> None:
        """Record until cancelled; while another one does, wait for its end.

        Raises:
            BusError: The bus refuses, or stays away.
            DamagedError: The archive is damaged.
            OSError: The archive cannot be written.
        """
        try:
            while True:
                await self.once()
                await asyncio.sleep(self._sample_s)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Give the lease back, so that another recorder need not wait for its end."""
        if self._leads:
            self._leads = False
            await hold_lease(self._bus.partitions, self._token, ms=0)

    async def once(self) -> bool:
        """Do what is due now; says whether the lease is ours."""
        partitions = self._bus.partitions
        leads = await hold_lease(partitions, self._token, ms=max(LEASE_MS, round(self._sample_s * 3000)))
        if leads != self._leads:
            self._tell("recording" if leads else "another recorder is at work; waiting for its end")
            self._leads, self._hot = leads, None
        if not leads:
            return False
        archive = Archive(await folder_of(self._bus, self._base, make=True))
        look = await self._bus.observe(self._cursor)
        self._cursor = look.cursor
        hour = look.at_ms // HOUR_MS
        if hour != self._hour or self._hot is None:
            manifest = await self._seal(archive, look.at_ms)
            cache = Cache(4)
            books = await asyncio.to_thread(archive.closing_books, manifest, cache)
            self._hot, self._hour = HotLog(partitions, manifest, books, cache), hour
        await self._reconcile(look, self._hot)
        return True

    async def _seal(self, archive: Archive, now_ms: int) -> Manifest:
        """Seal what is over, let go of what may go."""
        # Sealing takes longer than a lease where much is to be sealed.
        holding = asyncio.create_task(self._hold_on())
        try:
            before = {one.name for one in archive.load().segments}
            sealer = Sealer(self._bus.partitions, archive)
            manifest = await sealer.seal()
            for one in manifest.segments:
                if one.name not in before:
                    self._tell(f"sealed {one.name}: {one.rows:,} events, {one.bytes:,} bytes")
            for day in await sealer.unlink(manifest, keep_days=self._keep.hot_days):
                self._tell(f"{day} left the engine")
            oldest = now_ms - self._keep.days * DAY_MS if self._keep.days else 0
            return archive.retain(manifest, before_ms=oldest, most_bytes=self._keep.bytes)
        finally:
            holding.cancel()

    async def _hold_on(self) -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 3000)
            await hold_lease(self._bus.partitions, self._token)

    async def _reconcile(self, look: Observation, hot: HotLog) -> None:
        """Write down what the engine counts and the events do not tell."""
        await hot.catch_up()
        books = hot.state(_row_of(look, hot))
        for lane in look.lanes:
            sample = _sample(lane, books, look.at_ms, self._bus.keys)
            if sample is not None:
                await self._bus.note(EventKind.SAMPLED, lane=lane.stream, agent="", detail=lane_sample(sample))
        for beat in look.beats:
            said = json.dumps(
                {"status": beat.status, "version": beat.version, "capabilities": beat.capabilities[:16]},
                separators=(",", ":"),
            )
            name = beat.consumer or beat.agent
            if self._beats.get(name) != said:
                self._beats[name] = said
                if books.vitals.get(name) != said:
                    await self._bus.note(EventKind.SAMPLED, agent=name, detail=said)
        if look.at_ms - self._vitals_ms >= VITALS_MS:
            self._vitals_ms = look.at_ms
            server = look.server
            said = json.dumps(
                {
                    "product": server.product,
                    "version": server.version,
                    "memory": server.memory,
                    "memory_limit": server.memory_limit,
                    "clients": server.clients,
                    "ops_per_s": server.ops_per_s,
                },
                separators=(",", ":"),
            )
            await self._bus.note(EventKind.SAMPLED, reason="engine", detail=said)


async def folder_of(bus: Bus, base: Path, *, make: bool = False) -> Path:
    """Return the folder of the archive of *bus* below *base*; one that does not exist if the bus has none.

    Raises:
        BusError: The bus cannot be asked.
    """
    return base / f"{bus.partitions.prefix}-{await archive_id(bus.partitions, make=make) or 'none'}"


def _row_of(look: Observation, hot: HotLog) -> int:
    """Return how many of the hot events the look had seen: both were taken in one step of the engine."""
    newest = max((event_order(event.id) for event in look.events), default=None)
    if newest is None:
        return hot.row_at(look.at_ms)
    return Chronicle([hot]).row_behind(newest)


def _sample(lane: LaneReading, books: Books, at_ms: int, keys: Keys) -> LaneSample | None:
    """Return what the engine counts in a lane; None if the books say the same, or nothing can be said."""
    if lane.problem or lane.length is None:
        return None
    streams = {name for name in {task.lane for task in books.tasks.values()} if keys.lane_of(name) == lane.lane}
    states = [task.state for task in books.tasks.values() if task.lane in streams]
    queued, running = states.count(TaskState.QUEUED), states.count(TaskState.RUNNING)
    lags = [group.lag for group in lane.groups]
    waiting = lane.length if not lags else max([lag for lag in lags if lag is not None], default=None)
    pending = max([group.pending for group in lane.groups], default=0)
    known = books.lanes.get(lane.stream)
    off = (queued, running)
    if known is not None:
        off = (queued + (known.waiting or 0) - known.queued, running + known.pending - known.running)
    if None in lags or (waiting, pending) == off:
        return None
    return LaneSample(
        at_ms,
        lane.length,
        waiting,
        pending,
        queued,
        running,
        lane.oldest_waiting_ms,
        lane.oldest_pending_ms,
        tuple((group.name, group.lag, group.pending, group.consumers) for group in lane.groups[:4]),
    )
