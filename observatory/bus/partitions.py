"""Partitions: the parts of a bus on a cluster, each of which lives in one slot; elsewhere a bus is one part.

A partition is a bus in small: keys under a prefix of its own, and a link to whoever serves them. What belongs to one
task lives in one partition, so every script finds all it touches on one node. Rules, for whoever writes a client:

- a task goes by the hash of its ordering key, else of its dedupe key, else of its id;
- mailbox and heartbeats of an agent go by the hash of its name;
- broadcasts, and the cursors of those who hear them, live in the first partition.

The hash is the CRC16 (XMODEM) of the UTF-8 text, modulo the number of partitions, which is fixed when the bus is made;
the numbers in the key names stand in the hash `{<bus>}:meta`, field `partitions`, in that order.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from redis.crc import key_slot

from observatory.bus.keys import Keys
from observatory.bus.links.address import MAX_PARTITIONS, cluster_of, masked
from observatory.bus.links.cluster import ThroughCluster
from observatory.bus.links.connections import MAX_CONNECTIONS, REPLY_TIMEOUT_S
from observatory.bus.links.link import DEADLINE_S, Link
from observatory.bus.links.topology import SLOTS, Topology
from observatory.model.errors import BusError, UsageError
from observatory.model.snapshot import LinkState, LinkView
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Sequence

    from observatory.bus.links.link import Argument, Reply
    from observatory.bus.links.topology import NodePools
    from observatory.model.clock import Clock

PARTITIONS: Final = 12
"""Partitions of a new bus at least: 2, 3, 4 and 6 primaries, the usual numbers, get equal shares of them."""

Result = TypeVar("Result")

_FIELD: Final = "partitions"


@dataclass(frozen=True, slots=True)
class Partition:
    """One part of a bus.

    Attributes:
        keys: Key names.
        link: The link to who serves them.
    """

    keys: Keys
    link: Link

    @property
    def number(self) -> int | None:
        """What its keys are tagged with; None for a bus of one part with plain names."""
        return self.keys.partition


class Partitions:
    """All parts of one bus, in the order of their slots; complete once it is open.

    Args:
        url: Where the bus is; see `Bus.connect`.
        prefix: First part of every key.
        clock: Where times of state changes come from.

    Raises:
        UsageError: *url* or *prefix* cannot be one.
    """

    def __init__(self, url: str, prefix: str, clock: Clock) -> None:
        self.url = masked(url)
        self.prefix = prefix
        self._raw_url = url
        self._clock = clock
        self._address = cluster_of(url)
        self.topology = None if self._address is None else Topology(self._address, self.url)
        self._since_ms = clock.now_ms()
        self._shared: NodePools | None = None
        if self.topology is not None:
            self._shared = self.topology.pools(
                max_connections=MAX_CONNECTIONS, wait_s=REPLY_TIMEOUT_S, reply_s=REPLY_TIMEOUT_S
            )
        self._all: tuple[Partition, ...] = ()
        keys = Keys(prefix)
        if self._address is None:
            self._all = (Partition(keys, Link(url, keys, clock)),)

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def seat(self) -> Partition:
        """The partition of what there is once for the whole bus.

        Raises:
            BusError: The bus is not open, so that nobody knows yet.
        """
        if not self._all:
            raise BusError("the bus is not open", "enter its context, or await open")
        return self._all[0]

    def of(self, text: str) -> Partition:
        """Return the partition that the hash of *text* decides: of an ordering key, a task's id, an agent's name."""
        if len(self._all) == 1:
            return self._all[0]
        return (
            self._all[key_slot(text.encode("utf-8", "surrogateescape"), SLOTS) % len(self)] if self._all else self.seat
        )

    def of_stream(self, stream: str) -> Partition:
        """Return the partition that the key *stream* lives in.

        Raises:
            UsageError: It is no key of this bus.
        """
        for partition in self._all:
            if stream.startswith(f"{partition.keys.prefix}:"):
                return partition
        raise UsageError(f"{line(stream, 64)!r} is no key of this bus")

    def numbered(self, number: int | None) -> Partition | None:
        """Return the partition whose keys are tagged with *number*; None if there is none."""
        return next((partition for partition in self._all if partition.number == number), None)

    def nearest_first(self, text: str) -> list[Partition]:
        """Return all partitions, that of *text* first: where a task is, if no ordering key decided otherwise."""
        first = self.of(text)
        return [first, *(partition for partition in self._all if partition is not first)]

    @property
    def view(self) -> LinkView:
        """How the links stand: lost if all are, degraded while some are."""
        views = [partition.link.view for partition in self._all]
        if not views:
            return LinkView(LinkState.CONNECTING, self._since_ms, url=self.url)
        if len(views) == 1 or len({view.state for view in views}) == 1:
            return max(views, key=lambda view: view.since_ms)
        ill = [view for view in views if view.state in {LinkState.LOST, LinkState.DEGRADED}]
        if not ill:
            ready = [view for view in views if view.state is LinkState.READY]
            return max(ready, key=lambda view: view.since_ms)
        since = min(view.since_ms for view in ill)
        reason = f"{len(ill)} of {len(views)} partitions: {ill[0].reason}"
        return LinkView(LinkState.DEGRADED, since, reason=reason, url=self.url)

    async def open(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Reach the engine once; on a cluster, learn the partitions of the bus, or make it if there is none.

        Raises:
            BusUnreachableError: Nothing answers, what answers is no Redis, or the credentials are refused.
            UsageError: The URL asks for another number of partitions than the bus has.
        """
        if self.topology is not None and not self._all:
            self._all = await self._learnt(deadline_s)
        await self._all[0].link.open(deadline_s=deadline_s)
        for partition in self._all[1:]:
            partition.link.like(self._all[0].link)

    async def close(self) -> None:
        """Close every connection."""
        for partition in self._all:
            await partition.link.close()
        if self._shared is not None:
            await self._shared.aclose()
        if self.topology is not None:
            await self.topology.close()

    async def _learnt(self, deadline_s: float) -> tuple[Partition, ...]:
        """Read which partitions the bus has; the first client that may write decides it."""
        assert self.topology is not None  # noqa: S101 (only clusters come here)
        assert self._address is not None  # noqa: S101
        meta = Keys(self.prefix).meta
        link = self._link(meta, Keys(self.prefix))
        said = await link.command("HGET", meta, _FIELD, deadline_s=deadline_s)
        if said is None:
            count = self._address.partitions or count_for(len(self.topology.primaries))
            chosen = " ".join(map(str, tags(self.prefix, count)))
            await link.command("HSETNX", meta, _FIELD, chosen, deadline_s=deadline_s)
            said = await link.command("HGET", meta, _FIELD, deadline_s=deadline_s)
        numbers = _numbers(meta, said)
        if self._address.partitions not in {None, len(numbers)}:
            raise UsageError(
                f"the bus {self.prefix!r} at {self.url} has {len(numbers)} partitions, fixed when it was made",
                f"leave partitions={self._address.partitions} out of the URL",
            )
        made = []
        for number in numbers:
            keys = Keys(self.prefix, number)
            made.append(Partition(keys, self._link(keys.delayed, keys)))
        return tuple(made)

    def _link(self, key: str, keys: Keys) -> Link:
        assert self.topology is not None  # noqa: S101 (only clusters come here)
        assert self._shared is not None  # noqa: S101
        way = ThroughCluster(self.topology, key_slot(key.encode(), SLOTS), self._shared)
        return Link(self._raw_url, keys, self._clock, way)


def count_for(primaries: int) -> int:
    """Return how many partitions a new bus gets on a cluster of so many primaries: equal shares for each."""
    each = max(primaries, 1)
    return min(-(-PARTITIONS // each) * each, MAX_PARTITIONS)


def tags(prefix: str, count: int) -> list[int]:
    """Return *count* numbers for which the keys `{<prefix>:<number>}…` lie evenly over all slots, in their order.

    Each is the smallest whose slot lies in the middle half of its share of the slots. Successive numbers would not
    do: CRC16 puts `cortex:0` to `cortex:15` on three equal primaries as 4, 5 and 7.
    """
    found = []
    for share in range(count):
        first, behind = SLOTS * (4 * share + 1) // (4 * count), SLOTS * (4 * share + 3) // (4 * count)
        number = 0
        while not first <= key_slot(f"{prefix}:{number}".encode(), SLOTS) < behind:
            number += 1
        found.append(number)
    return found


async def everywhere(
    partitions: Iterable[Partition],
    name: str,
    args: Callable[[Partition], Sequence[Argument]],
    *also: Argument,
    deadline_s: float = DEADLINE_S,
) -> list[tuple[Reply, Reply]]:
    """Call a script in all *partitions* at once, in one round trip a node.

    Args:
        partitions: Where.
        name: Script in `lua/`.
        args: Its arguments behind the prefix, for each.
        also: A command for each node, whose refusal is no failure; none by default.
        deadline_s: Seconds after which to give up.

    Returns:
        For each partition the script's reply, and what its node replied to *also*, or None.

    Raises:
        BusError: One of them answers no; `BusUnreachableError` if one does not answer in time.
    """
    wanted = list(partitions)
    groups: dict[Hashable, list[int]] = {}
    for at, partition in enumerate(wanted):
        groups.setdefault(partition.link.place, []).append(at)
    answers: dict[int, tuple[Reply, Reply]] = {}

    async def ask(group: Sequence[int]) -> None:
        calls = [(wanted[at].link, name, args(wanted[at])) for at in group]
        replies, more = await calls[0][0].together(calls, *also, deadline_s=deadline_s)
        answers.update((at, (reply, more)) for at, reply in zip(group, replies, strict=True))

    await gathered(map(ask, groups.values()))
    return [answers[at] for at in range(len(wanted))]


async def gathered(awaited: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Await all at once and return what they return, in order; the first failure is raised when all are over."""
    results = await asyncio.gather(*awaited, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _numbers(meta: str, said: bytes) -> list[int]:
    words = said.split()
    if not words or len(words) > MAX_PARTITIONS or not all(word.isdigit() for word in words):
        raise BusError(f"{meta} does not tell the partitions of the bus", f"HGET {meta} {_FIELD}: numbers")
    return [int(word) for word in words]
