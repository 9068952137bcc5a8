"""A bus on a clean engine, and short ways to say what tests say often."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from observatory.bus import Bus
from observatory.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from observatory.bus import Worker

DEBIAN_REDIS = shutil.which("redis-server")
"""Debian's own engine, an older Redis; its tests run where it is installed, as `.ci/run` does."""


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    """A client of a clean engine."""
    async with Bus.connect(bus_url, name="tester") as connected:
        yield connected


@pytest.fixture
def raw(bus_url: str) -> Iterator[Any]:
    """A plain redis-py client, as a foreign agent would use, and as the judge of what the engine holds."""
    with redis.Redis.from_url(bus_url, decode_responses=True) as client:
        yield client


@pytest.fixture(params=["valkey", *(["redis"] if DEBIAN_REDIS else [])])
def any_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a clean engine of each make that this machine has."""
    binary = Path(DEBIAN_REDIS) if request.param == "redis" and DEBIAN_REDIS else None
    with Engine.temporary(binary=binary) as engine:
        yield engine.url


@contextlib.asynccontextmanager
async def working(bus: Bus, agent: str, handlers: Any, **options: Any) -> AsyncIterator[Worker]:
    """Run a worker for the length of a block, and stop it gracefully at its end."""
    worker = bus.worker(agent, handlers, **options)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running
