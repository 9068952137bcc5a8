"""Which node of a cluster serves which slot, as its nodes tell it, and the connections to each of them.

Everything that speaks to one cluster shares one `Topology`: one answer serves all, and whoever finds that it is
wrong lets it be asked again, once for all who wait.
"""

from __future__ import annotations

import asyncio
import random
import weakref
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import redis
import redis.asyncio as aioredis
from redis.asyncio.connection import BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import Connection as SyncConnection
from redis.connection import SSLConnection as SyncSslConnection
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry as SyncRetry

from observatory.bus.links.address import connection_options
from observatory.bus.links.connections import (
    PlaceError,
    QuickConnection,
    QuickNodeConnection,
    QuickNodeTlsConnection,
    QuickTlsConnection,
)
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from observatory.bus.links.address import ClusterAddress

Place = tuple[str, int]
"""Host and port."""

SLOTS: Final = 16384

ANSWER_TIMEOUT_S: Final = 1.0
"""Seconds that one node is given to say who serves what before the next is asked."""

ASK_EVERY_S: Final = 0.1
"""Seconds between two rounds of questions, about: a failover takes seconds, and all who wait share an answer."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A range of slots and who serves it.

    Attributes:
        first: First slot.
        last: Last slot.
        primary: Where it is served.
        replicas: Who could take over.
    """

    first: int
    last: int
    primary: Place
    replicas: tuple[Place, ...]


class Topology:
    """Who serves what in one cluster.

    Args:
        address: What the URL says.
        shown: The URL without its secrets.
    """

    def __init__(self, address: ClusterAddress, shown: str) -> None:
        options = connection_options(address.engine_url, shown=shown)
        self._tls = options.pop("connection_class", None) is not None
        options.pop("host", None)
        self._options = options
        self._seeds = address.hosts
        self._shards: tuple[Shard, ...] = ()
        self._firsts: list[int] = []
        self._moved: dict[int, Place] = {}
        self._doubted: set[Place] = set()
        self._stale = True
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = -ASK_EVERY_S
        self._threads: dict[Place, redis.ConnectionPool] = {}
        self._groups: weakref.WeakSet[NodePools] = weakref.WeakSet()

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The ranges of slots, in order, as they were last told."""
        return self._shards

    @property
    def primaries(self) -> tuple[Place, ...]:
        """Every node that serves slots, in the order of their first slots."""
        return tuple(dict.fromkeys(shard.primary for shard in self._shards))

    def last_place(self, slot: int) -> Place | None:
        """Return who serves *slot* by what was last told; None if nobody did. Any thread may ask."""
        if (place := self._moved.get(slot)) is not None:
            return place
        at = bisect_right(self._firsts, slot) - 1
        shard = self._shards[at] if 0 <= at < len(self._shards) else None
        return shard.primary if shard is not None and slot <= shard.last else None

    async def place(self, slot: int) -> Place:
        """Return who serves *slot*; asks the cluster again where there is reason to doubt what it said.

        Raises:
            PlaceError: No node can be asked, or none serves the slot.
            RedisError: The nodes refuse to say.
        """
        if self._stale and slot not in self._moved:
            await self.refresh()
        if (place := self.last_place(slot)) is None:
            self._stale = True
            raise PlaceError(
                f"no node of the cluster serves slot {slot}", "look at CLUSTER INFO: every slot needs a node"
            )
        return place

    def moved(self, slot: int, place: Place) -> None:
        """A node said that *slot* is served at *place*: believe it at once, and ask about the rest."""
        self._moved[slot] = place
        self._stale = True

    def doubt(self, place: Place | None = None) -> None:
        """Say that what was told cannot be right any more: *place* does not answer, or the cluster is down."""
        self._stale = True
        if place is not None:
            self._doubted.add(place)
            self._moved = {slot: at for slot, at in self._moved.items() if at != place}

    async def refresh(self) -> None:
        """Ask the cluster who serves what; callers at the same time share the question.

        Raises:
            PlaceError: No node can be asked.
            RedisError: The nodes refuse to say.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="observatory-topology")
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._asking)

    def pools(self, *, max_connections: int, wait_s: float, reply_s: float) -> NodePools:
        """Return pools of connections, one for each node, made when they are needed; the caller closes them."""

        def make(place: Place) -> BlockingConnectionPool:
            kind = QuickNodeTlsConnection if self._tls else QuickNodeConnection
            return NodePool(
                self,
                connection_class=kind,
                max_connections=max_connections,
                timeout=wait_s,
                **self._connection(place, reply_s),
            )

        made = NodePools(make)
        self._groups.add(made)
        return made

    def thread_pool(self, place: Place, *, reply_s: float) -> redis.ConnectionPool:
        """Return the pool of one synchronous connection to *place*, for the one thread that asks for it."""
        if (pool := self._threads.get(place)) is None:
            kind = SyncSslConnection if self._tls else SyncConnection
            options = {**self._connection(place, reply_s), "retry": SyncRetry(NoBackoff(), 0)}
            pool = self._threads[place] = redis.ConnectionPool(connection_class=kind, max_connections=1, **options)
        return pool

    def close_threads(self) -> None:
        """Close the synchronous connections; the thread that used them does it at its end."""
        while self._threads:
            self._threads.popitem()[1].disconnect()

    async def close(self) -> None:
        """Stop asking. The pools are closed by those who made them."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait({self._asking})

    def _connection(self, place: Place, reply_s: float) -> dict[str, Any]:
        host, port = place
        return {
            **self._options,
            "host": host,
            "port": port,
            "socket_timeout": reply_s,
            "retry": Retry(NoBackoff(), 0),
        }

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        if (early := self._asked_at + ASK_EVERY_S - loop.time()) > 0:
            await asyncio.sleep(early * random.uniform(1.0, 2.0))
        self._asked_at = loop.time()
        said = _Said()
        suspected: tuple[Shard, ...] | None = None
        for place in self._whom_to_ask():
            try:
                shards = await self._told_by(place)
            except (RedisError, OSError) as error:
                said.failed(place, error)
                continue
            if not shards:
                said.is_alone(place)
            elif any(shard.primary in self._doubted for shard in shards):
                # It has not noticed yet; another may know more. If none does, the node may answer again by now.
                suspected = suspected or shards
            else:
                self._take_in(shards)
                return
        if suspected is None:
            raise said.error()
        self._take_in(suspected)

    def _whom_to_ask(self) -> Iterable[Place]:
        known = [place for shard in self._shards for place in (shard.primary, *shard.replicas)]
        random.shuffle(known)
        everyone = dict.fromkeys((*known, *self._seeds))
        return sorted(everyone, key=self._doubted.__contains__)

    async def _told_by(self, place: Place) -> tuple[Shard, ...]:
        options = {**self._connection(place, ANSWER_TIMEOUT_S), "socket_connect_timeout": ANSWER_TIMEOUT_S}
        pool = ConnectionPool(
            connection_class=QuickTlsConnection if self._tls else QuickConnection, max_connections=1, **options
        )
        client = aioredis.Redis.from_pool(pool)
        client.response_callbacks.clear()
        try:
            return read_slots(await client.execute_command("CLUSTER", "SLOTS"), asked=place)
        finally:
            await client.aclose()

    def _take_in(self, shards: tuple[Shard, ...]) -> None:
        self._shards = shards
        self._firsts = [shard.first for shard in shards]
        self._moved = {}
        self._doubted = set()
        self._stale = False
        places = set(self.primaries)
        for group in self._groups:
            group.retain(places)


class NodePools:
    """Pools of connections to the nodes of a cluster, one for each.

    Args:
        make: Makes the pool for a node.
    """

    def __init__(self, make: Callable[[Place], BlockingConnectionPool]) -> None:
        self._make = make
        self._pools: dict[Place, BlockingConnectionPool] = {}

    def at(self, place: Place) -> BlockingConnectionPool:
        """Return the pool of connections to *place*."""
        if (pool := self._pools.get(place)) is None:
            pool = self._pools[place] = self._make(place)
        return pool

    def retain(self, places: Collection[Place]) -> None:
        """Cut the connections to all but *places*: who waits there would wait for nothing."""
        connection: Any
        for place in self._pools.keys() - places:
            pool: Any = self._pools.pop(place)
            for connection in (*pool._available_connections, *pool._in_use_connections):  # noqa: SLF001
                connection.abandon()

    async def disconnect(self, *, in_use: bool) -> None:
        """Close connections; those in use only if *in_use*."""
        for pool in list(self._pools.values()):
            await pool.disconnect(inuse_connections=in_use)

    async def aclose(self) -> None:
        """Close every connection."""
        while self._pools:
            await self._pools.popitem()[1].aclose()


class NodePool(BlockingConnectionPool):
    """Connections to one node, each of which tells the topology what it hears of moved slots."""

    def __init__(self, topology: Topology, **options: Any) -> None:  # noqa: ANN401 - those of redis-py
        super().__init__(**options)
        self._topology = topology

    def make_connection(self) -> Any:  # noqa: ANN401 - redis-py's own signature
        """Make a connection that knows its pool."""
        connection = super().make_connection()  # type: ignore[no-untyped-call]
        connection.node_pool = self
        return connection

    def heard(self, error: RedisError, place: Place) -> None:
        """Pass on what the node at *place* answered to a command that it does not serve."""
        if isinstance(error, MovedError):
            self._topology.moved(error.slot_id, (error.host or place[0], error.port))
        elif isinstance(error, ClusterDownError):
            self._topology.doubt()


class _Said:
    """What nodes said that did not tell who serves what."""

    def __init__(self) -> None:
        self._refused: RedisError | None = None
        self._strange: PlaceError | None = None
        self._alone: PlaceError | None = None
        self._silent: list[str] = []

    def failed(self, place: Place, error: RedisError | OSError) -> None:
        """Note that one could not be asked."""
        where = f"{place[0]}:{place[1]}"
        reason = line(str(error)) or type(error).__name__
        if isinstance(error, (AuthenticationError, AuthorizationError, NoPermissionError)):
            self._refused = error
        elif "cluster support disabled" in reason:
            self._strange = PlaceError(
                f"what listens at {where} is a single engine and no cluster", "redis:// names a single one", final=True
            )
        elif isinstance(error, (RedisConnectionError, OSError)):
            self._silent.append(reason if where in reason else f"{where}: {reason}")
        else:
            self._silent.append(f"{where}: {reason}")

    def is_alone(self, place: Place) -> None:
        """Note that one knows nobody who serves a slot."""
        self._alone = PlaceError(
            f"no slot of the cluster at {place[0]}:{place[1]} is served by anybody",
            "create the cluster: redis-cli --cluster create",
        )

    def error(self) -> Exception:
        """Return what is to be said of it all."""
        silent = "; ".join(dict.fromkeys(self._silent))
        return (
            self._refused
            or self._strange
            or self._alone
            or PlaceError(f"no node of the cluster answers ({silent})", "are they running there?")
        )


def read_slots(rows: Sequence[Any], *, asked: Place) -> tuple[Shard, ...]:
    """Read the reply of CLUSTER SLOTS.

    Args:
        rows: The reply, in RESP2 shapes.
        asked: The node that gave it; one that does not know its own address leaves it out.
    """
    shards = []
    for first, last, *nodes in rows:
        places = [_place(node, asked) for node in nodes]
        shards.append(Shard(int(first), int(last), places[0], tuple(places[1:])))
    return tuple(sorted(shards, key=lambda shard: shard.first))


def _place(node: Sequence[Any], asked: Place) -> Place:
    host = node[0].decode() if node[0] else ""
    return (asked[0] if host in {"", "?"} else host, int(node[1]))
