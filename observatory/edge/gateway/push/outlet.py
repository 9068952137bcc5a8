"""The bounded queue in front of one socket."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.edge.gateway.meter import Meter


@dataclass(frozen=True, slots=True)
class Frame:
    """What is written to a socket at once.

    Attributes:
        text: What is written.
        kind: What it is, for the counters.
        key: What is told again if it was not written: an entry, a task; empty for what is not.
    """

    text: str
    kind: str
    key: str = ""


class Outlet:
    """Writes frames to one receiver, in order, and never keeps anybody waiting for it.

    When the queue is full it is dropped, and nothing is taken until the receiver has read what was on its way. Then it
    is told to resync, and what it has not been told is told again.

    Args:
        write: Writes one frame to the receiver.
        wrote: Called with each frame that was written.
        resync: Returns the frames that tell the receiver to resync, and what it missed.
        meter: Where frames are counted.
        most: Frames that wait at most.
        timeout_s: Seconds in which the receiver must take a frame.
    """

    def __init__(
        self,
        write: Callable[[str], Awaitable[None]],
        wrote: Callable[[Frame], None],
        resync: Callable[[], list[Frame]],
        meter: Meter,
        *,
        most: int,
        timeout_s: float,
    ) -> None:
        self._write = write
        self._wrote = wrote
        self._resync = resync
        self._meter = meter
        self._most = most
        self._timeout_s = timeout_s
        self._waiting: deque[Frame] = deque()
        self._ready = asyncio.Event()
        self._behind = False

    def put(self, frame: Frame) -> bool:
        """Let *frame* be written; False if the receiver is behind, and will be told to resync instead."""
        if not self._behind and len(self._waiting) >= self._most:
            self._behind = True
            self._waiting.clear()
            self._meter.resyncs += 1
        if not self._behind:
            self._waiting.append(frame)
        self._ready.set()
        return not self._behind

    async def run(self) -> None:
        """Write until cancelled.

        Raises:
            TimeoutError: The receiver does not read.
        """
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._waiting or self._behind:
                if not self._waiting:
                    self._behind = False
                    # All of it, however much: what is to be told again is bounded where it comes from.
                    self._waiting.extend(self._resync())
                    continue
                frame = self._waiting.popleft()
                async with asyncio.timeout(self._timeout_s):
                    await self._write(frame.text)
                self._meter.pushed[frame.kind] += 1
                self._wrote(frame)
