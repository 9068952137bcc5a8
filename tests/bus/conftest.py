"""A bus on a clean engine, and short ways to say what tests say often."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.sentinel

from observatory.bus import Bus
from observatory.bus.links.address import cluster_of, sentinels_of
from observatory.engine import Engine
from observatory.model.task import Lane, Priority
from tests.rigs import PASSWORD, SENTINEL_PASSWORD, ClusterRig, SentinelRig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from observatory.bus import Worker

DEBIAN_REDIS = shutil.which("redis-server")
"""Debian's own engine, an older Redis; its tests run where it is installed, as `.ci/run` does."""


DEPLOYMENTS = tuple(
    f"{kind}-{make}"
    for kind in ("standalone", "sentinel", "cluster")
    for make in ("valkey", *(["redis"] if DEBIAN_REDIS else []))
)
"""Where a bus can live: kind of deployment, and make of the engine."""


class Fleet:
    """Deployments of every kind, each started when it is first asked for."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._running: dict[str, Engine | SentinelRig | ClusterRig] = {}

    def clean(self, name: str) -> str:
        """Return the URL of the deployment *name*, which holds nothing."""
        if name not in self._running:
            self._running[name] = self._stack.enter_context(self._made(name))
        running = self._running[name]
        if isinstance(running, ClusterRig):
            running.clear()
        elif isinstance(running, SentinelRig):
            running.primary.ask("FLUSHALL")
        else:
            running.start()
            with redis.Redis.from_url(running.url) as client:
                client.flushall()
        return running.url

    def close(self) -> None:
        """End all of them."""
        self._stack.close()

    def _made(self, name: str) -> contextlib.AbstractContextManager[Engine | SentinelRig | ClusterRig]:
        kind, _, make = name.partition("-")
        binary = Path(DEBIAN_REDIS) if make == "redis" and DEBIAN_REDIS else None
        if kind == "sentinel":
            return SentinelRig(replicas=1, binary=binary)
        if kind == "cluster":
            return ClusterRig(binary=binary)
        return Engine.temporary(binary=binary)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `everywhere` on every deployment: on all `but` one kind, of one `make`, or only to `soak`."""
    mark = metafunc.definition.get_closest_marker("everywhere")
    wanted = mark is not None and (metafunc.config.getoption("--soak") or not mark.kwargs.get("soak"))
    if mark is not None and wanted and "bus_url" in metafunc.fixturenames:
        kinds = [name for name in DEPLOYMENTS if name.partition("-")[0] != mark.kwargs.get("but")]
        names = [name for name in kinds if name.endswith(mark.kwargs.get("make", ""))]
        params = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]
        metafunc.parametrize("deployment", params, indirect=True)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The deployments of this test run."""
    built = Fleet()
    yield built
    built.close()


@pytest.fixture
def deployment(request: pytest.FixtureRequest) -> str:
    """Name of the deployment that a test runs on."""
    return str(getattr(request, "param", DEPLOYMENTS[0]))


@pytest.fixture
def bus_url(fleet: Fleet, deployment: str) -> str:
    """The URL of a deployment that holds nothing."""
    return fleet.clean(deployment)


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    """A client of a clean engine."""
    async with Bus.connect(bus_url, name="tester") as connected:
        yield connected


@pytest.fixture
def raw(bus_url: str) -> Iterator[Any]:
    """A plain redis-py client, as a foreign agent would use, and as the judge of what the engine holds.

    On a cluster it finds the node of a key; what names no key goes to one node, or to all primaries.
    """
    if sentinels := sentinels_of(bus_url):
        found = redis.sentinel.Sentinel(sentinels.hosts, sentinel_kwargs={"password": SENTINEL_PASSWORD})
        with found.master_for(sentinels.name, password=PASSWORD, decode_responses=True) as client:
            yield client
        for sentinel in found.sentinels:
            sentinel.close()
    elif cluster := cluster_of(bus_url):
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in cluster.hosts]
        with redis.RedisCluster(startup_nodes=nodes, password=PASSWORD, decode_responses=True) as client:
            yield client
    else:
        with redis.Redis.from_url(bus_url, decode_responses=True) as client:
            yield client


@pytest.fixture(params=["valkey", *(["redis"] if DEBIAN_REDIS else [])])
def any_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a clean engine of each make that this machine has."""
    binary = Path(DEBIAN_REDIS) if request.param == "redis" and DEBIAN_REDIS else None
    with Engine.temporary(binary=binary) as engine:
        yield engine.url


def lane_of(bus: Bus, task_id: str, priority: str = "normal", *, queue: str = "shared") -> str:
    """Stream that a task of this id, and without an ordering key, is published to."""
    return bus.partitions.of(task_id).keys.lane(Lane(queue, Priority(priority)))


def lanes_of(bus: Bus, priority: str = "normal", *, queue: str = "shared") -> list[str]:
    """Streams that a lane is made of, one in each partition."""
    return [partition.keys.lane(Lane(queue, Priority(priority))) for partition in bus.partitions]


def together(bus: Bus, count: int) -> list[str]:
    """Ids of tasks that live in the same partition, without an ordering key."""
    home = bus.partitions.seat
    return list(
        itertools.islice((name for name in map(str, itertools.count()) if bus.partitions.of(name) is home), count)
    )


def held(raw: Any, streams: Iterable[str]) -> int:
    """How many entries *streams* hold together."""
    return sum(raw.xlen(stream) for stream in streams)


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
