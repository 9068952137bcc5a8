"""Those who plan: new work at a steady rate, and now and then something that is not quite ordinary."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from itertools import count
from typing import TYPE_CHECKING

from observatory.demo.work import UNHANDLED, family_size, new_task, pick_kind
from observatory.model.errors import BusError
from observatory.model.task import Priority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from observatory.demo.office import Office
    from observatory.model.task import NewTask

    _Card = Callable[[], Awaitable[None]]

_BATCH = 200
_SLOTS_TO_FILL = 2
"""Long tasks that keep one colleague busy enough for a short-lived one to go stale behind them."""


class Planner:
    """One planner and what it publishes.

    Args:
        name: Agent name.
        office: What its process shares.
    """

    def __init__(self, name: str, office: Office) -> None:
        self._name = name
        self._office = office
        self._random = office.random
        self._ids = count(1)
        self._deck: list[_Card] = []
        self._errands: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Publish at the office's rate until the office is quiet."""
        loop = asyncio.get_running_loop()
        rate = self._office.brief.rate / family_size()
        due = loop.time()
        while not self._office.quiet:
            due = max(due + self._random.expovariate(rate), loop.time() - 1)
            await asyncio.sleep(max(due - loop.time(), 0))
            if not self._office.quiet:
                await self._patiently(self._draw()())

    def flood(self, tasks: int) -> None:
        """Begin to publish *tasks* low tasks in a burst, and critical ones beside them."""
        self._errand(self._flood(tasks))

    def release_train(self) -> None:
        """Begin to ask for one deploy after another for as long as deploys fail."""
        self._errand(self._release_train())

    def assign(self, colleague: str, tasks: int) -> None:
        """Give *colleague* long work, now."""
        self._errand(self._assign(colleague, tasks))

    async def close(self) -> None:
        """Drop whatever errands are still running."""
        for errand in self._errands:
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    def _errand(self, work: Coroutine[object, object, None]) -> None:
        errand = asyncio.create_task(self._patiently(work))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _patiently(self, work: Awaitable[None]) -> None:
        """Do *work*; when the bus refuses or is gone, the journal knows it and life goes on."""
        try:
            await work
        except BusError:
            await asyncio.sleep(0.2)

    def _draw(self) -> _Card:
        if not self._deck:
            self._deck = [card for copies, card in self._cards() for _ in range(copies)]
            self._random.shuffle(self._deck)
        return self._deck.pop()

    def _cards(self) -> Iterable[tuple[int, _Card]]:
        """Return what may come next and how often, so that every short run has some of everything."""
        return (
            (118, self._ordinary),
            (12, self._addressed),
            (8, self._scheduled),
            (1, self._unhandled),
            (3, self._too_late),
            (3, self._change_of_mind_running),
            (3, self._change_of_mind_queued),
            (2, self._change_of_mind_scheduled),
        )

    def _make(self, kind: str, queue: str = "", budget_s: float = 0.0) -> NewTask:
        brief = self._office.brief
        task_id = f"{self._name}-{brief.life}-{next(self._ids):06d}"
        task = new_task(kind, task_id, self._name, self._random, queue=queue)
        if budget_s:
            body = json.loads(task.payload) | {"budget_s": round(budget_s, 2)}
            task = dataclasses.replace(task, payload=json.dumps(body, separators=(",", ":")).encode())
        return task

    async def _send(self, *tasks: NewTask) -> None:
        await self._office.publish(tasks)

    async def _ordinary(self) -> None:
        await self._send(self._make(pick_kind(self._random)))

    async def _addressed(self) -> None:
        await self._send(self._make(pick_kind(self._random), self._colleague()))

    async def _scheduled(self) -> None:
        delay = self._random.uniform(0.5, self._office.brief.patience_s)
        await self._send(dataclasses.replace(self._make("summarise"), delay_s=round(delay, 2)))

    async def _unhandled(self) -> None:
        await self._send(self._make(UNHANDLED))

    async def _too_late(self) -> None:
        """Keep a colleague busy, then ask for something that is worthless a moment later."""
        queue = self._colleague()
        long = [
            dataclasses.replace(self._make("research", queue, budget_s=2.0), priority=Priority.HIGH)
            for _ in range(_SLOTS_TO_FILL)
        ]
        ping = dataclasses.replace(self._make("notify", queue), priority=Priority.LOW, ttl_s=0.5)
        await self._send(*long, ping)

    async def _change_of_mind_running(self) -> None:
        await self._then_cancel(self._make("code_task", budget_s=3.0), after_s=self._random.uniform(0.3, 1.0))

    async def _change_of_mind_queued(self) -> None:
        task = dataclasses.replace(self._make("summarise"), priority=Priority.LOW)
        await self._then_cancel(task, after_s=0.0)

    async def _change_of_mind_scheduled(self) -> None:
        task = dataclasses.replace(self._make("deploy"), delay_s=self._office.brief.patience_s)
        await self._then_cancel(task, after_s=self._office.brief.patience_s / 4)

    async def _then_cancel(self, task: NewTask, after_s: float) -> None:
        await self._send(task)
        self._errand(self._cancel(task.id, after_s))

    async def _cancel(self, task_id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._office.bus.cancel(task_id)

    def _colleague(self) -> str:
        return f"@{self._random.choice(self._office.brief.colleagues)}"

    async def _flood(self, tasks: int) -> None:
        for start in range(0, tasks, _BATCH):
            size = min(_BATCH, tasks - start)
            low = [dataclasses.replace(self._make("index"), priority=Priority.LOW) for _ in range(size)]
            # A few of them are worthless soon, so a lane that is behind shows stale dead letters.
            low[0] = dataclasses.replace(low[0], ttl_s=1.0)
            urgent = dataclasses.replace(self._make("notify"), priority=Priority.CRITICAL)
            if self._office.quiet:
                return
            await self._send(*low, urgent)

    async def _release_train(self) -> None:
        pause = min(0.5, 4 / self._office.brief.rate)
        while self._office.deploys_fail and not self._office.quiet:
            await self._patiently(self._send(self._make("deploy")))
            await asyncio.sleep(pause)

    async def _assign(self, colleague: str, tasks: int) -> None:
        await self._send(
            *(
                dataclasses.replace(self._make("code_task", f"@{colleague}", budget_s=3.0), priority=Priority.HIGH)
                for _ in range(tasks)
            )
        )
