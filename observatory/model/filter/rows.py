"""The fields of the rows that the screens and the command line list.

A new kind of row gets its `FieldSet` here or beside its type; the same name means the same thing in all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from observatory.model.agent import AgentState, agent_of
from observatory.model.event import Event, EventKind
from observatory.model.filter.fields import Field, FieldSet, FieldValue, Kind, Missing
from observatory.model.snapshot import AgentView, LaneState, LaneView
from observatory.model.task import SHARED, Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.model.dead_letter import DeadLetter

R = TypeVar("R")


def lane_fields(key: Callable[[R], str]) -> tuple[Field[R], ...]:
    """Return the fields `priority`, `queue` and `lane` of rows that know the stream key of a lane.

    Args:
        key: Reads the stream key, `cortex:tasks:coding:high`, from a row; empty where it is not known.
    """

    def place(row: R) -> tuple[str, str] | None:
        _, tasks, rest = key(row).partition(":tasks:")
        queue, _, priority = rest.rpartition(":")
        return (queue or SHARED, priority) if tasks and priority else None

    def queue(row: R) -> str | None:
        found = place(row)
        return found[0] if found else None

    def priority(row: R) -> str | None:
        found = place(row)
        return found[1] if found else None

    return (
        Field("priority", Kind.CHOICE, priority, "how urgent its lane is", choices=tuple(Priority)),
        Field("queue", Kind.NAME, queue, "shared, a capability, or @agent"),
        Field("lane", Kind.NAME, lambda row: key(row) or None, "stream key of its lane", aliases=("stream",)),
    )


def _known(text: str) -> FieldValue:
    """Return *text*, or unknown where nothing says."""
    return text or None


DEAD_LETTERS: Final[FieldSet[DeadLetter]] = FieldSet(
    "dead letters",
    (
        Field("type", Kind.NAME, lambda row: _known(row.type), "kind of work", words=True),
        Field("reason", Kind.NAME, lambda row: row.reason, "error, poison, stale, malformed, too_large, no_handler"),
        Field("error", Kind.TEXT, lambda row: row.error, "its last error", words=True),
        Field("died", Kind.TIME, lambda row: row.died_ms, "when it was given up", aliases=("at",)),
        Field("task", Kind.NAME, lambda row: _known(row.task_id), "id of the task", words=True),
        Field("id", Kind.NAME, lambda row: row.entry_id, "id of the dead letter"),
        Field("agent", Kind.NAME, lambda row: _known(agent_of(row.worker)), "agent that gave it up", words=True),
        Field("consumer", Kind.NAME, lambda row: _known(row.worker), "its process", aliases=("worker",)),
        Field("attempts", Kind.NUMBER, lambda row: row.attempts, "attempts that were made"),
        Field("requeues", Kind.NUMBER, lambda row: row.requeues, "how often it was requeued before"),
        *lane_fields(lambda row: row.source),
        Field("arrived", Kind.TIME, lambda row: row.first_seen_ms, "when the bus first received it"),
        Field("size", Kind.SIZE, lambda row: len(row.payload), "bytes of its payload"),
        Field("payload", Kind.JSON, lambda row: row.payload, "the work itself", words=True),
    ),
)
"""What dead letters can be filtered by."""


EVENTS: Final[FieldSet[Event]] = FieldSet(
    "events",
    (
        Field("kind", Kind.CHOICE, lambda row: row.kind, "what happened", choices=tuple(EventKind)),
        Field("at", Kind.TIME, lambda row: row.ts_ms, "when it happened"),
        Field("task", Kind.NAME, lambda row: row.task, "id of the task", words=True),
        Field("type", Kind.NAME, lambda row: row.type, "kind of work", words=True),
        Field("agent", Kind.NAME, lambda row: agent_of(row.agent), "who did it", words=True),
        Field("consumer", Kind.NAME, lambda row: row.agent, "its process"),
        *lane_fields(lambda row: row.lane),
        Field("attempt", Kind.NUMBER, lambda row: row.attempt or Missing.NONE, "which attempt it was"),
        Field("took", Kind.DURATION, lambda row: None if row.ms is None else row.ms / 1000, "how long it took"),
        Field("reason", Kind.NAME, lambda row: row.reason, "why a task died"),
        Field("detail", Kind.TEXT, lambda row: row.detail, "anything else, such as the error", words=True),
        Field("id", Kind.NAME, lambda row: row.id, "id of the event"),
    ),
)
"""What events can be filtered by."""


AGENTS: Final[FieldSet[AgentView]] = FieldSet(
    "agents",
    (
        Field("agent", Kind.NAME, lambda row: row.name, "its name", aliases=("name",), words=True),
        Field("state", Kind.CHOICE, lambda row: row.state, "how alive it is", choices=tuple(AgentState)),
        Field("task", Kind.NAME, lambda row: row.task, "what it works on", words=True),
        Field("age", Kind.DURATION, lambda row: row.task_age_s, "how long it has been at that"),
        Field("pending", Kind.NUMBER, lambda row: row.pending, "entries it holds unacknowledged"),
        Field("silent", Kind.DURATION, lambda row: row.last_seen_s, "time since its last heartbeat"),
        Field("load", Kind.NUMBER, lambda row: row.load, "share of its slots in use"),
        Field("done", Kind.NUMBER, lambda row: row.done, "tasks it completed"),
        Field("failed", Kind.NUMBER, lambda row: row.failed, "attempts that failed"),
        Field("status", Kind.NAME, lambda row: row.status, "its own word for what it does", words=True),
        Field("queue", Kind.NAME, lambda row: row.capabilities, "what it serves", aliases=("capability",), words=True),
        Field("version", Kind.NAME, lambda row: row.version, "its version", words=True),
        Field("processes", Kind.NUMBER, lambda row: row.processes, "processes under its name"),
        Field("type", Kind.NAME, lambda row: _known(row.task_type), "kind of its current task", words=True),
        Field("stuck", Kind.FLAG, lambda row: row.stuck, "at its task for longer than 99 of 100 of that type"),
        Field("rate", Kind.NUMBER, lambda row: row.rate, "tasks it completes per second"),
    ),
)
"""What agents can be filtered by."""


LANES: Final[FieldSet[LaneView]] = FieldSet(
    "lanes",
    (
        Field("priority", Kind.CHOICE, lambda row: row.priority, "how urgent it is", choices=tuple(Priority)),
        Field("queue", Kind.NAME, lambda row: row.queue, "shared, a capability, or @agent", words=True),
        Field("state", Kind.CHOICE, lambda row: row.state, "the one word for it", choices=tuple(LaneState)),
        Field("backlog", Kind.NUMBER, lambda row: row.backlog, "entries not yet settled"),
        Field("lag", Kind.NUMBER, lambda row: row.lag, "entries not yet delivered"),
        Field("pending", Kind.NUMBER, lambda row: row.pending, "delivered, not acknowledged"),
        Field("length", Kind.NUMBER, lambda row: row.length, "entries in the stream"),
        Field("waiting", Kind.DURATION, lambda row: _none(row.oldest_waiting_s), "age of the oldest that waits"),
        Field("unsettled", Kind.DURATION, lambda row: _none(row.oldest_pending_s), "age of the oldest that is pending"),
        Field("in", Kind.NUMBER, lambda row: row.in_rate, "entries that arrive per second"),
        Field("out", Kind.NUMBER, lambda row: row.out_rate, "entries settled per second"),
        Field("eta", Kind.DURATION, lambda row: row.drain_eta_s, "time until it is empty at this rate"),
        Field("consumers", Kind.NUMBER, lambda row: row.consumers, "consumers over all groups"),
        Field("group", Kind.NAME, lambda row: tuple(group.name for group in row.groups), "its groups"),
        Field("lane", Kind.NAME, lambda row: row.stream, "stream key", aliases=("stream",), words=True),
    ),
)
"""What lanes can be filtered by."""


def _none(seconds: float | None) -> FieldValue:
    """Return an age, or that there is nothing that could have one."""
    return Missing.NONE if seconds is None else seconds
