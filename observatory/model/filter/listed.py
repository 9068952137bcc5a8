"""The fields of the rows of long lists: entries of a stream, what is pending, tasks, groups and consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from observatory.model.filter.fields import Field, FieldSet, FieldValue, Kind, Missing
from observatory.model.filter.rows import lane_fields
from observatory.model.listing import EntryState
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from observatory.model.listing import ConsumerRow, EntryRow, GroupRow, PendingRow, TaskRow


def _known(text: str) -> FieldValue:
    """Return *text*, or unknown where nothing says."""
    return text or None


def _holders(row: EntryRow) -> FieldValue:
    return tuple(hold.agent or hold.consumer for hold in row.holds) or Missing.NONE


def _idle_s(row: EntryRow) -> FieldValue:
    return max((hold.idle_ms / 1000 for hold in row.holds), default=Missing.NONE)


def _deliveries(row: EntryRow) -> FieldValue:
    return max((hold.deliveries for hold in row.holds), default=Missing.NONE)


ENTRIES: Final[FieldSet[EntryRow]] = FieldSet(
    "entries",
    (
        Field("type", Kind.NAME, lambda row: _known(row.type), "kind of work", words=True),
        Field("state", Kind.CHOICE, lambda row: row.state, "what has become of it", choices=tuple(EntryState)),
        Field("task", Kind.NAME, lambda row: _known(row.task_id), "id of the task", words=True),
        Field("agent", Kind.NAME, _holders, "who holds it", words=True),
        Field("from", Kind.NAME, lambda row: _known(getattr(row.item, "sender", "")), "who sent it", words=True),
        Field("idle", Kind.DURATION, _idle_s, "time since it was delivered last"),
        Field("deliveries", Kind.NUMBER, _deliveries, "how often it was delivered"),
        Field("group", Kind.NAME, lambda row: tuple(hold.group for hold in row.holds), "groups that hold it"),
        Field("at", Kind.TIME, lambda row: row.at_ms, "when it arrived, or is due", aliases=("arrived", "due")),
        Field("attempt", Kind.NUMBER, lambda row: getattr(row.item, "attempt", None), "which attempt it is"),
        Field("correlation", Kind.NAME, lambda row: _known(getattr(row.item, "correlation_id", "")), "its family"),
        Field("problem", Kind.TEXT, lambda row: row.problem, "why it cannot be a task", words=True),
        Field("size", Kind.SIZE, lambda row: row.size, "bytes of its names and values"),
        Field("id", Kind.NAME, lambda row: row.key, "id of the entry"),
        *lane_fields(lambda row: row.stream),
        Field("payload", Kind.JSON, lambda row: getattr(row.item, "payload", None), "the work itself", words=True),
    ),
)
"""What the entries of a stream can be filtered by."""


PENDING: Final[FieldSet[PendingRow]] = FieldSet(
    "pending entries",
    (
        Field("agent", Kind.NAME, lambda row: _known(row.hold.agent), "who holds it", words=True),
        Field("idle", Kind.DURATION, lambda row: row.hold.idle_ms / 1000, "time since it was delivered last"),
        Field("deliveries", Kind.NUMBER, lambda row: row.hold.deliveries, "how often it was delivered"),
        Field("type", Kind.NAME, lambda row: _known(row.type), "kind of work", words=True),
        Field("task", Kind.NAME, lambda row: _known(row.task_id), "id of the task", words=True),
        Field("consumer", Kind.NAME, lambda row: row.hold.consumer, "the process that holds it", words=True),
        Field("group", Kind.NAME, lambda row: row.hold.group, "its group"),
        *lane_fields(lambda row: row.stream),
        Field("arrived", Kind.TIME, lambda row: row.arrived_ms, "when it arrived", aliases=("at",)),
        Field("gone", Kind.FLAG, lambda row: row.gone, "its body was deleted"),
        Field("id", Kind.NAME, lambda row: row.entry_id, "id of the entry"),
    ),
)
"""What pending entries can be filtered by."""


TASKS: Final[FieldSet[TaskRow]] = FieldSet(
    "tasks",
    (
        Field("task", Kind.NAME, lambda row: row.key, "its id", aliases=("id",), words=True),
        Field("type", Kind.NAME, lambda row: _known(row.type), "kind of work", words=True),
        Field("state", Kind.CHOICE, lambda row: row.state, "where it is in its life", choices=tuple(TaskState)),
        Field("agent", Kind.NAME, lambda row: _known(row.agent), "who ran it last", words=True),
        Field("attempt", Kind.NUMBER, lambda row: row.attempt, "which attempt it is at"),
        Field("at", Kind.TIME, lambda row: row.at_ms, "when the newest about it happened"),
        Field("what", Kind.NAME, lambda row: row.what, "the newest that happened to it"),
        Field("reason", Kind.TEXT, lambda row: row.reason, "why it failed, died or was cancelled", words=True),
        Field("observed", Kind.FLAG, lambda row: row.observed, "only its entry is known"),
        *lane_fields(lambda row: row.stream),
    ),
)
"""What tasks can be filtered by."""


GROUPS: Final[FieldSet[GroupRow]] = FieldSet(
    "groups",
    (
        Field("group", Kind.NAME, lambda row: row.view.name, "its name", aliases=("name",), words=True),
        Field("lag", Kind.NUMBER, lambda row: row.view.lag, "entries not yet delivered"),
        Field("pending", Kind.NUMBER, lambda row: row.view.pending, "delivered, not acknowledged"),
        Field("consumers", Kind.NUMBER, lambda row: row.view.consumers, "consumers it has"),
    ),
)
"""What the groups of a lane can be filtered by."""


CONSUMERS: Final[FieldSet[ConsumerRow]] = FieldSet(
    "consumers",
    (
        Field("consumer", Kind.NAME, lambda row: row.name, "its name", aliases=("name",), words=True),
        Field("agent", Kind.NAME, lambda row: _known(row.agent), "the agent it belongs to", words=True),
        Field("pending", Kind.NUMBER, lambda row: row.pending, "entries it holds"),
        Field("idle", Kind.DURATION, lambda row: row.idle_ms / 1000, "time since it last asked for anything"),
    ),
)
"""What the consumers of a group can be filtered by."""
