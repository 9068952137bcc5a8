"""Durable publishing: tasks, and the wait until disk and replicas have them, on one connection of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError, ResponseError

from observatory.bus.links.link import info_of
from observatory.bus.scripts import script
from observatory.model.errors import BusError, NotDurableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis.asyncio as aioredis

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument, Link
    from observatory.model.clock import Clock

SYNC_TIMEOUT_MS: Final = 5_000
"""Milliseconds to wait for the server to say that what was written is on its disk."""

REPLICAS_TIMEOUT_MS: Final = 2_000
"""Milliseconds to wait for its replicas to say that they have it too."""

LEFT_HOLDS_S: Final = 10.0
"""Seconds for which a replica that has left still counts: a primary that was replaced loses its replicas first."""

MARK_TTL_S: Final = 86_400
"""Seconds that the key which durable publishing writes to outlives its last use."""

_NEEDS: Final = "it takes an AOF (see `doctor`), and the rights of `observatory acl ROLE --durable`"


class DurableWriter:
    """Publishes one batch at a time and waits for disk and replicas. Both speak of what their own connection wrote.

    Args:
        link: The link to the engine.
        keys: Key names.
        clock: Tells how long ago a replica was there.
    """

    def __init__(self, link: Link, keys: Keys, clock: Clock) -> None:
        self._link = link
        self._keys = keys
        self._client: aioredis.Redis | None = None
        self._replicas = Replicas(clock)

    async def send(self, arguments: Sequence[Argument]) -> list[bytes | Sequence[bytes]]:
        """Call `publish` with *arguments* and return its answers once they are on disk, and on every replica.

        Raises:
            NotDurableError: The answers stand, but disk or replicas did not say in time that they have it.
            BusError: The engine refuses, or cannot wait for its disk.
        """
        if self._client is None:
            patience_s = (SYNC_TIMEOUT_MS + REPLICAS_TIMEOUT_MS) / 1000
            self._client = self._link.client(timeout_s=patience_s + 3)
        client = self._client
        answers, synced, copies = await self._link.attempt(lambda: self._send(client, arguments), wrote=True)
        if not isinstance(synced, list) or not synced[0]:
            raise NotDurableError("it was added, and is not known to be on disk", "it will be within the next sync")
        if copies < self._replicas.expected:
            raise NotDurableError(
                f"it was added, and {copies} of {self._replicas.expected} replicas are known to have it",
                "publish it again with the same id, or look at the replicas",
            )
        return list(answers)

    async def _send(
        self, client: aioredis.Redis, arguments: Sequence[Argument], *, whole: bool = False
    ) -> tuple[list[Any], object, int]:
        """Send once, or twice where there turn out to be more replicas than were waited for.

        The script goes whole where the engine does not know it: loading it beforehand would need a right of its own.
        """
        chosen = script("publish", flags=self._link.flags)
        asked = self._replicas.expected
        called = ("EVAL", chosen.source) if whole else ("EVALSHA", chosen.sha)
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*called, 1, self._keys.delayed, self._keys.prefix, *arguments)
            # A repeated publish writes nothing, and a wait for nothing proves nothing: this write makes it one for
            # everything before it. It is read by nobody.
            pipe.execute_command("HSET", self._keys.durable, "asked", chosen.name)
            pipe.execute_command("EXPIRE", self._keys.durable, MARK_TTL_S)
            pipe.execute_command("INFO", "replication")
            pipe.execute_command("WAITAOF", 1, 0, SYNC_TIMEOUT_MS)
            pipe.execute_command("WAIT", asked, REPLICAS_TIMEOUT_MS)
            answers, _, _, info, synced, copies = await pipe.execute(raise_on_error=False)
        if isinstance(answers, NoScriptError):
            return await self._send(client, arguments, whole=True)
        for reply in (answers, info):
            if isinstance(reply, Exception):
                raise reply
        for reply in (synced, copies):
            if isinstance(reply, ResponseError):
                raise BusError(f"it was added, but the engine cannot tell when it is on disk: {reply}", _NEEDS)
            if isinstance(reply, Exception):
                raise reply
        self._replicas.note(info_of(info))
        if asked < self._replicas.expected and copies < self._replicas.expected:
            again, synced, copies = await self._send(client, arguments)
            answers = [_first_of(first, second) for first, second in zip(answers, again, strict=True)]
        return answers, synced, copies

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class Replicas:
    """How many replicas must have what was written: those that are connected, and those that have just left.

    Attributes:
        expected: How many.
    """

    def __init__(self, clock: Clock) -> None:
        self.expected = 0
        self._clock = clock
        self._history = ""
        self._seen_at = 0.0

    def note(self, info: Mapping[str, str]) -> None:
        """Take in what INFO says of the replication of the server that was written to."""
        online = sum(
            "state=online" in value for name, value in info.items() if name.startswith("slave") and name[5:].isdigit()
        )
        now = self._clock.monotonic()
        another = info.get("master_replid", "") != self._history
        if another or online >= self.expected or now - self._seen_at > LEFT_HOLDS_S:
            self._history = info.get("master_replid", "")
            self.expected, self._seen_at = online, now


def _first_of(first: bytes | Sequence[bytes], second: bytes | Sequence[bytes]) -> bytes | Sequence[bytes]:
    """Return what is to be told of a publish that was sent twice: the second finds what the first has added."""
    entry = first if isinstance(first, bytes) else first[1]
    found = not isinstance(second, bytes) and second[0] == b"duplicate" and second[1] == entry
    return first if found else second
