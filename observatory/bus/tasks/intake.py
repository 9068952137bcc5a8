"""How work reaches a worker: by `take`, by a blocked read when all lanes are empty, and by recovery."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoPermissionError, ResponseError

from observatory.bus.links.link import DEADLINE_S
from observatory.bus.links.refusals import TRANSIENT
from observatory.bus.scripts import script
from observatory.bus.tasks.delivery import Delivery
from observatory.model.errors import BusError
from observatory.model.retention import Retention
from observatory.model.task import EntryId, Lane, Priority, Task
from observatory.model.wire import Malformed, foreign_id, pairs, read_entry

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Mapping, Sequence

    import redis.asyncio as aioredis

    from observatory.bus.client import Bus
    from observatory.bus.partitions import Partition

BLOCK_MS: Final = 1000
"""Longest blocked read: delayed work that somebody else scheduled meanwhile is found within it."""

UNBLOCK_EVERY_S: Final = 0.002
"""Seconds between two attempts to end a read that is about to block."""

ORPHAN_AFTER_MS: Final = 5000
"""A pending entry of our own that we do not hold is an orphan only after its reply had time to arrive."""

AGING_LOOKS: Final = 10
"""Looks at the age of patient lanes within the shortest patience: nothing waits much more than a tenth too long."""

MOST_HELD: Final = 16
"""Deliveries in hand up to which what a blocked read brings is begun by the engine itself; each is named to it."""

TIDY_EVERY_S: Final = 60.0
"""Seconds between two looks at what several groups have all settled, and at consumers that are long gone."""

RETAIN_DEFAULTS: Final = (Retention().events_bytes, Retention().dead_bytes, Retention().dead_days)
"""What the bus keeps where it does not say otherwise, in the order that retain.lua reads; partitions share it."""

_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Batch:
    """What one `take` brought.

    Attributes:
        entries: Deliveries, most urgent first; False beside those that the script left for `adopt` to start.
        next_due_ms: Milliseconds until a delayed task is due; -1 if none waits.
    """

    entries: tuple[tuple[Delivery, bool], ...]
    next_due_ms: int


@dataclass(frozen=True, slots=True)
class Order:
    """In which order lanes are served.

    Attributes:
        queues: Queues, in order of preference within a priority.
        aging: Longest wait in seconds by priority, after which the oldest of such a lane goes first.
        weights: Share of takes that begin with each priority; empty for strict priority.
    """

    queues: tuple[str, ...]
    aging: Mapping[Priority, float]
    weights: Mapping[Priority, float]

    def lanes(self) -> list[Lane]:
        """Return all lanes in strict priority."""
        return [Lane(queue, priority) for priority in Priority for queue in self.queues]

    def lanes_now(self) -> list[Lane]:
        """Return all lanes in the order of the next take."""
        if not self.weights:
            return self.lanes()
        # Weighted shuffle: each priority draws a number that is large the more it weighs (Efraimidis, Spirakis 2006).
        drawn = {p: random.random() ** (1 / max(self.weights.get(p, 0.0), 1e-9)) for p in Priority}
        order = sorted(Priority, key=lambda priority: -drawn[priority])
        return [Lane(queue, priority) for priority in order for queue in self.queues]


@dataclass
class Intake:
    """The lanes of one worker in one partition, most urgent first.

    Attributes:
        bus: The bus.
        partition: The partition.
        order: Lanes to serve, and in which order.
        group: Consumer group.
        consumer: Consumer name.
        lease_s: Seconds after which a silent consumer's work may be taken over.
        max_deliveries: Deliveries after which an entry is poison.
    """

    bus: Bus
    partition: Partition
    order: Order
    group: str
    consumer: str
    lease_s: float
    max_deliveries: int
    _avoid: frozenset[str] = frozenset()
    _seen: set[str] = field(default_factory=set)
    _aged: float = -math.inf
    _tidied: float = 0.0
    _reader_id: int | None = None
    _blocked: bool = False
    _begin_known: bool = False
    _reader: aioredis.Redis | None = None
    _woken: bool = False
    _cursors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keys = self.partition.keys
        self._lane_of = {keys.lane(lane): lane for lane in self.order.lanes()}
        self._streams = tuple(self._lane_of)
        self._rank = {stream: rank for rank, stream in enumerate(self._streams)}
        self._tidied = self.bus.clock.monotonic()

    def rank(self, stream: str) -> int:
        """Return the place of *stream* in the order of urgency."""
        return self._rank[stream]

    async def take(self, want: int, most: int | None = None, *, deadline_s: float = DEADLINE_S) -> Batch:
        """Take up to *want* entries in the order of the lanes, of the first *most* of them only."""
        streams = (
            self._streams if not self.order.weights else tuple(map(self.partition.keys.lane, self.order.lanes_now()))
        )
        streams = streams[:most]
        patience = self._patience(streams)
        reply = await self.partition.link.call(
            "take", (self.group, self.consumer, want, *patience), streams, deadline_s=deadline_s
        )
        rows, due, avoid, remade = reply
        self._avoid = self._avoid.difference(streams).union(stream.decode() for stream, _ in avoid)
        visited = set(streams) - self._avoid if len(rows) < want else set()
        await self._note_groups({stream.decode() for stream in remade}, visited)
        entries = tuple(
            (self._delivery(streams[index], ident, flat, 1), bool(started)) for index, ident, flat, started in rows
        )
        return Batch(entries, due)

    async def wait(
        self, next_due_ms: int, most_ms: int, held: Collection[tuple[str, str]]
    ) -> list[tuple[Delivery, bool]]:
        """Block until an entry arrives in any lane, a delayed task is due, or *most_ms* milliseconds have passed.

        The read is never cancelled: what the engine delivers to a cancelled read is lost from sight.

        Args:
            next_due_ms: Milliseconds until a delayed task is due; -1 if none waits.
            most_ms: Longest wait in milliseconds.
            held: Stream and entry of what this worker knows that it holds.

        Returns:
            What arrived and was not diverted; True beside what runs already, False beside what `adopt` is to start.
        """
        block = most_ms if next_due_ms < 0 else min(most_ms, next_due_ms)
        streams = [stream for stream in self._streams if stream not in self._avoid]
        if self._woken:
            self._woken = False
            return []
        if block <= 0 or not streams:
            await asyncio.sleep(0.5 if not streams else 0)
            return []
        reader = self._reader = self._reader or self.partition.link.client(timeout_s=BLOCK_MS / 1000 + 3)
        try:
            if self._reader_id is None:
                with contextlib.suppress(NoPermissionError):
                    self._reader_id = await reader.execute_command("CLIENT", "ID")
            self._blocked = True
            reply, begun = await self._read(reader, block, streams, held)
        except TRANSIENT as error:
            self._reader_id = None
            self.partition.link.note(error)
            await asyncio.sleep(0.05)
            return []
        except ResponseError:
            # The lane or its group went away under the read (NOGROUP, WRONGTYPE, UNBLOCKED): `take` finds out which.
            return []
        finally:
            self._blocked = self._woken = False
        brought = [
            self._delivery(stream.decode(), ident, flat, 1) for stream, rows in reply or () for ident, flat in rows
        ]
        return [(delivery, delivery.key in begun) for delivery in brought if begun.get(delivery.key, True)]

    async def _read(
        self, reader: aioredis.Redis, block_ms: int, streams: Sequence[str], held: Collection[tuple[str, str]]
    ) -> tuple[Any, dict[tuple[str, str], bool]]:
        """Read, blocking, and have begun in the same round trip what it brings.

        Returns:
            The reply to the read, and by stream and entry whether what it brought runs or was diverted.
        """
        chosen = script("begin", flags=self.partition.link.flags)
        command, said = ("EVALSHA", chosen.sha) if self._begin_known else ("EVAL", chosen.source)
        async with reader.pipeline(transaction=False) as pipe:
            read = ("XREADGROUP", "GROUP", self.group, self.consumer, "COUNT", 1, "BLOCK", block_ms, "STREAMS")
            pipe.execute_command(*read, *streams, *(b">" for _ in streams))
            if len(held) <= MOST_HELD:
                known = (part for key in held for part in key)
                head = (self.partition.keys.prefix, self.group, self.consumer)
                pipe.execute_command(command, said, len(streams), *streams, *head, *known)
            reply, *told = await pipe.execute(raise_on_error=False)
        if isinstance(reply, Exception):
            raise reply
        rows = told[0] if told else ()
        if told:
            self._begin_known = not isinstance(rows, Exception)
        if isinstance(rows, Exception):
            # It is begun by `adopt`, which says what is wrong.
            rows = ()
        return reply, {(streams[index], ident.decode()): bool(runs) for index, ident, runs in rows}

    def wake(self) -> None:
        """End a blocked read, or keep the next one from beginning; by itself it ends within a second."""
        self._woken = True
        if self._blocked and self._reader_id is not None:
            self.bus.keep(asyncio.create_task(self._unblock(self._reader_id)))

    async def adopt(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Mark deliveries as running; False for those that were diverted or are no longer ours."""
        args: list[str | int] = [self.group, self.consumer]
        for delivery in deliveries:
            task = delivery.task
            args += (delivery.stream, task.entry_id, delivery.deliveries, task.id, task.type, task.attempt)
            args += (task.arrived_ms, round(task.ttl_s * 1000), task.ordering_key)
        return [answer == 1 for answer in await self.partition.link.call("adopt", args)]

    async def recover(self, most: int, held: Container[tuple[str, str]]) -> list[Delivery]:
        """Find up to *most* deliveries that nobody works on: those of dead consumers, and our own lost replies.

        Args:
            most: Free slots.
            held: Stream and entry of what this worker knows that it holds.
        """
        cursors = [self._cursors.get(stream, "0-0") for stream in self._streams]
        lease_ms = round(self.lease_s * 1000)
        args: list[str | int] = [self.group, self.consumer, lease_ms, ORPHAN_AFTER_MS, most, *cursors]
        cursors_now, claimed, own = await self.partition.link.call("recover", args, self._streams)
        # Starting over at 0-0 each time would never reach old entries behind many fresh ones.
        self._cursors = {stream: cursor.decode() for stream, cursor in zip(self._streams, cursors_now, strict=True)}
        found = [self._delivery(self._streams[at], ident, flat, deliveries) for at, ident, flat, deliveries in claimed]
        for at, ident, deliveries in own:
            stream = self._streams[at]
            if len(found) < most and (stream, ident.decode()) not in held:
                rows = await self.partition.link.command("XRANGE", stream, ident, ident)
                found += [self._delivery(stream, ident, flat, deliveries) for _, flat in rows]
        return found

    async def tidy(self) -> None:
        """Once a minute, let go of what all groups have settled and of consumers that are long gone, lane by lane.

        One lane in turn stands for the log and the dead letters, which are kept within their bounds.
        """
        now = self.bus.clock.monotonic()
        if now - self._tidied < TIDY_EVERY_S * random.uniform(0.5, 1.5) / len(self._streams):
            return
        self._tidied = now
        stream = random.choice(self._streams)
        await self.partition.link.call("trim", (), (stream,))
        await self.partition.link.call("forget", (self.group,), (stream,))
        if stream == self._streams[0]:
            events_bytes, dead_bytes, dead_days = RETAIN_DEFAULTS
            share = len(self.bus.partitions)
            await self.partition.link.call("retain", (events_bytes // share, dead_bytes // share, dead_days))

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put deliveries back into their lanes, where the next worker gets them at once."""
        if not deliveries:
            return
        args: list[str | int] = [self.group, self.consumer]
        for delivery in deliveries:
            task = delivery.task
            args += (delivery.stream, task.entry_id, delivery.deliveries, task.id, task.type, task.attempt)
        await self.partition.link.call("give_back", args, deadline_s=2.0)

    async def leave(self) -> None:
        """Remove this consumer from the groups in which it holds nothing."""
        await self.partition.link.call("leave", (self.group, self.consumer), self._streams, deadline_s=2.0)

    async def close(self) -> None:
        """Close the blocking connection."""
        if self._reader is not None:
            await self._reader.aclose()

    def _patience(self, streams: Sequence[str]) -> list[int]:
        """Return the longest wait of each stream in ms, when it is time to look at their age; else nothing."""
        aging, now = self.order.aging, self.bus.clock.monotonic()
        if not aging or now - self._aged < min(aging.values()) / AGING_LOOKS:
            return []
        self._aged = now
        return [round(self.order.aging.get(self._lane_of[stream].priority, 0) * 1000) for stream in streams]

    async def _note_groups(self, made: set[str], visited: set[str]) -> None:
        """A group that this worker has seen and that had to be made again means that somebody lost data."""
        lost = made & self._seen
        self._seen |= made | visited
        if lost:
            args = [part for stream in sorted(lost) for part in ("data_loss_suspected", stream, self.consumer, "", "")]
            with contextlib.suppress(BusError):
                await self.partition.link.call("note", args)

    async def _unblock(self, client_id: int) -> None:
        with contextlib.suppress(BusError):
            # The read may be on its way to the engine still, on its own connection, and is blocked only then.
            while not await self.partition.link.command("CLIENT", "UNBLOCK", client_id, deadline_s=1.0):
                await asyncio.sleep(UNBLOCK_EVERY_S)
                if not self._blocked:
                    break

    def _delivery(self, stream: str, ident: bytes, flat: Sequence[bytes], deliveries: int) -> Delivery:
        lane, entry_id = self._lane_of[stream], ident.decode()
        read = read_entry(lane, entry_id, pairs(flat))
        if isinstance(read, Malformed):
            nameless = Task(
                read.id or foreign_id(lane, entry_id), "", b"", lane, entry_id, arrived_ms=EntryId.parse(ident).ms
            )
            return Delivery(self.partition, stream, nameless, deliveries, problem=read.why)
        return Delivery(self.partition, stream, read, deliveries, poison=deliveries > self.max_deliveries)
