"""Glyph, word and colour for every state: never colour alone, and no glyph that needs a patched font."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from observatory.model.agent import AgentState
from observatory.model.event import EventKind
from observatory.model.listing import EntryState
from observatory.model.snapshot import LaneState
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mark(NamedTuple):
    """How a state looks: one cell, a word or two, and the name of a style."""

    glyph: str
    word: str
    ink: str


LANES: Mapping[str, Mark] = {
    LaneState.OK: Mark("●", "ok", "success"),
    LaneState.IDLE: Mark("○", "idle", "muted"),
    LaneState.NO_CONSUMERS: Mark("▲", "no consumers", "warning+"),
    LaneState.PAUSED: Mark("⏸", "paused", "warning"),
    LaneState.FULL: Mark("■", "full", "error+"),
    LaneState.BROKEN: Mark("✖", "broken", "error+"),
}

AGENTS: Mapping[str | None, Mark] = {
    AgentState.ALIVE: Mark("●", "alive", "agent-alive"),
    AgentState.LATE: Mark("◐", "late", "agent-late+"),
    AgentState.STALE: Mark("◌", "stale", "agent-stale+"),
    AgentState.DEAD: Mark("✖", "dead", "agent-dead+"),
    AgentState.LEFT: Mark("○", "left", "muted"),
    None: Mark("?", "unknown", "muted"),
}

EVENTS: Mapping[str, Mark] = {
    EventKind.PUBLISHED: Mark("+", "published", "primary"),
    EventKind.SCHEDULED: Mark("◷", "scheduled", "muted"),
    EventKind.OBSERVED: Mark("+", "observed", "primary"),
    EventKind.PROMOTED: Mark("↑", "promoted", "muted"),
    EventKind.TAKEN: Mark("▸", "taken", "muted"),
    EventKind.REDELIVERED: Mark("↻", "redelivered", "warning"),
    EventKind.COMPLETED: Mark("✓", "completed", "success"),
    EventKind.RETRIED: Mark("↺", "retried", "warning"),
    EventKind.DEAD_LETTERED: Mark("✖", "dead letter", "error+"),
    EventKind.CANCELLED: Mark("⊘", "cancelled", "muted"),
    EventKind.REQUEUED: Mark("↩", "requeued", "primary"),
    EventKind.TRASHED: Mark("⊘", "trashed", "warning"),
    EventKind.RESTORED: Mark("↩", "restored", "primary"),
    EventKind.PURGED: Mark("⊘", "purged", "warning"),
    EventKind.REVIVED: Mark("↩", "revived", "primary"),
    EventKind.RESCHEDULED: Mark("↩", "rescheduled", "primary"),
    EventKind.CLAIMED: Mark("↻", "claimed", "warning"),
    EventKind.DROPPED: Mark("⊘", "dropped", "warning"),
    EventKind.LOST_PAYLOAD: Mark("✖", "lost payload", "error+"),
    EventKind.AGENT_UP: Mark("●", "agent up", "success"),
    EventKind.AGENT_DOWN: Mark("○", "agent left", "muted"),
    EventKind.AGENT_LOST: Mark("✖", "agent lost", "error+"),
}

OTHER_EVENT = Mark("·", "", "muted")
"""A kind that a later version writes; its own word is shown."""

ENTRIES: Mapping[str, Mark] = {
    EntryState.WAITING: Mark("◷", "waiting", "text"),
    EntryState.HELD: Mark("▸", "held", "primary"),
    EntryState.SETTLED: Mark("✓", "settled", "muted"),
    EntryState.DELAYED: Mark("◷", "delayed", "muted"),
    EntryState.DEAD: Mark("✖", "dead", "error"),
}

TASKS: Mapping[str | None, Mark] = {
    TaskState.DELAYED: Mark("◷", "delayed", "muted"),
    TaskState.QUEUED: Mark("○", "queued", "text"),
    TaskState.RUNNING: Mark("▸", "running", "primary"),
    TaskState.DONE: Mark("✓", "done", "success"),
    TaskState.DEAD: Mark("✖", "dead", "error+"),
    TaskState.CANCELLED: Mark("⊘", "cancelled", "muted"),
}

OTHER_TASK = Mark("?", "unknown", "muted")
"""Nobody can tell where the task is in its life."""
