"""Verbs that list: the same numbers as the engine, the same filters as the screens, limits that say so."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from observatory.cli.output import table

if TYPE_CHECKING:
    import redis

    from tests.cli.conftest import Cli

HIGH = "cortex:tasks:high"


@pytest.fixture
def busy(raw: redis.Redis) -> redis.Redis:
    """A bus on which foreign agents work: two hold something, one entry is no task, some letters are dead."""
    for number in range(6):
        raw.xadd(HIGH, {"id": f"t-{number}", "type": "deploy" if number % 2 else "scan", "payload": '{"n": 1}'})
    raw.xadd(HIGH, {"foo": "bar"})
    raw.xgroup_create(HIGH, "agents", id="0")
    raw.xreadgroup("agents", "pink@h:1:a", {HIGH: ">"}, count=2)
    raw.xreadgroup("agents", "red", {HIGH: ">"}, count=1)
    raw.xadd("cortex:heartbeats", {"agent": "pink", "status": "busy", "task": "t-0"})
    for number in range(3):
        raw.xadd(
            "cortex:tasks:dlq",
            {"id": f"d-{number}", "type": "deploy", "reason": "error", "last_error": f"ValueError: no repo {number}"},
        )
    return raw


def test_lanes_are_listed_with_their_numbers(bus_cli: Cli, busy: redis.Redis) -> None:
    """Backlog, lag and pending are the engine's; a filter leaves the others out; JSON has the same lanes."""
    found = bus_cli("lanes", "--filter", "backlog>0", "--rates", "0")
    (row,) = [line.split() for line in found.out.splitlines()[1:]]
    assert row[:4] == ["high", "7", "4", "3"]
    assert row[-1] == "ok"
    (lane,) = bus_cli("lanes", "--filter", "backlog>0", "--json").json["lanes"]
    assert (lane["stream"], lane["backlog"], lane["working"]) == (HIGH, 7, 2)
    assert bus_cli("lanes", "--filter", "backlog>100", "--rates", "0").out == "no lanes that match\n"


def test_groups_and_their_consumers_are_listed(bus_cli: Cli, busy: redis.Redis) -> None:
    """Of one lane or of all, by the name that people use."""
    (group,) = bus_cli("groups", "high", "--json").json["groups"]
    assert (group["name"], group["lag"], group["pending"]) == ("agents", 4, 3)
    assert [(one["agent"], one["pending"]) for one in group["consumers"]] == [("pink", 2), ("red", 1)]
    lines = bus_cli("groups", "--consumers", "--filter", "pending>1").out.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["pink@h:1:a"]
    assert bus_cli("groups", "low").out == "no groups\n"
    bus_cli("groups", "nonsense").refused(2, "'nonsense' is no lane")


def test_pending_work_is_listed_filtered_and_paged(bus_cli: Cli, busy: redis.Redis) -> None:
    """Oldest first, over pages, with what was searched; a slip in the filter is an error with its column."""
    first = bus_cli("pending", "--limit", "2")
    assert [line.split()[-1] for line in first.out.splitlines()[1:]] == ["t-0", "t-1"]
    assert "2 of 3 pending entries" in first.err
    after = first.err.split("--after '")[1].rstrip("'\n")
    assert [row["task"] for row in bus_cli("pending", "--after", after, "--json").json["pending_entries"]] == ["t-2"]
    found = bus_cli("pending", "--filter", "agent:pink type:deploy", "--json").json
    assert ([row["task"] for row in found["pending_entries"]], found["searched"]) == (["t-1"], 3)
    assert bus_cli("pending", "--filter", "idle>1h").out == "no pending entries that match\n"
    newest = bus_cli("pending", "--newest", "--consumer", "pink@h:1:a", "--json").json
    assert [row["task"] for row in newest["pending_entries"]] == ["t-1", "t-0"]
    bus_cli("pending", "--filter", "idel>1h").refused(2, "column 1", "did you mean idle?")
    bus_cli("pending", "--limit", "0").refused(2, "--limit")


def test_entries_of_any_list_are_shown(bus_cli: Cli, busy: redis.Redis) -> None:
    """A lane with who holds what, malformed entries with the reason, the delayed work, the dead letters."""
    rows = bus_cli("entries", "high", "--json").json["entries"]
    assert [row["state"] for row in rows] == ["waiting"] * 4 + ["held"] * 3
    assert rows[0]["problem"] == "neither a type nor a payload"
    assert rows[-1]["holds"][0]["agent"] == "pink"
    assert "pink" in bus_cli("entries", "high", "--filter", "state:held", "--oldest").out.splitlines()[1]
    bus_cli("send", "later", "--delay", "1h")
    assert [row["state"] for row in bus_cli("entries", "delayed", "--json").json["entries"]] == ["delayed"]
    assert bus_cli("entries", "dlq", "--json").json["total"] == 3


def test_agents_are_listed_and_told_in_full(bus_cli: Cli, busy: redis.Redis) -> None:
    """One that beats and one that only holds work; all about one of them."""
    assert [row["name"] for row in bus_cli("agents", "--json").json["agents"]] == ["pink", "red"]
    assert [row["name"] for row in bus_cli("agents", "--filter", "state:alive", "--json").json["agents"]] == ["pink"]
    pink = bus_cli("agents", "pink", "--json").json
    assert [(one["consumer"], one["pending"]) for one in pink["held"]] == [("pink@h:1:a", 2)]
    assert "high" in bus_cli("agents", "pink").out
    bus_cli("agents", "nobody").refused(1, "there is no agent 'nobody'")


def test_tasks_are_found_and_one_is_told_with_its_life(bus_cli: Cli, busy: redis.Redis) -> None:
    """Tasks that no event was written about are found by their entries, told with payload, and traced."""
    bus_cli("send", "backup", "--priority", "low", "--json")
    found = bus_cli("tasks", "--filter", "type:scan", "--json").json
    assert {row["id"]: row["state"] for row in found["tasks"]} == {"t-0": "running", "t-2": "running", "t-4": "queued"}
    assert found["searched"] == 9
    told = bus_cli("task", "t-0")
    assert "pink" in told.out
    assert '"n": 1' in told.out
    trace = bus_cli("trace", "t-0", "--json").json
    assert [span["what"] for span in trace["spans"]] == ["waiting", "running"]
    assert [line.split()[0] for line in bus_cli("trace", "t-0").out.splitlines()[3:]] == ["waiting", "running"]
    bus_cli("trace", "nothing").refused(1, "nothing is known of the task 'nothing'", "searched")


def test_dead_letters_are_counted_by_cause(bus_cli: Cli, busy: redis.Redis) -> None:
    """Errors that differ only in a number have one cause; a filter and a choice of key apply."""
    (cause,) = bus_cli("dlq", "ls", "--group-by", "cause", "--json").json["causes"]
    assert (cause["count"], cause["types"]) == (3, {"deploy": 3})
    assert bus_cli("dlq", "ls", "--group-by", "cause").out.splitlines()[1].split()[0] == "3"
    (one,) = bus_cli("dlq", "ls", "--group-by", "type", "--filter", "task:d-1", "--json").json["causes"]
    assert (one["count"], one["key"]) == (1, {"type": "deploy"})
    assert len(bus_cli("dlq", "ls", "--filter", "error~repo", "--json").json["dead_letters"]) == 3
    bus_cli("dlq", "ls", "--group-by", "colour").refused(2, "'colour'", "class, message")


def test_a_note_about_a_cause_stands_beside_it(bus_cli: Cli, busy: redis.Redis) -> None:
    """Kept in the bus by `dlq note`, shown by `dlq ls`; what is no cause is refused."""
    (cause,) = bus_cli("dlq", "ls", "--group-by", "cause", "--json").json["causes"]
    assert cause["note"] is None
    assert bus_cli("dlq", "note", cause["id"], "the proxy again").code == 0
    assert "[note: the proxy again (" in bus_cli("dlq", "ls", "--group-by", "cause").out
    bus_cli("dlq", "note", "nonsense!", "x").refused(2, "nonsense!")


def test_events_are_followed_through_a_filter(bus_cli: Cli) -> None:
    """Only what matches is printed, of what was and of what comes."""
    for kind in ("deploy", "scan", "deploy"):
        bus_cli("send", kind)
    process = bus_cli.start("tail", "--json", "--filter", "type:deploy")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["type"] for _ in range(2)] == ["deploy", "deploy"]
    process.terminate()
    process.communicate(timeout=20)


def test_a_table_fits_the_terminal_that_it_is_printed_to(bus_cli: Cli, busy: redis.Redis) -> None:
    """On a terminal of 80 columns no line is longer; numbers are whole, texts are shortened and say so."""
    busy.xadd(HIGH, {"id": "x" * 60, "type": "y" * 50})
    busy.xreadgroup("agents", "z" * 90, {HIGH: ">"})
    master, slave = pty.openpty()
    os.set_blocking(master, True)
    words, environment = bus_cli.command("pending"), bus_cli.env(COLUMNS="80")
    process = subprocess.Popen(words, stdout=slave, stderr=subprocess.PIPE, env=environment, cwd=bus_cli.home)
    os.close(slave)
    chunks: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(master, chunks))
    reader.start()
    process.wait(timeout=60)
    reader.join(timeout=20)
    lines = b"".join(chunks).decode().splitlines()
    assert len(lines) == 9
    assert max(map(len, lines)) <= 80
    assert "…" in lines[-1]
    assert all("…" not in line.split()[-3] for line in lines[1:4])


def _drain(master: int, chunks: list[bytes]) -> None:
    try:
        while data := os.read(master, 65536):
            chunks.append(data)
    except OSError:
        pass  # the other end is closed


def test_wide_characters_are_shortened_by_their_width() -> None:
    """A character of two columns counts as two, and a number is never shortened."""
    rows: list[tuple[Any, ...]] = [("日本語日本語日本語", "123,456,789"), ("b", "1")]
    head, first, _ = table(("NAME", "COUNT"), rows, right=("COUNT",), width=22)
    assert first == "日本語日…  123,456,789"
    assert head.endswith("COUNT")


def test_status_tells_how_long_tasks_waited_and_of_how_many_it_knows(bus_cli: Cli, raw: redis.Redis) -> None:
    """Without samples latency is unknown; with few, what rests on too few is marked."""
    assert "waited: ?, nothing in the last 60 s" in bus_cli("status", "--rates", "0").out
    day = datetime.now(UTC).date().isoformat()
    for number in range(10):
        raw.xadd(f"cortex:events:{day}", {"kind": "taken", "task": f"t-{number}", "attempt": "1", "ms": "2000"})
    told = next(line for line in bus_cli("status", "--rates", "0").out.splitlines() if line.startswith("waited: "))
    assert told.startswith("waited: p50 2.0s  p95 2.0s?  p99 2.0s?  (10 samples in 60 s, too few")
