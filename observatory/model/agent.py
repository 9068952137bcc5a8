"""Agents: named participants, what their heartbeats say, and how alive they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_INTERVAL_S = 5.0
"""Seconds between beats that is expected of an agent which does not say."""

LATE_AFTER = 2.5
"""Intervals of silence after which an agent is late: one lost beat and its jitter are not news."""

STALE_AFTER = 5.0
"""Intervals of silence after which what it said last should not be trusted."""

DEAD_AFTER = 12.0
"""Intervals of silence after which its work should be taken over (60 s at the default interval)."""


_ALIASES: Mapping[str, tuple[str, ...]] = {
    "agent": ("agent", "from", "name", "sender", "id"),
    "consumer": ("consumer",),
    "status": ("status", "state"),
    "task": ("task", "current_task", "task_id"),
    "task_since": ("task_since", "started_at"),
    "load": ("load",),
    "interval": ("interval", "interval_s", "every"),
    "capabilities": ("capabilities", "queues"),
    "version": ("version",),
    "done": ("done", "completed"),
    "failed": ("failed", "errors"),
}


class AgentState(StrEnum):
    """How alive an agent is, judged by its silence against its own interval."""

    ALIVE = "alive"
    LATE = "late"
    STALE = "stale"
    DEAD = "dead"
    LEFT = "left"
    """It said goodbye; silence is expected."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What an agent last said of itself.

    Attributes:
        agent: Its name.
        seen_ms: Server time at which the bus received the beat.
        consumer: Its process, `<agent>@<host>:<pid>:<boot>`; empty in foreign beats.
        status: Its own word: `idle`, `busy`, `stopping`, `stopped` …; foreign text.
        task: Id of the task it runs; empty if none or not said.
        task_since_ms: When it began with that task; None if not said.
        load: Share of its handler slots in use, 0 to 1; None if not said.
        interval_s: Seconds until its next beat.
        capabilities: Queues and types it serves.
        version: Its own version.
        done: Tasks it completed since it started; None if not said.
        failed: Attempts that failed since it started; None if not said.
    """

    agent: str
    seen_ms: int
    consumer: str = ""
    status: str = ""
    task: str = ""
    task_since_ms: int | None = None
    load: float | None = None
    interval_s: float = DEFAULT_INTERVAL_S
    capabilities: tuple[str, ...] = ()
    version: str = ""
    done: int | None = None
    failed: int | None = None


def agent_state(beat: Heartbeat, now_ms: int) -> AgentState:
    """Judge how alive an agent is at *now_ms* of server time.

    A beat from the future (the server's clock went back) counts as just now.
    """
    if beat.status == "stopped":
        return AgentState.LEFT
    silent = max(now_ms - beat.seen_ms, 0) / 1000 / max(beat.interval_s, 0.1)
    if silent <= LATE_AFTER:
        return AgentState.ALIVE
    if silent <= STALE_AFTER:
        return AgentState.LATE
    return AgentState.STALE if silent <= DEAD_AFTER else AgentState.DEAD


def agent_of(consumer: str) -> str:
    """Return the agent that a consumer `<agent>@<host>:<pid>:<boot>` belongs to; other names stand for themselves."""
    return consumer.partition("@")[0] or consumer


def write_heartbeat(beat: Heartbeat) -> list[str]:
    """Return *beat* as the flat names and values of a heartbeat entry; what is unknown is left empty."""
    values = {
        "agent": beat.agent,
        "consumer": beat.consumer,
        "status": beat.status,
        "task": beat.task,
        "task_since": beat.task_since_ms,
        "load": beat.load,
        "interval": beat.interval_s,
        "capabilities": ",".join(beat.capabilities),
        "version": beat.version,
        "done": beat.done,
        "failed": beat.failed,
    }
    return [part for name, value in values.items() for part in (name, "" if value is None else str(value))]


def read_heartbeat(seen_ms: int, fields: Iterable[tuple[bytes, bytes]]) -> Heartbeat | None:
    """Read a heartbeat entry, whoever wrote it.

    Args:
        seen_ms: When the bus received it, ms of server time.
        fields: Names and values as bytes, in any order, names in any case.

    Returns:
        The beat; None if it does not say whose it is.
    """
    raw = tuple(fields)
    got = {
        name: next((raw[place][1].decode("utf-8", "replace") for place in places if raw[place][1]), "")
        for name, places in _places(tuple([name for name, _ in raw]))
    }
    if not got["agent"]:
        return None
    since = _number(got["task_since"])
    return Heartbeat(
        agent=got["agent"],
        seen_ms=seen_ms,
        consumer=got["consumer"],
        status=got["status"],
        task=got["task"],
        task_since_ms=None if since is None else int(since),
        load=_share(got["load"]),
        interval_s=min(max(_number(got["interval"]) or DEFAULT_INTERVAL_S, 0.1), 86_400.0),
        capabilities=_words(got["capabilities"]),
        version=got["version"],
        done=_count(got["done"]),
        failed=_count(got["failed"]),
    )


@lru_cache(maxsize=256)
def _places(names: tuple[bytes, ...]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return where each thing that we look for may stand, best name first: agents repeat their names in each beat."""
    last = {name.decode("utf-8", "replace").lower(): place for place, name in enumerate(names)}
    return tuple((name, tuple(last[a] for a in aliases if a in last)) for name, aliases in _ALIASES.items())


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e18 else None


def _share(text: str) -> float | None:
    """Read a share of slots; what is no share is unknown."""
    number = _number(text)
    return number if number is not None and 0 <= number <= 1 else None


def _count(text: str) -> int | None:
    number = _number(text)
    return None if number is None or number < 0 else int(number)


@lru_cache(maxsize=512)
def _words(text: str) -> tuple[str, ...]:
    """Read a JSON list or words between commas."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.split(",")
    words = value if isinstance(value, list) else [value]
    return tuple(word for word in (str(item).strip() for item in words) if word)
