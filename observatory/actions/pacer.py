"""The pacer: how many items may be done now, and how long to wait for the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from observatory.model.clock import Clock
    from observatory.model.plan import Pace

FREE: Final = 500
"""Items that are done at once where nothing holds them back, so that whoever pauses the job waits for few of them."""

BURST_S: Final = 0.1
"""Seconds of the rate that may come at once: no second ever sees more than eleven tenths of it."""


class Pacer:
    """First the steps of a canary, then a token bucket.

    Args:
        pace: How fast.
        at: Items that were done before, by whoever had the job before.
        clock: By which tokens come.
    """

    def __init__(self, pace: Pace, at: int, clock: Clock) -> None:
        self._clock = clock
        self._steps: list[int] = []
        passed = 0
        for step in pace.canary:
            if passed >= at:
                self._steps.append(step)
            passed += step
        self._rate = pace.rate
        self._tokens = self._capacity
        self._filled = clock.monotonic()

    @property
    def is_canary(self) -> bool:
        """The next items are a step of the canary, whose outcome is to be awaited."""
        return bool(self._steps)

    def set_rate(self, rate: float | None) -> None:
        """Go on at another rate; None for any."""
        if rate != self._rate:
            self._fill()
            self._rate = rate
            self._tokens = min(self._tokens, self._capacity)

    def take(self, most: int) -> int:
        """Return how many of *most* items may be done now; 0 if none."""
        if self._steps:
            return min(self._steps.pop(0), most)
        if self._rate is None:
            return min(FREE, most)
        self._fill()
        count = min(int(self._tokens), most)
        self._tokens -= count
        return count

    def wait_s(self, most: int) -> float:
        """Return for how many seconds none may be done, so that then some may at once."""
        if self._steps or self._rate is None:
            return 0.0
        self._fill()
        wanted = min(self._capacity, max(most, 1))
        return max((wanted - self._tokens) / self._rate, 0.0)

    @property
    def _capacity(self) -> float:
        return max((self._rate or 0.0) * BURST_S, 1.0)

    def _fill(self) -> None:
        now = self._clock.monotonic()
        if self._rate is not None:
            self._tokens = min(self._tokens + (now - self._filled) * self._rate, self._capacity)
        self._filled = now
