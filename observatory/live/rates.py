"""Rates of one lane over a short window, from counters that may restart, ticks that may be missed, clocks that jump."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW_S = 5.0
"""Seconds that a rate speaks of; at refresh intervals longer than this, the time since the last look but one."""


class Sample(NamedTuple):
    """What a lane's counters said at one instant.

    Attributes:
        at_ms: Server time of the look.
        added: Entries ever added.
        backlog: Entries not yet settled; None where unknown.
        groups: Names of the groups that `backlog` was judged by.
    """

    at_ms: int
    added: int
    backlog: int | None = None
    groups: tuple[str, ...] = ()


class RateMeter:
    """Arrivals and settlements of one lane, per second.

    Every rate is a difference of exact counters over the time that passed on the server, so no event is guessed
    and missed looks only widen the span. A counter that is not known or fell (Redis 6, stream deleted, engine
    restarted without its data) or a time that did not advance starts the window anew.

    Args:
        window_s: Seconds that a rate speaks of.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample | None) -> None:
        """Take in what the newest look said; None where it did not know the counter."""
        kept = self._samples
        if sample is None or (kept and (sample.at_ms <= kept[-1].at_ms or sample.added < kept[-1].added)):
            kept.clear()
        if sample is not None:
            kept.append(sample)
            while len(kept) > 2 and sample.at_ms - kept[0].at_ms > self._window_s * 1000:
                kept.popleft()

    @property
    def span_s(self) -> float | None:
        """Seconds between the looks that the rates are made of; None while there are none."""
        return _seconds(self._samples[0], self._samples[-1]) if len(self._samples) > 1 else None

    @property
    def in_rate(self) -> float | None:
        """Entries that arrived per second; None until two looks knew the counter."""
        if len(self._samples) < 2:
            return None
        first, last = self._samples[0], self._samples[-1]
        return (last.added - first.added) / _seconds(first, last)

    @property
    def out_rate(self) -> float | None:
        """Entries settled per second; None until two looks knew counter and backlog under the same groups.

        Over any span, backlog after = backlog before + arrived - settled. So settled = arrived - growth of the
        backlog, exactly; only entries that somebody deletes unsettled count as settled too. The result is never
        below zero: a group moved back to an older entry makes backlog out of nothing.
        """
        last = self._samples[-1] if self._samples else None
        if last is None or last.backlog is None:
            return None
        settled, seconds = 0, 0.0
        for sample in reversed(self._samples):
            if sample.groups != last.groups or sample.backlog is None:
                break
            settled = last.added - sample.added - (last.backlog - sample.backlog)
            seconds = _seconds(sample, last)
        return max(settled, 0) / seconds if seconds else None


def _seconds(first: Sample, last: Sample) -> float:
    return (last.at_ms - first.at_ms) / 1000
