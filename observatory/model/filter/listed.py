"""The fields of the rows of long lists: entries, what is pending, tasks, groups, consumers, and about the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from observatory.model.filter.fields import Field, FieldSet, FieldValue, Kind, Missing
from observatory.model.filter.rows import lane_fields
from observatory.model.health import Severity
from observatory.model.listing import EntryState
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from observatory.model.engine import ClientRow, CommandCost, SlowCommand
    from observatory.model.health import Finding
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


FINDINGS: Final[FieldSet[Finding]] = FieldSet(
    "findings of the server",
    (
        Field("check", Kind.NAME, lambda row: row.name, "what was checked", words=True),
        Field("severity", Kind.CHOICE, lambda row: row.severity, "how much it matters", choices=tuple(Severity)),
        Field("what", Kind.TEXT, lambda row: row.what, "the fact and what follows", words=True),
        Field("fix", Kind.TEXT, lambda row: row.fix, "what to do about it", words=True),
    ),
)
"""What the findings about a server can be filtered by."""


COMMANDS: Final[FieldSet[CommandCost]] = FieldSet(
    "commands",
    (
        Field("command", Kind.NAME, lambda row: row.name, "its name", words=True),
        Field("calls", Kind.NUMBER, lambda row: row.calls, "calls so far"),
        Field("total", Kind.DURATION, lambda row: row.total_ms / 1000, "processor time of all calls"),
        Field("failed", Kind.NUMBER, lambda row: row.failed, "calls that failed or were refused"),
    ),
)
"""What kinds of commands can be filtered by."""


SLOW: Final[FieldSet[SlowCommand]] = FieldSet(
    "slow commands",
    (
        Field("command", Kind.TEXT, lambda row: " ".join(row.words), "the command and its arguments", words=True),
        Field("took", Kind.DURATION, lambda row: row.took_ms / 1000, "how long it took"),
        Field("at", Kind.TIME, lambda row: row.at_ms, "when it ran"),
        Field("client", Kind.TEXT, lambda row: row.client, "who sent it", words=True),
    ),
)
"""What slow commands can be filtered by."""


CLIENTS: Final[FieldSet[ClientRow]] = FieldSet(
    "clients",
    (
        Field("name", Kind.NAME, lambda row: _known(row.name), "name it gave itself", words=True),
        Field("address", Kind.NAME, lambda row: row.address, "where it comes from", words=True),
        Field("command", Kind.NAME, lambda row: row.command, "what it asked for last", words=True),
        Field("idle", Kind.DURATION, lambda row: row.idle_s, "time since it last asked"),
        Field("age", Kind.DURATION, lambda row: row.age_s, "time since it connected"),
        Field("memory", Kind.SIZE, lambda row: row.memory, "bytes it costs"),
        Field("user", Kind.NAME, lambda row: _known(row.user), "as whom it came"),
        Field("blocked", Kind.FLAG, lambda row: row.blocked, "it waits for work"),
    ),
)
"""What connections can be filtered by."""
