"""For other programs: thresholds with exit codes, metrics, a frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from observatory.live.metrics import METRICS
from observatory.model.measure import BY_SHORT

if TYPE_CHECKING:
    import redis

    from tests.cli.conftest import Cli

CRITICAL = "cortex:tasks:critical"


@pytest.mark.parametrize(
    ("thresholds", "code", "words"),
    [
        (("--warn", "backlog>3"), 0, "OK - backlog 3 | 'backlog'=3;3;"),
        (("--warn", "backlog>2"), 1, "WARNING - backlog 3 (> 2) | 'backlog'=3;2;"),
        (("--warn", "backlog>1", "--crit", "backlog>=3"), 2, "CRITICAL - backlog 3 (>= 3) | 'backlog'=3;1;3"),
        (("--crit", "critical.wait>5s"), 2, "CRITICAL - critical.wait "),
        (("--crit", "low.wait>5s"), 0, "OK - low.wait 0.0s | 'low.wait'=0s;;5"),
        (("--crit", "alive<1"), 2, "CRITICAL - alive 0 (< 1) | 'alive'=0;;1"),
        (("--crit", "p95_wait>1s"), 3, "UNKNOWN - p95_wait ? | 'p95_wait'=U;;1"),
        (("--crit", "p95_wait>1s", "--crit", "dlq>0"), 3, "UNKNOWN - p95_wait ? | 'p95_wait'=U;;1 'dlq'=0;;0"),
        (("--crit", "p95_wait>1s", "--warn", "backlog>1", "--crit", "backlog>2"), 2, "CRITICAL - backlog 3 (> 2) "),
    ],
)
def test_thresholds_decide_the_exit_code_and_the_line(
    bus_cli: Cli, raw: redis.Redis, thresholds: tuple[str, ...], code: int, words: str
) -> None:
    """One line with performance data; what is critical outweighs what is unknown, which outweighs what is well."""
    for number in range(3):
        raw.xadd(CRITICAL, {"type": "t"}, id=f"1000-{number + 1}")
    found = bus_cli("check", *thresholds)
    assert found.code == code
    assert found.out.startswith(words)
    assert found.out.count("\n") == 1


def test_what_cannot_be_read_is_unknown_and_not_left_out_of_the_sum(bus_cli: Cli, raw: redis.Redis) -> None:
    """With one lane broken, the backlog of the bus and its oldest age are unknown; another lane's own are known."""
    raw.set("cortex:tasks:high", "no stream")
    raw.xadd(CRITICAL, {"type": "t"}, id="1000-1")
    for threshold in ("backlog>100", "wait>5s"):
        found = bus_cli("check", "--crit", threshold)
        assert (found.code, found.out.split()[0]) == (3, "UNKNOWN")
    assert bus_cli("check", "--crit", "critical.backlog>0").code == 2


@pytest.mark.parametrize("text", ["backlog", "colour>3", "high.memory>80%", "wait>soon", "backlog>>3"])
def test_a_threshold_that_is_none_is_refused(bus_cli: Cli, text: str) -> None:
    """The threshold is named; it is never taken for well."""
    bus_cli("check", "--crit", text).refused(2, text)


def test_a_check_of_a_bus_that_is_not_there_is_unknown(cli: Cli) -> None:
    """Unreachable is neither well nor critical; nothing to check is an error."""
    cli("check", "--crit", "dlq>0", "--url", "redis://127.0.0.1:1").refused(3, "127.0.0.1:1")
    cli("check", "--url", "redis://127.0.0.1:1").refused(2, "nothing to check")


def test_every_measure_and_metric_is_told(bus_cli: Cli) -> None:
    """The help of `check` names every measure, and the README every metric."""
    told = bus_cli("check", "--help").out
    assert all(re.search(rf"\b{name}\b", told) for name in BY_SHORT)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [metric.name for metric in METRICS] == re.findall(r"^\| `(observatory_\w+)", readme, re.MULTILINE)


def test_metrics_bring_no_escape_sequence_to_a_terminal(bus_cli: Cli, raw: redis.Redis) -> None:
    """A foreign agent is named in a label, and its name passes the door for foreign text."""
    raw.xadd("cortex:heartbeats", {"agent": "e\x1b[31m\x00\u202evil"})
    text = bus_cli("metrics").out
    assert "vil" in text
    assert text.replace("\n", "").isprintable()


def test_metrics_are_what_prometheus_reads(bus_cli: Cli, raw: redis.Redis) -> None:
    """Each metric is declared once before its samples; labels are escaped; what is unknown is absent, not zero."""
    raw.xadd(CRITICAL, {"type": "t"})
    raw.xgroup_create(CRITICAL, 'a"b\\c', id="0")
    raw.xadd("cortex:heartbeats", {"agent": "pi\nnk"})
    text = bus_cli("metrics").out
    sample = re.compile(r'(\w+)(?:\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[\d.e+]+)')
    declared: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            declared.append(line.split()[2])
        elif not line.startswith("# HELP "):
            found = sample.fullmatch(line)
            assert found is not None, line
            assert found[1] == declared[-1]
    assert len(declared) == len(set(declared))
    assert 'observatory_lane_backlog{queue="shared",priority="critical"} 1\n' in text
    assert r'group="a\"b\\c"} 1' in text
    assert 'observatory_agent_pending{agent="pi\N{SYMBOL FOR LINE FEED}nk"} 0' in text
    assert "observatory_lane_in_per_second" not in text
    assert "observatory_lane_in_per_second" in bus_cli("metrics", "--rates", "0.1").out
    assert {"name": "observatory_up", "labels": {}, "value": 1.0} in bus_cli("metrics", "--json").json


def test_a_frame_is_text_data_or_a_picture(bus_cli: Cli, raw: redis.Redis) -> None:
    """The picture shows the screen with the numbers of the bus, without any terminal."""
    for _ in range(7):
        raw.xadd("cortex:tasks:coding:low", {"type": "t"})
    assert "coding:low" in bus_cli("snapshot").out
    assert bus_cli("snapshot", "--format", "json").json["lanes"][-1]["backlog"] == 7
    picture = bus_cli("snapshot", "--format", "svg", "--size", "100x30")
    assert picture.code == 0
    assert picture.out.startswith("<svg")
    assert "coding" in picture.out
    assert picture.out.rstrip().endswith("</svg>")
    bus_cli("snapshot", "--format", "svg", "--size", "huge").refused(2, "--size")
    bus_cli("snapshot", "--format", "svg", "--screen", "nowhere").refused(2, "nowhere", "overview")
