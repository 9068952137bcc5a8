"""`observatory doctor` and `observatory acl`, run as a person or a script runs them."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

    from tests.cli.conftest import Cli


def test_a_well_engine_is_said_to_be_well(bus_cli: Cli) -> None:
    """Exit code 0, a row for each check, and a sum."""
    done = bus_cli("doctor")
    assert done.code == 0
    head, *rows = done.out.splitlines()
    assert head.split() == ["STATE", "CHECK", "FOUND"]
    assert all(row.startswith("ok ") for row in rows[:-2])
    assert re.fullmatch(r"0 crit, 0 warn, 0 unknown, \d+ ok", rows[-1])


def test_warnings_do_not_fail_and_what_is_critical_does(bus_cli: Cli, raw: redis.Redis) -> None:
    """Worst first, each with its fix below it; only something critical makes the exit code 1."""
    limit = raw.config_get("maxmemory")["maxmemory"] or "0"
    try:
        raw.config_set("maxmemory", "0")
        warned = bus_cli("doctor")
        assert warned.code == 0
        assert warned.out.splitlines()[1].startswith("warn")
        raw.config_set("maxmemory-policy", "allkeys-lru")
        done = bus_cli("doctor")
    finally:
        raw.config_set("maxmemory", limit)
        raw.config_set("maxmemory-policy", "noeviction")
    assert done.code == 1
    rows = done.out.splitlines()
    assert rows[1].startswith("crit")
    assert "allkeys-lru" in rows[1]
    assert rows[2].strip() == "fix: CONFIG SET maxmemory-policy noeviction"
    assert rows[3].startswith("warn")


def test_the_findings_as_json(bus_cli: Cli, raw: redis.Redis) -> None:
    """One object: masked address, verdict, and every finding with name, severity, what and fix."""
    raw.set("cortex:tasks:high", "x")
    told = bus_cli("doctor", "--ha", "--json").json
    assert told["ok"] is False
    assert "***" in told["url"]
    assert {tuple(finding) for finding in told["findings"]} == {("name", "severity", "what", "fix")}
    worst = {finding["name"] for finding in told["findings"] if finding["severity"] == "crit"}
    assert worst == {"key types", "replicas"}


def test_a_bus_that_is_away_has_its_own_exit_code(cli: Cli) -> None:
    """Nothing is judged where nothing answers."""
    cli("doctor", OBSERVATORY_URL="redis://127.0.0.1:1/0").refused(3, "cannot reach")


def test_the_line_of_a_role_makes_a_user_that_can_send(bus_cli: Cli, raw: redis.Redis) -> None:
    """The printed command, given a password, makes a user with whom `send` works and `status` is refused."""
    printed = bus_cli("acl", "agent", "--user", "pink")
    assert printed.code == 0
    words = shlex.split(printed.out.strip().replace("<password>", "secret"))
    assert words[:3] == ["ACL", "SETUSER", "pink"]
    try:
        raw.execute_command(*words)
        address = re.sub(r"password=.*", "username=pink&password=secret", bus_cli.environment["OBSERVATORY_URL"])
        assert bus_cli("send", "deploy", OBSERVATORY_URL=address).code == 0
        bus_cli("status", OBSERVATORY_URL=address).refused(1, "may not do this")
    finally:
        raw.acl_deluser("pink")


def test_a_role_as_json_says_why_each_command_is_granted(cli: Cli) -> None:
    """No bus is needed; the prefix is that of the settings, and no secret is in it."""
    told = json.loads(cli("acl", "observer", "--json", "--prefix", "swarm").out)
    assert (told["role"], told["user"], told["keys"]) == ("observer", "observer", "swarm:*")
    assert told["commands"]["xlen"]
    assert "~swarm:*" in told["command"]
    assert "<password>" in told["command"]


def test_a_role_that_is_none_is_refused(cli: Cli) -> None:
    """The error names those there are."""
    cli("acl", "root").refused(2, "'root'", "agent, operator, observer")
    cli("acl", "agent", "--user", "a b").refused(2, "'a b'")
    cli("acl").refused(2, "ROLE")
