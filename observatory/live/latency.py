"""How long tasks waited and ran, measured from the durations that the events themselves carry."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from observatory.model.event import EventKind
from observatory.model.snapshot import Quantiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observatory.model.event import Event

WINDOW_S = 60.0
"""Seconds of events that a distribution speaks of."""

MAX_SAMPLES = 4096
"""Durations that are held at most; beyond, the oldest leave before their time and `window_s` says so."""

WAITED = frozenset({EventKind.TAKEN})
"""Kinds whose `ms` is the time from arrival to start; of later attempts it holds the earlier ones and is left out."""

RAN = frozenset({EventKind.COMPLETED, EventKind.RETRIED, EventKind.DEAD_LETTERED})
"""Kinds whose `ms` is the time from start to settle."""


class LatencyWindow:
    """The durations of one sort of event over the last minute.

    Args:
        kinds: Kinds of event whose duration is meant.
    """

    def __init__(self, kinds: frozenset[EventKind]) -> None:
        self._kinds: frozenset[str] = kinds
        self._samples: deque[tuple[int, int]] = deque()
        self._crowded = False

    def add(self, events: Iterable[Event], at_ms: int) -> float:
        """Take in *events* of one look, newest first, at *at_ms* of server time.

        Returns:
            The 95th percentile of just these, in ms; NaN if none of them has a duration.
        """
        fresh = [
            (event.ts_ms, event.ms)
            for event in events
            if event.kind in self._kinds and event.ms is not None and (event.attempt <= 1 or event.kind not in WAITED)
        ]
        self._samples.extend(reversed(fresh))
        while self._samples and self._samples[0][0] < at_ms - WINDOW_S * 1000:
            self._samples.popleft()
            self._crowded = False
        while len(self._samples) > MAX_SAMPLES:
            self._samples.popleft()
            self._crowded = True
        return percentile(sorted(ms for _, ms in fresh), 0.95) if fresh else math.nan

    def window_s(self, at_ms: int) -> float:
        """Seconds before *at_ms* that the quantiles speak of; less than a minute where samples were too many."""
        return max(at_ms - self._samples[0][0], 0) / 1000 if self._crowded else WINDOW_S

    @property
    def quantiles(self) -> Quantiles:
        """The distribution; without samples it is unknown."""
        if not self._samples:
            return Quantiles()
        ordered = sorted(ms for _, ms in self._samples)
        return Quantiles(
            p50=percentile(ordered, 0.5),
            p95=percentile(ordered, 0.95),
            p99=percentile(ordered, 0.99),
            samples=len(ordered),
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which *share* (0 to 1) of the *ordered* values lie, interpolated between neighbours.

    Raises:
        IndexError: *ordered* is empty.
    """
    position = share * (len(ordered) - 1)
    below = ordered[math.floor(position)]
    above = ordered[math.ceil(position)]
    return below + (above - below) * (position % 1)
