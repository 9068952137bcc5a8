"""The watch: whether what a paced job put back to work does well, or dies again, or piles up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from observatory.bus import Bus
    from observatory.model.clock import Clock
    from observatory.model.plan import Pace, PlannedItem

POLL_S: Final = 0.25
"""Seconds between two looks at a step of the canary."""

LOOK_S: Final = 1.0
"""Seconds between two looks once the canary is over."""

FEW: Final = 10
"""Outcomes below which a share of them says nothing."""

_OVER: Final = frozenset({"done", "dead", "cancelled"})


class Watch:
    """Follows the tasks that a job has put back to work.

    Args:
        bus: The bus.
        pace: What is too much.
        clock: By which looks are spaced.
        sleep: Waits for seconds of that clock.
    """

    def __init__(self, bus: Bus, pace: Pace, clock: Clock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._bus = bus
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self._open: dict[str, PlannedItem] = {}
        self._well = self._dead = 0
        self._looked = clock.monotonic()

    def add(self, items: Sequence[PlannedItem]) -> None:
        """Follow these from now on."""
        self._open.update((item.id, item) for item in items if item.seen.get("task"))

    async def settle(self, goes_on: Callable[[], Awaitable[bool]]) -> str:
        """Await what became of all that is followed; returns why the job must stop, in words, or nothing.

        Args:
            goes_on: Asked between two looks; False ends the waiting.
        """
        count, dead = len(self._open), self._dead
        until = self._clock.monotonic() + self._pace.watch_s
        while self._open and self._clock.monotonic() < until:
            await self._look()
            if self._dead > dead:
                return f"{self._dead - dead} of a canary of {count} died again"
            if not self._open or not await goes_on():
                return ""
            await self._sleep(POLL_S)
        if count and len(self._open) == count:
            return f"nothing of a canary of {count} was settled within {self._pace.watch_s:g} s"
        return ""

    async def glance(self) -> str:
        """Look if it is time; returns why the job must stop, in words, or nothing."""
        if self._clock.monotonic() - self._looked < LOOK_S:
            return ""
        waiting = await self._look()
        known = self._well + self._dead
        if known >= FEW and self._dead > known * self._pace.most_dead:
            return f"{self._dead} of {known} died again"
        if self._pace.most_waiting and waiting > self._pace.most_waiting:
            return f"the lane backs up: {waiting} of this job wait in it"
        return ""

    async def _look(self) -> int:
        """Take in what became of those that are followed; returns how many wait in their lanes."""
        self._looked = self._clock.monotonic()
        items = list(self._open.values())
        states = await self._bus.moves.states(items)
        for item, state in zip(items, states, strict=True):
            if state in _OVER:
                del self._open[item.id]
                self._dead += state == "dead"
                self._well += state != "dead"
        return sum(state == "queued" for state in states)
