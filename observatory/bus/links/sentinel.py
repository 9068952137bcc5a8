"""The way to a primary that Sentinels watch: ask them where it is, and leave the old one when it is another.

redis-py speaks to the Sentinels and keeps the connections; what is added here: one question at a time however many
connections want the answer, answers that are older than what is known come last, Sentinels are listened to, every
connection of the link is cut when the primary has moved, and errors say which step failed.
"""

from __future__ import annotations

import asyncio
import random
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

import redis
import redis.sentinel
from redis.asyncio.connection import BlockingConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry as SyncRetry

from observatory.bus.links.address import SENTINEL_PORT, connection_options
from observatory.bus.links.connections import (
    MAX_CONNECTIONS,
    REPLY_TIMEOUT_S,
    PlaceError,
    QuickPrimaryConnection,
    QuickPrimaryTlsConnection,
)
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis.asyncio as aioredis

    from observatory.bus.links.address import Sentinels

ANSWER_TIMEOUT_S: Final = 1.0
"""Seconds that one Sentinel is given to answer before the next is asked."""

LISTEN_S: Final = 5.0
"""Seconds after which a Sentinel that could not be listened to is tried again."""

STALE_S: Final = 30.0
"""Seconds for which nobody is believed who names a primary from before the last failover that is known of."""

PROMOTED: Final = "+promoted-slave"
SWITCHED: Final = "+switch-master"
"""What Sentinels say when another engine becomes the primary: first the one that leads, then each."""

Place = tuple[str, int]
"""Host and port."""


class ThroughSentinels:
    """Makes pools of connections to the primary.

    Args:
        sentinels: What the URL says.
        shown: The URL without its secrets.
    """

    def __init__(self, sentinels: Sentinels, shown: str) -> None:
        self._name = sentinels.name
        engine = connection_options(sentinels.engine_url, shown=shown)
        tls = engine.pop("connection_class", None) is SSLConnection
        engine.pop("host", None)
        tuning = {key: value for key, value in engine.items() if key.startswith(("ssl_", "protocol", "driver_info"))}
        times = {"socket_timeout": ANSWER_TIMEOUT_S, "socket_connect_timeout": ANSWER_TIMEOUT_S}
        asking = {**tuning, **times, **sentinels.credentials, "ssl": tls, "retry": Retry(NoBackoff(), 0)}
        self._engine = engine
        self._tls = tls
        self._finder = Finder(sentinels.hosts, sentinel_kwargs=asking, named=self._name)

    place = None
    """There is only one primary."""

    def pool(self, *, max_connections: int, wait_s: float, reply_s: float) -> BlockingConnectionPool:
        """Return a pool of its own; the caller closes it.

        Args:
            max_connections: Its size.
            wait_s: Seconds to wait for a free connection.
            reply_s: Seconds to wait for a reply.
        """
        pool = PrimaryPool(  # type: ignore[no-untyped-call]
            self._name,
            self._finder,
            connection_class=QuickPrimaryTlsConnection if self._tls else QuickPrimaryConnection,
            max_connections=max_connections,
            timeout=wait_s,
            **{**self._engine, "socket_timeout": reply_s, "retry": Retry(NoBackoff(), 0)},
        )
        self._finder.pools.add(pool)
        return pool

    def commands(self) -> BlockingConnectionPool:
        """Return the pool for short commands."""
        return self.pool(max_connections=MAX_CONNECTIONS, wait_s=REPLY_TIMEOUT_S, reply_s=REPLY_TIMEOUT_S)

    def thread_pool(self, *, reply_s: float) -> redis.ConnectionPool:
        """Return a pool of one synchronous connection, for a thread; the caller closes it.

        It goes where the event loop has found the primary, and is not connected while that is being looked for.
        """
        return _ThreadPool(  # type: ignore[no-untyped-call]
            self._name,
            _LastFound(self._finder),
            ssl=self._tls,
            max_connections=1,
            **{**self._engine, "socket_timeout": reply_s, "retry": SyncRetry(NoBackoff(), 0)},
        )

    async def close(self) -> None:
        """Close the connections to the Sentinels."""
        await self._finder.aclose()


class Finder(Sentinel):
    """Asks Sentinels where the primary is.

    Attributes:
        pools: Pools whose connections are cut when the primary has moved.
        address: Where a connection has last found a primary; None while there is reason to doubt it.
    """

    def __init__(self, hosts: tuple[Place, ...], *, sentinel_kwargs: dict[str, Any], named: str) -> None:
        super().__init__(hosts, sentinel_kwargs=sentinel_kwargs)  # type: ignore[no-untyped-call]
        self.pools: weakref.WeakSet[PrimaryPool] = weakref.WeakSet()
        self._named = named
        self.address: Place | None = None
        self._doubted: Place | None = None
        self._epoch = 0
        self._left: tuple[Place, int] | None = None
        self._stale_since: float | None = None
        self._asking: asyncio.Task[Place] | None = None
        self._listening: list[asyncio.Task[None]] = []

    async def discover_master(self, service_name: str) -> Place:
        """Return where the primary is; callers at the same time share the question.

        Raises:
            PlaceError: The Sentinels cannot be asked, or know of none that works.
        """
        if not self._listening:
            self._listening = [
                asyncio.create_task(self._listen(sentinel), name="observatory-sentinel-news")
                for sentinel in self.sentinels
            ]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(service_name), name="observatory-sentinel")
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._asking)

    def doubt(self, address: Place) -> None:
        """Say that what listens at *address* is no primary: connections are cut, and who names it is asked last."""
        self._doubted = address
        if self.address == address:
            self.address = None
        self._cut(lambda place: place == address)

    def confirm(self, address: Place) -> None:
        """Say that what listens at *address* is a primary: connections to any other are cut."""
        self._doubted = None
        if self.address != address:
            self.address = address
            self._cut(lambda place: place != address)

    async def aclose(self) -> None:
        """Close the connections to the Sentinels."""
        running = [task for task in (self._asking, *self._listening) if task is not None and not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        self._listening = []
        await super().aclose()

    async def _listen(self, sentinel: aioredis.Redis) -> None:
        """Hear that the primary has moved before any connection would notice.

        A primary that was replaced on command, or while it could not be reached, may take writes for ten seconds more,
        and all of them are lost when it is demoted.
        """
        while True:
            try:
                async with sentinel.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(PROMOTED, SWITCHED)
                    while True:
                        _raise_if_cancelled()
                        message = await channel.get_message(timeout=LISTEN_S)
                        if message is not None:
                            self._heard(message["channel"].decode(), message["data"].decode().split())
            except (RedisError, OSError):
                _raise_if_cancelled()
                await asyncio.sleep(LISTEN_S * random.uniform(0.5, 1.0))

    def _heard(self, event: str, words: Sequence[str]) -> None:
        # "slave <name> <host> <port> @ <primary> <host> <port>", and "<primary> <old> <port> <new> <port>".
        name, host, port = words[-3:] if event == PROMOTED else words[:3]
        if name == self._named and port.isdecimal():
            self._left = (host, int(port)), self._epoch
            self.doubt(self._left[0])

    def _cut(self, which: Callable[[Place], bool]) -> None:
        for pool in self.pools:
            pool.cut(which)

    async def _ask(self, name: str) -> Place:
        said = _Said(name)
        refused: Place | None = None
        for sentinel in list(self.sentinels):
            where = "{host}:{port}".format(**sentinel.connection_pool.connection_kwargs)
            try:
                primaries: Any = await sentinel.sentinel_masters()
            except (RedisError, OSError) as error:
                _raise_if_cancelled()
                said.failed(where, error)
                continue
            state = primaries.get(name)
            if state is None or not self.check_master_state(state, name):
                said.knows_none(primaries)
                continue
            address, epoch = (state["ip"], state["port"]), state["config-epoch"]
            if self._is_from_before(address, epoch):
                # In the middle of a failover this tells the new one earlier.
                now = await self._ask_address(sentinel, name)
                if now is None or self._is_from_before(now, epoch):
                    said.names_former(address)
                    continue
                address = now
            if address == self._doubted:
                refused = refused or address
                continue
            self._epoch, self._stale_since = epoch, None
            self.sentinels.remove(sentinel)
            self.sentinels.insert(0, sentinel)
            return address
        if (last := refused or self._give_in(said.former)) is not None:
            return last
        raise said.error() from said.cause

    def _is_from_before(self, address: Place, epoch: int) -> bool:
        """Say whether an answer is older than what is known: its Sentinel has not heard of the failover yet.

        The former primary may answer and take writes still, all of which are lost when it is demoted.
        """
        return epoch < self._epoch or (self._left is not None and address == self._left[0] and epoch <= self._left[1])

    def _give_in(self, former: Place | None) -> Place | None:
        """Return *former* if nothing newer has been told for long: whoever knew of it may have been set up anew."""
        now = time.monotonic()
        if former is None:
            return None
        if self._stale_since is None:
            self._stale_since = now
        if now - self._stale_since < STALE_S:
            return None
        self._epoch, self._left, self._stale_since = 0, None, None
        return former

    async def _ask_address(self, sentinel: aioredis.Redis, name: str) -> Place | None:
        try:
            found: Any = await sentinel.sentinel_get_master_addr_by_name(name)
        except (RedisError, OSError):
            return None
        return (_text(found[0]), int(found[1])) if found else None


class _Said:
    """What Sentinels said that did not lead to a primary."""

    def __init__(self, name: str) -> None:
        self.cause: BaseException | None = None
        self.former: Place | None = None
        self._name = line(name, 64)
        self._silent: list[str] = []
        self._refused = ""
        self._strange = ""
        self._names: set[str] | None = None

    def failed(self, where: str, error: BaseException) -> None:
        """Note that one could not be asked."""
        self.cause = error
        reason = line(str(error)) or type(error).__name__
        if isinstance(error, AuthenticationError):
            self._refused = f"the Sentinel {where} refuses the credentials: {reason}"
        elif isinstance(error, (RedisConnectionError, RedisTimeoutError, OSError)):
            self._silent.append(reason if where in reason else f"{where}: {reason}")
        else:
            self._strange = f"what listens at {where} does not answer as a Sentinel: {reason}"

    def knows_none(self, primaries: dict[str, Any]) -> None:
        """Note what one watches that does not name a primary that works."""
        self._names = {*(self._names or ()), *primaries}

    def names_former(self, address: Place) -> None:
        """Note that one names the primary of before the last failover."""
        self.former = address
        self._names = {*(self._names or ()), self._name}

    def error(self) -> PlaceError:
        """Return what is to be said of it all, the nearest to a primary first."""
        if self._names is not None and self._name in self._names:
            return PlaceError(
                f"the Sentinels see no working primary of {self._name!r}",
                f"a failover may be under way; if it stays so: SENTINEL CKQUORUM {self._name}",
            )
        if self._names is not None:
            watched = ", ".join(line(name, 64) for name in sorted(self._names)) or "none"
            return PlaceError(
                f"the Sentinels watch no primary named {self._name!r}",
                f"the name stands behind the hosts in the URL; they watch: {watched}",
                final=True,
            )
        if self._refused:
            hint = "check sentinel_password and sentinel_username in the URL; a Sentinel without a password takes none"
            return PlaceError(self._refused, hint, final=True)
        if self._strange:
            return PlaceError(self._strange, f"name Sentinels and their ports, usually {SENTINEL_PORT}", final=True)
        hint = f"are they running there? Their port is usually {SENTINEL_PORT}"
        return PlaceError(f"no Sentinel answers ({'; '.join(self._silent)})", hint)


class PrimaryPool(SentinelConnectionPool, BlockingConnectionPool):
    """A pool of connections to the primary; who finds all of them in use waits for one."""

    async def get_master_address(self) -> Place:
        """Return where the next connection goes; the finder cuts those that went elsewhere."""
        address: Place = await self.sentinel_manager.discover_master(self.service_name)
        return address

    def cut(self, which: Callable[[Place], bool]) -> None:
        """Cut every connection to a place of which *which* is true."""
        connection: Any
        for connection in (*self._available_connections, *self._in_use_connections):
            if which((connection.host, connection.port)):
                connection.abandon()


class _LastFound:
    """Stands for the Sentinels in a thread of its own."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder

    def discover_master(self, _name: str) -> Place:
        """Return where the primary was last found."""
        if (address := self._finder.address) is None:
            raise RedisConnectionError("the primary is being looked for")
        return address


class _ThreadPool(redis.sentinel.SentinelConnectionPool):
    """A synchronous pool that looks where the primary is each time it is used."""

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's own signature
        """Return a connection to the primary; asking for its place closes those to any other."""
        self.get_master_address()  # type: ignore[no-untyped-call]
        return super().get_connection(*args, **kwargs)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def _raise_if_cancelled() -> None:
    """Go on being cancelled: redis-py can turn that into a time-out of the call that was under way."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
