"""`observatory audit`, run as a person or a script runs it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.bus import Bus
from observatory.bus.care.acl import ROLES, rules

if TYPE_CHECKING:
    import redis

    from tests.cli.conftest import Cli


async def test_a_bus_that_adds_up_is_said_to_do_so(bus_cli: Cli, bus_url: str) -> None:
    """Exit code 0, both counts side by side, and the sum."""
    async with Bus.connect(bus_url) as bus:
        for delay in (0, 0, 60):
            await bus.publish("deploy", priority="high", delay=delay)
    done = bus_cli("audit")
    assert done.code == 0
    lines = done.out.splitlines()
    assert re.match(r"log: 3 facts, since \d{4}-", lines[0])
    assert [line.split() for line in lines[2:-1]] == [
        ["KEY", "GROUP", "BY", "LOG", "HELD", "WAITING", "PENDING"],
        ["cortex:tasks:high", "-", "2", "2", "2", "0"],
        ["cortex:tasks:delayed", "-", "1", "1", "-", "-"],
        ["cortex:tasks:dlq", "-", "0", "0", "-", "-"],
        [],
    ]
    assert lines[-1] == "equal in all that can be known"


async def test_damage_makes_it_fail_and_is_named(bus_cli: Cli, bus_url: str, raw: redis.Redis) -> None:
    """A deleted lane and an invented dead letter: exit code 1, what and where, and ids, in words and as JSON."""
    async with Bus.connect(bus_url) as bus:
        for n in range(3):
            await bus.publish("deploy", id=f"d-{n}")
    raw.delete("cortex:tasks:normal")
    raw.xadd("cortex:tasks:dlq", {"id": "fake\x1b[31m", "type": "x"})
    raw.xadd("cortex:tasks:low", {"type": "foreign"})
    done = bus_cli("audit", "--examples", "2")
    assert done.code == 1
    assert "\x1b" not in done.out
    text = done.out.splitlines()
    at = text.index("differs  cortex:tasks:normal: 3 in a lane by the log, and that lane is gone")
    assert [line.strip() for line in text[at + 1 : at + 3]] == ["d-0", "d-1"]
    assert "differs  cortex:tasks:dlq: 1 in the engine, and not in the log" in text
    assert any(line.startswith("unknown  cortex:tasks:low: 1 never taken") for line in text)
    assert text[-1] == "2 differences"
    done = bus_cli("audit", "--json", "--examples", "1")
    assert done.code == 1
    told = done.json
    assert (told["equal"], told["moving"], told["by_task"], told["log"]["facts"]) == (False, 0, True, 3)
    assert told["differences"][0] == {
        "kind": "lane_gone",
        "what": "in a lane by the log, and that lane is gone",
        "where": "cortex:tasks:normal",
        "count": 3,
        "examples": ["d-0"],
    }
    assert [one["kind"] for one in told["unknown"]] == ["untaken"]
    assert told["dead_letters"] == {"by_log": 0, "held": 1}


async def test_an_observer_may_audit(bus_cli: Cli, bus_url: str, raw: redis.Redis) -> None:
    """The rights of the role are enough, also where settings forbid writing."""
    async with Bus.connect(bus_url) as bus:
        await bus.publish("deploy")
    raw.execute_command("ACL", "SETUSER", "watcher", *rules(ROLES["observer"], "cortex", "secret"))
    try:
        address = re.sub(r"password=.*", "username=watcher&password=secret", bus_url)
        done = bus_cli("audit", "--read-only", "--json", OBSERVATORY_URL=address)
    finally:
        raw.acl_deluser("watcher")
    assert done.code == 0, done
    assert "secret" not in done.out


def test_what_cannot_be_audited_is_refused(bus_cli: Cli, cli: Cli, raw: redis.Redis) -> None:
    """A foreign key in the place of a stream, a bus that is away, a number that is none."""
    raw.set("cortex:tasks:dlq", "x")
    bus_cli("audit").refused(1, "cannot audit")
    cli("audit", OBSERVATORY_URL="redis://127.0.0.1:1/0").refused(3, "cannot reach")
    cli("audit", "--examples", "-1").refused(2, "--examples")
