"""The event feed: one reader of the log a process, and a queue for each who listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from observatory.model.errors import BusError
from observatory.model.event import event_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observatory.bus import Bus
    from observatory.edge.gateway.meter import Meter
    from observatory.model.event import Event
    from observatory.model.filter import Filter

PAUSE_S: Final = 1.0
"""Seconds before the log is read again after the bus was out of reach."""

BEGINNING: Final = "0-0"
"""Id below that of every fact."""

log = logging.getLogger(__name__)


class Feed:
    """Facts of the log as they come, for any number of listeners.

    Args:
        bus: The bus.
        meter: Where resyncs are counted.
        most: Facts that wait for one listener at most.
    """

    def __init__(self, bus: Bus, meter: Meter, *, most: int) -> None:
        self._bus = bus
        self._meter = meter
        self._most = most
        self._listeners: set[Listener] = set()
        self._reading: asyncio.Task[None] | None = None
        self._last = BEGINNING
        self._beginning = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def listen(self, wanted: Filter[Event] | None, after: str = "") -> AsyncIterator[Listener]:
        """Listen to the facts that *wanted* lets through, from behind the id *after* or from now on.

        Raises:
            BusError: The log cannot be read.
        """
        listener = Listener(wanted, self._meter, self._most)
        self._listeners.add(listener)
        try:
            await self._begin()
            listener.begin_at(self._last)
            if after:
                listener.catch_up(self._bus, after)
            yield listener
        finally:
            self._listeners.discard(listener)
            await listener.close()

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _begin(self) -> None:
        """See to it that the log is being read, from what is its end now."""
        async with self._beginning:
            if self._reading is None or self._reading.done():
                newest = (await self._bus.events(limit=1)).items
                self._last = newest[0].id if newest else BEGINNING
                self._reading = asyncio.create_task(self._read(), name="gateway-feed")

    async def _read(self) -> None:
        while self._listeners:
            try:
                async with contextlib.aclosing(cast("Any", self._bus.tail(self._last))) as facts:
                    async for event in facts:
                        self._last = event.id
                        for listener in self._listeners:
                            listener.hear(event)
                        if not self._listeners:
                            return
            except BusError as error:
                log.warning("the event log: %s", error)
                await asyncio.sleep(PAUSE_S)


class Listener:
    """One who listens to the feed.

    Args:
        wanted: What it wants to hear; None for everything.
        meter: Where resyncs are counted.
        most: Facts that wait for it at most.
    """

    def __init__(self, wanted: Filter[Event] | None, meter: Meter, most: int) -> None:
        self._wanted = wanted
        self._meter = meter
        self._most = most
        self._waiting: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()
        self._behind = False
        self._heard = ""
        self._told = ""
        self._joined = ""
        self._catching: asyncio.Task[None] | None = None

    def hear(self, event: Event) -> None:
        """Take in a live fact; while this listener catches up it only remembers how far the feed is."""
        self._heard = event.id
        if self._catching is None and (not self._joined or event_order(event.id) > event_order(self._joined)):
            self._take(event)

    async def next(self) -> Event | str:
        """Return the next fact, as soon as there is one; or, when it was too slow, the id behind which to resume."""
        while not self._waiting and not self._behind:
            self._ready.clear()
            await self._ready.wait()
        if self._behind and not self._waiting:
            self._behind = False
            return self._told
        event = self._waiting.popleft()
        self._drained.set()
        self._told = event.id
        return event

    def begin_at(self, last: str) -> None:
        """Say which fact is the last that was before this listener."""
        self._told = last

    def catch_up(self, bus: Bus, after: str) -> None:
        """Tell what stands in the log behind *after* first, then go on with the feed."""
        self._told = after
        self._catching = asyncio.create_task(self._catch_up(bus, after), name="gateway-catch-up")

    async def close(self) -> None:
        """Stop catching up."""
        if self._catching is not None:
            self._catching.cancel()
            await asyncio.wait({self._catching})

    async def _catch_up(self, bus: Bus, after: str) -> None:
        """Follow the log alone until this listener has heard what the feed has told, then join it in the same step."""
        while True:
            try:
                async with contextlib.aclosing(cast("Any", bus.tail(after))) as facts:
                    async for event in facts:
                        after = event.id
                        # It is read at the pace of this listener: nothing is dropped, and nobody else waits.
                        if len(self._waiting) >= self._most:
                            self._drained.clear()
                            await self._drained.wait()
                        self._take(event)
                        if self._heard and event_order(event.id) >= event_order(self._heard):
                            self._joined, self._catching = event.id, None
                            return
            except BusError as error:
                log.warning("the event log: %s", error)
                await asyncio.sleep(PAUSE_S)

    def _take(self, event: Event) -> None:
        if self._wanted is not None and not self._wanted.matches(event):
            return
        if not self._behind and len(self._waiting) >= self._most:
            self._behind = True
            self._waiting.clear()
            self._meter.resyncs += 1
        if not self._behind:
            self._waiting.append(event)
        self._ready.set()
