"""The server behind the bus, section by section: what INFO, CLIENT LIST and SLOWLOG say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.bus.care.doctor import examine
from observatory.bus.links.link import info_of
from observatory.model.engine import (
    ClientRow,
    CommandCost,
    EngineReport,
    MemoryInfo,
    PersistenceInfo,
    ReplicaInfo,
    ReplicationInfo,
    ServerInfo,
    SlowCommand,
)
from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.health import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument, Link, Reply
    from observatory.model.clock import Clock

MOST_CLIENTS = 1000
"""Connections that a report names at most."""

MOST_SLOW = 64
"""Slow commands that a report names at most."""

LONGEST_WORD = 128
"""Characters of an argument of a slow command that are kept."""

_REPLICA = re.compile(r"slave\d+")
_WORST_FIRST = (Severity.CRIT, Severity.WARN, Severity.UNKNOWN, Severity.OK)


async def engine_report(link: Link, keys: Keys, clock: Clock) -> EngineReport:
    """Read everything about the server; what the user may not ask for is None and named in `missing`.

    Raises:
        BusUnreachableError: The engine does not answer.
    """
    seconds, micros = await link.command("TIME")
    missing: list[str] = []
    text = await _allowed(link, missing, "+info", "INFO", "ALL")
    info = {} if text is None else info_of(text)
    clients = await _allowed(link, missing, "+client|list", "CLIENT", "LIST")
    slow = await _allowed(link, missing, "+slowlog|get", "SLOWLOG", "GET", MOST_SLOW)
    findings = await examine(link, keys, clock, every_key=False)
    return EngineReport(
        at_ms=int(seconds) * 1000 + int(micros) // 1000,
        server=_server(info),
        memory=_memory(info),
        persistence=_persistence(info),
        replication=_replication(info),
        connected=_whole(info.get("connected_clients")),
        clients_limit=_whole(info.get("maxclients")),
        clients=None if clients is None else read_clients(clients),
        slow=None if slow is None else tuple(_slow(row) for row in slow),
        commands=_commands(info),
        findings=tuple(sorted(findings, key=lambda finding: _WORST_FIRST.index(finding.severity))),
        missing=tuple(missing),
    )


async def _allowed(link: Link, missing: list[str], right: str, *command: Argument) -> Reply | None:
    try:
        return await link.command(*command)
    except BusUnreachableError:
        raise
    except BusError:
        missing.append(right)
        return None


def _server(info: Mapping[str, str]) -> ServerInfo:
    product = info.get("server_name") or "redis"
    cpu = [_real(info.get(name)) for name in ("used_cpu_user", "used_cpu_sys")]
    return ServerInfo(
        product=product if info else "",
        version=info.get(f"{product}_version") or info.get("redis_version", ""),
        mode=info.get("server_mode") or info.get("redis_mode", ""),
        uptime_s=_whole(info.get("uptime_in_seconds")),
        process=_whole(info.get("process_id")),
        system=info.get("os", ""),
        ops_per_s=_whole(info.get("instantaneous_ops_per_sec")),
        commands=_whole(info.get("total_commands_processed")),
        cpu_s=None if None in cpu else sum(part for part in cpu if part is not None),
    )


def _memory(info: Mapping[str, str]) -> MemoryInfo:
    return MemoryInfo(
        used=_whole(info.get("used_memory")),
        peak=_whole(info.get("used_memory_peak")),
        resident=_whole(info.get("used_memory_rss")),
        limit=_whole(info.get("maxmemory")),
        policy=info.get("maxmemory_policy", ""),
        fragmentation=_real(info.get("mem_fragmentation_ratio")),
        evicted=_whole(info.get("evicted_keys")),
    )


def _persistence(info: Mapping[str, str]) -> PersistenceInfo:
    aof = _flag(info.get("aof_enabled"))
    saved = _whole(info.get("rdb_last_save_time"))
    return PersistenceInfo(
        aof=aof,
        aof_ok=_ok(info.get("aof_last_write_status")) if aof else None,
        aof_bytes=_whole(info.get("aof_current_size")),
        rewriting=_flag(info.get("aof_rewrite_in_progress")),
        changes=_whole(info.get("rdb_changes_since_last_save")),
        saved_ms=None if saved is None else saved * 1000,
        save_ok=_ok(info.get("rdb_last_bgsave_status")),
        loading=_flag(info.get("loading")),
    )


def _replication(info: Mapping[str, str]) -> ReplicationInfo:
    reached = _whole(info.get("master_repl_offset"))
    primary = f"{info['master_host']}:{info.get('master_port', '')}" if "master_host" in info else ""
    link_up = info["master_link_status"] == "up" if "master_link_status" in info else None
    replicas = tuple(_replica(value, reached) for name, value in info.items() if _REPLICA.fullmatch(name))
    return ReplicationInfo(info.get("role", ""), primary, link_up, replicas)


def _replica(said: str, reached: int | None) -> ReplicaInfo:
    words = dict(part.partition("=")[::2] for part in said.split(","))
    offset = _whole(words.get("offset"))
    return ReplicaInfo(
        address=f"{words.get('ip', '')}:{words.get('port', '')}",
        state=words.get("state", ""),
        behind=None if offset is None or reached is None else max(reached - offset, 0),
        silent_s=_whole(words.get("lag")),
    )


def read_clients(reply: bytes) -> tuple[ClientRow, ...]:
    """Read what CLIENT LIST says, those that cost most memory first, at most `MOST_CLIENTS`."""
    rows = []
    for said in reply.decode("utf-8", "replace").splitlines():
        words = dict(part.partition("=")[::2] for part in said.split(" "))
        if "id" in words:
            rows.append(
                ClientRow(
                    key=words["id"],
                    name=words.get("name", ""),
                    address=words.get("addr", ""),
                    age_s=_whole(words.get("age")) or 0,
                    idle_s=_whole(words.get("idle")) or 0,
                    command=words.get("cmd", ""),
                    blocked="b" in words.get("flags", ""),
                    memory=_whole(words.get("tot-mem")),
                    user=words.get("user", ""),
                )
            )
    rows.sort(key=lambda row: row.memory or 0, reverse=True)
    return tuple(rows[:MOST_CLIENTS])


def _slow(row: Reply) -> SlowCommand:
    number, at_s, micros, words, *who = row
    client = " ".join(part.decode("utf-8", "replace") for part in who if part)
    said = tuple(word.decode("utf-8", "surrogateescape")[:LONGEST_WORD] for word in words)
    return SlowCommand(str(number), at_s * 1000, micros / 1000, said, client)


def _commands(info: Mapping[str, str]) -> tuple[CommandCost, ...]:
    costs = []
    for name, said in info.items():
        if name.startswith("cmdstat_"):
            words = dict(part.partition("=")[::2] for part in said.split(","))
            failed = (_whole(words.get("failed_calls")) or 0) + (_whole(words.get("rejected_calls")) or 0)
            micros = _whole(words.get("usec")) or 0
            costs.append(
                CommandCost(name.removeprefix("cmdstat_"), _whole(words.get("calls")) or 0, micros / 1000, failed)
            )
    return tuple(sorted(costs, key=lambda cost: cost.total_ms, reverse=True))


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _real(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _flag(value: str | None) -> bool | None:
    return None if value is None else value != "0"


def _ok(value: str | None) -> bool | None:
    return None if value is None else value == "ok"
