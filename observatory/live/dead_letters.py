"""The dead-letter stream in one look, with what earlier looks told and the rate at which work dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.live.rates import RateMeter, Sample
from observatory.model.event import EventKind
from observatory.model.snapshot import DeadLetterSummary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus.reads.observe import DeadLetterReading

WINDOW_S = 60.0
"""Seconds that the rate of deaths speaks of: few die, and a few in a row are no burst."""


class DeadLetterBoard:
    """The summary as of the last look."""

    def __init__(self) -> None:
        self._meter = RateMeter(WINDOW_S)
        self._died = 0
        self._summary = DeadLetterSummary()

    def restart(self) -> None:
        """Compute no rate from earlier looks: their times mean nothing any more."""
        self._meter = RateMeter(WINDOW_S)

    def add(self, reading: DeadLetterReading, happened: Mapping[str, int] | None, at_ms: int) -> DeadLetterSummary:
        """Take in one look.

        Args:
            reading: What it read.
            happened: Events by kind since the look before; None where unknown.
            at_ms: Server time of the look.

        Returns:
            The summary; reasons that did not change since an earlier look are those it told.
        """
        before = self._summary
        # What foreign agents add leaves no event, and what is requeued leaves the stream: the greater one is true.
        grown = (reading.total or 0) - before.total if reading.total is not None and before.total is not None else 0
        self._died += max(grown, (happened or {}).get(EventKind.DEAD_LETTERED, 0), 0)
        self._meter.add(None if reading.total is None else Sample(at_ms, self._died))
        known = reading.reasons is not None
        self._summary = DeadLetterSummary(
            total=reading.total,
            reasons=before.reasons if reading.reasons is None else reading.reasons,
            counted=reading.counted if known else before.counted,
            oldest_s=None if reading.oldest_ms is None else max(at_ms - reading.oldest_ms, 0) / 1000,
            rate=self._meter.in_rate,
            problem=reading.problem,
        )
        return self._summary
