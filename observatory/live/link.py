"""The link as the watcher lives it: when it was lost, why, and when to try again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from observatory.model.snapshot import LinkState, LinkView

if TYPE_CHECKING:
    from observatory.model.clock import Clock

FIRST_RETRY_S = 0.1
"""Longest wait before the first new attempt; it doubles with each failure."""

LONGEST_RETRY_S = 0.5
"""Longest wait between attempts, so that an engine that returns is seen within two seconds."""


class LinkTracker:
    """Turns successes and failures of looking into the state of the link and the time since it holds.

    Args:
        url: Address with its secret masked.
        clock: The watcher's clock, by which `since_ms` is told.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._view = LinkView(LinkState.CONNECTING, clock.now_ms(), url=url)

    @property
    def view(self) -> LinkView:
        """The link as it stands."""
        return self._view

    @property
    def failures(self) -> int:
        """Looks that failed in a row."""
        return self._failures

    def succeeded(self, data_ms: int) -> LinkView:
        """A look succeeded and tells of *data_ms*, server time."""
        self._failures = 0
        return self._enter(LinkState.READY, "", data_ms)

    def failed(self, reason: str) -> LinkView:
        """A look failed because of *reason*."""
        self._failures += 1
        return self._enter(LinkState.LOST, reason, self._view.data_ms)

    def _enter(self, state: LinkState, reason: str, data_ms: int | None) -> LinkView:
        before = self._view
        since_ms = before.since_ms if before.state is state else self._clock.now_ms()
        self._view = LinkView(state, since_ms, reason, before.url, data_ms)
        return self._view


def retry_delay(failures: int, spread: float) -> float:
    """Return how many seconds to wait after *failures* failed looks in a row.

    Args:
        failures: At least 1.
        spread: Where in its range the delay falls, 0 to 1; random, so that many watchers do not return as one.

    Returns:
        Between half of and the whole of a bound that doubles with each failure up to `LONGEST_RETRY_S`.
    """
    bound = min(math.ldexp(FIRST_RETRY_S, min(failures - 1, 10)), LONGEST_RETRY_S)
    return bound * (1 + spread) / 2
