"""Examine an engine: which of its settings, keys and circumstances endanger work, and what to do about each.

Everything here only reads. What the user in the URL may not read is a finding of its own, `unknown`, that names
the missing right; it is never taken for healthy.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from observatory.bus.care.key_checks import examine_keys
from observatory.bus.care.readings import Unread, read
from observatory.bus.links.link import info_of, server_version
from observatory.model.health import SETTING_RULES, Finding, Severity, judge_memory, judge_setting
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link, Reply
    from observatory.model.clock import Clock

SKEW_MS: Final = 1000
"""Milliseconds by which two clocks may differ before it is worth a word."""

OLDEST_VERSION: Final = (6, 2)
FULL_VERSION: Final = (7, 0)
"""From here on scripts carry flags, and may settle work while the memory is full."""

_IN_INFO: Final = {"maxmemory-policy": "maxmemory_policy", "maxmemory": "maxmemory", "appendonly": "aof_enabled"}
_AOF_WORDS: Final = {"1": "yes", "0": "no"}


async def examine(
    link: Link, keys: Keys, clock: Clock, *, ha: bool | None = None, every_key: bool = True
) -> tuple[Finding, ...]:
    """Examine the engine behind *link*, and the keys of the bus in it.

    Args:
        link: The link to the engine.
        keys: Key names.
        clock: The local clock, to hold against the engine's.
        ha: Whether a replica is to take over from a dead primary; None to tell by the engine and the URL.
        every_key: Look at every key, which takes the longer the more tasks there were; False looks at those only
            that every bus has, and costs the same at any size.

    Returns:
        One or more findings a check, those that are well among them, in a fixed order.

    Raises:
        BusUnreachableError: The engine does not answer.
    """
    return (*await examine_engine(link, clock, ha=ha), *await examine_keys(link, keys, every_key=every_key))


async def examine_engine(link: Link, clock: Clock, *, ha: bool | None = None) -> tuple[Finding, ...]:
    """Examine the engine behind *link*, without any keys; see `examine`."""
    reply = await read(link, "+info", "INFO")
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
    reply = await read(link, "+cluster|info", "CLUSTER", "INFO")
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
    replies = await asyncio.gather(*(read(link, "+config|get", "CONFIG", "GET", rule.setting) for rule in rules))
    found = []
    for rule, reply in zip(rules, replies, strict=True):
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
        reply = await read(link, "+time", "TIME")
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
