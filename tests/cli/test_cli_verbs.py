"""The verbs, run as a person or a script runs them, on a real engine."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from observatory.model.commands import COMMANDS
from tests.cli.conftest import entries

if TYPE_CHECKING:
    import redis

    from tests.cli.conftest import Cli


def test_a_sent_task_waits_in_the_lane_it_was_sent_to(bus_cli: Cli, raw: redis.Redis) -> None:
    """`send` puts exactly one entry with the fields that were asked for into the lane."""
    sent = bus_cli(
        "send", "deploy", "--to", "pink", "--priority", "high", "--ttl", "5m", "--payload", '{"a": 1}', "--json"
    )
    assert sent.code == 0
    ((entry_id, fields),) = entries(raw, "cortex:tasks:@pink:high")
    assert sent.json["stream"] == "cortex:tasks:@pink:high"
    assert sent.json["entry_id"] == entry_id
    assert fields["id"].decode() == sent.json["id"]
    assert (fields["type"], fields["to"], fields["ttl"]) == (b"deploy", b"pink", b"300")
    assert json.loads(fields["payload"]) == {"a": 1}


def test_a_payload_comes_from_a_file_or_from_stdin(bus_cli: Cli, raw: redis.Redis) -> None:
    """`@file` and `-` are read, and what is not JSON though it looks like it is refused with line and column."""
    file = Path.home() / "task.json"
    file.write_text('{"from": "file"}\n')
    assert bus_cli("send", "t", "--payload", "@task.json").code == 0
    assert bus_cli("send", "t", "--payload", "-", stdin='{"from": "stdin"}').code == 0
    payloads = [json.loads(fields["payload"])["from"] for _, fields in entries(raw, "cortex:tasks:normal")]
    assert payloads == ["file", "stdin"]
    bus_cli("send", "t", "--payload", '{"a": }').refused(2, "payload", "line 1", "column 7")
    bus_cli("send", "t", "--payload", "@missing.json").refused(2, "missing.json")
    assert raw.xlen("cortex:tasks:normal") == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--priority", "urgentest"), "priority"),
        (("--ttl", "soon"), "ttl"),
        (("--ttl", "0"), "ttl"),
        (("--delay", "-5"), "delay"),
        (("--queue", "a b"), "a b"),
        (("--to", "pink", "--queue", "coding"), "--queue"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused_before_it_is_sent(
    bus_cli: Cli, raw: redis.Redis, words: tuple[str, ...], named: str
) -> None:
    """The flag or field is named, and the bus is as it was."""
    bus_cli("send", "deploy", *words).refused(2, named)
    assert not raw.keys("cortex:tasks:*")


def test_a_delayed_task_is_counted_as_delayed(bus_cli: Cli) -> None:
    """It waits outside the lanes, and says when it becomes due."""
    sent = bus_cli("send", "deploy", "--delay", "1h")
    assert "in 3600 s" in sent.out
    status = bus_cli("status", "--json").json
    assert status["delayed"] == 1
    assert sum(lane["length"] for lane in status["lanes"]) == 0


def test_read_only_refuses_every_change(bus_cli: Cli, raw: redis.Redis) -> None:
    """With --read-only nothing is written, and the error says where read-only comes from."""
    bus_cli("send", "deploy", "--read-only").refused(2, "--read-only")
    bus_cli("dlq", "requeue", "1-1", "--yes", OBSERVATORY_READ_ONLY="1").refused(2, "OBSERVATORY_READ_ONLY")
    assert not raw.keys("*")


def test_status_says_what_the_engine_says(bus_cli: Cli, raw: redis.Redis) -> None:
    """Lengths, groups, pending and lag equal what XLEN, XINFO GROUPS and XPENDING answer."""
    for number in range(5):
        raw.xadd("cortex:tasks:high", {"type": "deploy", "payload": str(number)})
    raw.xgroup_create("cortex:tasks:high", "agents", id="0")
    raw.xreadgroup("agents", "someone", {"cortex:tasks:high": ">"}, count=2)
    status = bus_cli("status", "--json").json
    lane = next(lane for lane in status["lanes"] if lane["stream"] == "cortex:tasks:high")
    (group,) = raw.xinfo_groups("cortex:tasks:high")
    assert lane["length"] == raw.xlen("cortex:tasks:high") == 5
    assert lane["groups"][0]["name"] == "agents"
    assert lane["groups"][0]["lag"] == group["lag"] == 3
    assert lane["groups"][0]["pending"] == group["pending"] == 2
    assert lane["groups"][0]["consumers"] == 1
    assert lane["backlog"] == 5
    assert status["link"]["state"] == "ready"
    assert "password=***" in status["link"]["url"]


def test_status_knows_rates_only_when_it_looked_twice(bus_cli: Cli, raw: redis.Redis) -> None:
    """One look leaves rates null, which is not 0; `--rates` takes a second look, and people get it unasked."""
    raw.xadd("cortex:tasks:high", {"type": "deploy", "payload": "1"})
    rates = ("in_rate", "out_rate")

    def lane(*words: str) -> dict[str, object]:
        lanes = bus_cli("status", "--json", *words).json["lanes"]
        return {name: found[name] for found in lanes if found["priority"] == "high" for name in rates}

    assert lane() == {"in_rate": None, "out_rate": None}
    assert lane("--rates", "0.1")["in_rate"] == 0
    head, row = (
        next(text for text in bus_cli("status").out.splitlines() if text.startswith(name)) for name in ("LANE", "high")
    )
    assert row[: head.index("IN/S") + 4].endswith("0")
    for wrong in ("-1", "3600", "nan"):
        bus_cli("status", "--rates", wrong).refused(2, "--rates")


def test_status_for_people_is_a_table_without_foreign_control_characters(bus_cli: Cli, raw: redis.Redis) -> None:
    """Names from the bus are made printable and columns stay aligned."""
    raw.xadd("cortex:heartbeats", {"agent": "\x1b[31mred\u202e", "status": "busy", "task": "漢字" * 100})
    raw.xadd("cortex:tasks:low", {"type": "t", "payload": "1"})
    out = bus_cli("status").out
    head = next(row for row in out.splitlines() if row.startswith("LANE"))
    low = next(row for row in out.splitlines() if row.startswith("low"))
    assert low.index("no consumers") == head.index("STATE")
    assert "red" in out
    assert not {"\x1b", "\u202e"} & set(out)


def test_tail_follows_the_log_and_ends_on_interrupt(bus_cli: Cli) -> None:
    """What happened last comes first, what happens now follows, Ctrl-C is exit code 130 without a word."""
    bus_cli("send", "first")
    tail = bus_cli.start("tail", "--json")
    assert tail.stdout is not None
    assert json.loads(tail.stdout.readline())["type"] == "first"
    bus_cli("send", "second")
    event = json.loads(tail.stdout.readline())
    assert (event["kind"], event["type"], event["lane"]) == ("published", "second", "cortex:tasks:normal")
    tail.send_signal(signal.SIGINT)
    out, err = tail.communicate(timeout=20)
    assert (tail.returncode, out, err) == (130, "", "")


def test_tail_shows_only_the_kinds_that_were_asked_for(bus_cli: Cli) -> None:
    """`--kind` filters, and a kind that does not exist is refused with those that do."""
    bus_cli("tail", "--kind", "exploded").refused(2, "exploded", "dead_lettered")
    bus_cli("send", "now")
    bus_cli("send", "later", "--delay", "1h")
    tail = bus_cli.start("tail", "--kind", "scheduled")
    assert tail.stdout is not None
    assert "later" in tail.stdout.readline()
    tail.terminate()
    tail.communicate(timeout=20)


def test_a_task_is_sent_with_an_ordering_key(bus_cli: Cli, raw: redis.Redis) -> None:
    """It stands in the entry; a key that cannot be one is refused by the name of its field."""
    bus_cli("send", "bill", "--ordering-key", "customer-7")
    ((_, fields),) = entries(raw, "cortex:tasks:normal")
    assert fields["ordering_key"] == b"customer-7"
    bus_cli("send", "bill", "--ordering-key", "k" * 201).refused(2, "ordering_key")


def test_tail_shows_one_agent(bus_cli: Cli) -> None:
    """Events of others go by unseen, those from before the start included."""
    bus_cli("send", "others")
    bus_cli("send", "hers", "--queue", "@pink")
    tail = bus_cli.start("tail", "--agent", "pink")
    assert tail.stdout is not None
    assert "hers" in tail.stdout.readline()
    bus_cli("send", "others")
    bus_cli("send", "hers-too", "--queue", "@pink")
    assert "hers-too" in tail.stdout.readline()
    tail.terminate()
    tail.communicate(timeout=20)


def test_a_reader_that_has_enough_ends_tail_quietly(bus_cli: Cli) -> None:
    """`tail | head -1` leaves no error behind."""
    bus_cli("send", "one")
    tail = bus_cli.start("tail")
    assert tail.stdout is not None
    assert tail.stderr is not None
    tail.stdout.readline()
    tail.stdout.close()
    bus_cli("send", "two")
    assert tail.wait(20) == 0
    assert tail.stderr.read() == ""
    tail.stderr.close()


def test_a_full_disk_is_told_in_one_line(cli: Cli) -> None:
    """When stdout cannot be written, that is said, and it is a failure."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            cli.command("keys"), stdout=full, stderr=subprocess.PIPE, text=True, env=cli.env(), check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["observatory: cannot write to standard output: No space left on device"]


def test_requeue_shows_its_plan_and_changes_nothing_until_told(bus_cli: Cli, raw: redis.Redis) -> None:
    """Without --yes the dead letter stays; with it, it is back in its lane and gone from the dead letters."""
    raw.xadd(
        "cortex:tasks:dlq",
        {
            "id": "t1",
            "type": "deploy",
            "payload": "{}",
            "reason": "error",
            "last_error": "boom",
            "source": "cortex:tasks:high",
        },
    )
    ((dead, _),) = entries(raw, "cortex:tasks:dlq")
    planned = bus_cli("dlq", "requeue", dead)
    assert planned.code == 0
    assert "cortex:tasks:high" in planned.out
    assert "--yes" in planned.err
    assert (raw.xlen("cortex:tasks:dlq"), raw.xlen("cortex:tasks:high")) == (1, 0)
    done = bus_cli("dlq", "requeue", dead, "--yes", "--json")
    assert done.code == 0
    assert done.json["report"]["done"] == [dead]
    assert (raw.xlen("cortex:tasks:dlq"), raw.xlen("cortex:tasks:high")) == (0, 1)
    ((entry, fields),) = entries(raw, "cortex:tasks:high")
    assert fields["id"] == b"t1"
    assert done.json["report"]["entries"] == [entry]


def test_a_requeue_of_what_is_gone_fails_and_says_why(bus_cli: Cli) -> None:
    """What cannot be done is skipped with a reason, and the exit code says that not everything was done."""
    outcome = bus_cli("dlq", "requeue", "1-1", "--yes")
    assert outcome.code == 1
    assert "1-1  skipped: " in outcome.out
    bus_cli("dlq", "show", "1-1").refused(1, "1-1", "dlq ls")
    bus_cli("dlq", "requeue", "all").refused(2, "all")


def test_the_embedded_engine_lives_between_start_and_stop(cli: Cli) -> None:
    """Verbs find the running engine of the data directory by themselves; its data outlives a restart."""
    started = cli("engine", "start")
    try:
        assert started.code == 0, started
        assert "***" in started.out
        assert cli("engine", "status", "--json").json["running"] is True
        assert cli("engine", "start").code == 1
        assert cli("send", "deploy").code == 0
        url = cli("engine", "url").out.strip()
        assert "***" not in url
        assert cli("status", "--json", OBSERVATORY_URL=url).code == 0
    finally:
        stopped = cli("engine", "stop")
    assert stopped.code == 0
    assert cli("engine", "status").code == 1
    cli("engine", "url").refused(1, "observatory engine start")
    assert cli("engine", "start").code == 0
    try:
        assert sum(lane["length"] for lane in cli("status", "--json").json["lanes"]) == 1
    finally:
        cli("engine", "stop")


def test_keys_lists_every_command_with_its_description(cli: Cli) -> None:
    """The table is the one that the app is built from."""
    listed = {row["id"]: row for row in cli("keys", "--json").json}
    assert set(listed) == {command.id for command in COMMANDS}
    assert all(row["description"] for row in listed.values())
    assert "app.quit" in cli("keys").out


def test_config_names_the_origin_of_every_value_and_hides_secrets(cli: Cli) -> None:
    """Each value says which of default, file, variable or flag it came from; a password is never printed."""
    file = Path(cli("config", "path").out.strip())
    file.parent.mkdir(parents=True)
    file.write_text("refresh_s = 2\n")
    url = "redis://me:hunter2@localhost:6379"
    shown = cli("config", "--json", "--prefix", "other", OBSERVATORY_URL=url)
    assert "hunter2" not in shown.out + cli("config", OBSERVATORY_URL=url).out
    origins = {key: row["origin"] for key, row in shown.json.items()}
    assert origins["theme"] == "default"
    assert origins["refresh_s"].startswith(f"file {file}")
    assert origins["url"] == "env OBSERVATORY_URL"
    assert origins["prefix"] == "flag --prefix"


def test_global_flags_stand_before_or_after_the_verb(cli: Cli) -> None:
    """`observatory --prefix x config` and `observatory config --prefix x` mean the same."""
    before = cli("--prefix", "x", "config", "--json").json
    after = cli("config", "--prefix", "x", "--json").json
    assert before == after
    assert before["prefix"]["value"] == "x"


def test_themes_lists_what_can_be_chosen(cli: Cli) -> None:
    """At least a dark, a light, a high-contrast and an ANSI theme come with it."""
    found = {row["name"]: row for row in cli("themes", "--json").json["themes"]}
    assert len(found) >= 4
    assert {row["dark"] for row in found.values()} == {True, False}
    assert any(row["ansi"] for row in found.values())


def test_keys_shows_what_holds_and_names_what_is_wrong(cli: Cli) -> None:
    """The user's own keys are listed beside the defaults; a preset can be looked at; a broken file is exit code 2."""
    place = Path(cli("config", "path", "--json").json["keymap"])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text('[keys]\napp.freeze = ["F", "?"]\napp.help = "f1"\n')
    rows = {row["id"]: row for row in cli("keys", "--json").json}
    assert (rows["app.freeze"]["keys"], rows["app.freeze"]["default"]) == (["F", "question_mark"], ["p"])
    assert (rows["app.freeze"]["origin"], rows["app.back"]["origin"]) == ("file", "default")
    assert re.search(r"^F \? +p +:freeze +app.freeze ", cli("keys").out, re.MULTILINE)
    assert re.search(r"^Y +y +:copy-json ", cli("keys", "--preset", "vim").out, re.MULTILINE)
    cli("keys", "--preset", "emacs").refused(2, "there is no preset 'emacs'")
    broken = cli.home / "broken.toml"
    broken.write_text('[keys]\napp.freeze = "s"\n')
    cli("keys", "--check", "broken.toml").refused(2, "broken.toml: keys.app.freeze: line 2: s also means task.send")
    assert cli("keys", "--check", str(place)).code == 0


def test_a_theme_is_shown_and_a_file_is_checked(cli: Cli) -> None:
    """`--show` prints every colour, `--check` says what is faint, and a broken file is an error with key and line."""
    shown = cli("themes", "--show", "paper")
    assert "lane-critical" in shown.out
    assert "\x1b" not in shown.out
    assert cli("themes", "--show", "papre").code == 2
    text = Path(cli("themes", "--show", "paper", "--json").json["source"]).read_text()
    mine = cli.home / "mine.toml"
    mine.write_text(text.replace('trend = "#2b6081"', 'trend = "#e0d8c0"'))
    checked = cli("themes", "--check", "mine.toml")
    assert (checked.code, checked.out.splitlines()[-1]) == (0, "mine.toml is a theme: paper, light")
    assert "faint  trend on background: contrast 1.2, at least 3 is needed" in checked.out
    assert len(cli("themes", "--check", "mine.toml", "--json").json["faint"]) == 3
    mine.write_text(text.replace("lane-high =", "lane-hihg ="))
    cli("themes", "--check", "mine.toml").refused(
        2, "mine.toml: variables.lane-hihg: line 19", "did you mean lane-high?"
    )
    cli("themes", "--check", "nothing.toml").refused(2, "there is no such theme file")


def test_the_headless_demo_balances_its_books(cli: Cli) -> None:
    """One JSON object on stdout; published work is somewhere, nothing is lost, nothing settled twice."""
    outcome = cli("demo", "--headless", "--seconds", "1", "--incidents", "none", "--json")
    assert outcome.code == 0, outcome
    books = outcome.json
    assert books["lost"] == books["duplicated"] == 0
    assert books["published"] > 0
    parts = ("completed", "dead_lettered", "stale", "cancelled", "queued", "pending", "delayed")
    assert books["published"] == sum(books[part] for part in parts)


def test_demo_options_out_of_range_are_usage_errors(cli: Cli) -> None:
    """Each is named with what it may be."""
    cli("demo", "--headless", "--agents", "1").refused(2, "--agents")
    cli("demo", "--headless", "--incidents", "earthquake").refused(2, "earthquake", "flood")
    cli("demo", "--json").refused(2, "--json", "--headless")


@pytest.mark.parametrize(
    "words", [("nonsense",), ("status", "--nonsense"), ("dlq",), ("send",), ("engine", "start", "--port", "x")]
)
def test_a_wrong_command_line_names_the_help(cli: Cli, words: tuple[str, ...]) -> None:
    """What argparse refuses is one line with where to look."""
    cli(*words).refused(2, "--help")
