"""Engines that outlive their starter or have several users: nobody's server is ended by someone else's mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from observatory.engine import Engine, running, shared, start_detached, stop_running
from observatory.engine.process import ProcessId
from observatory.model.errors import EngineError
from tests.conftest import eventually
from tests.engine.conftest import answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APP = """
import sys
from pathlib import Path
from observatory.engine import shared
with shared(Path(sys.argv[1])) as engine:
    print(engine.pid, flush=True)
    sys.stdin.read()
"""


def app(folder: Path) -> subprocess.Popen[str]:
    """Start a process that uses the shared engine until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", APP, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def pid_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_detached_engine_outlives_its_starter(folder: Path) -> None:
    """Started by one process, it is found, attached to and stopped by another."""
    code = "import sys, pathlib, observatory.engine as e; e.start_detached(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(folder)], check=True)
    found = running(folder)
    assert found is not None
    assert found.detached
    assert found.version.startswith("valkey ")
    assert answers(found.url)
    with pytest.raises(EngineError, match=f"in use by process {found.pid}"):
        start_detached(folder)
    assert stop_running(folder)
    assert not answers(found.url)
    assert running(folder) is None
    assert not stop_running(folder)


def test_nothing_runs_where_nothing_was_started(folder: Path) -> None:
    """A directory that does not exist has no engine, and looking does not make it."""
    assert running(folder) is None
    assert not stop_running(folder)
    assert not folder.exists()


def test_an_app_s_engine_is_not_stopped_by_someone_else(folder: Path) -> None:
    """`engine stop` refuses while an app in the foreground uses the engine, and says so."""
    with Engine(folder) as engine:
        with pytest.raises(EngineError, match=f"process {engine.pid}. is in use by a running app"):
            stop_running(folder)
        assert answers(engine.url)


def test_a_recycled_pid_is_never_signalled(folder: Path, bystander: subprocess.Popen[bytes]) -> None:
    """If the pid in the state file belongs to another process by now, that process is left alone."""
    start_detached(folder)
    stop_running(folder)
    state = json.loads((folder / "engine.json").read_text())
    boot = state["holder"]["born"].rpartition(":")[0]
    state["holder"] = {"pid": bystander.pid, "born": f"{boot}:1"}
    (folder / "engine.json").write_text(json.dumps(state))
    assert running(folder) is None
    assert not stop_running(folder)
    assert not ProcessId(bystander.pid, "another boot").send(signal.SIGKILL)
    with Engine(folder) as engine:
        assert answers(engine.url)
        (folder / "engine.json").write_text(json.dumps(state))
        with pytest.raises(EngineError):
            stop_running(folder)
    assert bystander.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"holder": 1}', '{"holder": {"pid": "x"}}'])
def test_a_damaged_state_file_is_no_engine(folder: Path, text: str) -> None:
    """Whatever the state file says, looking never fails, and an engine can be started."""
    folder.mkdir()
    (folder / "engine.json").write_text(text)
    assert running(folder) is None
    assert not stop_running(folder)
    with Engine(folder) as engine:
        assert answers(engine.url)


def test_the_last_app_stops_the_engine(folder: Path) -> None:
    """A second app attaches to the first one's engine, keeps it when the first leaves, and stops it at its end."""
    with ExitStack() as first, ExitStack() as second:
        one = first.enter_context(shared(folder))
        two = second.enter_context(shared(folder))
        assert one == two
        first.close()
        assert answers(two.url)
        second.close()
        assert not answers(two.url)
        assert running(folder) is None


def test_an_app_does_not_stop_a_detached_engine(folder: Path) -> None:
    """An engine that was started to stay stays when the app that attached to it leaves."""
    found = start_detached(folder)
    with shared(folder) as engine:
        assert engine == found
    assert answers(found.url)
    assert stop_running(folder)


def test_apps_that_start_at_once_share_one_engine(folder: Path) -> None:
    """Three apps started at the same moment end up on one server, which goes with the last of them."""
    with ExitStack() as stack:
        apps = [stack.enter_context(app(folder)) for _ in range(3)]
        pids = {pid_of(process) for process in apps}
        assert len(pids) == 1
        for process in apps:
            process.communicate(timeout=60)
        assert [process.returncode for process in apps] == [0, 0, 0]
    assert running(folder) is None


async def test_the_engine_of_a_killed_app_is_taken_over(folder: Path) -> None:
    """If the app that started the engine is killed, the next one attaches to it and stops it at its end."""
    with app(folder) as first:
        pid = pid_of(first)
        first.kill()
    with shared(folder) as engine:
        assert engine.pid == pid
        assert answers(engine.url)
    assert not answers(engine.url)
    with app(folder) as second:
        pid_of(second)
        second.kill()
    assert await eventually(lambda: stop_running(folder))


async def test_a_server_that_ignores_the_request_is_killed(folder: Path) -> None:
    """A server that is stuck does not keep its directory for ever."""
    found = start_detached(folder)
    os.kill(found.pid, signal.SIGSTOP)
    assert stop_running(folder, patience_s=0.3)
    assert running(folder) is None
