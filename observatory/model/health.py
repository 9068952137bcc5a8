"""Judgement: what a lane's readings mean for an operator, and which settings of a server endanger its work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from observatory.model.snapshot import LaneState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.model.snapshot import GroupView

DELETING_GROUPS = frozenset({"workers"})
"""Groups of the bus client's own workers, which delete what they settle where they are alone on a lane."""

SAFE_POLICY = "noeviction"
"""The only `maxmemory-policy` under which a server that is full refuses work instead of dropping some."""


def backlog(length: int, groups: Sequence[GroupView], *, waits: bool) -> int | None:
    """Count the entries of a lane that the group furthest behind has not settled.

    That is lag + pending, greatest over the groups, where the engine knows every lag. Without a group it is the
    length: nobody has taken anything. Where a lag is unknown it can still follow from something else: nothing
    waits, so every lag is 0; or the one group belongs to our workers, which delete what they settle, so that
    whatever is still there is unsettled and backlog = length (lag = length - pending).

    Args:
        length: Entries in the stream.
        groups: Its groups.
        waits: Whether some group was not given some entry yet.

    Returns:
        The count, or None where it cannot be known.
    """
    if not groups:
        return length
    if not waits or all(group.lag is not None for group in groups):
        return max((group.lag or 0) + group.pending for group in groups)
    return length if len(groups) == 1 and groups[0].name in DELETING_GROUPS else None


def lane_state(
    length: int | None,
    backlog: int | None,
    groups: Sequence[GroupView],
    *,
    waits: bool,
    bound: int,
    deserted: bool = False,
    paused: bool = False,
) -> LaneState:
    """Find the one word for a lane.

    Args:
        length: Entries in the stream; None where it cannot be read, which is `BROKEN`.
        backlog: Entries not yet settled; None where unknown.
        groups: Its groups.
        waits: Whether some group was not given some entry yet.
        bound: Length at which publishing is refused.
        deserted: Consumers are registered, and it is known that none of them is there.
        paused: Somebody paused it.

    Returns:
        The worst that is true: broken, full, paused, nobody to take what waits. `NO_CONSUMERS` only where work waits
        and nobody is registered to take it, or those that are registered are known to be gone.
    """
    if length is None:
        return LaneState.BROKEN
    if length >= bound:
        return LaneState.FULL
    if paused:
        return LaneState.PAUSED
    waiting = waits if groups else length > 0
    if waiting and (deserted or not any(group.consumers for group in groups)):
        return LaneState.NO_CONSUMERS
    return LaneState.IDLE if backlog == 0 else LaneState.OK


class Severity(StrEnum):
    """How much a finding matters, least first."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARN = "warn"
    CRIT = "crit"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check of a server found.

    Attributes:
        name: The check.
        severity: How much it matters.
        what: The fact and what follows from it, in one line.
        fix: What to do about it; empty where nothing is to be done.
    """

    name: str
    severity: Severity
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class SettingRule:
    """When a setting of a server endangers work.

    Attributes:
        name: The check, in words for people.
        setting: The server's name for it, as CONFIG GET takes it.
        harmful: Whether a value does harm; it may raise ValueError for one that it cannot read.
        severity: How much that matters.
        what: What follows from it; `{value}` stands for the value.
        fix: What to do about it.
        ha: It matters only where a replica is to take over from a dead primary.
    """

    name: str
    setting: str
    harmful: Callable[[str], bool]
    severity: Severity
    what: str
    fix: str
    ha: bool = False


LEAST_IDLE_S: Final = 60
"""Seconds of silence after which a server may close a connection without disturbing the bus."""

LEAST_BULK: Final = 8 * 1024 * 1024
"""Bytes that one argument must be allowed to have: twice the largest payload that is read."""


def _pubsub_limits(value: str) -> tuple[int, int]:
    """Return the hard and the soft limit in bytes of `client-output-buffer-limit` for subscribers."""
    words = value.split()
    at = words.index("pubsub")
    return int(words[at + 1]), int(words[at + 2])


SETTING_RULES: Final = (
    SettingRule(
        "eviction",
        "maxmemory-policy",
        lambda value: value != SAFE_POLICY,
        Severity.CRIT,
        "maxmemory-policy {value} drops whole lanes when full",
        f"CONFIG SET maxmemory-policy {SAFE_POLICY}",
    ),
    SettingRule(
        "append-only file",
        "appendonly",
        lambda value: value == "no",
        Severity.CRIT,
        "appendonly is off, a crash loses tasks",
        "CONFIG SET appendonly yes",
    ),
    SettingRule(
        "fsync",
        "appendfsync",
        lambda value: value == "no",
        Severity.WARN,
        "appendfsync no leaves it to the system when tasks reach the disk, a power cut loses up to half a minute",
        "CONFIG SET appendfsync everysec",
    ),
    SettingRule(
        "memory limit",
        "maxmemory",
        lambda value: int(value) == 0,
        Severity.WARN,
        "maxmemory has no limit, the system may kill the engine",
        "CONFIG SET maxmemory <bytes>",
    ),
    SettingRule(
        "idle connections",
        "timeout",
        lambda value: 0 < int(value) < LEAST_IDLE_S,
        Severity.WARN,
        "timeout {value} closes connections that are silent for {value} s, workers and dashboards lose theirs in turn",
        "CONFIG SET timeout 0",
    ),
    SettingRule(
        "longest argument",
        "proto-max-bulk-len",
        lambda value: int(value) < LEAST_BULK,
        Severity.WARN,
        "proto-max-bulk-len {value} cuts off the connection of whoever sends a larger payload",
        "CONFIG SET proto-max-bulk-len 512mb",
    ),
    SettingRule(
        "slow subscribers",
        "client-output-buffer-limit",
        lambda value: 0 in _pubsub_limits(value),
        Severity.WARN,
        "client-output-buffer-limit has no bound for pubsub, one subscriber that does not read fills the memory",
        'CONFIG SET client-output-buffer-limit "pubsub 32mb 8mb 60"',
    ),
    SettingRule(
        "replicated writes",
        "min-replicas-to-write",
        lambda value: int(value) == 0,
        Severity.WARN,
        "min-replicas-to-write 0: a primary cut off from its replicas accepts tasks that a failover throws away",
        "CONFIG SET min-replicas-to-write 1",
        ha=True,
    ),
)
"""Every setting that is judged, once: for the live screen and for `observatory doctor`."""

FILLING: Final = (
    (0.9, Severity.CRIT, "publishing is about to be refused"),
    (0.8, Severity.WARN, "a burst can fill it"),
    (0.7, Severity.WARN, "work piles up"),
)
"""Shares of the memory limit in use, most first, how much each matters and what it means."""


def judge_setting(rule: SettingRule, value: str) -> Finding:
    """Judge *value*, as CONFIG GET answers it, by *rule*."""
    try:
        harmful = rule.harmful(value)
    except (ValueError, IndexError):
        return Finding(rule.name, Severity.UNKNOWN, f"{rule.setting} {value!r} cannot be read")
    if harmful:
        return Finding(rule.name, rule.severity, rule.what.format(value=value), rule.fix)
    return Finding(rule.name, Severity.OK, f"{rule.setting} {value}")


KEPT_WARNING = 0.8
"""Share of a bound above which it is worth a word that something will be let go of."""


def judge_memory(used: int, limit: int) -> Finding:
    """Judge how full a server is.

    Args:
        used: Bytes in use.
        limit: Bytes after which it refuses writes; 0 for no limit.
    """
    mib = 1 << 20
    if not limit:
        return Finding("memory", Severity.OK, f"{used / mib:,.0f} MiB in use")
    share = used / limit
    what = f"{share:.0%} of {limit / mib:,.0f} MiB in use"
    for bound, severity, meaning in FILLING:
        if share > bound:
            return Finding("memory", severity, f"{what}, {meaning}", "let lanes drain, or CONFIG SET maxmemory <bytes>")
    return Finding("memory", Severity.OK, what)


def judge_kept(what: str, used: int, limit: int, bound: str) -> Finding:
    """Judge how near something that is kept is to its bound, above which its oldest part is let go of.

    Args:
        what: What is kept, in words.
        used: Bytes that it takes.
        limit: Its bound in bytes; 0 for none.
        bound: The bound's name, as in `Retention`.
    """
    mib = 1 << 20
    if not limit:
        return Finding("retention", Severity.OK, f"{what}: {used / mib:,.0f} MiB, without a bound")
    said = f"{what}: {used / mib:,.0f} of {limit / mib:,.0f} MiB"
    if used > limit * KEPT_WARNING:
        fix = f"HSET <prefix>:retention {bound} <bytes>, or archive before"
        return Finding("retention", Severity.WARN, f"{said}, the oldest goes at the bound", fix)
    return Finding("retention", Severity.OK, said)


def engine_warnings(policy: str, *, aof: bool | None, memory_limit: int | None) -> tuple[str, ...]:
    """Name the settings of a server that can lose work, each with its fix.

    Args:
        policy: `maxmemory-policy`; empty where unknown.
        aof: Whether it writes an append-only file; None where unknown.
        memory_limit: `maxmemory` in bytes, 0 for none; None where unknown.

    Returns:
        One line per danger; nothing is said about what is unknown.
    """
    known = {
        "maxmemory-policy": policy or None,
        "appendonly": None if aof is None else "yes" if aof else "no",
        "maxmemory": None if memory_limit is None else str(memory_limit),
    }
    found = (judge_setting(rule, value) for rule in SETTING_RULES if (value := known.get(rule.setting)) is not None)
    return tuple(f"{finding.what}: {finding.fix}" for finding in found if finding.severity is not Severity.OK)
