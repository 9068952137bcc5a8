"""Examine an engine: which of its settings, keys and circumstances endanger work, and what to do about each.

Everything here only reads. What the user in the URL may not read is a finding of its own, `unknown`, that names
the missing right; it is never taken for healthy.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from redis.exceptions import NoPermissionError

from observatory.bus.keys import day_of, shifted
from observatory.bus.links.link import info_of, server_version
from observatory.bus.reads.log import DAYS_KEPT
from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.health import SETTING_RULES, Finding, Severity, judge_kept, judge_memory, judge_setting
from observatory.model.retention import Retention
from observatory.model.task import SHARED, Lane, Priority
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument, Link, Reply
    from observatory.model.clock import Clock

SKEW_MS: Final = 1000
"""Milliseconds by which two clocks may differ before it is worth a word."""

OLDEST_VERSION: Final = (6, 2)
FULL_VERSION: Final = (7, 0)
"""From here on scripts carry flags, and may settle work while the memory is full."""

KEYS_LIMIT: Final = 100_000
"""Keys under the prefix whose type is looked at."""

NAMED_LIMIT: Final = 20
"""Keys of a wrong type that are named one by one."""

_PAGE: Final = 1000

_TYPES: Final = (
    (r"tasks:(dlq|trash)|heartbeats|audit|events:.+|messages:.+|reply:.+", "stream"),
    (r"tasks:(delayed|turns)|agents:seen|order:.+", "zset"),
    (
        r"tasks:(delayed:bodies|paused|kept|parked)|retention|agents|cursors|durable|(dedupe|density|keyframes|task):.+",
        "hash",
    ),
    (r"tasks:queues|tasks:cancelled", "set"),
)
"""Key names behind the prefix, and the type that each must have; lanes are streams besides."""

_WELL_KNOWN: Final = ("tasks:dlq", "tasks:delayed", "tasks:delayed:bodies", "tasks:queues", "heartbeats", "agents")

_IN_INFO: Final = {"maxmemory-policy": "maxmemory_policy", "maxmemory": "maxmemory", "appendonly": "aof_enabled"}
_AOF_WORDS: Final = {"1": "yes", "0": "no"}
_PLAIN = re.compile(r"[\w:.@{}-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read.

    Attributes:
        why: The reason, in one line.
        right: The ACL rule that would allow it; empty where the engine cannot do it at all.
    """

    why: str
    right: str = ""

    def finding(self, name: str) -> Finding:
        """Say so for the check *name*."""
        return Finding(name, Severity.UNKNOWN, self.why, f"ACL SETUSER <user> {self.right}" if self.right else "")


async def examine(link: Link, keys: Keys, clock: Clock, *, ha: bool | None = None) -> tuple[Finding, ...]:
    """Examine the engine behind *link*, and the keys of the bus in it.

    Args:
        link: The link to the engine.
        keys: Key names.
        clock: The local clock, to hold against the engine's.
        ha: Whether a replica is to take over from a dead primary; None to tell by the engine and the URL.

    Returns:
        One or more findings a check, those that are well among them, in a fixed order.

    Raises:
        BusUnreachableError: The engine does not answer.
    """
    return (*await examine_engine(link, clock, ha=ha), *await examine_keys(link, keys))


async def examine_engine(link: Link, clock: Clock, *, ha: bool | None = None) -> tuple[Finding, ...]:
    """Examine the engine behind *link*, without any keys; see `examine`."""
    reply = await _read(link, "+info", "INFO")
    info = reply if isinstance(reply, Unread) else info_of(reply)
    said = {} if isinstance(info, Unread) else info
    if ha is None:
        ha = _is_ha(link.url, said)
    return (
        *([info.finding("engine")] if isinstance(info, Unread) else [judge_version(said)]),
        *await _settings(link, said, ha=ha),
        *([info.finding("memory")] if isinstance(info, Unread) else judge_vitals(said, ha=ha)),
        await _clock(link, clock),
    )


async def judge_cluster(link: Link) -> Finding:
    """Judge what a node of a cluster says of the whole."""
    reply = await _read(link, "+cluster|info", "CLUSTER", "INFO")
    if isinstance(reply, Unread):
        return reply.finding("cluster")
    said = info_of(reply)
    if said.get("cluster_state") != "ok":
        failed = (
            f"{said.get('cluster_slots_fail', '?')} slots failed, {said.get('cluster_slots_assigned', '?')} assigned"
        )
        return Finding("cluster", Severity.CRIT, f"the cluster is down: {failed}", "CLUSTER NODES names who is missing")
    return Finding("cluster", Severity.OK, f"all slots are served, by {said.get('cluster_size', '?')} primaries")


def judge_version(info: Mapping[str, str]) -> Finding:
    """Judge the version that INFO tells."""
    product = info.get("server_name") or "redis"
    name = f"{product} {info.get(f'{product}_version') or info.get('redis_version', '?')}"
    version = server_version(info)
    if version < OLDEST_VERSION:
        return Finding("engine", Severity.CRIT, f"{name} is too old for the bus", "upgrade to Valkey, or to Redis 7")
    if version < FULL_VERSION:
        return Finding(
            "engine",
            Severity.WARN,
            f"{name} cannot settle work while its memory is full",
            "upgrade to Valkey or Redis 7",
        )
    return Finding("engine", Severity.OK, name)


def judge_vitals(info: Mapping[str, str], *, ha: bool) -> list[Finding]:
    """Judge what INFO tells of memory, files and replicas."""
    found = []
    used, limit = info.get("used_memory", ""), info.get("maxmemory", "")
    if used.isdigit() and limit.isdigit():
        found.append(judge_memory(int(used), int(limit)))
    found.append(_files(info))
    if info.get("role") == "slave":
        found.append(
            Finding("replicas", Severity.CRIT, "this is a replica, it refuses writes", "name the primary in the URL")
        )
    elif ha:
        found.append(_replicas(info))
    return found


def expected_type(keys: Keys, name: str) -> str | None:
    """Return the type that the key *name* must have; None if the bus does not know such a key."""
    if keys.lane_of(name) is not None:
        return "stream"
    if name == keys.meta:
        return "hash"
    rest = name.removeprefix(f"{keys.prefix}:")
    return next((kind for pattern, kind in _TYPES if re.fullmatch(pattern, rest, re.DOTALL)), None)


def _is_ha(url: str, info: Mapping[str, str]) -> bool:
    replicated = info.get("connected_slaves", "0") != "0"
    return replicated or info.get("cluster_enabled") == "1" or urlsplit(url).scheme.endswith(("+sentinel", "+cluster"))


def _files(info: Mapping[str, str]) -> Finding:
    if info.get("aof_enabled") == "1" and info.get("aof_last_write_status", "ok") != "ok":
        return Finding(
            "files", Severity.CRIT, "the append-only file cannot be written, writes are refused", "look at disk and log"
        )
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return Finding(
            "files",
            Severity.CRIT,
            "the last snapshot failed: the engine may refuse writes until one succeeds",
            "look at disk and log, then BGSAVE",
        )
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        return Finding(
            "files", Severity.WARN, "the last rewrite of the append-only file failed, it grows", "look at disk and log"
        )
    if info.get("aof_enabled") == "0":
        changes = info.get("rdb_changes_since_last_save", "?")
        return Finding(
            "files",
            Severity.WARN,
            f"without an append-only file a crash now undoes {changes} changes",
            "CONFIG SET appendonly yes",
        )
    return Finding("files", Severity.OK, "the last write to disk succeeded")


def _replicas(info: Mapping[str, str]) -> Finding:
    count = info.get("connected_slaves", "?")
    if count == "0":
        return Finding(
            "replicas",
            Severity.CRIT,
            "no replica is connected, nothing can take over",
            "start one, or look at its link",
        )
    return Finding("replicas", Severity.OK, f"replicas connected: {count}")


async def _settings(link: Link, info: Mapping[str, str], *, ha: bool) -> list[Finding]:
    rules = [rule for rule in SETTING_RULES if ha or not rule.ha]
    read = await asyncio.gather(*(_read(link, "+config|get", "CONFIG", "GET", rule.setting) for rule in rules))
    found = []
    for rule, reply in zip(rules, read, strict=True):
        value = _value(rule.setting, reply, info)
        found.append(value.finding(rule.name) if isinstance(value, Unread) else judge_setting(rule, value))
    return found


def _value(setting: str, reply: Reply | Unread, info: Mapping[str, str]) -> str | Unread:
    """Return the value of *setting* as CONFIG tells it, or else as INFO does."""
    if not isinstance(reply, Unread) and len(reply) == 2:
        return line(reply[1].decode("utf-8", "replace"))
    told = info.get(_IN_INFO.get(setting, ""))
    if told is not None:
        return _AOF_WORDS.get(told, told) if setting == "appendonly" else told
    return reply if isinstance(reply, Unread) else Unread(f"the engine has no setting {setting}")


async def _clock(link: Link, clock: Clock) -> Finding:
    best: tuple[float, float] | None = None
    for _ in range(3):
        began, wall = clock.monotonic(), clock.now_ms()
        reply = await _read(link, "+time", "TIME")
        if isinstance(reply, Unread):
            return reply.finding("clock")
        trip_ms = (clock.monotonic() - began) * 1000
        skew = int(reply[0]) * 1000 + int(reply[1]) / 1000 - (wall + trip_ms / 2)
        # The engine's answer was made at some time during the trip: half of it is the most that this can be off.
        if best is None or trip_ms < best[0]:
            best = (trip_ms, skew)
    assert best is not None  # noqa: S101 (the loop ran)
    return judge_skew(best[1], best[0] / 2)


def judge_skew(skew_ms: float, error_ms: float) -> Finding:
    """Judge by how much the engine's clock is ahead of the local one.

    Args:
        skew_ms: The difference as measured; negative where the engine's is behind.
        error_ms: How much the measurement may be off.
    """
    words = f"{abs(skew_ms) / 1000:.1f} s {'ahead of' if skew_ms > 0 else 'behind'} the clock here"
    if abs(skew_ms) - error_ms > SKEW_MS:
        return Finding(
            "clock",
            Severity.WARN,
            f"the engine's clock is {words}: it decides when tasks expire and retries are due",
            "synchronise both machines (NTP)",
        )
    return Finding("clock", Severity.OK, f"the engine's clock agrees with this one within {SKEW_MS / 1000:g} s")


async def examine_keys(link: Link, keys: Keys) -> list[Finding]:
    """Examine the keys below the prefix of *keys*."""
    names = await _names(link, keys)
    found = []
    if isinstance(names, Unread):
        found.append(names.finding("keys"))
        names = [f"{keys.prefix}:{rest}" for rest in _WELL_KNOWN]
        names += [keys.lane(Lane(SHARED, priority)) for priority in Priority]
    elif len(names) >= KEYS_LIMIT:
        found.append(Finding("keys", Severity.UNKNOWN, f"only the first {KEYS_LIMIT:,} keys were looked at"))
    typed = await _typed(link, names)
    if isinstance(typed, Unread):
        return [*found, typed.finding("key types")]
    lanes = [name for name, kind in typed.items() if kind == "stream" and keys.lane_of(name) is not None]
    found += [*_wrong_types(keys, typed), *await _groups(link, keys, lanes), *await _ids(link, lanes)]
    return [*found, *await _kept(link, keys)]


async def _kept(link: Link, keys: Keys) -> list[Finding]:
    """Hold the event log and the dead letters against the bounds of the bus."""
    said, now = await _read(link, "+hgetall", "HGETALL", keys.retention), await _read(link, "+time", "TIME")
    if isinstance(said, Unread) or isinstance(now, Unread):
        return [unread.finding("retention") for unread in (said, now) if isinstance(unread, Unread)]
    bounds = Retention.read({name.decode(): value.decode("utf-8", "replace") for name, value in pairs(said)})
    today = day_of(int(now[0]) * 1000)
    days = [keys.events(shifted(today, -back)) for back in range(DAYS_KEPT + 2)]
    found = []
    for what, names, limit, bound in (
        ("event log", days, bounds.events_bytes, "events_bytes"),
        ("dead letters", [keys.dead_letters], bounds.dead_bytes, "dead_bytes"),
    ):
        used = 0
        for name in names:
            size = await _read(link, "+memory|usage", "MEMORY", "USAGE", name)
            if isinstance(size, Unread):
                return [size.finding("retention")]
            used += size or 0
        found.append(judge_kept(what, used, limit, bound))
    return found


async def _names(link: Link, keys: Keys) -> list[str] | Unread:
    cursor, names = b"0", dict[str, None]()
    while True:
        reply = await _read(link, "+scan", "SCAN", cursor, "MATCH", f"{keys.prefix}:*", "COUNT", _PAGE)
        if isinstance(reply, Unread):
            return reply
        cursor, page = reply
        names.update((name.decode("utf-8", "surrogateescape"), None) for name in page)
        if cursor == b"0" or len(names) >= KEYS_LIMIT:
            return sorted(names)[:KEYS_LIMIT]


async def _typed(link: Link, names: Sequence[str]) -> dict[str, str] | Unread:
    client = link.client()

    async def types(page: Sequence[str]) -> list[Reply]:
        async with client.pipeline(transaction=False) as pipe:
            for name in page:
                pipe.execute_command("TYPE", name.encode("utf-8", "surrogateescape"))
            return list(await pipe.execute(raise_on_error=False))

    found: dict[str, str] = {}
    try:
        for at in range(0, len(names), _PAGE):
            page = names[at : at + _PAGE]
            for name, reply in zip(page, await link.attempt(lambda page=page: types(page)), strict=True):  # type: ignore[misc]
                if isinstance(reply, Exception):
                    return _unread(reply, "+type")
                found[name] = reply.decode()
    finally:
        await client.aclose()
    return found


def _wrong_types(keys: Keys, typed: Mapping[str, str]) -> Iterator[Finding]:
    wrong = [
        (name, kind, expected)
        for name, kind in typed.items()
        if kind != "none" and (expected := expected_type(keys, name)) not in {None, kind}
    ]
    for name, kind, expected in wrong[:NAMED_LIMIT]:
        aside = f"{keys.prefix}.aside:{name.removeprefix(f'{keys.prefix}:')}"
        yield Finding(
            "key types",
            Severity.CRIT,
            f"{_quoted(name)} is a {kind}, the bus needs a {expected} there",
            f"RENAME {_quoted(name)} {_quoted(aside)}, or UNLINK it if nobody needs it",
        )
    if len(wrong) > NAMED_LIMIT:
        yield Finding("key types", Severity.CRIT, f"{len(wrong) - NAMED_LIMIT:,} more keys are of a wrong type")
    if not wrong:
        yield Finding("key types", Severity.OK, f"keys looked at: {len(typed):,}")


async def _groups(link: Link, keys: Keys, lanes: Iterable[str]) -> list[Finding]:
    found = []
    for stream in lanes:
        reply = await _read(link, "+xinfo|groups", "XINFO", "GROUPS", stream)
        if isinstance(reply, Unread):
            return [reply.finding("groups")]
        names = [line(dict(zip(row[::2], row[1::2], strict=True))[b"name"].decode("utf-8", "replace")) for row in reply]
        if len(names) > 1:
            found.append(
                Finding(
                    "groups",
                    Severity.WARN,
                    f"{keys.lane_of(stream)} is read by {len(names)} groups ({', '.join(names)}): each does every task "
                    "once, and only what lies below the low watermark of all is deleted",
                    f"XGROUP DESTROY {stream} <group> for one that nobody needs",
                )
            )
    return found or [Finding("groups", Severity.OK, "no lane is read by several groups")]


async def _ids(link: Link, lanes: Iterable[str]) -> list[Finding]:
    """Find lanes whose newest id lies in the future: the engine's clock once ran ahead, and ages there are wrong."""
    now = await _read(link, "+time", "TIME")
    if isinstance(now, Unread):
        return []
    for stream in lanes:
        reply = await _read(link, "+xinfo|stream", "XINFO", "STREAM", stream)
        if isinstance(reply, Unread):
            return [reply.finding("entry ids")]
        last = dict(zip(reply[::2], reply[1::2], strict=True))[b"last-generated-id"]
        ahead_ms = int(last.partition(b"-")[0]) - int(now[0]) * 1000
        if ahead_ms > SKEW_MS + 1000:  # TIME was cut to the second.
            return [
                Finding(
                    "entry ids",
                    Severity.WARN,
                    f"{stream} holds ids {ahead_ms / 1000:,.0f} s in the future: the engine's clock has jumped, "
                    "tasks there expire late by as much",
                    "let the lane drain, then UNLINK it",
                )
            ]
    return [Finding("entry ids", Severity.OK, "no lane holds ids of the future")]


async def _read(link: Link, right: str, *command: Argument) -> Reply | Unread:
    try:
        return await link.command(*command)
    except BusUnreachableError:
        raise
    except BusError as error:
        return _unread(error.__cause__ or error, right)


def _unread(error: BaseException, right: str) -> Unread:
    if isinstance(error, NoPermissionError):
        return Unread(f"the user in the URL may not read it: {right} is missing", right)
    return Unread(f"the engine does not tell: {line(str(error), 120)}")


def _quoted(name: str) -> str:
    """Write a key as redis-cli takes it."""
    if _PLAIN.fullmatch(name):
        return name
    raw = name.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in raw) + '"'
