"""Durable publishing: a task and the wait for its sync, on one connection of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from redis.exceptions import NoScriptError, ResponseError

from observatory.bus.scripts import script
from observatory.model.errors import BusError, NotDurableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis.asyncio as aioredis

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument, Link

SYNC_TIMEOUT_MS: Final = 5_000
"""Milliseconds to wait for the server to say that what was written is on its disk."""

MARK_TTL_S: Final = 86_400
"""Seconds that the key which durable publishing writes to outlives its last use."""


class DurableWriter:
    """Publishes one batch at a time and waits until it is on disk. WAITAOF speaks of what its own connection wrote.

    Args:
        link: The link to the engine.
        keys: Key names.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._lock = asyncio.Lock()
        self._client: aioredis.Redis | None = None

    async def send(self, arguments: Sequence[Argument]) -> list[bytes | Sequence[bytes]]:
        """Call `publish` with *arguments* and return its answers once they are on disk.

        Raises:
            NotDurableError: The answers stand, but the server did not say in time that they are on disk.
            BusError: The engine refuses, or cannot wait for its disk.
        """
        chosen = script("publish", flags=self._link.flags)
        tail = (1, self._keys.delayed, self._keys.prefix, *arguments)
        async with self._lock:
            if self._client is None:
                self._client = self._link.client(timeout_s=SYNC_TIMEOUT_MS / 1000 + 3)
            client = self._client

            async def send() -> tuple[list[bytes | Sequence[bytes]], object]:
                async with client.pipeline(transaction=False) as pipe:
                    pipe.execute_command("EVALSHA", chosen.sha, *tail)
                    # A repeated publish writes nothing, and a wait for nothing proves nothing: this write makes it one
                    # for everything before it. It is read by nobody.
                    pipe.execute_command("HSET", self._keys.durable, "asked", chosen.name)
                    pipe.execute_command("EXPIRE", self._keys.durable, MARK_TTL_S)
                    pipe.execute_command("WAITAOF", 1, 0, SYNC_TIMEOUT_MS)
                    answers, *_, synced = await pipe.execute(raise_on_error=False)
                if isinstance(answers, NoScriptError):
                    await client.execute_command("SCRIPT", "LOAD", chosen.source)
                    return await send()
                if isinstance(answers, Exception):
                    raise answers
                return answers, synced

            answers, synced = await self._link.attempt(send)
        if isinstance(synced, ResponseError):
            raise BusError(f"it was added, but the engine cannot tell when it is on disk: {synced}", "see `doctor`")
        if not isinstance(synced, list) or not synced[0]:
            raise NotDurableError("it was added, and is not known to be on disk", "it will be within the next sync")
        return list(answers)

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
