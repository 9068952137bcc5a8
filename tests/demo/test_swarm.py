"""The swarm itself, in real processes on a real engine."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.demo import DemoOptions
from observatory.demo.proxy import Proxy
from observatory.demo.roster import agent_names
from observatory.demo.swarm import Demo, run_headless
from observatory.model.agent import agent_of
from observatory.model.event import EventKind
from observatory.model.snapshot import LinkState
from tests.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

_OWNER = """
import sys
from observatory.demo import DemoOptions
from observatory.demo.proxy import Proxy
from observatory.demo.roster import agent_names
from observatory.demo.swarm import Demo
demo = Demo(DemoOptions(incidents=()))
print(demo.start(), demo.journals.parent, flush=True)
sys.stdin.read()
demo.stop()
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Return a folder that takes the place of the machine's temporary one."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def books() -> dict[str, Any]:
    """Return the books of one short run with every incident."""
    return run_headless(DemoOptions(seed=7, seconds=10))


@pytest.mark.xdist_group("demo")
def test_the_books_of_a_run_with_every_incident_balance(books: dict[str, Any]) -> None:
    """After crashes, a cut, a freeze and a flood nothing is lost, nothing is settled twice, every task is somewhere."""
    assert (books["lost"], books["duplicated"], books["problems"]) == (0, 0, [])
    parts = ("completed", "dead_lettered", "stale", "cancelled", "queued", "pending", "delayed")
    assert books["published"] == sum(books[part] for part in parts)
    assert books["acknowledged"] > 100
    assert books["completed"] > 100
    assert books["agents"] == 8


@pytest.mark.xdist_group("demo")
def test_a_short_run_shows_every_outcome(books: dict[str, Any]) -> None:
    """Even ten seconds have retries, dead letters, stale work and cancels."""
    for outcome in ("retried", "dead_lettered", "stale", "cancelled"):
        assert books[outcome] > 0, outcome


@pytest.mark.xdist_group("demo")
def test_work_of_an_agent_that_is_killed_is_delivered_again() -> None:
    """A crash alone, with work in hand, ends in a redelivery and loses nothing."""
    books = run_headless(DemoOptions(seconds=5, rate=5, incidents=("crash",)))
    assert books["redelivered"] > 0
    assert (books["lost"], books["duplicated"], books["problems"]) == (0, 0, [])


async def test_a_cut_is_a_real_cut_and_heals(bus_url: str) -> None:
    """Behind a cut network a publish waits; once the network is back it arrives, and only once."""
    proxy = Proxy(bus_url)
    await proxy.open()
    try:
        async with Bus.connect(proxy.url) as far, Bus.connect(bus_url) as near:
            await far.publish("notify", id="before")
            proxy.cut()
            waiting = asyncio.create_task(far.publish("notify", id="during"))
            await eventually(lambda: far.link.state is LinkState.LOST)
            assert await near.record("during") is None
            proxy.restore()
            assert (await waiting).outcome == "queued"
            assert (await near.record("during")) is not None
    finally:
        await proxy.close()


@pytest.mark.xdist_group("demo")
async def test_the_swarm_is_alive_soon_and_leaves_nothing(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All named agents beat and complete work; `stop` ends every process and removes every file."""
    monkeypatch.setattr("tempfile.tempdir", str(room))
    demo = Demo(DemoOptions(incidents=()))
    demo.start()
    try:
        async with Bus.connect(demo.url) as bus:
            await eventually(lambda: _settled_in(bus), timeout=20)
        family = _family("agent") | _family("director")
        assert len(family) == 6
    finally:
        demo.stop()
    assert not _alive(family)
    assert _files(room) == []


@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_an_owner_that_is_killed_takes_everything_with_it(room: Path, number: signal.Signals) -> None:
    """However the owner dies, director, agents and engine end, and the directory is gone."""
    with subprocess.Popen(  # noqa: ASYNC220  the test is about processes
        [sys.executable, "-c", _OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(room)},
    ) as owner:
        assert owner.stdout is not None
        said = owner.stdout.readline().decode()
        assert "password" in said or "redis://" in said
        family: set[int] = set()

        def complete() -> bool:
            family.update(_descendants(owner.pid))
            return len(_mentioning("observatory.demo.agent") & family) == 5

        await eventually(complete, timeout=20)
        owner.send_signal(number)
        owner.wait()
    await eventually(lambda: not _alive(family), timeout=20)
    await eventually(lambda: not _files(room))


@pytest.mark.xdist_group("demo")
async def test_agents_end_with_their_director_even_when_frozen() -> None:
    """A director that is killed takes its agents along, those that were stopped by a signal too."""
    with Demo(DemoOptions(incidents=())) as demo:
        await eventually(lambda: len(_family("agent")) == 5, timeout=20)
        agents, director = _family("agent"), _family("director").pop()
        frozen = max(agents)
        os.kill(frozen, signal.SIGSTOP)
        await eventually(lambda: _state(frozen) == "T")
        os.kill(director, signal.SIGKILL)
        await eventually(lambda: not _alive(agents))
        assert demo.url


def test_no_secret_is_on_a_command_line() -> None:
    """The password of the engine is in no argument of any process of the swarm."""
    with Demo(DemoOptions(agents=2, incidents=())) as demo:
        secret = demo.url.partition("password=")[2] or demo.url.partition("://:")[2].partition("@")[0]
        assert len(secret) > 20
        assert not _mentioning(secret)


def _processes() -> dict[int, tuple[int, str, str]]:
    """Return parent, state and command line of every process."""
    out = subprocess.run(
        ["/bin/ps", "-eo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = (row.split(None, 3) for row in out.splitlines())
    return {int(pid): (int(parent), state, args) for pid, parent, state, args in rows}


def _descendants(pid: int) -> set[int]:
    table = _processes()
    found = {pid}
    while more := {child for child, (parent, _, _) in table.items() if parent in found} - found:
        found |= more
    return found - {pid}


def _mentioning(words: str) -> set[int]:
    return {pid for pid, (_, state, args) in _processes().items() if words in args and state[0] != "Z"}


async def _settled_in(bus: Bus) -> bool:
    """Say whether all eight agents are up and the first work is done."""
    events = (await bus.events(limit=1000)).items
    up = {agent_of(event.agent) for event in events if event.kind == EventKind.AGENT_UP}
    return up == set(agent_names(8)) and any(event.kind == EventKind.COMPLETED for event in events)


def _family(part: str) -> set[int]:
    """Return the processes of the demo that this test started."""
    return _mentioning(f"-m observatory.demo.{part}") & _descendants(os.getpid())


def _alive(pids: set[int]) -> set[int]:
    return {pid for pid, (_, state, _) in _processes().items() if pid in pids and state[0] != "Z"}


def _state(pid: int) -> str:
    return _processes()[pid][1][0]


def _files(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
