"""`observatory migrate` as a person uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.conftest import entries
from tests.edge.files.conftest import lines, write

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from tests.cli.conftest import Cli


def test_files_are_imported_compared_and_listed(bus_cli: Cli, raw: redis.Redis, tmp_path: Path) -> None:
    """Import says what it did, a second one finds nothing to do, and parity is exact until an entry is deleted."""
    log = tmp_path / "agents.log"
    write(log, [*lines(3), "no \x1b[31mline", *lines(2, first=3)])
    done = bus_cli("migrate", "files", "import", str(log))
    assert (done.code, done.out) == (0, "6 lines; cortex:journal:files has 5 from 1 source\n")
    assert "1 line was kept aside" in done.err
    again = bus_cli("migrate", "files", "import", str(log), "--json")
    assert again.json == {
        "journal": "files",
        "stream": "cortex:journal:files",
        "lines": 0,
        "total": {"entries": 5, "aside": 1, "sources": 1},
    }
    aside = bus_cli("migrate", "files", "aside")
    assert aside.out == "agents.log:4: it is not ROLE|TIMESTAMP|TYPE|DATA: no ␛[31mline\n"
    assert json.loads(bus_cli("migrate", "files", "aside", "--json").out)["line"] == 4
    assert bus_cli("migrate", "files", "parity", str(log)).out.splitlines()[-1] == "exact"
    listed = bus_cli("entries", "journal:files", "--json").json
    assert len(listed["entries"]) == 5
    raw.xdel("cortex:journal:files", entries(raw, "cortex:journal:files")[-1][0])
    differs = bus_cli("migrate", "files", "parity", str(log), "--json")
    assert (differs.code, differs.json["exact"], differs.json["missing"]) == (1, False, 1)
    assert "line 6 of" in differs.json["first"]


def test_what_cannot_be_moved_is_refused(bus_cli: Cli, cli: Cli, tmp_path: Path) -> None:
    """Paths, names and combinations that make no sense are named before anything is read."""
    log = tmp_path / "agents.log"
    write(log, lines(1))
    files = ("migrate", "files")
    bus_cli(*files, "import", str(tmp_path / "none")).refused(2, "there is no such file")
    bus_cli(*files, "import", str(log), "--journal", "a:b").refused(2, "cannot name one")
    bus_cli(*files, "import", str(log), "--artifacts", str(tmp_path)).refused(2, "--artifacts needs a place")
    bus_cli(*files, "import", str(log), "--into", "nonsense").refused(2, "no lane")
    bus_cli(*files, "dual", str(log), "--into", "high").refused(2, "goes when it is settled")
    bus_cli(*files, "import", str(log), "--read-only").refused(2, "read_only")
    cli(*files, "import", str(log)).refused(3, "no bus is configured")
    (tmp_path / "agents.log.1.gz").write_bytes(b"\x1f\x8bnonsense")
    bus_cli(*files, "import", str(log)).refused(1, "agents.log.1.gz: cannot be read")


def test_a_shared_redis_is_checked_before_moving_in(bus_cli: Cli, raw: redis.Redis) -> None:
    """A free prefix is free, a taken one names who has it, and what is beside it is counted."""
    raw.set("celery:1", "x")
    raw.set("swarm:session", "x")
    free = bus_cli("migrate", "check")
    assert (free.code, "cortex is free" in free.out, "celery:* 1" in free.out) == (0, True, True)
    taken = bus_cli("migrate", "check", "--prefix", "swarm", "--json")
    assert (taken.code, taken.json["ok"]) == (1, False)
    assert taken.json["foreign"] == {"under_prefix": 1, "wrong_type": 0, "others": {"celery:*": 1}}
    assert "swarm:session" in taken.json["findings"][0]["what"]


def test_where_agents_are_wanted_is_said_and_told(bus_cli: Cli, tmp_path: Path) -> None:
    """A move that no bridge has made yet is on its way, and parity says so; what makes no sense is refused."""
    assert "no agent has asked" in bus_cli("migrate", "http", "parity").out
    assert bus_cli("migrate", "http", "move", "pink", "--to", "polling").out == "pink: old → polling\n"
    parity = bus_cli("migrate", "http", "parity", "--json")
    assert (parity.code, parity.json[0]["agent"], parity.json[0]["amiss"]) == (
        1,
        "pink",
        "on its way from old to polling",
    )
    assert bus_cli("migrate", "http", "move", "pink", "--to", "old").out == "pink is old\n"
    assert bus_cli("migrate", "http", "parity").code == 0
    http = ("migrate", "http")
    bus_cli(*http, "move", "pink", "--to", "away").refused(2, "one of old, polling, new")
    bus_cli(*http, "move", "@pink", "--to", "old").refused(2, "cannot name an agent")
    bus_cli(*http, "serve", "--upstream", "ftp://x").refused(2, "upstream: must be an address")
    bus_cli(*http, "serve", "--host", "0.0.0.0").refused(2, "OBSERVATORY_BRIDGE_TOKEN")  # noqa: S104 - refused
    bus_cli(*http, "serve", "--port", "70000").refused(2, "is no port")
    bus_cli(*http, "serve", "--protocol", str(tmp_path / "none")).refused(2, "cannot be read")
