"""The API keys of a bus: kept on the bus itself, so that every gateway of it knows the same ones."""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

from observatory.model.api_key import ApiKey, new_key
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from observatory.bus.partitions import Partition
    from observatory.model.clock import Clock

_LETTERS = string.ascii_lowercase + string.digits


class ApiKeys:
    """Makes, lists and revokes keys.

    Args:
        partition: Where they are kept.
        clock: Where the time of making comes from.
    """

    def __init__(self, partition: Partition, clock: Clock) -> None:
        self._link = partition.link
        self._name = partition.keys.api_keys
        self._clock = clock

    async def create(self, *, role: str, agents: tuple[str, ...] = (), note: str = "") -> tuple[str, ApiKey]:
        """Make a key.

        Returns:
            The key, which is known to nobody else and is never shown again, and what the bus keeps of it.

        Raises:
            UsageError: Role or scope cannot be one.
        """
        ident = "".join(secrets.choice(_LETTERS) for _ in range(8))
        secret = secrets.token_urlsafe(32)
        now_ms = self._clock.now_ms()
        key = new_key(ident, secret, secrets.token_bytes(16), role=role, agents=agents, note=note, created_ms=now_ms)
        await self._link.command("HSET", self._name, ident, key.packed())
        return f"obs_{ident}_{secret}", key

    async def all(self) -> tuple[ApiKey, ...]:
        """Return what is known of every key, the oldest first."""
        flat = await self._link.command("HGETALL", self._name)
        found = (
            ApiKey.unpacked(ident.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
            for ident, text in pairs(flat)
        )
        return tuple(sorted((key for key in found if key is not None), key=lambda key: (key.created_ms, key.id)))

    async def revoke(self, ident: str) -> bool:
        """Let a key open nothing any more, at any gateway, within seconds; False if there is none of that id."""
        return bool(await self._link.command("HDEL", self._name, ident))
