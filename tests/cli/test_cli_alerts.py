"""Watching for alerts without a screen."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from observatory.model.alert import DEFAULT_RULES

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from tests.cli.conftest import Cli


@pytest.fixture
def config(bus_cli: Cli) -> Path:
    """A settings file with a rule that fires at once, and a program that is told."""
    folder = bus_cli.home
    program = folder / "told.py"
    program.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')")
    command = json.dumps([sys.executable, str(program), str(folder / "told")])
    file = folder / "mine.toml"
    file.write_text(
        f"refresh_s = 0.25\n[alerts]\nevents = true\ncommand = {command}\n"
        '[alerts.rules.few]\nwatch = "lane.backlog"\nwarn = 2\nclear_for = 0\nsubjects = "high"\n'
    )
    return file


def test_alerts_are_printed_and_told_as_they_happen(bus_cli: Cli, raw: redis.Redis, config: Path) -> None:
    """Fired and resolved, on stdout, in the event log, and by the program of the settings."""
    process = bus_cli.start("alerts", "--json", "--config", str(config))
    assert process.stdout is not None
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    for _ in range(3):
        raw.xadd("cortex:tasks:high", {"type": "t"})
    fired = json.loads(process.stdout.readline())
    raw.delete("cortex:tasks:high")
    resolved = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert (fired["what"], fired["id"], fired["value"]) == ("fired", "few/high", 3.0)
    assert (resolved["what"], resolved["id"]) == ("resolved", "few/high")
    told = [json.loads(row)["what"] for row in (config.parent / "told").read_text().splitlines()]
    assert told == ["fired", "resolved"]
    facts = [json.loads(row) for row in _logged(bus_cli)]
    assert [fact["kind"] for fact in facts] == ["alert_fired", "alert_resolved"]
    assert facts[0]["detail"].startswith("few/high: ")


def _logged(bus_cli: Cli) -> list[str]:
    """Return the newest facts of the event log, as `tail` prints them."""
    process = bus_cli.start("tail", "--json", "--filter", "kind:alert_fired,alert_resolved")
    assert process.stdout is not None
    rows = [process.stdout.readline() for _ in range(2)]
    process.terminate()
    process.communicate(timeout=20)
    return rows


def test_the_rules_that_hold_are_listed(bus_cli: Cli, config: Path) -> None:
    """Shipped ones and those of the file, with their limits as people write them."""
    rows = bus_cli("alerts", "--rules", "--config", str(config)).out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == [*(rule.id for rule in DEFAULT_RULES), "few"]
    assert rows[-1].split()[1:] == ["lane.backlog", "2", "-", "0.0s", "high"]
    assert bus_cli("alerts", "--rules", "--json").json[0]["id"] == DEFAULT_RULES[0].id


def test_an_alert_is_acknowledged_and_muted_from_the_command_line(bus_cli: Cli, raw: redis.Redis, config: Path) -> None:
    """`ls` names what is at its limit; `ack` and `mute` are remembered, `unmute` ends that; slips are named."""
    said = ("--config", str(config))
    for _ in range(3):
        raw.xadd("cortex:tasks:high", {"type": "t"})
    assert "few/high" in [alert["id"] for alert in bus_cli("alerts", "ls", "--json", *said).json["alerts"]]
    assert bus_cli("alerts", "ack", "few/high", "--reason", "deploying", *said).code == 0
    found = next(one for one in bus_cli("alerts", "ls", "--json", *said).json["alerts"] if one["id"] == "few/high")
    assert found["acknowledged"]["reason"] == "deploying"
    assert found["muted"] is None
    assert bus_cli("alerts", "mute", "few/h*", "--for", "30m", *said).code == 0
    listed = bus_cli("alerts", "ls", *said).out.splitlines()
    assert listed[-1].split()[:2] == ["muted", "few/h*"]
    assert "deploying" not in listed[-1]
    assert bus_cli("alerts", "unmute", "few/h*", *said).code == 0
    bus_cli("alerts", "ack", "few/low", *said).refused(1, "few/low")
    bus_cli("alerts", "unmute", "few", *said).refused(1, "not muted")
    bus_cli("alerts", "mute", "few", "--for", "soon", *said).refused(2, "--for")
    bus_cli("alerts", "mute", "Few!", *said).refused(2, "names no rule")
