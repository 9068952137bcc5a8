"""A bus, and a plain client beside it that sees what truly stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from observatory.bus import Bus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    """Return the client under test, connected."""
    async with Bus.connect(bus_url, name="operator") as connected:
        yield connected


@pytest.fixture
def plain(bus_url: str) -> Iterator[redis.Redis]:
    """Return redis-py as a foreign agent uses it."""
    with redis.Redis.from_url(bus_url) as client:
        yield client
