"""redis-py's connections with a quicker way out: commands are packed in C, and small writes are not waited for.

Stock asyncio connections pack in Python and wrap each write in a task of its own to time it out; together that
costs more than the engine needs for the command. Reading, authentication, TLS and reconnecting stay redis-py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import hiredis
import redis
from redis.asyncio.connection import (
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ClusterDownError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry as SyncRetry

from observatory.bus.links.address import connection_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis.asyncio.connection import AbstractConnection

    Base = AbstractConnection
    ManagedBase = SentinelManagedConnection
else:
    Base = ManagedBase = object

REPLY_TIMEOUT_S: Final = 3.0
MAX_CONNECTIONS: Final = 16

MOVED: Final = (AskError, ClusterDownError)
"""Answers of a node of a cluster that does not serve a slot: another does, another will, or nobody does for now."""

UNAWAITED_BYTES: Final = 256 * 1024
"""Bytes that may wait in the socket's buffer before a write is awaited; a stuck peer shows in the missing reply."""


class PlaceError(RedisConnectionError):
    """Where the engine is could not be found out.

    Args:
        problem: Which step failed.
        hint: The next step for whoever reads it.
        final: Asking again will not help.
    """

    def __init__(self, problem: str, hint: str, *, final: bool = False) -> None:
        super().__init__(problem)
        self.hint = hint
        self.final = final


class Direct:
    """Makes pools of connections to the one engine that a URL names.

    Args:
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        options = connection_options(url)
        kind = quick(options.get("connection_class", Connection))
        self._options = options | {"retry": Retry(NoBackoff(), 0), "connection_class": kind}

    place = None
    """There is only one."""

    def pool(self, *, max_connections: int, wait_s: float, reply_s: float) -> BlockingConnectionPool:
        """Return a pool of its own; see `ThroughSentinels.pool`."""
        return BlockingConnectionPool(
            max_connections=max_connections, timeout=wait_s, **{**self._options, "socket_timeout": reply_s}
        )

    def thread_pool(self, *, reply_s: float) -> redis.ConnectionPool:
        """Return a pool of one synchronous connection, for a thread; the caller closes it."""
        options = connection_options(self._url, redis.connection.parse_url)
        return redis.ConnectionPool(
            max_connections=1, **{**options, "socket_timeout": reply_s, "retry": SyncRetry(NoBackoff(), 0)}
        )

    def commands(self) -> BlockingConnectionPool:
        """Return the pool for short commands."""
        return self.pool(max_connections=MAX_CONNECTIONS, wait_s=REPLY_TIMEOUT_S, reply_s=REPLY_TIMEOUT_S)

    async def close(self) -> None:
        """Close what is shared by the pools: nothing."""


class _Quick(Base):
    """What all three kinds of connection share."""

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401 - redis-py's own signature
        """Pack a command in C; the words of a two-word command name are sent apart, as redis-py does."""
        head = args[0].encode() if isinstance(args[0], str) else args[0]
        words = (*head.split(), *args[1:])
        try:
            return [hiredis.pack_command(words)]
        except UnicodeEncodeError:
            # Foreign text that was read from bytes which were no UTF-8 goes back as those bytes.
            return [hiredis.pack_command(tuple(map(_as_it_was, words)))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Write a packed command; wait only where much is still to be written, or the connection is not open."""
        writer = self._writer
        if isinstance(command, list) and writer is not None and self.is_connected:
            transport = writer.transport
            if not transport.is_closing() and transport.get_write_buffer_size() < UNAWAITED_BYTES:
                writer.writelines(command)
                return
        await super().send_packed_command(command, check_health)

    def abandon(self) -> None:
        """Cut the connection; whoever waits for a reply learns it, and the next use connects anew."""
        # Not `disconnect`: that takes the parser away from under a task that is reading.
        if self._writer is not None:
            self._writer.transport.abort()


class _Primary(ManagedBase):
    """What connections to a primary that Sentinels name share: they make sure that it is one.

    A primary that was demoted goes on answering reads, from the past. So whoever connects asks for the role, and one
    write that is refused cuts every connection of the link to that server.
    """

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, then ask for the role. HELLO tells it to every user; ROLE would need a right."""
        await super().on_connect_check_health(check_health)
        try:
            await self.send_command("HELLO", check_health=False)
            flat = await self.read_response()
        except ResponseError:
            flat = ()
        if dict(zip(flat[::2], flat[1::2], strict=False)).get(b"role") in _NOT_PRIMARY:
            raise self._demoted()
        self.connection_pool.sentinel_manager.confirm((self.host, self.port))

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's own signature
        """Read a reply; a refusal that says "replica" is a lost connection."""
        try:
            # Past redis-py's own, which drops this one connection and leaves the others where they are.
            return await super(SentinelManagedConnection, self).read_response(*args, **kwargs)
        except ReadOnlyError:
            raise self._demoted() from None

    def _demoted(self) -> RedisConnectionError:
        self.connection_pool.sentinel_manager.doubt((self.host, self.port))
        return RedisConnectionError(f"{self.host}:{self.port} is no primary any more")


class _Node(Base):
    """What connections to a node of a cluster share: what it says of slots that it does not serve is passed on."""

    if TYPE_CHECKING:
        node_pool: Any
        host: str
        port: int

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's own signature
        """Read a reply."""
        try:
            return await super().read_response(*args, **kwargs)
        except MOVED as error:
            self.node_pool.heard(error, (self.host, self.port))
            raise


class QuickConnection(_Quick, Connection):
    """A TCP connection."""


class QuickUnixConnection(_Quick, UnixDomainSocketConnection):
    """A connection by unix socket."""


class QuickTlsConnection(_Quick, SSLConnection):
    """A TCP connection under TLS."""


class QuickPrimaryConnection(_Primary, _Quick, SentinelManagedConnection):
    """A TCP connection to the primary that Sentinels name."""


class QuickPrimaryTlsConnection(_Primary, _Quick, SentinelManagedSSLConnection):
    """A TCP connection under TLS to the primary that Sentinels name."""


class QuickNodeConnection(_Node, _Quick, Connection):
    """A TCP connection to a node of a cluster."""


class QuickNodeTlsConnection(_Node, _Quick, SSLConnection):
    """A TCP connection under TLS to a node of a cluster."""


_NOT_PRIMARY: Final = frozenset({b"slave", b"replica"})


def _as_it_was(value: Any) -> Any:  # noqa: ANN401 - whatever redis-py can send
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


_QUICK: Final[Mapping[type, type[AbstractConnection]]] = {
    Connection: QuickConnection,
    UnixDomainSocketConnection: QuickUnixConnection,
    SSLConnection: QuickTlsConnection,
}


def quick(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the quick counterpart of one of redis-py's asyncio connections; any other kind is returned as it is."""
    return _QUICK.get(kind, kind)
