"""How one worker serves all partitions of a bus: it waits at one of them, its home, and goes round the others.

Within a partition priority is strict. Across partitions a task waits for less urgent ones at most as long as a
handler runs, and `LOOK_EVERY_S` more: so often a worker looks at what waits where. It serves the most urgent lanes of
all first, among equals the partition that it has not served for longest, so that none starves. Elsewhere than on a
cluster there is one partition, and nothing to go round.

An idle worker is a sleeper of the partitions in which its look found nothing: work that appears there rings for it, and
it goes there at once. A bell may be lost, with its hearer or its connection, and what is added by a plain XADD rings
for nobody: such work is found by the next look.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
import random
from typing import TYPE_CHECKING, Final

from observatory.bus.partitions import everywhere
from observatory.bus.tasks.intake import BLOCK_MS, Batch, Intake
from observatory.model.errors import BusError
from observatory.model.task import Lane, Priority

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Sequence

    from observatory.bus.client import Bus
    from observatory.bus.partitions import Partition
    from observatory.bus.tasks.delivery import Delivery
    from observatory.bus.tasks.intake import Order

LOOK_EVERY_S: Final = 0.25
"""Seconds between two looks at what waits in which partition."""

LOOK_AGAIN_S: Final = 0.02
"""Seconds after which a look is too old to serve something less urgent by it."""

SLEEPS_S: Final = 10.0
"""Seconds for which a worker is a sleeper after a look; it is renewed in half of them, and ends with one that died."""

VISIT_S: Final = 1.0
"""Seconds that a partition is given to answer, where others may have work: its node may be gone."""

log = logging.getLogger(__name__)


class Rounds:
    """The lanes of one worker in all partitions.

    Args:
        bus: The bus.
        order: Lanes to serve, and in which order.
        group: Consumer group.
        consumer: Consumer name.
        lease_s: Seconds after which a silent consumer's work may be taken over.
        max_deliveries: Deliveries after which an entry is poison.
    """

    def __init__(
        self, bus: Bus, order: Order, group: str, consumer: str, *, lease_s: float, max_deliveries: int
    ) -> None:
        self._bus = bus
        self._order = order
        self._group = group
        self._consumer = consumer
        self._intakes = {
            partition.number: Intake(
                bus, partition, order, group, consumer, lease_s=lease_s, max_deliveries=max_deliveries
            )
            for partition in bus.partitions
        }
        self._home = self._intakes[home_of(consumer, tuple(self._intakes))]
        self._urgency: dict[int | None, int] = {}
        self._urgent = 0
        self._due: dict[int | None, float] = {}
        self._looked_at = -math.inf
        self._looks: set[asyncio.Task[None]] = set()
        self._asked: set[int | None] = set()
        self._deaf: set[int | None] = set()
        self._served: dict[int | None, int] = {}
        self._takes = 0

    @property
    def home(self) -> Partition:
        """The partition at which it waits."""
        return self._home.partition

    def rank(self, delivery: Delivery) -> int:
        """Return the place of *delivery* in the order of urgency."""
        return self._of(delivery).rank(delivery.stream)

    async def take(self, want: int) -> Batch:
        """Take up to *want* entries of one partition, the most urgent one."""
        if len(self._intakes) == 1:
            return await self._home.take(want)
        if self._bus.clock.monotonic() - self._looked_at >= LOOK_EVERY_S:
            await self._look()
        batch = await self._take_urgent(want)
        if not batch.entries and (unheard := self._unheard()):
            # Nobody would ring for this worker from there, so before it sleeps it makes sure that there is nothing.
            await self._ask_all(unheard)
            batch = await self._take_urgent(want)
        if not batch.entries:
            # Before it waits at home this learns what is wrong there: groups that are gone, lanes that are paused.
            batch = await self._take_from(self._home.partition.number, want)
        return batch if batch.entries else Batch((), self._next_due_ms())

    async def _take_urgent(self, want: int) -> Batch:
        """Take from the partitions in which something is known to wait, until one of them brings it."""
        while self._urgency:
            number = min(self._urgency, key=lambda one: (self._urgency[one], self._served.get(one, 0)))
            if self._urgency[number] > self._urgent and self._is_old():
                # Before anything less urgent than what was served last, make sure that there is nothing else.
                await self._look()
                self._urgent = len(self._order.lanes())
                continue
            self._urgent = self._urgency[number]
            batch = await self._take_from(number, want)
            if batch.entries:
                return batch
        return Batch((), -1)

    async def _take_from(self, number: int | None, want: int) -> Batch:
        """Take from one partition, and from no lane of it that is less urgent than what waits in another."""
        self._takes += 1
        self._served[number] = self._takes
        lanes = len(self._order.lanes())
        others = min((urgency for other, urgency in self._urgency.items() if other != number), default=lanes)
        urgency = self._urgency.get(number, 0)
        most = max(others, urgency) if urgency and not self._order.weights else lanes
        try:
            batch = await self._intakes[number].take(want, most, deadline_s=VISIT_S)
        except BusError as error:
            log.warning("partition %s: %s", number, error)
            batch, most = Batch((), -1), lanes
        if len(batch.entries) < want:
            self._note_due(number, batch.next_due_ms)
            if most < lanes:
                self._urgency[number] = most + 1
            else:
                self._urgency.pop(number, None)
        return batch

    async def wait(self, next_due_ms: int, held: Collection[tuple[str, str]]) -> list[tuple[Delivery, bool]]:
        """Block at home until an entry arrives there, something is due, or it is time to look round again.

        The read is never cancelled: what the engine delivers to a cancelled read is lost from sight. See `Intake.wait`.
        """
        if len(self._intakes) == 1:
            return await self._home.wait(next_due_ms, BLOCK_MS, held)
        left_s = max(self._looked_at + LOOK_EVERY_S - self._bus.clock.monotonic(), 0.0)
        return await self._home.wait(next_due_ms, min(round(left_s * 1000), BLOCK_MS), held)

    def wake(self) -> None:
        """End a blocked read, or keep the next one from beginning, and look round at once."""
        self._looked_at = -math.inf
        self._home.wake()

    def answer(self, number: int) -> None:
        """Go to the partition *number*, which rang for this worker, at once: work has appeared there."""
        if number not in self._intakes:
            return
        self._deaf.add(number)
        # How urgent it is is not known: what is known to wait elsewhere decides how deep it may reach.
        self._urgency[number] = min(self._urgency.get(number, 1), 1)
        self._home.wake()

    async def pass_on(self, number: int) -> None:
        """Have the partition *number*, which rang for this worker in vain, ring for another one."""
        if number not in self._intakes:
            return
        self._deaf.add(number)
        partition = self._intakes[number].partition
        lanes = [partition.keys.lane(Lane(queue, Priority.NORMAL)) for queue in self._order.queues]
        with contextlib.suppress(BusError):
            await partition.link.call("ring", lanes, deadline_s=VISIT_S)

    async def adopt(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Mark deliveries as running; False for those that were diverted, are no longer ours, or cannot be reached.

        Raises:
            BusError: No partition of them answers.
        """
        answers: dict[tuple[str, str], bool] = {}
        problems: list[BusError] = []
        groups = self._grouped(deliveries)
        for intake, group in groups:
            try:
                told = await intake.adopt(group)
            except BusError as error:
                # They are found again as this worker's own, once their node is back.
                problems.append(error)
                told = [False] * len(group)
            answers.update(zip((delivery.key for delivery in group), told, strict=True))
        if problems and len(problems) == len(groups):
            raise problems[0]
        return [answers[delivery.key] for delivery in deliveries]

    async def recover(self, most: int, held: Container[tuple[str, str]]) -> list[Delivery]:
        """Find up to *most* deliveries that nobody works on, in all partitions; see `Intake.recover`.

        Raises:
            BusError: No partition answers.
        """
        found: list[Delivery] = []
        problems: list[BusError] = []
        for intake in random.sample(list(self._intakes.values()), len(self._intakes)):
            if len(found) >= most:
                break
            try:
                found += await intake.recover(most - len(found), held)
            except BusError as error:
                problems.append(error)
        if len(problems) == len(self._intakes):
            raise problems[0]
        return found

    async def tidy(self) -> None:
        """Look after the lanes of one partition; see `Intake.tidy`."""
        await random.choice(list(self._intakes.values())).tidy()

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put deliveries back into their lanes, where the next worker gets them at once."""
        for intake, group in self._grouped(deliveries):
            with contextlib.suppress(BusError):
                await intake.give_back(group)

    async def leave(self) -> None:
        """Remove this consumer from the groups in which it holds nothing."""
        await asyncio.gather(*(intake.leave() for intake in self._intakes.values()), return_exceptions=True)

    async def close(self) -> None:
        """Close the blocking connection."""
        for look in self._looks:
            look.cancel()
        if self._looks:
            await asyncio.wait(self._looks)
        await self._home.close()

    def _is_old(self) -> bool:
        return self._bus.clock.monotonic() - self._looked_at > LOOK_AGAIN_S

    async def _look(self) -> None:
        """Ask every node what waits in its partitions; one that does not answer in time is not waited for."""
        self._looked_at = self._bus.clock.monotonic()
        await self._ask_all(self._intakes)

    async def _ask_all(self, numbers: Iterable[int | None]) -> None:
        groups: dict[object, list[Partition]] = {}
        for number in numbers:
            if number not in self._asked:
                partition = self._intakes[number].partition
                groups.setdefault(partition.link.place, []).append(partition)
        asked = {asyncio.create_task(self._ask(group), name="observatory-look") for group in groups.values()}
        self._looks |= asked
        for task in asked:
            task.add_done_callback(self._looks.discard)
        if asked:
            await asyncio.wait(asked, timeout=LOOK_EVERY_S)

    async def _ask(self, partitions: Sequence[Partition]) -> None:
        numbers = {partition.number for partition in partitions}
        self._asked |= numbers
        lanes = self._order.lanes()
        patience = [round(self._order.aging.get(lane.priority, 0) * 1000) for lane in lanes if self._order.aging]
        # Who knows of work does not go to sleep.
        sleeps_ms = 0 if self._urgency else round(SLEEPS_S * 1000)

        def arguments(partition: Partition) -> Sequence[str | int]:
            sleeps = 0 if partition is self._home.partition else sleeps_ms
            head = (self._group, self._consumer, sleeps, len(lanes))
            return (*head, *map(partition.keys.lane, lanes), *patience)

        # What comes while this is on its way may not be seen by it, so it is noted anew.
        self._deaf -= numbers
        for number in numbers:
            self._due.pop(number, None)
        try:
            answers = await everywhere(partitions, "peek", arguments, deadline_s=VISIT_S)
        except BusError as error:
            log.warning("partitions %s: %s", ", ".join(map(str, sorted(map(str, numbers)))), error)
            for number in numbers:
                self._urgency.pop(number, None)
            return
        finally:
            self._asked -= numbers
        for partition, ((urgency, due), _) in zip(partitions, answers, strict=True):
            self._note_due(partition.number, due)
            if urgency >= 0:
                self._urgency[partition.number] = 1 if self._order.weights else urgency
            elif partition.number not in self._deaf:
                self._urgency.pop(partition.number, None)
            if (urgency >= 0 or not sleeps_ms) and partition is not self._home.partition:
                self._deaf.add(partition.number)

    def _unheard(self) -> set[int | None]:
        """Return the partitions that do not ring for this worker, and those where delayed work is due by now."""
        now, home = self._bus.clock.monotonic(), self._home.partition.number
        return self._deaf | {number for number, due in self._due.items() if due <= now and number != home}

    def _note_due(self, number: int | None, due_ms: int) -> None:
        self._due[number] = math.inf if due_ms < 0 else self._bus.clock.monotonic() + due_ms / 1000

    def _next_due_ms(self) -> int:
        """Milliseconds until a delayed task is due somewhere; -1 if none waits."""
        soonest = min(self._due.values(), default=math.inf)
        return -1 if soonest == math.inf else max(round((soonest - self._bus.clock.monotonic()) * 1000), 0)

    def _grouped(self, deliveries: Sequence[Delivery]) -> list[tuple[Intake, list[Delivery]]]:
        groups: dict[int | None, list[Delivery]] = {}
        for delivery in deliveries:
            groups.setdefault(delivery.partition.number, []).append(delivery)
        return [(self._intakes[number], group) for number, group in groups.items()]

    def _of(self, delivery: Delivery) -> Intake:
        return self._intakes[delivery.partition.number]


def home_of(consumer: str, numbers: Sequence[int | None]) -> int | None:
    """Return the partition at which *consumer* waits: rendezvous hashing, so that consumers spread over all."""
    return max(
        numbers, key=lambda number: hashlib.sha1(f"{number} {consumer}".encode(), usedforsecurity=False).digest()
    )
