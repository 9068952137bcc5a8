"""A rig on every make of engine that this machine has, and the choice between short and long forms."""

from __future__ import annotations

import asyncio
import functools
import inspect
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.proxy import Proxy
from tests.faults.rig import Rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

HERE = Path(__file__).parent

PATIENCE_S = {False: 60.0, True: 3600.0}
"""Seconds that one test may take, by whether it is the long form: what hangs must fail and say where it hangs."""

DEBIAN_REDIS = shutil.which("redis-server")
"""Debian's own engine, an older Redis; its tests run where it is installed, as `.ci/run` does."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every coroutine of this folder a time limit."""
    limit = PATIENCE_S[bool(config.getoption("--soak"))]
    for item in items:
        if isinstance(item, pytest.Function) and HERE in item.path.parents and inspect.iscoroutinefunction(item.obj):
            item.obj = _limited(item.obj, limit)


def _limited(test: Callable[..., Coroutine[None, None, None]], limit: float) -> Callable[..., object]:
    @functools.wraps(test)
    async def within(**fixtures: object) -> None:
        where: list[str] = []
        itself = asyncio.current_task()
        assert itself is not None

        def give_up() -> None:
            where.extend(f"{task.get_name()}: {' > '.join(_awaits(task.get_coro()))}" for task in asyncio.all_tasks())
            itself.cancel()

        timer = asyncio.get_running_loop().call_later(limit, give_up)
        try:
            await test(**fixtures)
        except asyncio.CancelledError:
            pytest.fail(f"hung for {limit:g} s\n" + "\n".join(where))
        finally:
            timer.cancel()

    return within


def _awaits(waiting: Any) -> Iterator[str]:
    """Yield where a suspended coroutine stands, and where what it awaits stands, and so on."""
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        yield f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
        waiting = waiting.cr_await


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A clean engine of the shipped make."""
    with Rig() as built:
        yield built


@pytest.fixture(params=["valkey", *(["redis"] if DEBIAN_REDIS else [])])
def any_rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A clean engine of each make."""
    with Rig(Path(DEBIAN_REDIS) if request.param == "redis" and DEBIAN_REDIS else None) as built:
        yield built


@pytest.fixture
async def proxy(any_rig: Rig) -> AsyncIterator[Proxy]:
    """A proxy in front of the engine of `any_rig`."""
    async with Proxy(any_rig.url) as built:
        yield built
