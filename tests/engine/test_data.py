"""The data of the embedded engine: kept through crashes and upgrades, and never begun anew over what is damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from observatory.cli.main import main
from observatory.engine import Engine, running, size, vitals
from observatory.engine.versions import may_open, newest, of_program
from observatory.model.errors import EngineError, UsageError
from tests.conftest import eventually
from tests.engine.conftest import answers

if TYPE_CHECKING:
    from collections.abc import Callable

DEBIAN_REDIS = shutil.which("redis-server")
"""Debian's own engine, an older one; its tests run where it is installed, as `.ci/run` does."""

MAKES = [None, *([Path(DEBIAN_REDIS)] if DEBIAN_REDIS else [])]


def file_of(folder: Path, ending: str) -> Path:
    return next((folder / "appendonlydir").glob(f"*{ending}"))


async def filled(folder: Path, binary: Path | None = None) -> None:
    """Leave data in a base file and in the file of what came after it."""
    with Engine(folder, binary=binary) as engine, redis.Redis.from_url(engine.url) as client:
        client.set("base", "x" * 1000)
        client.bgrewriteaof()
        await eventually(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
        await eventually(lambda: client.info("persistence")["aof_rewrite_scheduled"] == 0)
        await eventually(lambda: b"x" * 900 not in file_of(folder, ".incr.aof").read_bytes())
        for number in range(20):
            client.xadd("lane", {"n": number})


async def test_whatever_was_acknowledged_is_there_after_a_kill_under_load(folder: Path) -> None:
    """A server killed in the middle of writes has, when started again, every entry that it had answered for."""
    engine = Engine(folder)
    engine.start()
    acknowledged: list[bytes] = []

    def write() -> None:
        with redis.Redis.from_url(engine.url, retry=None) as client, suppress(redis.ConnectionError):
            while True:
                acknowledged.append(client.xadd("lane", {"n": len(acknowledged)}))

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    await eventually(lambda: len(acknowledged) > 500)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    for writer in writers:
        writer.join()
    url = engine.url
    with Engine(folder) as again, redis.Redis.from_url(again.url) as client:
        assert again.url == url
        assert {ident for ident, _ in client.xrange("lane")} >= set(acknowledged)
    engine.stop()


def test_a_port_that_was_chosen_stays(folder: Path) -> None:
    """Where the path is too long for a socket, the engine comes back on the port that its agents know."""
    deep = folder / ("d" * 60) / ("e" * 60)
    with Engine(deep) as engine:
        url = engine.url
    with Engine(deep) as engine:
        assert engine.url == url
        assert answers(url)


def test_newer_engines_open_what_older_ones_wrote() -> None:
    """The rule counts major and minor versions, and knows where Valkey and Redis went their own ways."""
    assert may_open("valkey 9.1.2", "valkey 9.1.0")
    assert may_open("valkey 9.1.0", "valkey 9.1.2")
    assert may_open("valkey 9.1.2", "valkey 8.0.1")
    assert may_open("valkey 9.1.2", "redis 7.0.15")
    assert may_open("valkey 9.1.2", "")
    assert may_open("", "valkey 9.1.2")
    assert not may_open("valkey 9.1.2", "valkey 9.2.0")
    assert not may_open("valkey 9.1.2", "valkey 10.0.0")
    assert not may_open("redis 7.0.15", "valkey 9.1.2")
    assert not may_open("valkey 9.1.2", "redis 8.2.0")
    assert newest("valkey 9.1.2", "valkey 9.1.10") == "valkey 9.1.10"
    assert newest("valkey 9.1.2", "redis 7.0.15") == "valkey 9.1.2"
    assert newest("valkey 9.1.2", "") == "valkey 9.1.2"


def test_an_older_engine_is_refused(folder: Path) -> None:
    """Data of a newer engine are not touched; the error names both versions and the ways out."""
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        client.set("a", 1)
    state = json.loads((folder / "engine.json").read_text())
    assert state["wrote"] == engine.version
    (folder / "engine.json").write_text(json.dumps({**state, "wrote": "valkey 99.0.0"}))
    before = {path.name: path.read_bytes() for path in (folder / "appendonlydir").iterdir()}
    for _ in range(2):  # The refusal itself does not forget who wrote them.
        with pytest.raises(EngineError, match=r"were written by valkey 99\.0\.0, and valkey \d") as caught:
            Engine(folder).start()
        assert "OBSERVATORY_ENGINE" in caught.value.hint
    assert {path.name: path.read_bytes() for path in (folder / "appendonlydir").iterdir()} == before
    (folder / "engine.json").write_text(json.dumps({**state, "wrote": "valkey 7.2.0"}))
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        assert client.get("a") == b"1"
    assert json.loads((folder / "engine.json").read_text())["wrote"] == engine.version


@pytest.mark.skipif(not DEBIAN_REDIS, reason="needs Debian's redis-server beside Valkey")
async def test_an_upgrade_keeps_the_data_and_a_downgrade_is_refused(folder: Path) -> None:
    """What Redis 7.0 wrote, Valkey opens; from then on Redis is refused, and named even where nobody noted it."""
    old = Path(DEBIAN_REDIS or "")
    assert of_program(old, 10).startswith("redis 7.")
    await filled(folder, old)
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        assert client.xlen("lane") == 20
        client.bgrewriteaof()
        await eventually(lambda: file_of(folder, ".base.rdb").read_bytes().startswith(b"VALKEY"))
        await eventually(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
    with pytest.raises(EngineError, match=r"were written by valkey .*, and redis 7"):
        Engine(folder, binary=old).start()
    (folder / "engine.json").unlink()
    with pytest.raises(EngineError, match=r"are damaged: .*base\.rdb"):
        Engine(folder, binary=old).start()
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        assert client.xlen("lane") == 20


def test_state_of_before_the_version_was_kept_apart_is_understood(folder: Path) -> None:
    """A state file without the newer fields counts what last ran as what wrote the data."""
    with Engine(folder):
        pass
    state = json.loads((folder / "engine.json").read_text())
    del state["wrote"], state["cut"]
    (folder / "engine.json").write_text(json.dumps({**state, "version": "valkey 99.0.0"}))
    with pytest.raises(EngineError, match=r"valkey 99\.0\.0"):
        Engine(folder).start()


def _cut(path: Path, size: int) -> None:
    os.truncate(path, path.stat().st_size - size)


def _overwrite(path: Path, at: int, text: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(text)] = text
    path.write_bytes(content)


HARM: dict[str, tuple[Callable[[Path], None], str]] = {
    "a base file cut short": (lambda folder: _cut(file_of(folder, ".base.rdb"), 40), r"\.base\.rdb: "),
    "a base file of something else": (
        lambda folder: _overwrite(file_of(folder, ".base.rdb"), 0, b"NOTHING"),
        r"reading the append only file \S+\.base\.rdb$",
    ),
    "a base file gone": (lambda folder: file_of(folder, ".base.rdb").unlink(), r"\.base\.rdb: No such file"),
    "a hole in the middle": (
        lambda folder: _overwrite(file_of(folder, ".incr.aof"), 300, b"#" * 20),
        r"reading the append only file \S+\.incr\.aof$",
    ),
    "a manifest of something else": (
        lambda folder: _overwrite(file_of(folder, ".manifest"), 0, b"nothing"),
        r"manifest: Invalid AOF manifest",
    ),
    "a manifest gone": (
        lambda folder: file_of(folder, ".manifest").unlink(),
        r"no manifest, so the engine would begin",
    ),
}


@pytest.mark.parametrize("binary", MAKES, ids=lambda binary: "redis" if binary else "valkey")
@pytest.mark.parametrize("harm", HARM)
async def test_damage_is_named_by_file_and_never_started_over(folder: Path, harm: str, binary: Path | None) -> None:
    """The error names file, reason and ways out; put back from a copy, everything is there."""
    await filled(folder, binary)
    shutil.copytree(folder / "appendonlydir", folder.parent / "copy")
    do, words = HARM[harm]
    do(folder)
    with pytest.raises(EngineError, match=f"data of the engine in {folder} are damaged: .*") as caught:
        Engine(folder, binary=binary).start()
    assert caught.value.problem.count("\n") == 0
    assert re.search(words, caught.value.problem), caught.value.problem
    assert f"put {folder / 'appendonlydir'} back from a copy" in caught.value.hint
    shutil.rmtree(folder / "appendonlydir")
    shutil.copytree(folder.parent / "copy", folder / "appendonlydir")
    with Engine(folder, binary=binary) as engine, redis.Redis.from_url(engine.url) as client:
        assert client.xlen("lane") == 20


async def test_a_cut_end_is_loaded_and_said(folder: Path) -> None:
    """After a crash within a write the rest is there, and `engine status` says what was cut off."""
    await filled(folder)
    _cut(file_of(folder, ".incr.aof"), 3)
    with Engine(folder) as engine, redis.Redis.from_url(engine.url) as client:
        assert client.xlen("lane") == 19
        found = running(folder)
        assert found is not None
        assert "incr.aof ended within a write and was cut at byte" in found.cut
        assert f"{file_of(folder, '.incr.aof').stat().st_size}" in found.cut
    with Engine(folder):
        found = running(folder)
        assert found is not None
        assert found.cut == ""


def test_how_a_running_engine_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version, memory, its limit and the state of the file are told, by the room and by the verb."""
    assert vitals(folder) is None
    with Engine(folder, maxmemory=64 << 20) as engine, redis.Redis.from_url(engine.url) as client:
        found = vitals(folder)
        assert found is not None
        assert (found.memory_limit, found.aof) == (64 << 20, "ok")
        assert found.memory
        assert main(["engine", "status", "--data-dir", str(folder), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["memory_limit"], told["aof"], told["version"]) == (64 << 20, "ok", engine.version)
        assert main(["engine", "status", "--data-dir", str(folder)]) == 0
        words = capsys.readouterr().out
        assert "of 64.0 MiB" in words
        assert "append-only, ok" in words
        client.config_set("appendonly", "no")
        found = vitals(folder)
        assert found is not None
        assert found.aof == "off"
    assert vitals(folder) is None


def test_the_memory_limit_is_a_flag(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`engine start --maxmemory` takes an amount in the usual units and refuses what is none."""
    assert main(["engine", "start", "--data-dir", str(folder), "--maxmemory", "48mb", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory_limit"] == 48 << 20
    assert main(["engine", "stop", "--data-dir", str(folder)]) == 0
    assert main(["engine", "start", "--data-dir", str(folder), "--maxmemory", "lots"]) == 2
    assert "maxmemory: 'lots'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "amount"), [("1", 1), ("512kb", 512 << 10), ("2g", 2 << 30), ("2 GiB", 2 << 30), ("1T", 1 << 40)]
)
def test_amounts_of_memory(text: str, amount: int) -> None:
    """Units are powers of 1,024, in either case."""
    assert size(text) == amount


@pytest.mark.parametrize("text", ["", "0", "0gb", "-1", "1.5gb", "gb", "1x", "9" * 40, "\uff11gb"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    """Zero is refused as well: it would mean no limit."""
    with pytest.raises(UsageError, match="maxmemory"):
        size(text)
