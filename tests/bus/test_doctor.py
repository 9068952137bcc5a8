"""The doctor: each danger of an engine is found, named and given a fix; what cannot be read is never called well."""

from __future__ import annotations

import re
import shlex
import socket
from typing import TYPE_CHECKING, Any

import pytest
import redis

from observatory.bus import Bus
from observatory.bus.care.doctor import examine, judge_skew, judge_version, judge_vitals
from observatory.bus.care.key_checks import expected_type
from observatory.bus.keys import Keys
from observatory.engine import Engine
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusError
from observatory.model.health import SETTING_RULES, Finding, Severity, judge_memory, judge_setting
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

OK, UNKNOWN, WARN, CRIT = Severity


class ClockOff:
    """A clock that is wrong by some milliseconds."""

    def __init__(self, off_ms: int) -> None:
        self._off_ms = off_ms
        self._true = SystemClock()

    def now_ms(self) -> int:
        """Return the wrong time."""
        return self._true.now_ms() + self._off_ms

    def monotonic(self) -> float:
        """Return the right one: durations are not affected."""
        return self._true.monotonic()


@pytest.fixture
def raw(any_engine: str) -> Iterator[Any]:
    """A plain client of an engine of each make, for what somebody sets or leaves there."""
    with redis.Redis.from_url(any_engine, decode_responses=True) as client:
        yield client


async def found_at(url: str, *, clock: Clock | None = None, ha: bool | None = None) -> list[Finding]:
    """Examine the bus at *url*."""
    async with Bus.connect(url) as bus:
        return list(await examine(bus.connection, bus.keys, clock or SystemClock(), ha=ha))


async def ill(url: str, *, ha: bool | None = None) -> dict[str, Finding]:
    """What is not well at *url*, by check."""
    return {one.name: one for one in await found_at(url, ha=ha) if one.severity is not OK}


async def test_the_embedded_engine_is_well(any_engine: str) -> None:
    """With a bus in use on it, every check of an engine that we configure ourselves says ok."""
    async with Bus.connect(any_engine) as bus:
        await bus.publish("t", queue="coding")
        await bus.publish("t", delay=60)
        await bus.heartbeat("pink")
    found = await found_at(any_engine)
    assert {one.severity for one in found} == {OK}
    assert len(found) >= 12
    assert not [one for one in found if one.fix]


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("maxmemory-policy", "allkeys-lru", ("eviction", CRIT)),
        ("appendonly", "no", ("append-only file", CRIT)),
        ("appendfsync", "no", ("fsync", WARN)),
        ("maxmemory", "0", ("memory limit", WARN)),
        ("timeout", "5", ("idle connections", WARN)),
        ("proto-max-bulk-len", str(1 << 20), ("longest argument", WARN)),
        ("client-output-buffer-limit", "pubsub 0 0 0", ("slow subscribers", WARN)),
    ],
)
async def test_a_dangerous_setting_is_found_and_its_fix_works(
    any_engine: str, raw: Any, setting: str, value: str, expected: tuple[str, Severity]
) -> None:
    """The setting is named, and the command that is given as the fix makes the engine well again."""
    raw.config_set(setting, value)
    name, severity = expected
    finding = (await ill(any_engine))[name]
    assert finding.severity is severity
    assert setting in finding.what
    raw.execute_command(*shlex.split(finding.fix.replace("<bytes>", str(1 << 30))))
    if setting == "appendonly":
        await eventually(lambda: raw.info("persistence")["aof_rewrite_in_progress"] == 0)
    assert name not in await ill(any_engine)


async def test_ha_without_a_replica_is_critical(any_engine: str) -> None:
    """Only where somebody says that a replica is to take over, replicas and their settings are judged."""
    assert not await ill(any_engine)
    found = await ill(any_engine, ha=True)
    assert found["replicas"].severity is CRIT
    assert "min-replicas-to-write" in found["replicated writes"].what


async def test_a_replica_and_its_primary_are_told_apart() -> None:
    """A primary with a replica is HA by itself; a URL that leads to the replica is critical."""
    with Engine.temporary(port=_free_port()) as primary, Engine.temporary() as replica:
        port = int(primary.url.rpartition(":")[2].partition("/")[0])
        secret = re.findall(r":([^:@/]+)@", primary.url)[0]
        with redis.Redis.from_url(primary.url) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with redis.Redis.from_url(replica.url) as client:
            client.config_set("masterauth", secret)
            client.execute_command("REPLICAOF", "127.0.0.1", port)
            await eventually(lambda: client.info("replication")["master_link_status"] == "up")
        found = await ill(primary.url)
        assert "replicas" not in found
        assert "replicated writes" in found
        assert (await ill(replica.url))["replicas"].severity is CRIT


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("off_ms", [-3_600_000, 3_600_000, 2000])
async def test_clocks_that_differ_are_found(any_engine: str, off_ms: int) -> None:
    """A client an hour off is told by how much, in which direction; agreement is ok."""
    (finding,) = [one for one in await found_at(any_engine, clock=ClockOff(off_ms)) if one.name == "clock"]
    assert finding.severity is WARN
    assert ("behind" if off_ms > 0 else "ahead of") in finding.what
    assert f"{abs(off_ms) / 1000:.0f}" in finding.what


def test_a_slow_answer_is_no_skew() -> None:
    """A difference that the round trip explains is none."""
    assert judge_skew(1500, 800).severity is OK
    assert judge_skew(-1500, 800).severity is OK
    assert judge_skew(1500, 100).severity is WARN


async def test_ids_of_the_future_are_found(any_engine: str, raw: Any) -> None:
    """A lane that was written while the engine's clock was an hour ahead is named."""
    seconds, _ = raw.time()
    raw.xadd("cortex:tasks:low", {"type": "t"}, id=f"{(seconds + 3600) * 1000}-0")
    finding = (await ill(any_engine))["entry ids"]
    assert "cortex:tasks:low" in finding.what
    assert "3,600 s in the future" in finding.what or "3,599 s in the future" in finding.what


async def test_each_lane_that_several_groups_read_is_named(any_engine: str, raw: Any) -> None:
    """Lane and groups are named, with what that means for deletion."""
    for lane in ("cortex:tasks:high", "cortex:tasks:@pink:low", "cortex:tasks:normal"):
        raw.xgroup_create(lane, "workers", id="0", mkstream=True)
    raw.xgroup_create("cortex:tasks:high", "harold", id="0")
    raw.xgroup_create("cortex:tasks:@pink:low", "audit\x1b[31m", id="0")
    found = [one for one in await found_at(any_engine) if one.name == "groups"]
    assert [one.severity for one in found] == [WARN, WARN]
    assert "(harold, workers)" in found[1].what
    assert all("low watermark" in one.what and "XGROUP DESTROY" in one.fix for one in found)
    assert "\x1b" not in "".join(one.what for one in found)


async def test_each_key_of_a_wrong_type_is_named_and_its_fix_works(any_engine: str, raw: Any) -> None:
    """Lanes, records and all other keys of the bus; names that are hostile are written so that they can be pasted."""
    raw.set("cortex:tasks:high", "x")
    raw.rpush("cortex:tasks:dlq", "x")
    raw.set("cortex:agents", "x")
    raw.set('cortex:task:a "b\x1b\\', "x")
    raw.set("cortex:something-else", "x")
    raw.set("other:tasks:high", "x")
    found = [one for one in await found_at(any_engine) if one.name == "key types"]
    assert [one.severity for one in found] == [CRIT] * 4
    assert any("cortex:tasks:high is a string, the bus needs a stream there" in one.what for one in found)
    assert "\x1b" not in "".join(one.what + one.fix for one in found)
    for one in found:
        rename = re.match(r"(RENAME .*), or UNLINK", one.fix)
        assert rename
        raw.execute_command(*(_unescaped(word) for word in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', rename[1])))
    assert "key types" not in await ill(any_engine)


def _unescaped(word: str) -> str:
    """Read a word as redis-cli does."""
    return re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), word[1:-1]) if word.startswith('"') else word


async def test_thousands_of_keys_are_looked_at_and_few_are_named(bus_url: str) -> None:
    """With many keys of a wrong type the first are named and the rest are counted."""
    with redis.Redis.from_url(bus_url) as client:
        client.mset({f"cortex:task:{number}": "x" for number in range(2500)})
    found = [one for one in await found_at(bus_url) if one.name == "key types"]
    assert len(found) == 21
    assert "2,480 more" in found[-1].what


async def test_a_glance_finds_a_broken_lane_without_walking_through_all_keys(any_engine: str, raw: Any) -> None:
    """What a screen asks for again and again looks at the keys that every bus has, however many tasks there were."""
    raw.sadd("cortex:tasks:queues", "coding")
    raw.set("cortex:tasks:coding:high", "x")
    async with Bus.connect(any_engine) as bus:
        raw.config_resetstat()
        report = await bus.reads.engine()
    assert [one.what for one in report.findings if one.severity is CRIT] == [
        "cortex:tasks:coding:high is a string, the bus needs a stream there"
    ]
    assert "cmdstat_scan" not in raw.info("commandstats")


@pytest.mark.parametrize("missing", ["info", "config|get", "time", "scan", "type", "xinfo|groups", "xinfo|stream"])
async def test_what_may_not_be_read_is_unknown_and_names_the_right(any_engine: str, raw: Any, missing: str) -> None:
    """Without a right its checks are unknown, never ok; with the fix that is named they are well again."""
    raw.xgroup_create("cortex:tasks:high", "workers", id="0", mkstream=True)
    async with Bus.connect(any_engine) as bus:
        raw.acl_setuser("default", enabled=True, nopass=False, keys=["*"], commands=["+@all", f"-{missing}"])
        found = list(await examine(bus.connection, bus.keys, SystemClock()))
        unknown = [one for one in found if one.severity is UNKNOWN]
        assert unknown
        assert all(missing in one.what for one in unknown)
        assert not [one for one in found if one.severity in {WARN, CRIT}]
        for one in unknown:
            raw.execute_command(*one.fix.replace("<user>", "default").split())
        assert {one.severity for one in await examine(bus.connection, bus.keys, SystemClock())} == {OK}


async def test_an_engine_that_is_away_is_an_error(any_engine: str, raw: Any) -> None:
    """Nothing is judged where nothing answers."""
    with Engine.temporary() as engine:
        bus = Bus.connect(engine.url)
        await bus.open()
        engine.stop()
        link = bus.connection
        original = link.command
        link.command = lambda *args, **options: original(*args, **{**options, "deadline_s": 0.1})  # type: ignore[method-assign]
        with pytest.raises(BusError, match="cannot reach"):
            await examine(link, bus.keys, SystemClock())
        await bus.close()


@pytest.mark.parametrize(
    ("version", "severity"), [("5.0.14", CRIT), ("6.0.16", CRIT), ("6.2.14", WARN), ("7.0.15", OK), ("8.2.1", OK)]
)
def test_old_versions_are_named(version: str, severity: Severity) -> None:
    """Below 6.2 the bus does not work, below 7 it works with less."""
    finding = judge_version({"redis_version": version})
    assert finding.severity is severity
    assert version in finding.what


@pytest.mark.parametrize(
    ("used", "severity"), [(70, OK), (71, WARN), (80, WARN), (81, WARN), (90, WARN), (91, CRIT), (120, CRIT)]
)
def test_memory_is_judged_by_its_share(used: int, severity: Severity) -> None:
    """Above 70 and 80 % it is a warning, above 90 % critical."""
    assert judge_memory(used << 20, 100 << 20).severity is severity
    assert judge_memory(used << 20, 0).severity is OK


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, CRIT),
        ({"aof_enabled": "1", "rdb_last_bgsave_status": "err"}, CRIT),
        ({"aof_enabled": "1", "aof_last_bgrewrite_status": "err"}, WARN),
        ({"aof_enabled": "0", "rdb_changes_since_last_save": "7"}, WARN),
        ({"aof_enabled": "1", "aof_last_write_status": "ok"}, OK),
    ],
)
def test_files_that_cannot_be_written_are_found(said: dict[str, str], severity: Severity) -> None:
    """An engine that stops taking writes because of its files is critical, before anybody runs into it."""
    (finding,) = judge_vitals(said, ha=False)
    assert finding.name == "files"
    assert finding.severity is severity


def test_a_value_that_cannot_be_read_is_unknown() -> None:
    """A server that answers something new is not called well."""
    for rule in SETTING_RULES:
        if rule.setting not in {"maxmemory-policy", "appendonly", "appendfsync"}:
            assert judge_setting(rule, "?").severity is UNKNOWN


def test_the_type_of_every_key_of_the_bus_is_known() -> None:
    """Whatever `Keys` names, the doctor knows its type."""
    keys = Keys()
    channels = {keys.control}
    names = [getattr(keys, name) for name, member in vars(Keys).items() if isinstance(member, property)]
    names += [keys.record("a"), keys.events("2026-01-01"), keys.density("2026-01-01")]
    assert [key for key in names if key not in channels and expected_type(keys, key) is None] == []
