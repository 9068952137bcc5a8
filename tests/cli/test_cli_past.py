"""The verbs of the past: record, export, replay, query, diff, as the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.history.logs import entries, facts, put

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from tests.cli.conftest import Cli


@pytest.fixture
def day(plain: redis.Redis) -> int:
    """Write an hour of yesterday, and return how many facts it has."""
    log = entries(1500, per_s=0.5)
    put(plain, log)
    return len(facts(log))


@pytest.fixture
def on(bus_url: str) -> dict[str, str]:
    """Environment of a command that is pointed at the bus."""
    return {"OBSERVATORY_URL": bus_url}


def test_a_day_is_recorded_exported_and_replayed(cli: Cli, on: dict[str, str], day: int, tmp_path: Path) -> None:
    """From the bus into the archive, from there into a file, and out of the file without any bus."""
    recorded = cli("record", "--once", "--json", **on)
    assert recorded.json["recorded"] is True
    assert recorded.json["events"] >= day
    path = str(tmp_path / "incident.obs")
    written = cli("export", path, "--from", "-10m", "--json", **on)
    assert written.code == 0, written
    assert 0 < written.json["events"] < day
    first = cli("replay", path, "--json", OBSERVATORY_URL="redis://127.0.0.1:1")
    assert first.code == 0, first
    assert first.json["at"] == written.json["to"]
    assert {lane["priority"] for lane in first.json["lanes"]} == {"critical", "high", "normal", "low"}
    cli("export", path, **on).refused(2, "is there already")
    cli("export", path, "--force", "--redact", "nonsense", **on).refused(2, "no field 'nonsense'")


def test_questions_and_differences(cli: Cli, on: dict[str, str], day: int, tmp_path: Path) -> None:
    """Over the bus and over a file alike, as a table and as JSON."""
    path = str(tmp_path / "incident.obs")
    assert cli("export", path, **on).code == 0
    counted = cli("query", "select count(*) as n from events", "--json", **on)
    assert counted.json == [{"n": day}]
    assert cli("query", "--recording", path, "select count(*) as n from events", "--json").json == [{"n": day}]
    assert "failed_percent" in cli("query", "--ready", "failures", "--recording", path).out
    cli("query", "--ready", "nonsense", **on).refused(2, "throughput")
    other = cli("diff", "-10m", "-1m", "--json", "--recording", path)
    assert {change["group"] for change in other.json["changed"]} >= {"lane", "cause", "agent"}


def test_what_is_no_recording_is_refused(cli: Cli, tmp_path: Path) -> None:
    """One clear line, and no screen."""
    path = tmp_path / "x.obs"
    path.write_text("no")
    cli("replay", str(path), "--json").refused(1, "is no recording")


def test_without_the_extra_the_verbs_say_what_to_install(cli: Cli, on: dict[str, str], tmp_path: Path) -> None:
    """The past is an extra; whoever has not installed it is told how to."""
    hidden = "import sys; sys.modules['pyarrow'] = None; from observatory.cli.main import main; sys.exit(main())"
    for words in (["export", str(tmp_path / "a.obs")], ["record", "--once"]):
        done = subprocess.run(
            [sys.executable, "-c", hidden, *words],
            capture_output=True,
            text=True,
            env={**os.environ, **on},
            check=False,
        )
        assert done.returncode == 1
        assert "observatory[history]" in done.stderr
