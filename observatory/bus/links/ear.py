"""Listening to Pub/Sub: one connection that is made anew for as long as somebody wants to hear."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from observatory.bus.links.refusals import TRANSIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.client import PubSub

    from observatory.bus.links.link import Link

IDLE_S: Final = 5.0
"""Seconds that one wait for a word takes at most."""

_FORBIDDEN_S: Final = 30.0

log = logging.getLogger(__name__)


class Ear:
    """Hears what is published. In a cluster every node passes on what is published at any, so one connection is enough.

    Pub/Sub loses what it says while nobody listens: nothing may depend on a word that is heard.

    Args:
        link: Returns the link to the engine; asked when it is needed, because an unopened bus has none.
        what: What is listened to, in words, for the log.
    """

    def __init__(self, link: Callable[[], Link], what: str) -> None:
        self._link = link
        self._what = what
        self._task: asyncio.Task[None] | None = None

    async def hear(self, channel: PubSub) -> None:
        """Subscribe, and act on what is said, until cancelled or an error; called anew for each connection."""
        raise NotImplementedError

    def open(self) -> None:
        """Begin to listen, if nobody did."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name=f"observatory: {self._what}")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _listen(self) -> None:
        while True:
            client = self._link().client(timeout_s=IDLE_S + 3)
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as channel:
                    await self.hear(channel)
            except TRANSIENT:
                await asyncio.sleep(random.uniform(0.2, 1.0))
            except Exception as error:  # no right to subscribe, say: whoever listens also looks by itself, only later
                log.warning("%s cannot be listened to: %s", self._what, error)
                await asyncio.sleep(_FORBIDDEN_S)
            finally:
                await client.aclose()
