"""How fast a plan runs, and what makes it stop by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from observatory.model.errors import UsageError

CANARY: Final = (1, 5, 20, 100)
"""Items of the steps that go first, each only when the step before turned out well."""


BACKLOG_S: Final = 20.0
"""Seconds of a paced job's rate that may wait in its lanes before they count as backing up."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast items are done.

    Attributes:
        rate: Items a second; None for as fast as the bus takes them.
        canary: Items of the first steps, after each of which the outcome is awaited; none for no canary.
        watch_s: Seconds that an outcome is waited for at most.
        most_dead: Share of those whose outcome is known that may die again before the job stops; in a canary none may.
        most_waiting: Items of the job that may wait in their lanes at once before it stops; 0 for any number.

    Raises:
        UsageError: A number makes no sense; names it.
    """

    rate: float | None = None
    canary: tuple[int, ...] = ()
    watch_s: float = 30.0
    most_dead: float = 0.1
    most_waiting: int = 0

    def __post_init__(self) -> None:
        if self.rate is not None and not (math.isfinite(self.rate) and 0 < self.rate <= 1_000_000):
            raise UsageError(f"rate: {self.rate:g} is no number of items a second", "for example 50")
        if any(step < 1 for step in self.canary):
            raise UsageError("canary: a step needs at least one item", "for example 1,5,20,100")

    @property
    def is_free(self) -> bool:
        """It runs as fast as it can, and nothing watches."""
        return self.rate is None and not self.canary

    def expected_s(self, count: int) -> float | None:
        """Return how many seconds *count* items take at least; None where nothing says."""
        if self.rate is None:
            return None
        return max(count - sum(self.canary), 0) / self.rate

    @property
    def words(self) -> str:
        """The pace in words."""
        steps = f"canary {' → '.join(map(str, self.canary))}, then " if self.canary else ""
        return steps + ("as fast as the bus takes them" if self.rate is None else f"{self.rate:g}/s")


def pace_for(rate: float | None, canary: tuple[int, ...] = CANARY) -> Pace:
    """Return the usual pace at *rate* items a second: behind a canary, and watched; free if there is no rate.

    Raises:
        UsageError: *rate* makes no sense.
    """
    if rate is None:
        return Pace()
    pace = Pace(rate=rate, canary=canary)
    return replace(pace, most_waiting=max(200, round(rate * BACKLOG_S)))
