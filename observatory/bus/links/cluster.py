"""The way to one slot of a cluster: connections lead to whichever node serves it at the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    from observatory.bus.links.topology import NodePools, Place, Topology


class ThroughCluster:
    """Makes pools of connections to the node that serves one slot.

    Args:
        topology: Who serves what.
        slot: The slot.
        shared: Pools for short commands, which all slots share; whoever made them closes them.
    """

    def __init__(self, topology: Topology, slot: int, shared: NodePools) -> None:
        self._topology = topology
        self._slot = slot
        self._shared = shared

    @property
    def place(self) -> Place | None:
        """Where commands go now; None if that is not known."""
        return self._topology.last_place(self._slot)

    def commands(self) -> BlockingConnectionPool:
        """Return a pool for short commands, whose connections all slots of a node share."""
        return SlotPool(self._topology, self._slot, self._shared, owns=False)

    def pool(self, *, max_connections: int, wait_s: float, reply_s: float) -> BlockingConnectionPool:
        """Return a pool of its own; see `ThroughSentinels.pool`."""
        own = self._topology.pools(max_connections=max_connections, wait_s=wait_s, reply_s=reply_s)
        return SlotPool(self._topology, self._slot, own, owns=True)

    def thread_pool(self, *, reply_s: float) -> redis.ConnectionPool:
        """Return a synchronous pool for a thread, which shares one connection a node with the other slots."""
        return _ThreadPool(self._topology, self._slot, reply_s)

    async def close(self) -> None:
        """Close what is shared by the pools: nothing here, for other slots use it too."""


class SlotPool(BlockingConnectionPool):
    """Looks like a pool to redis-py, and hands out connections to the node that serves a slot.

    Args:
        topology: Who serves what.
        slot: The slot.
        nodes: Pools of the nodes.
        owns: Closing this closes *nodes*.
    """

    def __init__(self, topology: Topology, slot: int, nodes: NodePools, *, owns: bool) -> None:
        super().__init__(protocol=2)
        self._topology = topology
        self._slot = slot
        self._nodes = nodes
        self._owns = owns

    async def get_connection(self, *_args: Any, **_options: Any) -> Any:  # noqa: ANN401 - redis-py's own signature
        """Return a connection to the node that serves the slot now."""
        place = await self._topology.place(self._slot)
        try:
            return await self._nodes.at(place).get_connection()
        except (RedisConnectionError, RedisTimeoutError, OSError):
            self._topology.doubt(place)
            raise

    async def release(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's own signature
        """Give a connection back to the pool of its node."""
        await connection.node_pool.release(connection)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close connections of all nodes."""
        await self._nodes.disconnect(in_use=inuse_connections)

    async def aclose(self) -> None:
        """Close the connections, if they are nobody else's."""
        if self._owns:
            await self._nodes.aclose()


class _ThreadPool(redis.ConnectionPool):
    """A synchronous pool that looks where the slot is served each time it is used."""

    def __init__(self, topology: Topology, slot: int, reply_s: float) -> None:
        super().__init__(protocol=2)
        self._topology = topology
        self._slot = slot
        self._reply_s = reply_s

    def get_connection(self, *_args: Any, **_options: Any) -> Any:  # noqa: ANN401 - redis-py's own signature
        """Return a connection to the node that was last known to serve the slot."""
        if (place := self._topology.last_place(self._slot)) is None:
            raise RedisConnectionError(f"who serves slot {self._slot} is being asked")
        pool = self._topology.thread_pool(place, reply_s=self._reply_s)
        connection: Any = pool.get_connection()
        connection.node_pool = pool
        return connection

    def release(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's own signature
        """Give a connection back to the pool of its node."""
        connection.node_pool.release(connection)

    def disconnect(self, *_args: Any, **_options: Any) -> None:  # noqa: ANN401 - redis-py's own signature
        """Close the connections of the thread to all nodes."""
        self._topology.close_threads()
