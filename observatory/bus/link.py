"""The link to the engine: connect by URL, call scripts, retry what may be retried, and say how the link stands.

redis-py's own retries are off: blind retries of a write are how one task becomes three. Every call here has a
deadline, only calls that may safely be repeated are, and each change of the link's state is kept.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import redis
import redis.asyncio as aioredis
from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry as SyncRetry

from observatory.bus.connections import quick
from observatory.bus.scripts import script
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusError, BusUnreachableError, UsageError
from observatory.model.snapshot import LinkState, LinkView
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from observatory.bus.keys import Keys

Reply = Any
"""What the engine answered, in RESP2 shapes: bytes, int, None, or lists of these."""

Argument = str | bytes | int | float
"""What may stand in a command; text is sent as UTF-8, bytes that were not UTF-8 survive the round trip."""

DEADLINE_S: Final = 10.0
"""Seconds after which a call that cannot reach the engine gives up."""

CONNECT_TIMEOUT_S: Final = 2.0
REPLY_TIMEOUT_S: Final = 3.0
MAX_CONNECTIONS: Final = 16

_SCHEMES = ("redis", "rediss", "unix")
_PARAMETERS = frozenset(
    {"db", "username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)
_REFUSED = (AuthenticationError, AuthorizationError)
_FINAL = (*_REFUSED, InvalidResponse)
TRANSIENT = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, TryAgainError, OSError)
"""Failures after which the same call may succeed: the engine is away, loading, or no longer the primary."""

_MEANINGS: Final[tuple[tuple[tuple[type[BaseException], ...], type[BusError], str, str], ...]] = (
    (_REFUSED, BusUnreachableError, "{url} refuses the credentials: {reason}", "check user and password in the URL"),
    (
        (InvalidResponse,),
        BusUnreachableError,
        "what listens at {url} is not a Redis",
        "check host and port in the URL",
    ),
    (TRANSIENT, BusUnreachableError, "cannot reach {url}: {reason}", "is the engine running there?"),
    (
        (NoPermissionError,),
        BusError,
        "the user in the URL may not do this: {reason}",
        "ask for the right, or use another user",
    ),
    ((OutOfMemoryError,), BusError, "the engine is out of memory: {reason}", "raise maxmemory, or let lanes drain"),
)


class Link:
    """A pool of connections for commands, and the state of the link.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with credentials and database in it.
        keys: Key names; scripts are given its prefix.
        clock: Where times of state changes come from.

    Raises:
        UsageError: *url* cannot be one.
    """

    def __init__(self, url: str, keys: Keys, clock: Clock | None = None) -> None:
        self._url = url
        options = connection_options(url)
        kind = quick(options.get("connection_class", Connection))
        self._options = options | {"retry": Retry(NoBackoff(), 0), "connection_class": kind}
        self._keys = keys
        self._clock = clock or SystemClock()
        self._flags = True
        self.url = masked(url)
        self.view = LinkView(LinkState.CONNECTING, self._clock.now_ms(), url=self.url)
        self._client = self.client(max_connections=MAX_CONNECTIONS)

    def client(self, *, max_connections: int = 1, timeout_s: float = REPLY_TIMEOUT_S) -> aioredis.Redis:
        """Return a client of its own, for readers that block; the caller closes it.

        Args:
            max_connections: Size of its pool.
            timeout_s: Seconds to wait for a reply; a blocking read adds its own time to it.
        """
        pool = aioredis.BlockingConnectionPool(
            max_connections=max_connections,
            timeout=REPLY_TIMEOUT_S,
            **{**self._options, "socket_timeout": timeout_s},
        )
        client = aioredis.Redis.from_pool(pool)
        # Replies are read in their raw shapes; the stock callbacks crash on some and differ by protocol.
        client.response_callbacks.clear()
        return client

    def blocking_client(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> redis.Redis:
        """Return a synchronous client with one connection of its own, for a thread; the caller closes it."""
        options = connection_options(self._url, redis.connection.parse_url)
        pool = redis.ConnectionPool(
            max_connections=1, **{**options, "socket_timeout": timeout_s, "retry": SyncRetry(NoBackoff(), 0)}
        )
        return redis.Redis.from_pool(pool)

    @property
    def flags(self) -> bool:
        """The engine understands script flags (Redis 7, Valkey); known once the link is open."""
        return self._flags

    async def open(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Reach the engine once and learn what it is.

        Raises:
            BusUnreachableError: Nothing answers, what answers is no Redis, or the credentials are refused.
        """
        reply = await self.command("INFO", "server", deadline_s=deadline_s)
        version = server_version(info_of(reply))
        if version < (6, 2):
            raise BusError(
                f"the engine at {self.url} is version {'.'.join(map(str, version))}", "Redis 6.2 or later, or Valkey"
            )
        self._flags = version >= (7, 0)

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._client.aclose()

    async def command(self, *args: Argument, deadline_s: float = DEADLINE_S) -> Reply:
        """Send one command that may be repeated when its reply is lost.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """
        return await self.attempt(lambda: self._client.execute_command(*args), deadline_s=deadline_s)

    async def call(
        self,
        name: str,
        args: Sequence[Argument],
        keys: Sequence[str] | None = None,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> Reply:
        """Call a script; all of ours may be repeated when their reply is lost.

        Args:
            name: Script in `lua/`.
            args: Its arguments behind the prefix.
            keys: Its keys; by default one that routes to the right node.
            deadline_s: Seconds after which to give up.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """
        chosen = script(name, flags=self._flags)
        routed = list(keys) if keys is not None else [self._keys.delayed]
        tail = (len(routed), *routed, self._keys.prefix, *args)

        suffix = "_RO" if chosen.read_only and self._flags else ""

        async def send() -> Reply:
            try:
                return await self._client.execute_command(f"EVALSHA{suffix}", chosen.sha, *tail)
            except NoScriptError:
                return await self._client.execute_command(f"EVAL{suffix}", chosen.source, *tail)

        return await self.attempt(send, deadline_s=deadline_s)

    async def look(self, args: Sequence[Argument], *, deadline_s: float) -> tuple[Reply, bytes | None]:
        """Call the read-only script `look` and INFO in one round trip.

        Returns:
            The script's reply, and that of INFO or None where the user may not ask for it.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """
        chosen = script("look", flags=self._flags)
        tail = (1, self._keys.delayed, self._keys.prefix, *args)
        suffix = "_RO" if self._flags else ""

        async def send() -> tuple[Reply, bytes | None]:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.execute_command(f"EVALSHA{suffix}", chosen.sha, *tail)
                pipe.execute_command("INFO")
                found, info = await pipe.execute(raise_on_error=False)
            if isinstance(found, NoScriptError):
                found = await self._client.execute_command(f"EVAL{suffix}", chosen.source, *tail)
            if isinstance(found, Exception):
                raise found
            return found, None if isinstance(info, Exception) else info

        result: tuple[Reply, bytes | None] = await self.attempt(send, deadline_s=deadline_s)
        return result

    def note(self, error: BaseException | None) -> None:
        """Record that the engine answered (*error* is None) or did not; readers with a client of their own call it."""
        if error is None:
            if self.view.state is not LinkState.READY:
                self.view = LinkView(LinkState.READY, self._clock.now_ms(), url=self.url)
        elif self.view.state is not LinkState.LOST:
            self.view = LinkView(
                LinkState.LOST, self._clock.now_ms(), reason=line(str(error)) or type(error).__name__, url=self.url
            )

    async def attempt(self, send: Callable[[], Awaitable[Reply]], *, deadline_s: float = DEADLINE_S) -> Reply:
        """Await *send* again and again until it answers, with jittered pauses; only for what may be repeated.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """
        give_up = self._clock.monotonic() + deadline_s
        pause = 0.02
        while True:
            try:
                reply = await send()
            except TRANSIENT as failure:
                error = _root(failure)
                self.note(error)
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    # redis-py can turn the cancellation of a call into a time-out of it.
                    raise asyncio.CancelledError from failure
                left = give_up - self._clock.monotonic()
                if isinstance(error, _FINAL) or left <= 0:
                    raise translated(error, self.url) from failure
                await asyncio.sleep(min(pause * random.uniform(0.5, 1.5), left))
                pause = min(pause * 2, 2.0)
            except RedisError as error:
                self.note(error if isinstance(error, _FINAL) else None)
                raise translated(error, self.url) from error
            else:
                self.note(None)
                return reply


def _root(error: BaseException) -> BaseException:
    """Return what redis-py wrapped: it turns whatever happens while connecting into a plain connection error."""
    while isinstance(error.__cause__, RedisError):
        error = error.__cause__
    return error


def connection_options(url: str, parse: Callable[[str], Any] = parse_url) -> dict[str, Any]:
    """Read *url* into the options of a redis-py connection.

    Args:
        url: Address with credentials and database.
        parse: redis-py's reader of URLs, of its asynchronous or its synchronous half.

    Raises:
        UsageError: The scheme is unknown, or host, port or database cannot be read.
    """
    example = "for example redis://:password@127.0.0.1:6379/0"
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query))
        options: dict[str, Any] = dict(parse(url))
    except (ValueError, TypeError) as error:
        if url.partition("://")[0] in _SCHEMES:
            # The reader's own words quote parts of the URL, which may be parts of a password.
            raise UsageError(
                f"URL {masked(url)!r} cannot be read: host, port or database is wrong",
                f"{example}; write / and @ in a password as %2F and %40",
            ) from error
        raise UsageError(f"URL {masked(url)!r} does not begin with redis://, rediss:// or unix://", example) from error
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"URL {masked(url)!r} does not begin with redis://, rediss:// or unix://", example)
    if unknown := sorted(set(given) - _PARAMETERS):
        raise UsageError(
            f"URL {masked(url)!r}: unknown parameter {unknown[0]!r}", f"one of {', '.join(sorted(_PARAMETERS))}"
        )
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path):
        raise UsageError(f"URL {masked(url)!r} does not end in the number of a database", "for example /0")
    if parts.scheme == "unix" and not options.get("path"):
        raise UsageError(f"URL {masked(url)!r} names no socket", "for example unix:///run/valkey.sock")
    return options | {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "driver_info": None,
    }


def masked(url: str) -> str:
    """Return *url* without its secrets, fit to be shown."""
    # Greedy up to the last @: a password that holds @ or / unescaped must not show even in part.
    url = re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", url)
    return line(re.sub(r"(?<=[?&]password=)[^&]*", "***", url))


def translated(error: BaseException, url: str) -> BusError:
    """Return *error* of redis-py as one that a person can act on."""
    reason = line(str(error)) or type(error).__name__
    for kinds, kind, problem, hint in _MEANINGS:
        if isinstance(error, kinds):
            return kind(problem.format(url=url, reason=reason), hint)
    if "WRONGTYPE" in reason:
        return BusError(f"a key of the bus holds something else: {reason}", "find it with TYPE, rename or delete it")
    return BusError(f"the engine answered: {reason}")


def encoded(value: Argument) -> bytes:
    """Return *value* as it is sent; text read with surrogate escapes becomes the bytes that it was."""
    if isinstance(value, bytes):
        return value
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else str(value).encode()


def info_of(reply: bytes) -> Mapping[str, str]:
    """Read an INFO reply into its fields."""
    rows = (row.partition(":") for row in reply.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in rows if colon}


def server_version(info: Mapping[str, str]) -> tuple[int, ...]:
    """Return the version whose commands the engine has: Valkey says it beside the Redis version it is equal to."""
    text = info.get("redis_version") or "0"
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
