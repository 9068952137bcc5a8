"""Agents: named participants, what their heartbeats say, and how alive they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_INTERVAL_S = 5.0
"""Seconds between beats that is expected of an agent which does not say."""

LATE_AFTER = 2.5
"""Intervals of silence after which an agent is late: one lost beat and its jitter are not news."""

STALE_AFTER = 5.0
"""Intervals of silence after which what it said last should not be trusted."""

DEAD_AFTER = 12.0
"""Intervals of silence after which its work should be taken over (60 s at the default interval)."""


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
