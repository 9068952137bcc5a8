"""Publishing to a bus of several partitions: each task goes to its own, each partition has its own batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.partitions import gathered
from observatory.bus.tasks.publisher import Published, Publisher

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observatory.bus.partitions import Partition, Partitions
    from observatory.model.clock import Clock
    from observatory.model.task import NewTask


class Publishers:
    """Publishes for one bus.

    Args:
        partitions: The parts of the bus.
        clock: Where creation times come from.
    """

    def __init__(self, partitions: Partitions, clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock
        self._by_number: dict[int | None, Publisher] = {}

    async def one(self, task: NewTask, *, dedupe: str, dedupe_ttl: float, durable: bool) -> Published:
        """Publish one task, together with what other coroutines publish at the same time."""
        publisher = self._at(self._partitions.of(deciding(task, dedupe)))
        return await publisher.one(task, dedupe=dedupe, dedupe_ttl=dedupe_ttl, durable=durable)

    async def many(self, tasks: Iterable[NewTask]) -> list[Published]:
        """Publish many tasks; those of one partition in order. Returns the answers in the order of *tasks*."""
        wanted = list(tasks)
        groups: dict[int | None, list[int]] = {}
        for place, task in enumerate(wanted):
            groups.setdefault(self._partitions.of(deciding(task)).number, []).append(place)
        told = await gathered(
            self._at(self._partitions.of(deciding(wanted[places[0]]))).many([wanted[place] for place in places])
            for places in groups.values()
        )
        answers: dict[int, Published] = {}
        for places, published in zip(groups.values(), told, strict=True):
            answers.update(zip(places, published, strict=True))
        return [answers[place] for place in range(len(wanted))]

    async def close(self) -> None:
        """Send what is under way, then close the durable connections."""
        for publisher in self._by_number.values():
            await publisher.close()

    def _at(self, partition: Partition) -> Publisher:
        if (publisher := self._by_number.get(partition.number)) is None:
            publisher = Publisher(partition.link, partition.keys, self._clock)
            self._by_number[partition.number] = publisher
        return publisher


def deciding(task: NewTask, dedupe: str = "") -> str:
    """Return the text whose hash decides the partition of *task*: what must meet its like is in one partition."""
    return task.ordering_key or dedupe or task.id
