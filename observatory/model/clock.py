"""Time as a parameter: everything timed takes a `Clock`, so that tests and replay can hold it still."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a reader of time gets it from."""

    def now_ms(self) -> int:
        """Return the wall-clock time in milliseconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean anything."""


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """Return the wall-clock time in milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds on the monotonic clock."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to.

    Args:
        now_ms: Wall-clock time in milliseconds that it starts at.
    """

    def __init__(self, now_ms: int = 1_770_000_000_000) -> None:
        self._start_ms = now_ms
        self._elapsed_ms = 0

    def now_ms(self) -> int:
        """Return the wall-clock time in milliseconds since the Unix epoch."""
        return self._start_ms + self._elapsed_ms

    def monotonic(self) -> float:
        """Return seconds that have been advanced so far."""
        return self._elapsed_ms / 1000

    def advance(self, seconds: float) -> None:
        """Move the clock forward by *seconds*.

        Raises:
            ValueError: *seconds* is negative; a monotonic clock never goes back.
        """
        if seconds < 0:
            raise ValueError("a monotonic clock never goes back")
        self._elapsed_ms += round(seconds * 1000)
