"""Publishing: tasks are checked and encoded one by one, and travel together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from observatory.bus.tasks.batch import Batcher
from observatory.bus.tasks.durable import DurableWriter
from observatory.model.errors import BusBusyError, BusError, UsageError
from observatory.model.task import MAX_TTL_S, SHARED, is_queue_name
from observatory.model.text import line
from observatory.model.wire import ABSENT_WORDS, MAX_ORDERING_KEY, MAX_PAYLOAD, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument, Link
    from observatory.model.clock import Clock
    from observatory.model.task import Lane, NewTask

BATCH: Final = 128
"""Tasks that travel in one call at most."""

DEDUPE_TTL_S: Final = 86_400.0
"""Seconds that a dedupe key is remembered unless the publisher says otherwise."""

LANE_BOUND: Final = 1_000_000
"""Entries in a lane above which publishing to it is refused."""

MAX_ID: Final = 200
"""Longest id of a task that may be published, in bytes of UTF-8."""

Shape = tuple["Argument", ...]
"""What tasks of a batch share: stream, queue (empty: shared), and the names of their fields."""

Packed = tuple[Shape, "tuple[Argument, ...]", list[bytes]]
"""A task on its way: its shape, its delay in ms and its dedupe key, values of its fields."""

Answer = tuple[str, str, str]
"""What the script said to one task: outcome, entry, and the id of the task that has its dedupe key, if another."""


class PublishOutcome(StrEnum):
    """What became of a publish."""

    QUEUED = "queued"
    DELAYED = "delayed"
    DUPLICATE = "duplicate"
    """The bus knows a task of this id or dedupe key; nothing was added."""
    STORED = "stored"
    """The bus is out of reach: it waits in the outbox of this machine, and is sent when the bus answers."""


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to a publish.

    Attributes:
        id: Task id; of a duplicate, the id of the task that was there before.
        outcome: What became of it.
        entry_id: Its entry in the lane; for delayed work the name it waits under.
        lane: The lane it is in or will be in.
    """

    id: str
    outcome: PublishOutcome
    entry_id: str
    lane: Lane


class Publisher:
    """Publishes for one bus.

    Args:
        link: The link to the engine.
        keys: Key names.
        clock: Where creation times come from.
    """

    def __init__(self, link: Link, keys: Keys, clock: Clock) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._batcher = Batcher(self._send, most=BATCH, lanes=2)
        self._durable = DurableWriter(link, keys, clock)
        self._durably = Batcher(self._send_durably, most=BATCH)

    async def one(self, task: NewTask, *, dedupe: str, dedupe_ttl: float, durable: bool) -> Published:
        """Publish one task, together with what other coroutines publish at the same time."""
        packed = self._packed(task, f"{round(dedupe_ttl * 1000)}:{dedupe}" if dedupe else "")
        if durable:
            return _accepted(task, await self._durably.submit(packed))
        return _accepted(task, await self._batcher.submit(packed))

    async def many(self, tasks: Iterable[NewTask]) -> list[Published]:
        """Publish many tasks, in order."""
        wanted = list(tasks)
        packed = [self._packed(task) for task in wanted]
        answers: list[Answer] = []
        for start in range(0, len(packed), BATCH):
            answers += await self._send(packed[start : start + BATCH])
        return [_accepted(task, answer) for task, answer in zip(wanted, answers, strict=True)]

    async def close(self) -> None:
        """Send what is under way, then close the durable connection."""
        await self._batcher.flush()
        await self._durably.flush()
        await self._durable.close()

    def _packed(self, task: NewTask, dedupe: str = "") -> Packed:
        """Check and encode a task before it joins a batch: one that cannot be sent fails alone."""
        check(task)
        complete = task if task.created_ms else replace(task, created_ms=self._clock.now_ms())
        try:
            names, values = encode(complete)
        except UnicodeEncodeError as error:
            raise UsageError(f"task {line(task.id, 64)}: a field holds text that is no Unicode: {error}") from error
        queue = "" if task.queue == SHARED else task.queue
        return (self._keys.lane(task.lane), queue, *names), (round(task.delay_s * 1000), dedupe), values

    async def _send(self, batch: Sequence[Packed]) -> Sequence[Answer]:
        return list(map(_decoded, await self._link.call("publish", self._arguments(batch))))

    async def _send_durably(self, batch: Sequence[Packed]) -> Sequence[Answer]:
        return list(map(_decoded, await self._durable.send(self._arguments(batch))))

    def _arguments(self, batch: Sequence[Packed]) -> list[Argument]:
        shapes: dict[Shape, int] = {}
        rows: list[Argument] = []
        for shape, head, values in batch:
            rows.append(shapes.setdefault(shape, len(shapes) + 1))
            rows += head
            rows += values
        args: list[Argument] = [LANE_BOUND, len(shapes)]
        for stream, queue, *names in shapes:
            args += (stream, queue, len(names), *names)
        args += rows
        return args


def check(task: NewTask) -> None:
    """Refuse a task that cannot be published.

    Raises:
        UsageError: A field cannot be taken; the message begins with its name.
    """
    if (
        task.type
        and is_queue_name(task.queue)
        and 0 < len(task.id.encode("utf-8", "replace")) <= MAX_ID
        and task.id not in ABSENT_WORDS
        and len(task.payload) <= MAX_PAYLOAD
        and 0 < task.ttl_s <= MAX_TTL_S
        and 0 <= task.delay_s <= MAX_TTL_S
        and (not task.ordering_key or _fits_order(task.ordering_key))
    ):
        return
    size = len(task.payload)
    for wrong, problem in (
        (not task.type, "type: a task needs one"),
        (not is_queue_name(task.queue), f"queue: {line(task.queue, 64)!r} cannot name one"),
        (task.id in ABSENT_WORDS, f"id: {task.id!r} stands for none"),
        (not 0 < len(task.id.encode("utf-8", "replace")) <= MAX_ID, f"id: 1 to {MAX_ID} bytes"),
        (size > MAX_PAYLOAD, f"payload: {size} bytes, {MAX_PAYLOAD} at most"),
        (not 0 < task.ttl_s <= MAX_TTL_S, f"ttl: {task.ttl_s} s, must be above zero and at most {MAX_TTL_S} s"),
        (not 0 <= task.delay_s <= MAX_TTL_S, f"delay: {task.delay_s} s, must be from zero to {MAX_TTL_S} s"),
        (
            bool(task.ordering_key) and not _fits_order(task.ordering_key),
            f"ordering_key: 1 to {MAX_ORDERING_KEY} bytes that mean something",
        ),
    ):
        if wrong:
            raise UsageError(problem)


def _fits_order(key: str) -> bool:
    return key not in ABSENT_WORDS and len(key.encode("utf-8", "replace")) <= MAX_ORDERING_KEY


def _decoded(answer: bytes | Sequence[bytes]) -> Answer:
    if isinstance(answer, bytes):
        return "queued", answer.decode(), ""
    outcome, entry, twin = answer
    return outcome.decode(), entry.decode("utf-8", "replace"), twin.decode("utf-8", "surrogateescape")


def _accepted(task: NewTask, answer: Answer) -> Published:
    outcome, entry, twin = answer
    if outcome == "busy":
        raise BusBusyError(f"lane {task.lane} is full", "let it drain, or publish to another queue")
    if outcome == "drained":
        raise BusBusyError(f"lane {task.lane} is being drained: it takes nothing new", "wait, or use another lane")
    if outcome == "refused":
        raise BusError(
            f"lane {task.lane} cannot be added to: {line(entry)}", "find its key with TYPE, rename or delete it"
        )
    return Published(twin or task.id, PublishOutcome(outcome), entry, task.lane)
