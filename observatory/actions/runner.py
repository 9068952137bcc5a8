"""The runner: executes one job from where it stands, checkpoint by checkpoint, until it ends or somebody stops it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from observatory.actions.pacer import Pacer
from observatory.actions.verbs import BY_HAND
from observatory.actions.verbs.verb import DONE, FENCED, WHY
from observatory.actions.watch import Watch
from observatory.bus.moves import Hold, Moved, Stamp
from observatory.model.errors import BusError
from observatory.model.plan import JobState, Report, SkippedItem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from observatory.bus import Bus
    from observatory.bus.moves import Holding
    from observatory.model.clock import Clock
    from observatory.model.plan import Plan, PlannedItem

WATCHED: Final = frozenset({"requeue"})
"""Verbs whose outcome tells whether to go on."""

QUEUE_POLL_S: Final = 0.5
"""Seconds between two attempts of a job that waits for another to leave its place."""

LONGEST_NAP_S: Final = 2.0
"""Seconds after which a slow job says that it lives, well within its lease."""


class OvertakenError(BusError):
    """Another executor took the job over while this one was away."""


@dataclass(slots=True)
class Runner:
    """Executes one job.

    Attributes:
        bus: The bus.
        plan: What is to be done.
        who: Who asked for it, for the events.
        clock: By which it is paced.
        sleep: Waits for seconds of that clock.
        told: Told after each checkpoint how many items were passed.
    """

    bus: Bus
    plan: Plan
    who: str
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    told: Callable[[int], None] = lambda _at: None
    _holder: str = field(default_factory=lambda: secrets.token_hex(8))
    _token: int = 0
    _at: int = 0
    _done: int = 0
    _skipped: int = 0
    _state: str = JobState.RUNNING
    _rate: float | None = None
    _moved: dict[str, Moved] = field(default_factory=dict)

    async def run(self) -> Report:
        """Do what is left of the plan.

        Returns:
            What became of all of it, what others did before included.

        Raises:
            BusError: The bus could not be changed, or somebody else executes the job.
        """
        began = self.clock.monotonic()
        holding = await self._hold()
        if holding.hold is Hold.OVER:
            return await self._report(began, holding.other)
        self._token, self._at, self._rate = holding.token, holding.at, holding.rate
        self._done, self._skipped = holding.done, holding.skipped
        stopped = await self._work()
        if self._at == len(self.plan.items) and self._state == JobState.RUNNING:
            await self._note(JobState.DONE)
        elif stopped and self._state == JobState.RUNNING:
            await self._note(JobState.PAUSED, stopped)
        return await self._report(began, stopped)

    async def _hold(self) -> Holding:
        while True:
            holding = await self.bus.moves.journal.hold(self.plan.id, self._holder)
            if holding.hold is Hold.UNKNOWN:
                raise BusError(f"there is no job {self.plan.id}", "see `observatory jobs`")
            if holding.hold is Hold.BUSY:
                raise BusError(f"job {self.plan.id} is being executed", "it can be taken over when it is abandoned")
            if holding.hold is not Hold.QUEUED:
                return holding
            await self.sleep(QUEUE_POLL_S)

    async def _work(self) -> str:
        """Do items until none is left, or somebody or something stops it; returns why, in words."""
        pace, items = self.plan.pace, self.plan.items
        pacer = Pacer(pace, self._at, self.clock)
        pacer.set_rate(self._rate)
        watch = Watch(self.bus, pace, self.clock, self.sleep)
        watched = self.plan.verb in WATCHED and not pace.is_free
        while self._at < len(items) and self._state == JobState.RUNNING:
            canary = pacer.is_canary
            count = pacer.take(len(items) - self._at)
            if not count:
                await self.sleep(min(pacer.wait_s(len(items) - self._at), LONGEST_NAP_S))
                await self._note()
                pacer.set_rate(self._rate)
                continue
            some = items[self._at : self._at + count]
            moved = await self._step(some)
            if watched:
                watch.add([item for item, one in zip(some, moved, strict=True) if one.outcome in DONE])
            if self._at == len(items):
                break
            await self._note()
            pacer.set_rate(self._rate)
            if why := await self._outlook(watch, canary=canary) if watched else "":
                return why
        return "" if self._state == JobState.RUNNING else f"somebody {self._state} it"

    async def _outlook(self, watch: Watch, *, canary: bool) -> str:
        async def goes_on() -> bool:
            await self._note()
            return self._state == JobState.RUNNING

        return await watch.settle(goes_on) if canary else await watch.glance()

    async def _step(self, items: Sequence[PlannedItem]) -> list[Moved]:
        stamp = Stamp(self.plan.id, self._token, self.who)
        by_hand = BY_HAND.get(self.plan.verb)
        if by_hand is not None:
            moved = await by_hand(self.bus, stamp, self.plan.options, list(items))
            moved = await self.bus.moves.keep(stamp, moved)
        else:
            moved = await self.bus.moves.step(self.plan.verb, stamp, self.plan.options, items)
        if any(one.outcome == FENCED for one in moved):
            raise OvertakenError(f"job {self.plan.id} was taken over by somebody else", "see `observatory jobs`")
        self._moved.update((one.id, one) for one in moved)
        done = sum(one.outcome in DONE for one in moved)
        self._at += len(moved)
        self._done += done
        self._skipped += len(moved) - done
        self.told(self._at)
        return moved

    async def _note(self, end: JobState | None = None, why: str = "") -> None:
        state, rate = await self.bus.moves.journal.note(
            self.plan.id, self._token, self._at, self._done, self._skipped, end=end, why=why
        )
        if state == FENCED:
            raise OvertakenError(f"job {self.plan.id} was taken over by somebody else", "see `observatory jobs`")
        self._state, self._rate = state, rate

    async def _report(self, began: float, stopped: str) -> Report:
        moved = self._moved
        if len(moved) < self._at or not moved:
            moved = await self.bus.moves.journal.moved(self.plan.id) | moved
        known = [(item.id, moved[item.id]) for item in self.plan.items if item.id in moved]
        done = [(ident, one.entry) for ident, one in known if one.outcome in DONE]
        left = [(ident, one.outcome) for ident, one in known if one.outcome not in DONE]
        return Report(
            self.plan,
            tuple(ident for ident, _ in done),
            tuple(SkippedItem(ident, WHY.get(said, said)) for ident, said in left),
            tuple(entry for _, entry in done),
            round((self.clock.monotonic() - began) * 1000),
            "" if stopped == JobState.DONE else stopped,
        )
