"""What every test stands on: a real engine, a clean bus, an environment that is not the developer's."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
from hypothesis import settings

from observatory.bus import Bus
from observatory.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

# How long an example takes says something of the machine, not of the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# Textual reads it once, when it is imported.
os.environ["TEXTUAL_ANIMATIONS"] = "none"


LONGEST_S = 240
"""Seconds after which a test hangs, far beyond what the longest takes on a busy machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of the long forms."""
    parser.addoption("--soak", action="store_true", help="run the fault tests in their long forms (many minutes)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that hangs fails, and the run goes on; long forms have limits of their own."""
    if not config.getoption("--soak"):
        for item in items:
            item.add_marker(pytest.mark.timeout(LONGEST_S))


async def eventually(predicate: Callable[[], object], timeout: float = 10.0) -> Any:
    """Wait until *predicate* is true, and return what it returned.

    Args:
        predicate: Sync or async; asked again and again. An assertion that fails in it counts as "not yet".
        timeout: Seconds after which waiting is a failure, with the last answer or assertion named.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        last: object
        try:
            answer = predicate()
            found = await answer if inspect.isawaitable(answer) else answer
            if found:
                return found
            last = found
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout:g} s: {inspect.getsource(predicate).strip()}\nlast: {last!r}")
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long forms are wanted."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One ephemeral engine per xdist worker."""
    with Engine.temporary() as running:
        yield running


@pytest.fixture
def bus_url(engine: Engine) -> str:
    """Return the URL of an engine that holds nothing."""
    engine.start()
    with redis.Redis.from_url(engine.url) as client:
        client.flushall()
    return engine.url


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    """Return the client under test, connected."""
    async with Bus.connect(bus_url, name="operator") as connected:
        yield connected


@pytest.fixture
def plain(bus_url: str) -> Iterator[redis.Redis]:
    """Return redis-py as a foreign agent uses it, which sees what truly stands there."""
    with redis.Redis.from_url(bus_url) as client:
        yield client


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test away from the files and variables of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(("OBSERVATORY_", "XDG_")) or name in {"NO_COLOR", "FORCE_COLOR"}:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for kind in ("CONFIG", "DATA", "STATE", "CACHE", "RUNTIME"):
        monkeypatch.setenv(f"XDG_{kind}{'_DIR' if kind == 'RUNTIME' else '_HOME'}", str(home / kind.lower()))
