"""The embedded engine that one process owns: it starts, keeps data, refuses what would harm, and goes cleanly."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from observatory.engine import Engine, find_binary, running
from observatory.model.errors import EngineError
from tests.conftest import eventually
from tests.engine.conftest import answers


def exists(pid: int) -> bool:
    """Say whether a process of that id exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def crash(engine: Engine) -> None:
    """Kill the server as a power cut would."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


def test_a_stopped_engine_leaves_nothing_running(folder: Path) -> None:
    """After a clean stop the process and its socket are gone, and starting again works."""
    engine = Engine(folder)
    engine.start()
    pid = engine.pid
    assert pid is not None
    assert answers(engine.url)
    engine.start()
    same = engine.pid
    assert same == pid
    engine.stop()
    assert engine.pid is None
    assert not exists(pid)
    assert not (folder / "engine.sock").exists()
    assert running(folder) is None
    with Engine(folder) as again:
        assert answers(again.url)
    engine.stop()


def test_it_is_durable_private_and_refuses_to_evict(folder: Path) -> None:
    """The server runs with an append-only file, no eviction, a memory bound, and no network but its socket."""
    with Engine(folder, maxmemory=64 * 1024 * 1024) as engine, redis.Redis.from_url(engine.url) as client:
        found = {key: client.config_get(key)[key] for key in ("appendonly", "appendfsync", "save", "port", "bind")}
        assert found == {"appendonly": "yes", "appendfsync": "everysec", "save": "", "port": "0", "bind": "127.0.0.1"}
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"
        assert client.config_get("maxmemory*")["maxmemory"] == str(64 * 1024 * 1024)
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert 0 < int(client.config_get("maxmemory")["maxmemory"]) <= memory * 0.6


def test_only_the_user_can_read_it(folder: Path) -> None:
    """The directory is 0700 and every file in it closed to others; the password is on no command line."""
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        client.set("a", 1)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [str(path) for path in folder.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
        password = (folder / "engine.password").read_text().strip()
        assert password not in Path(f"/proc/{engine.pid}/cmdline").read_text()
        assert password.encode() not in Path(f"/proc/{engine.pid}/environ").read_bytes()
        assert password not in (folder / "engine.json").read_text()


def test_a_stranger_is_not_let_in(folder: Path) -> None:
    """Without the password the server answers nothing; the password is the same after a restart."""
    with Engine(folder) as engine:
        url = engine.url
        with redis.Redis.from_url(url.split("?")[0]) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    with Engine(folder) as engine:
        assert engine.url == url


def test_ctrl_c_does_not_reach_the_server(folder: Path) -> None:
    """The server is in a session of its own, so the terminal's interrupt is for the app alone."""
    with Engine(folder) as engine:
        assert engine.pid is not None
        assert os.getsid(engine.pid) == engine.pid


def test_a_second_engine_on_the_directory_is_refused(folder: Path) -> None:
    """The error names directory, process and what to do; the first engine does not notice."""
    with Engine(folder) as engine:
        with pytest.raises(EngineError) as caught:
            Engine(folder).start()
        assert f"{folder} is in use by process {engine.pid}" in caught.value.problem
        assert "observatory engine stop" in caught.value.hint
        assert answers(engine.url)


def test_a_port_serves_loopback_only(folder: Path) -> None:
    """With a port the engine is on 127.0.0.1 at that port."""
    port = free_port()
    with Engine(folder, port=port) as engine:
        assert engine.url.endswith(f"@127.0.0.1:{port}/0")
        assert answers(engine.url)


def test_a_port_in_use_is_named(folder: Path) -> None:
    """If someone else listens on the port, the error names it, and the directory is free again."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=rf"port {port} on 127\.0\.0\.1 cannot be used: Address already in use"):
            Engine(folder, port=port).start()
    with pytest.raises(EngineError, match="port 70000 is not between"):
        Engine(folder, port=70_000).start()
    with Engine(folder) as engine:
        assert answers(engine.url)


def test_a_deep_directory_gets_a_port_instead_of_a_socket(folder: Path) -> None:
    """Where the path is too long for a socket the engine listens on a loopback port by itself."""
    with Engine(folder / ("d" * 60) / ("e" * 60)) as engine:
        assert engine.url.startswith("redis://:")
        assert answers(engine.url)


def test_a_directory_name_may_hold_anything(folder: Path) -> None:
    """Blanks, quotes, percent signs and umlauts in the path are no obstacle."""
    with Engine(folder / "a b\"c'd%41é?#&") as engine:
        assert answers(engine.url)


async def test_data_survives_a_killed_server(folder: Path) -> None:
    """After kill -9 the next start ignores stale lock, socket and state, and has what was acknowledged."""
    engine = Engine(folder)
    engine.start()
    with redis.Redis.from_url(engine.url) as client:
        client.xadd("lane", {"id": "1"}, id="1-1")
    crash(engine)
    await eventually(lambda: engine.pid is None)
    assert running(folder) is None
    assert (folder / "engine.sock").exists()
    engine.start()
    with redis.Redis.from_url(engine.url) as client:
        assert client.xlen("lane") == 1
    crash(engine)
    with Engine(folder) as other, redis.Redis.from_url(other.url) as client:
        assert client.xlen("lane") == 1
    engine.stop()


def incremental_file(folder: Path) -> Path:
    return next((folder / "appendonlydir").glob("*.incr.aof"))


def test_a_torn_end_of_the_file_loads(folder: Path) -> None:
    """If the last write was cut in the middle, everything before it is there."""
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        client.set("whole", 1)
        client.set("torn", 1)
    aof = incremental_file(folder)
    os.truncate(aof, aof.stat().st_size - 3)
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        assert client.keys() == [b"whole"]


def test_a_damaged_file_is_named_with_the_reason(folder: Path) -> None:
    """Damage in the middle is not loaded over: the error carries the server's own reason and the log's place."""
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        client.set("a", 1)
        client.set("b", 1)
    aof = incremental_file(folder)
    aof.write_bytes(b"*9x" + aof.read_bytes()[3:])
    with pytest.raises(EngineError, match="Bad file format reading the append only file") as caught:
        Engine(folder).start()
    assert str(folder / "engine.log") in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_program_that_is_no_engine_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing binary, one that cannot be run and one that ends at once are each an error that says so."""
    with pytest.raises(EngineError, match="no engine binary at /nowhere/valkey"):
        Engine(folder, binary=Path("/nowhere/valkey")).start()
    with pytest.raises(EngineError, match="cannot be run"):
        Engine(folder, binary=Path(__file__)).start()
    with pytest.raises(EngineError, match="gave up: it left no log"):
        Engine(folder, binary=Path(shutil.which("false") or "")).start()
    monkeypatch.setenv("OBSERVATORY_ENGINE", "/nowhere/redis")
    with pytest.raises(EngineError, match="OBSERVATORY_ENGINE points at no engine binary at /nowhere/redis"):
        find_binary()
    monkeypatch.setenv("OBSERVATORY_ENGINE", sys.executable)
    assert find_binary() == Path(sys.executable)


def test_a_silent_server_is_given_up(folder: Path) -> None:
    """A program that runs and never answers is ended after the time that it was given."""
    silent = folder.parent / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o700)
    with pytest.raises(EngineError, match=r"did not answer within 0\.2 s"):
        Engine(folder, binary=silent, start_timeout_s=0.2).start()
    with Engine(folder) as engine:
        assert answers(engine.url)


def test_the_wrong_folder_is_refused(folder: Path) -> None:
    """A file in its place, or a folder that others read and that holds something else, is not taken over."""
    folder.write_text("a file")
    with pytest.raises(EngineError, match=f"{folder} cannot be used: "):
        Engine(folder).start()
    home = folder.parent / "home"
    home.mkdir(mode=0o755)
    (home / "thesis.txt").write_text("years of work")
    with pytest.raises(EngineError, match=r"already holds other files, for instance thesis\.txt"):
        Engine(home).start()
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    home.chmod(0o700)
    with pytest.raises(EngineError, match="already holds other files"):
        Engine(home, ephemeral=True).start()
    assert (home / "thesis.txt").exists()


def test_an_ephemeral_engine_leaves_no_trace() -> None:
    """Stopping it removes its directory; a failed start does so too."""
    with Engine.temporary() as engine:
        assert engine.directory.exists()
    assert not engine.directory.exists()
    failed = Engine.temporary(port=70_000)
    with pytest.raises(EngineError):
        failed.start()
    assert not failed.directory.exists()


OWNER = """
import time
from observatory.engine import Engine
engine = Engine.temporary()
engine.start()
print(engine.pid, engine.directory, flush=True)
time.sleep(600)
"""


def owner_of_an_engine() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)


async def test_an_ephemeral_engine_ends_with_a_killed_owner() -> None:
    """If the app is killed, the server of the demo and its directory go away by themselves."""
    with owner_of_an_engine() as owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        assert exists(int(pid))
        owner.kill()
    await eventually(lambda: not exists(int(pid)) and not Path(directory).exists())


def test_an_overgrown_log_is_put_aside(folder: Path) -> None:
    """A log beyond a mebibyte is kept once more under another name, and begun anew."""
    with Engine(folder):
        pass
    with (folder / "engine.log").open("a") as log:
        log.write("x" * 1024 * 1024)
    with Engine(folder):
        assert (folder / "engine.log").stat().st_size < 100_000
        assert (folder / "engine.log.1").exists()
