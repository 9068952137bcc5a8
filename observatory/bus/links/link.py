"""The link to the engine: connect by URL, call scripts, retry what may be retried, and say how the link stands.

redis-py's own retries are off: blind retries of a write are how one task becomes three. Every call here has a
deadline, only calls that may safely be repeated are, and each change of the link's state is kept.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from typing import TYPE_CHECKING, Any, Final

import redis
import redis.asyncio as aioredis
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
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from observatory.bus.links.address import masked, sentinels_of
from observatory.bus.links.connections import Direct
from observatory.bus.links.sentinel import SentinelError, ThroughSentinels
from observatory.bus.scripts import script
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusError, BusUnreachableError
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

REPLY_TIMEOUT_S: Final = 3.0
MAX_CONNECTIONS: Final = 16

LONGEST_PAUSE_S: Final = 2.0
"""Seconds between two attempts to reach an engine that is away."""

FAILOVER_PAUSE_S: Final = 0.25
"""The same where Sentinels name the engine: another one may take its place at any moment."""

REFUSAL_HOLDS_S: Final = 5.0
"""Seconds for which reads that succeed do not end a refusal of writes."""

_REFUSED = (AuthenticationError, AuthorizationError)
_FINAL = (*_REFUSED, InvalidResponse)
TRANSIENT = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, TryAgainError, OSError)
"""Failures after which the same call may succeed: the engine is away, loading, or no longer the primary."""


class NotEnoughReplicasError(ResponseError):
    """NOREPLICAS: nothing was written, because fewer replicas are connected than min-replicas-to-write asks for."""


class DiskRefusedError(ResponseError):
    """MISCONF: nothing was written, because the engine cannot write its data to disk."""


_REFUSES_WRITES = (NotEnoughReplicasError, DiskRefusedError)
_REPEATABLE = (*TRANSIENT, NotEnoughReplicasError)
_WRAPPED: Final = tuple(
    # In words: a script of before Redis 7 wraps the error of a command in one of its own.
    (re.compile(rf"(?:^|-){code} (.*)", re.DOTALL), kind)
    for code, kind in (
        ("NOREPLICAS", NotEnoughReplicasError),
        ("MISCONF", DiskRefusedError),
        ("READONLY", ReadOnlyError),
    )
)

_MEANINGS: Final[tuple[tuple[tuple[type[BaseException], ...], type[BusError], str, str], ...]] = (
    (_REFUSED, BusUnreachableError, "{url} refuses the credentials: {reason}", "check user and password in the URL"),
    (
        (InvalidResponse,),
        BusUnreachableError,
        "what listens at {url} is not a Redis",
        "check host and port in the URL",
    ),
    (
        (ReadOnlyError,),
        BusUnreachableError,
        "{url} leads to a replica, it refuses writes",
        "name the primary in the URL, or the Sentinels",
    ),
    (TRANSIENT, BusUnreachableError, "cannot reach {url}: {reason}", "is the engine running there?"),
    (
        (NoPermissionError,),
        BusError,
        "the user in the URL may not do this: {reason}",
        "ask for the right, or use another user",
    ),
    (
        (NotEnoughReplicasError,),
        BusError,
        "the primary refuses writes: {reason}",
        "start replicas, or look at their link; CONFIG SET min-replicas-to-write 0 goes on without them",
    ),
    ((DiskRefusedError,), BusError, "the engine refuses writes: {reason}", "look at its disk and its log"),
    ((OutOfMemoryError,), BusError, "the engine is out of memory: {reason}", "raise maxmemory, or let lanes drain"),
)

_TLS_HINTS: Final = (
    ("CERTIFICATE_REQUIRED", "the server wants to know who asks: ssl_certfile=… and ssl_keyfile=… in the URL"),
    ("mismatch", "use the name in the server's certificate, or ssl_check_hostname=no in the URL"),
    ("CERTIFICATE_VERIFY_FAILED", "ssl_ca_certs=… in the URL names the file of who signed the server's certificate"),
    ("", "does TLS listen on that port? redis:// is without TLS"),
)
"""What TLS's words contain, and the next step."""


class Link:
    """A pool of connections for commands, and the state of the link.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `rediss+sentinel://`, with credentials and
            database in it.
        keys: Key names; scripts are given its prefix.
        clock: Where times of state changes come from.

    Raises:
        UsageError: *url* cannot be one.
    """

    def __init__(self, url: str, keys: Keys, clock: Clock | None = None) -> None:
        self.url = masked(url)
        sentinels = sentinels_of(url)
        self._way = Direct(url) if sentinels is None else ThroughSentinels(sentinels, self.url)
        self._longest_pause = LONGEST_PAUSE_S if sentinels is None else FAILOVER_PAUSE_S
        self._keys = keys
        self._clock = clock or SystemClock()
        self._flags = True
        self._refused_at = -REFUSAL_HOLDS_S
        self.view = LinkView(LinkState.CONNECTING, self._clock.now_ms(), url=self.url)
        self._client = self.client(max_connections=MAX_CONNECTIONS)

    def client(self, *, max_connections: int = 1, timeout_s: float = REPLY_TIMEOUT_S) -> aioredis.Redis:
        """Return a client of its own, for readers that block; the caller closes it.

        Args:
            max_connections: Size of its pool.
            timeout_s: Seconds to wait for a reply; a blocking read adds its own time to it.
        """
        pool = self._way.pool(max_connections=max_connections, wait_s=REPLY_TIMEOUT_S, reply_s=timeout_s)
        client = aioredis.Redis.from_pool(pool)
        # Replies are read in their raw shapes; the stock callbacks crash on some and differ by protocol.
        client.response_callbacks.clear()
        return client

    def blocking_client(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> redis.Redis:
        """Return a synchronous client with one connection of its own, for a thread; the caller closes it."""
        return redis.Redis.from_pool(self._way.thread_pool(reply_s=timeout_s))

    @property
    def flags(self) -> bool:
        """The engine understands script flags (Redis 7, Valkey); known once the link is open."""
        return self._flags

    async def open(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Reach the engine once and learn what it is.

        Raises:
            BusUnreachableError: Nothing answers, what answers is no Redis, or the credentials are refused.
        """
        info = info_of(await self.command("INFO", "server", deadline_s=deadline_s))
        version = server_version(info)
        if "sentinel" in {info.get("redis_mode"), info.get("server_mode")}:
            raise BusUnreachableError(
                f"what listens at {self.url} is a Sentinel", "redis+sentinel://host:port/<name of the primary>"
            )
        if version < (6, 2):
            raise BusError(
                f"the engine at {self.url} is version {'.'.join(map(str, version))}", "Redis 6.2 or later, or Valkey"
            )
        self._flags = version >= (7, 0)

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._client.aclose()
        await self._way.close()

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

        return await self.attempt(send, deadline_s=deadline_s, wrote=not chosen.read_only)

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

    def note(self, error: BaseException | None, *, wrote: bool = False) -> None:
        """Record how the engine answered; readers with a client of their own call it.

        Args:
            error: None if it answered; else what kept it from it, or why it refuses writes.
            wrote: What it answered was a write.
        """
        if error is None:
            if self.view.state is not LinkState.READY and (wrote or not self._refuses_writes()):
                self._enter(LinkState.READY)
        elif isinstance(error, _REFUSES_WRITES):
            self._refused_at = self._clock.monotonic()
            self._enter(LinkState.DEGRADED, f"writes are refused: {line(str(error))}")
        else:
            self._enter(LinkState.LOST, line(str(error)) or type(error).__name__)

    async def attempt(
        self, send: Callable[[], Awaitable[Reply]], *, deadline_s: float = DEADLINE_S, wrote: bool = False
    ) -> Reply:
        """Await *send* again and again until it answers, with jittered pauses; only for what may be repeated.

        Args:
            send: Sends the call and returns its reply.
            deadline_s: Seconds after which to give up.
            wrote: An answer means that the engine takes writes.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """
        give_up = self._clock.monotonic() + deadline_s
        pause = 0.02
        while True:
            try:
                reply = await send()
            except (RedisError, OSError) as failure:
                error = _root(failure)
                self.note(error if isinstance(error, (*TRANSIENT, *_FINAL, *_REFUSES_WRITES)) else None)
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    # redis-py can turn the cancellation of a call into a time-out of it.
                    raise asyncio.CancelledError from failure
                left = give_up - self._clock.monotonic()
                if left <= 0 or not isinstance(error, _REPEATABLE) or _is_final(error):
                    raise translated(error, self.url) from failure
                if isinstance(error, ReadOnlyError):
                    # A name that leads to the primary may lead to another one by now.
                    await self._client.connection_pool.disconnect(inuse_connections=False)
                await asyncio.sleep(min(pause * random.uniform(0.5, 1.5), left))
                pause = min(pause * 2, self._longest_pause)
            else:
                self.note(None, wrote=wrote)
                return reply

    def _refuses_writes(self) -> bool:
        """Say whether writes were refused not long ago, so that an answered read does not mean that all is well."""
        lately = self._clock.monotonic() - self._refused_at < REFUSAL_HOLDS_S
        return lately and self.view.state is LinkState.DEGRADED

    def _enter(self, state: LinkState, reason: str = "") -> None:
        if self.view.state is not state:
            self.view = LinkView(state, self._clock.now_ms(), reason=reason, url=self.url)


def _root(error: BaseException) -> BaseException:
    """Return what *error* is about.

    redis-py turns whatever happens while connecting into a plain connection error, and knows no class for some of the
    engine's refusals.
    """
    while not isinstance(error, SentinelError) and isinstance(error.__cause__, RedisError):
        error = error.__cause__
    if isinstance(error, ResponseError) and not isinstance(error, ReadOnlyError):
        for pattern, kind in _WRAPPED:
            if found := pattern.search(str(error)):
                return kind(found[1])
    return error


def _is_final(error: BaseException) -> bool:
    """Say whether asking again would be answered the same."""
    final = error.final if isinstance(error, SentinelError) else isinstance(error, _FINAL)
    return final or _tls_problem(error) is not None


def _tls_problem(error: BaseException | None) -> ssl.SSLError | None:
    """Return what TLS says is wrong, if that is why there is no connection."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error if error is None or error.reason else None


def translated(error: BaseException, url: str) -> BusError:
    """Return *error* of redis-py as one that a person can act on."""
    reason = line(str(error)) or type(error).__name__
    if (tls := _tls_problem(error)) is not None:
        words = tls.verify_message if isinstance(tls, ssl.SSLCertVerificationError) else str(tls.reason)
        hint = next((hint for part, hint in _TLS_HINTS if part in f"{tls.reason} {words}"), _TLS_HINTS[-1][1])
        return BusUnreachableError(f"TLS with {url} fails: {line(words)}", hint)
    if isinstance(error, SentinelError):
        return BusUnreachableError(f"cannot reach {url}: {reason}", error.hint)
    for kinds, kind, problem, hint in _MEANINGS:
        if isinstance(error, kinds):
            # With TLS on one side only, neither understands that this is what is wrong.
            tcp = kinds is TRANSIENT and url.startswith(("redis://", "rediss://"))
            also = " rediss:// is with TLS, redis:// without" if tcp else ""
            return kind(problem.format(url=url, reason=reason), hint + also)
    if "ACL failure in script" in reason:
        return BusError(f"the user in the URL may not do this: {reason}", "ask for the right, or use another user")
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
