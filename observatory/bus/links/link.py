"""The link to the engine: connect by URL, call scripts, retry what may be retried, and say how the link stands.

redis-py's own retries are off: blind retries of a write are how one task becomes three. Every call here has a
deadline, only calls that may safely be repeated are, and each change of the link's state is kept.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

import redis
import redis.asyncio as aioredis
from redis.exceptions import AskError, MovedError, NoScriptError, ReadOnlyError, RedisError, TryAgainError

from observatory.bus.links.address import masked, sentinels_of
from observatory.bus.links.connections import REPLY_TIMEOUT_S, Direct
from observatory.bus.links.refusals import (
    FINAL,
    REFUSES_WRITES,
    REPEATABLE,
    TRANSIENT,
    is_final,
    root,
    translated,
)
from observatory.bus.links.sent import sending
from observatory.bus.links.sentinel import ThroughSentinels
from observatory.bus.scripts import script
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.snapshot import LinkState, LinkView
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence

    from redis.asyncio.connection import BlockingConnectionPool

    from observatory.bus.keys import Keys
    from observatory.bus.scripts import Script

Reply = Any
"""What the engine answered, in RESP2 shapes: bytes, int, None, or lists of these."""

Argument = str | bytes | int | float
"""What may stand in a command; text is sent as UTF-8, bytes that were not UTF-8 survive the round trip."""

DEADLINE_S: Final = 10.0
"""Seconds after which a call that cannot reach the engine gives up."""

LONGEST_PAUSE_S: Final = 2.0
"""Seconds between two attempts to reach an engine that is away."""

FAILOVER_PAUSE_S: Final = 0.25
"""The same where another engine may take its place at any moment: behind Sentinels, and in a cluster."""

REFUSAL_HOLDS_S: Final = 5.0
"""Seconds for which reads that succeed do not end a refusal of writes."""


class Way(Protocol):
    """How connections find the engine."""

    @property
    def place(self) -> Hashable:
        """What is equal for links whose commands go to the same engine; None if that is not known, or only one is."""

    def commands(self) -> BlockingConnectionPool:
        """Return the pool for short commands."""

    def pool(self, *, max_connections: int, wait_s: float, reply_s: float) -> BlockingConnectionPool:
        """Return a pool of its own; the caller closes it.

        Args:
            max_connections: Its size.
            wait_s: Seconds to wait for a free connection.
            reply_s: Seconds to wait for a reply.
        """

    def thread_pool(self, *, reply_s: float) -> redis.ConnectionPool:
        """Return a pool of one synchronous connection, for a thread; the caller closes it."""

    async def close(self) -> None:
        """Close what is shared by the pools."""


class Link:
    """A pool of connections for commands, and the state of the link.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `rediss+sentinel://`, with credentials and
            database in it.
        keys: Key names; scripts are given its prefix.
        clock: Where times of state changes come from.
        way: How its connections find the engine, if *url* alone does not say: to one slot of a cluster.

    Raises:
        UsageError: *url* cannot be one.
    """

    def __init__(self, url: str, keys: Keys, clock: Clock | None = None, way: Way | None = None) -> None:
        self.url = masked(url)
        self._way = _way(url, self.url) if way is None else way
        self._longest_pause = LONGEST_PAUSE_S if isinstance(self._way, Direct) else FAILOVER_PAUSE_S
        self._keys = keys
        self._clock = clock or SystemClock()
        self._flags = True
        self._refused_at = -REFUSAL_HOLDS_S
        self.view = LinkView(LinkState.CONNECTING, self._clock.now_ms(), url=self.url)
        self._client = _raw(self._way.commands())

    def client(self, *, max_connections: int = 1, timeout_s: float = REPLY_TIMEOUT_S) -> aioredis.Redis:
        """Return a client of its own, for readers that block; the caller closes it.

        Args:
            max_connections: Size of its pool.
            timeout_s: Seconds to wait for a reply; a blocking read adds its own time to it.
        """
        return _raw(self._way.pool(max_connections=max_connections, wait_s=REPLY_TIMEOUT_S, reply_s=timeout_s))

    def blocking_client(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> redis.Redis:
        """Return a synchronous client with one connection of its own, for a thread; the caller closes it."""
        return redis.Redis.from_pool(self._way.thread_pool(reply_s=timeout_s))

    @property
    def place(self) -> Hashable:
        """What is equal for links whose commands go to the same engine now."""
        return self._way.place

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
        if isinstance(self._way, Direct) and "cluster" in {info.get("redis_mode"), info.get("server_mode")}:
            raise BusUnreachableError(
                f"what listens at {self.url} is a node of a cluster", "redis+cluster://host:port,host:port"
            )
        if version < (6, 2):
            raise BusError(
                f"the engine at {self.url} is version {'.'.join(map(str, version))}", "Redis 6.2 or later, or Valkey"
            )
        self._flags = version >= (7, 0)

    def like(self, other: Link) -> None:
        """Take over what *other* learnt of the engine when it was opened: all nodes of a cluster are alike."""
        self._flags = other.flags

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._client.aclose()
        await self._way.close()

    async def command(self, *args: Argument, deadline_s: float = DEADLINE_S) -> Reply:
        """Send one command that may be repeated when its reply is lost.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """
        key = encoded(args[1]).decode("utf-8", "replace") if len(args) > 1 else ""
        with sending(args) as told:
            reply = await self.attempt(lambda: self._client.execute_command(*args), deadline_s=deadline_s, key=key)
            told(reply)
        return reply

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
        suffix, chosen, tail = self._addressed(name, args, keys)

        async def send() -> Reply:
            try:
                return await self._client.execute_command(f"EVALSHA{suffix}", chosen.sha, *tail)
            except NoScriptError:
                return await self._client.execute_command(f"EVAL{suffix}", chosen.source, *tail)

        with sending((f"EVALSHA{suffix}", f"{name}.lua", *tail)) as told:
            reply = await self.attempt(send, deadline_s=deadline_s, wrote=not chosen.read_only)
            told(reply)
        return reply

    async def together(
        self,
        calls: Sequence[tuple[Link, str, Sequence[Argument]]],
        *also: Argument,
        deadline_s: float = DEADLINE_S,
    ) -> tuple[list[Reply], Reply]:
        """Call scripts for links whose commands go to the same engine, and perhaps one command more, in one round trip.

        Args:
            calls: For each its link, its name in `lua/` and its arguments behind the prefix.
            also: A command whose refusal is no failure; none by default.
            deadline_s: Seconds after which to give up.

        Returns:
            The replies of the scripts, and that of *also*: None where there was none, or the user may not ask.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """

        async def send() -> list[Reply]:
            async with self._client.pipeline(transaction=False) as pipe:
                for link, name, args in calls:
                    command, chosen, tail = link._addressed(name, args, None)  # noqa: SLF001 (links of one house)
                    pipe.execute_command(f"EVALSHA{command}", chosen.sha, *tail)
                if also:
                    pipe.execute_command(*also)
                return list(await pipe.execute(raise_on_error=False))

        replies = await self.attempt(send, deadline_s=deadline_s)
        more = replies.pop() if also else None
        for at, (link, name, args) in enumerate(calls):
            if isinstance(replies[at], Exception):
                # Alone it is told what is wrong: the script is unknown, or its slot served elsewhere by now.
                replies[at] = await link.call(name, args, deadline_s=deadline_s)
            else:
                link.note(None)
        return replies, None if isinstance(more, Exception) else more

    def note(self, error: BaseException | None, *, wrote: bool = False) -> None:
        """Record how the engine answered; readers with a client of their own call it.

        Args:
            error: None if it answered; else what kept it from it, or why it refuses writes.
            wrote: What it answered was a write.
        """
        if error is None:
            if self.view.state is not LinkState.READY and (wrote or not self._refuses_writes()):
                self._enter(LinkState.READY)
        elif isinstance(error, MovedError):
            # Nothing is lost: the next attempt goes where it points.
            return
        elif isinstance(error, (AskError, TryAgainError)):
            self._enter(LinkState.DEGRADED, f"a slot is on its way to another node: {line(str(error))}")
        elif isinstance(error, REFUSES_WRITES):
            self._refused_at = self._clock.monotonic()
            self._enter(LinkState.DEGRADED, f"writes are refused: {line(str(error))}")
        else:
            self._enter(LinkState.LOST, line(str(error)) or type(error).__name__)

    async def attempt(
        self,
        send: Callable[[], Awaitable[Reply]],
        *,
        deadline_s: float = DEADLINE_S,
        wrote: bool = False,
        key: str = "",
    ) -> Reply:
        """Await *send* again and again until it answers, with jittered pauses; only for what may be repeated.

        Args:
            send: Sends the call and returns its reply.
            deadline_s: Seconds after which to give up.
            wrote: An answer means that the engine takes writes.
            key: What is asked about, for a message about it; empty where that is not one key.

        Raises:
            BusError: The engine answers no; `BusUnreachableError` if it does not answer in *deadline_s* seconds.
        """
        give_up = self._clock.monotonic() + deadline_s
        pause = 0.02
        while True:
            try:
                reply = await send()
            except (RedisError, OSError) as failure:
                error = root(failure)
                self.note(error if isinstance(error, (*TRANSIENT, *FINAL, *REFUSES_WRITES)) else None)
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    # redis-py can turn the cancellation of a call into a time-out of it.
                    raise asyncio.CancelledError from failure
                left = give_up - self._clock.monotonic()
                if left <= 0 or not isinstance(error, REPEATABLE) or is_final(error):
                    raise translated(error, self.url, key) from failure
                if isinstance(error, ReadOnlyError):
                    # A name that leads to the primary may lead to another one by now.
                    await self._client.connection_pool.disconnect(inuse_connections=False)
                await asyncio.sleep(min(pause * random.uniform(0.5, 1.5), left))
                pause = min(pause * 2, self._longest_pause)
            else:
                self.note(None, wrote=wrote)
                return reply

    def _addressed(
        self, name: str, args: Sequence[Argument], keys: Sequence[str] | None
    ) -> tuple[str, Script, tuple[Argument, ...]]:
        """Return what stands behind EVALSHA or EVAL, the script, and all that follows it."""
        chosen = script(name, flags=self._flags)
        routed = [self._keys.delayed] if keys is None else keys
        suffix = "_RO" if chosen.read_only and self._flags else ""
        return suffix, chosen, (len(routed), *routed, self._keys.prefix, *args)

    def _refuses_writes(self) -> bool:
        """Say whether writes were refused not long ago, so that an answered read does not mean that all is well."""
        lately = self._clock.monotonic() - self._refused_at < REFUSAL_HOLDS_S
        return lately and self.view.state is LinkState.DEGRADED

    def _enter(self, state: LinkState, reason: str = "") -> None:
        if self.view.state is not state:
            self.view = LinkView(state, self._clock.now_ms(), reason=reason, url=self.url)


def _way(url: str, shown: str) -> Way:
    sentinels = sentinels_of(url)
    return Direct(url) if sentinels is None else ThroughSentinels(sentinels, shown)


def _raw(pool: BlockingConnectionPool) -> aioredis.Redis:
    """Return a client that reads replies in their raw shapes: the stock callbacks crash on some, and differ."""
    client = aioredis.Redis.from_pool(pool)
    client.response_callbacks.clear()
    return client


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
