"""Changing things from the keyboard and from the command line: plans, what they take, and what read-only takes away."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Self

from observatory.cli.main import main
from observatory.model.commands import COMMANDS
from tests.cli.test_cli_app import Terminal, terminal_of
from tests.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    import redis

    from tests.cli.conftest import Cli

DLQ, HIGH, LOW = "cortex:tasks:dlq", "cortex:tasks:high", "cortex:tasks:low"
F1, CTRL_S, RIGHT = "\x1bOP", "\x13", "\x1b[C"


def bury(raw: redis.Redis, count: int, error: str) -> None:
    """Add dead letters of one cause."""
    with raw.pipeline(transaction=False) as pipe:
        for number in range(count):
            fields: Any = {"id": f"{error[:4]}-{number}", "type": "deploy", "payload": "{}", "priority": "high"}
            pipe.xadd(DLQ, fields | {"reason": "error", "last_error": error, "source": HIGH})
        pipe.execute()


def held_by(raw: redis.Redis) -> list[str]:
    """Who holds what in the lane."""
    rows: Any = raw.xpending_range(HIGH, "workers", "-", "+", 10)
    return [row["consumer"].decode() for row in rows]


class Hands:
    """Presses keys, and waits until the screen shows what they brought."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    async def press(self, keys: str, until: str) -> None:
        """Press *keys* and wait for words on the screen."""
        self.terminal.type(keys)

        def is_seen() -> bool:
            shown = self.terminal.text
            assert until in shown, f"{until!r} after {keys!r} in\n{shown}"
            return True

        await eventually(is_seen, timeout=20)

    async def agree(self, keys: str, question: str, report: str) -> None:
        """Press what plans something, agree to the plan, and see the report: Enter alone would change nothing."""
        await self.press(keys, question)
        await self.press(f"{RIGHT}\r", report)


async def test_an_operator_acts_from_the_keyboard_and_takes_it_back(bus_cli: Cli, raw: redis.Redis) -> None:
    """Send an urgent task; requeue one cause; cancel all of one type; claim a dead agent's work; undo each."""
    bury(raw, 3, "TimeoutError: no answer")
    bury(raw, 1, "ValueError: no such field")
    for number in range(2):
        raw.xadd(HIGH, {"id": f"held-{number}", "type": "deploy"})
    raw.xgroup_create(HIGH, "workers", id="0")
    raw.xreadgroup("workers", "harold@h:1:00000000", {HIGH: ">"})
    raw.xgroup_createconsumer(HIGH, "workers", "pink@h:2:00000000")
    for _ in range(3):
        bus_cli("send", "crawl", "--priority", "low")
    with terminal_of(bus_cli) as terminal:
        hands = Hands(terminal)
        await eventually(lambda: "LIVE" in terminal.text, timeout=30)
        # Three keys and its text.
        await hands.press(f"surgent{F1}{CTRL_S}", "send: 1 of 1 done")
        assert raw.xlen("cortex:tasks:critical") == 1
        await hands.press("z", "cancel: 1 of 1 done")
        await hands.press("4", "TimeoutError")
        await hands.agree("oR", "Requeue 3 dead letters", "requeue: 3 of 3 done")
        await eventually(lambda: raw.xlen(DLQ) == 1)
        await hands.agree("z", "Withdraw 3 dead letters", "withdraw: 3 of 3 done")
        await eventually(lambda: raw.xlen(DLQ) == 4)
        await hands.press("6", "1 of 9")
        await hands.press("/type:crawl\r", "1 of 3")
        await hands.press("A", "3 marked")
        await hands.agree("X", "Cancel 3 tasks", "cancel: 3 of 3 done")
        await eventually(lambda: raw.scard("cortex:tasks:cancelled") == 7)
        await hands.agree("z", "Uncancel 3 tasks", "uncancel: 3 of 3 done")
        await eventually(lambda: raw.scard("cortex:tasks:cancelled") == 4)
        await hands.press("3", "held-1")
        await hands.press("A", "2 marked")
        await hands.agree(":claim pink\r", "Claim 2 pending entries", "claim: 2 of 2 done")
        await eventually(lambda: held_by(raw) == ["pink@h:2:00000000"] * 2)
        await hands.agree("z", "Claim 2 pending entries on", "claim: 2 of 2 done")
        await eventually(lambda: held_by(raw) == ["harold@h:1:00000000"] * 2)
        await hands.press("5", "harold")
        await hands.agree("gC", "Hand back 2 pending entries", "hand back: 2 of 2 done")
        await eventually(lambda: held_by(raw) == [])
        await hands.press("8", "taken back")
        terminal.type("\x11")
        await eventually(terminal.ended)
    log = bus_cli("audit-log", "--json").json["records"]
    assert {record["phase"] for record in log} == {"intent", "result"}
    assert [record["verb"] for record in log if record["phase"] == "result"][::-1] == [
        "send", "send", "send", "send", "cancel", "requeue", "withdraw", "cancel", "uncancel", "claim", "claim",
        "hand back",
    ]  # fmt: skip


async def test_a_dead_letter_is_edited_and_its_copy_sent(bus_cli: Cli, raw: redis.Redis) -> None:
    """`e` opens it as it is; the plan shows the difference; then the copy is sent, the original put away; z undoes."""
    bury(raw, 1, "ValueError: no such field")
    with terminal_of(bus_cli) as terminal:
        hands = Hands(terminal)
        await eventually(lambda: "LIVE" in terminal.text, timeout=30)
        await hands.press("4", "ValueError")
        await hands.press("e", "Edit and resend")
        await hands.press(f"{F1}{CTRL_S}", "priority (decides who does it, and when): high → critical")
        await hands.press(f"{RIGHT}\r", "resend: 1 of 1 done")
        rows: Any = raw.xrange("cortex:tasks:critical")
        ((_, copy),) = rows
        assert (copy[b"type"], copy[b"payload"], copy[b"copy_of"]) == (b"deploy", b"{}", b"Valu-0")
        assert (raw.xlen(DLQ), raw.xlen("cortex:tasks:trash")) == (0, 1)
        await hands.agree("z", "Restore 1 dead letter on", "restore: 1 of 1 done")
        assert (raw.xlen(DLQ), raw.xlen("cortex:tasks:trash")) == (1, 0)
        terminal.type("\x11")
        await eventually(terminal.ended)


async def test_a_typed_confirmation_is_typed(bus_cli: Cli, raw: redis.Redis) -> None:
    """Neither Enter nor a paste gets past it, nor the word without a reason."""
    bury(raw, 120, "TimeoutError: no answer")
    with terminal_of(bus_cli) as terminal:
        hands = Hands(terminal)
        await eventually(lambda: "LIVE" in terminal.text, timeout=30)
        await hands.press("4", "TimeoutError")
        await hands.press("oT", "type 120")
        await hands.press(f"{RIGHT}\r", "✖")
        await hands.press("\t\x1b[200~120\x1b[201~", "does not count")
        await hands.press("\r\r", "✖")
        terminal.type("\x1b")
        await eventually(lambda: "type 120" not in terminal.text)
        assert raw.xlen(DLQ) == 120
        await hands.press("T", "type 120")
        await hands.press(f"{RIGHT}\t120\r\x1b[Z\x1b[Z\r", "say why")
        await hands.press("\t\tbroken\x1b[Z\x1b[Z\r", "120 of 120 done")
        assert (raw.xlen(DLQ), raw.xlen("cortex:tasks:trash")) == (0, 120)
        await hands.press(":bin\r", "R restores")
        await hands.press("R", "restore: 1 of 1 done")
        assert (raw.xlen(DLQ), raw.xlen("cortex:tasks:trash")) == (1, 119)
        await hands.press("T", "type purge")
        await hands.press(f"{RIGHT}\tpurge\tgone\x1b[Z\x1b[Z\r", "purge: 1 of 1 done")
        assert raw.xlen("cortex:tasks:trash") == 118
        terminal.type("\x11")
        await eventually(terminal.ended)


WRITING = re.compile(
    r'"(XADD|EVAL|EVALSHA|FCALL|HSET|DEL|XDEL|XACK|XCLAIM|SET|ZADD|SADD|XGROUP|PUBLISH)"', re.IGNORECASE
)
"""What a read-only session may send nothing of: scripts that may write are EVAL and EVALSHA, the others end in _RO."""


class Watched:
    """Everything that an engine receives meanwhile."""

    def __init__(self, raw: redis.Redis) -> None:
        self._monitor = raw.monitor()
        self._raw = raw

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        return self

    def __exit__(self, *told: object) -> None:
        self._monitor.__exit__(*told)

    def writes(self) -> list[str]:
        """Return what was received so far that could write."""
        self._raw.echo("the end")
        found: list[str] = []
        for said in self._monitor.listen():
            if said["command"] == "ECHO the end":
                return [line for line in found if WRITING.fullmatch(line.split()[0])]
            found.append(said["command"])
        return found


async def test_nothing_that_writes_can_be_reached_in_a_read_only_session(bus_cli: Cli, raw: redis.Redis) -> None:
    """By every key of every screen, the palette, the `:` line and the mouse: the engine receives only what reads."""
    bury(raw, 3, "TimeoutError: no answer")
    bus_cli("send", "crawl")
    raw.xgroup_create("cortex:tasks:normal", "workers", id="0")
    raw.xreadgroup("workers", "harold@h:1:00000000", {"cortex:tasks:normal": ">"})
    bus_cli("pause", "low", "--yes")
    changes = [entry for entry in COMMANDS if entry.writes]
    keys = {key for entry in changes for key in entry.keys if len(key) == 1} | {"+", "-", F1, CTRL_S}
    with Watched(raw) as watched, terminal_of(bus_cli, "--read-only") as terminal:
        hands = Hands(terminal)
        await eventually(lambda: "READ-ONLY" in terminal.text, timeout=30)
        for screen in "12345689":
            terminal.type(screen)
            await eventually(lambda: "READ-ONLY" in terminal.text)
            for key in sorted(keys):
                terminal.type(key)
                terminal.type("\r")
        for entry in changes:
            terminal.type(f"\x1b\x1b:{entry.name}\r")
            terminal.type(f"\x10{entry.label}\r")
        await hands.press("\x1b\x1b:write on 15m\r", "cannot be allowed")
        terminal.type("\x1b[<0;3;40M\x1b[<0;3;40m")
        terminal.type("\x11")
        await eventually(terminal.ended, timeout=30)
        assert watched.writes() == []


VERBS = (
    ("requeue", "--filter", "type:*"), ("trash", "--filter", "type:*"), ("restore", "1-1"), ("purge", "1-1"),
    ("resend", "1-1", "--type", "x"), ("cancel", "t-1"), ("claim", "t-1"), ("reassign", "pink"),
    ("dead-letter", "t-1", "--error", "x"), ("pause", "high"), ("resume", "high"), ("tell", "pink", "hello"),
    ("reset-group", "high", "workers", "start"), ("remove-consumer", "x"), ("bounds", "--dead-days", "1"),
    ("undo", "j"), ("drain", "high"), ("reopen", "high"),
)  # fmt: skip
"""Every verb that plans a change."""


def test_a_verb_in_a_read_only_session_writes_nothing(
    bus_url: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --yes it is refused before anything is sent; the plan alone is only looked for."""
    monkeypatch.setenv("OBSERVATORY_URL", bus_url)
    with Watched(raw) as watched:
        for words in (*VERBS, ("send", "x"), ("jobs", "resume", "j"), ("jobs", "cancel", "j")):
            yes = ["--yes"] if words in VERBS else []
            assert main([*words, *yes, "--read-only"]) == 2, words
            assert "--read-only" in capsys.readouterr().err
            main([*words, "--read-only"])
            capsys.readouterr()
        assert watched.writes() == []


def test_a_plan_is_saved_and_executed_later(bus_cli: Cli, raw: redis.Redis, tmp_path: Path) -> None:
    """What was saved is done, item by item as far as it still is what it was; drift is reported."""
    bury(raw, 3, "TimeoutError: no answer")
    file = tmp_path / "plan.json"
    planned = bus_cli("requeue", "--filter", "error~timeout", "--save", str(file))
    assert (planned.code, raw.xlen(DLQ)) == (0, 3)
    plan = json.loads(file.read_text())
    assert (len(plan["items"]), plan["sources"], plan["targets"]) == (3, {DLQ: 3}, {HIGH: 3})
    assert (plan["before"], plan["after"]) == ({DLQ: 3, HIGH: 0}, {DLQ: 0, HIGH: 3})
    raw.xdel(DLQ, plan["items"][0]["id"])
    bury(raw, 1, "TimeoutError: no answer")
    done = bus_cli("execute", str(file), "--yes", "--json")
    assert done.code == 1
    assert len(done.json["report"]["done"]) == 2
    assert [item["id"] for item in done.json["report"]["skipped"]] == [plan["items"][0]["id"]]
    assert raw.xlen(DLQ) == 1
    back = bus_cli("undo", "--yes")
    assert back.code == 1  # one of three was left alone in the first place
    assert raw.xlen(DLQ) == 3
    (tmp_path / "other.json").write_text('{"version": 1}')
    bus_cli("execute", str(tmp_path / "other.json")).refused(2, "plan")


def test_a_grave_plan_takes_its_word_and_a_reason(bus_cli: Cli, raw: redis.Redis) -> None:
    """Many things, a protected bus, and what cannot be undone: --yes alone is refused, and that is written down."""
    bury(raw, 101, "TimeoutError: no answer")
    many = ("trash", "--filter", "type:deploy", "--yes")
    bus_cli(*many, "--json").refused(2, "type 101")
    assert raw.xlen(DLQ) == 101
    assert bus_cli(*many, "--confirm", "101", "--reason", "known bug").code == 0
    ((record,),) = [[one for one in bus_cli("audit-log", "--json").json["records"] if one["phase"] == "refused"]]
    assert "type 101" in record["why"]
    guarded = {"OBSERVATORY_PROTECTED": "1"}
    bus_cli("pause", "high", "--yes", "--json", **guarded).refused(2, "protected", "cortex")
    assert bus_cli("pause", "high", "--yes", "--confirm", "cortex", "--reason", "x", **guarded).code == 0
    jobs = bus_cli("jobs", "ls", "--json").json["jobs"]
    assert [(job["verb"], job["state"], job["done"]) for job in jobs] == [("pause", "done", 1), ("trash", "done", 101)]
    bus_cli("jobs", "cancel", jobs[0]["id"]).refused(2, "done already")
    bus_cli("undo", "nonsense").refused(2, "not remembered")
