"""Snapshots of the bus for whoever asks a gateway: one look serves all who ask within a second."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

from observatory.live import LiveSource
from observatory.model.errors import BusUnreachableError
from observatory.model.snapshot import LinkState

if TYPE_CHECKING:
    from observatory.bus import Bus
    from observatory.model.snapshot import Snapshot

IDLE_S: Final = 60.0
"""Seconds without a question after which nobody looks any more."""


class Watch:
    """Looks at the bus while somebody asks.

    Args:
        bus: The bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._last: Snapshot | None = None
        self._arrived = asyncio.Event()
        self._asked_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def snapshot(self) -> Snapshot:
        """Return the last look at the bus, at most about a second old.

        Raises:
            BusUnreachableError: The bus does not answer.
        """
        self._asked_at = asyncio.get_running_loop().time()
        if self._looking is None or self._looking.done():
            self._arrived.clear()
            self._looking = asyncio.create_task(self._look(), name="gateway-watch")
        await self._arrived.wait()
        assert self._last is not None  # noqa: S101 - it has arrived
        if self._last.link.state is LinkState.LOST:
            raise BusUnreachableError(f"no answer from the bus: {self._last.link.reason}")
        return self._last

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(cast("Any", LiveSource(self._bus).snapshots())) as snapshots:
            async for snapshot in snapshots:
                self._last = snapshot
                self._arrived.set()
                if loop.time() - self._asked_at > IDLE_S:
                    return
