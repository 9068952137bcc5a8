"""Reads that wait for the engine: one connection, a bounded wait, and a way to end it early without cancelling it.

What the engine delivers to a read that was cancelled is lost from sight, so nobody cancels one: it is woken by
CLIENT UNBLOCK, or it ends by itself within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from redis.exceptions import NoPermissionError, RedisError

from observatory.bus.links.link import encoded
from observatory.bus.links.refusals import ELSEWHERE, TRANSIENT, root, translated
from observatory.model.errors import BusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.bus.links.link import Argument, Link, Reply

BLOCK_MS: Final = 1000
"""Longest wait of one read, in milliseconds."""

_SLACK_S: Final = 3.0
_KNOCK_S: Final = 0.005
_ELSEWHERE_S: Final = 0.05
"""Seconds to wait where a node said that it is not the one to ask; the next read goes to another."""


class WaitingReader:
    """A connection of its own for reads that wait. One read at a time.

    Args:
        link: The link to the engine.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._client = link.client(timeout_s=BLOCK_MS / 1000 + _SLACK_S)
        self._client_id: int | None = None
        self._waiting = False
        self._woken = False
        self._knocking: asyncio.Task[None] | None = None

    async def read(self, words: Callable[[], Sequence[Argument]]) -> Reply:
        """Send the command that *words* returns, at the last moment, and wait for its reply; never cancel it.

        Returns:
            The reply; None if it was woken, nothing came in time, or another node is to be asked.

        Raises:
            BusUnreachableError: The engine went away; what it had delivered, if anything, is not known here.
            BusError: The engine answers no.
        """
        try:
            if self._client_id is None:
                with contextlib.suppress(NoPermissionError):
                    self._client_id = await self._client.execute_command("CLIENT", "ID")
            if self._woken:
                return None
            self._waiting = True
            reply = await self._client.execute_command(*map(encoded, words()))
        except (RedisError, OSError) as failure:
            error = root(failure)
            if isinstance(error, TRANSIENT):
                self._client_id = None
                self._link.note(error)
            if isinstance(error, ELSEWHERE):
                await asyncio.sleep(_ELSEWHERE_S)
                return None
            raise translated(error, self._link.url) from failure
        else:
            self._link.note(None)
            return reply
        finally:
            self._waiting = self._woken = False

    def wake(self) -> None:
        """End the read that waits, or keep the next one from waiting."""
        self._woken = True
        if self._waiting and (self._knocking is None or self._knocking.done()):
            self._knocking = asyncio.create_task(self._knock(), name="observatory-knock")

    async def close(self) -> None:
        """Close the connection, once no read is under way."""
        if self._knocking is not None:
            await asyncio.wait({self._knocking})
        await self._client.aclose()

    async def _knock(self) -> None:
        """Unblock until the read has ended: the first call may reach the engine before the read does."""
        with contextlib.suppress(BusError):
            while self._waiting and self._woken and self._client_id is not None:
                await self._link.command("CLIENT", "UNBLOCK", self._client_id, deadline_s=1.0)
                await asyncio.sleep(_KNOCK_S)
