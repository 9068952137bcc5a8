"""Streams as a plain client reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis


def entries(plain: redis.Redis, stream: str) -> list[tuple[str, dict[bytes, bytes]]]:
    """Return what stands in a stream, as a plain client reads it."""
    rows: Any = plain.xrange(stream)
    return [(entry_id.decode(), fields) for entry_id, fields in rows]
