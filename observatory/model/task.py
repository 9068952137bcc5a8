"""Tasks and lanes: the unit of work and the streams it waits in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARED = "shared"
"""Name of the queue whose lanes carry no queue name in their keys (`cortex:tasks:high`)."""

DEFAULT_TTL_S = 3600
"""Time to live of a task that names none, in seconds from its arrival."""

MAX_TTL_S = 10 * 365 * 86_400
"""Longest time to live that is believed, in seconds."""

MAX_ATTEMPTS = 3
"""Attempts a task gets before it becomes a dead letter: the first, then one at +5 s and one at +15 s."""

RETRY_DELAYS_S = (5.0, 15.0)
"""Seconds to wait after the first and after the second failed attempt."""

MAX_DELIVERIES = 5
"""Deliveries after which a task that keeps killing its workers is dead-lettered as poison."""

_QUEUE_NAME = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = frozenset({SHARED, "critical", "high", "normal", "low", "dlq", "delayed", "trash", "cancelled", "queues"})


class Priority(StrEnum):
    """The four lanes of a queue, most urgent first; take serves all of one before any of the next."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class TaskState(StrEnum):
    """Where a task is in its life; only the bus's scripts move it."""

    DELAYED = "delayed"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


FINAL_STATES = frozenset({TaskState.DONE, TaskState.DEAD, TaskState.CANCELLED})
"""States in which a task is settled."""


class Lane(NamedTuple):
    """One stream of tasks: a queue and a priority."""

    queue: str
    priority: Priority

    def __str__(self) -> str:
        return str(self.priority) if self.queue == SHARED else f"{self.queue}:{self.priority}"


class EntryId(NamedTuple):
    """A stream entry id as numbers, so that ids compare in the order the engine gave them.

    On a cluster the same id may stand in several partitions: there an id names its partition, `<ms>-<seq>@<number>`.
    """

    ms: int
    seq: int
    partition: int = -1

    @classmethod
    def parse(cls, text: str | bytes) -> EntryId:
        """Read `<ms>-<seq>` or `<ms>`, and the partition behind it, if it names one.

        Raises:
            ValueError: *text* is not a stream entry id.
        """
        entry, at, partition = (text.decode() if isinstance(text, bytes) else text).partition("@")
        ms, _, seq = entry.partition("-")
        return cls(int(ms), int(seq or 0), int(partition) if at else -1)

    @property
    def plain(self) -> str:
        """The id as it stands in its stream."""
        return f"{self.ms}-{self.seq}"

    def __str__(self) -> str:
        return self.plain if self.partition < 0 else f"{self.plain}@{self.partition}"


def is_queue_name(name: str) -> bool:
    """Say whether *name* may name a queue: the shared one, a capability (`coding`) or an agent (`@pink`)."""
    return name == SHARED or (name not in _RESERVED and _QUEUE_NAME.fullmatch(name) is not None)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task that is about to be published.

    Attributes:
        type: What kind of work it is; handlers are chosen by it.
        payload: The work itself, as bytes that the bus never looks into.
        id: Identity chosen by the publisher *before* the first send, so that a repeated send is recognised.
        queue: Shared, capability or `@agent` queue.
        priority: Which lane of the queue.
        sender: Name of the agent or operator who publishes.
        content_type: MIME type of the payload; empty means unknown.
        created_ms: Wall clock of the publisher in ms since the epoch; shown, never used to decide.
        ttl_s: Seconds from arrival after which it is stale.
        delay_s: Seconds to wait before it becomes due; 0 means now.
        correlation_id: Ties a family of tasks and messages together.
        reply_to: Where an answer is expected.
        trace: Trace context of the publisher.
        role: Role of the agent it is meant for.
        ordering_key: Tasks with the same one are handled one after another, in the order in which they arrive; empty
            for no order.
        extra: Unknown fields to carry along, as they came.
    """

    type: str
    payload: bytes
    id: str
    queue: str = SHARED
    priority: Priority = Priority.NORMAL
    sender: str = ""
    content_type: str = ""
    created_ms: int = 0
    ttl_s: float = DEFAULT_TTL_S
    delay_s: float = 0.0
    correlation_id: str = ""
    reply_to: str = ""
    trace: str = ""
    role: str = ""
    ordering_key: str = ""
    extra: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def lane(self) -> Lane:
        """The lane it will wait in."""
        return Lane(self.queue, self.priority)


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it was read from a lane: ours or a foreign agent's, read tolerantly.

    Attributes:
        id: Task id; `x-<lane>-<entry id>` where the sender gave none.
        type: Kind of work; may be empty in foreign entries.
        payload: Bytes as they came.
        lane: The lane it was read from; decides over any priority field.
        entry_id: Its identity in the stream.
        sender: Who published it, if said.
        to: Whom it was meant for, if said.
        content_type: MIME type, if said.
        created_ms: When the sender says it made it, ms since the epoch; arrival where absent or absurd.
        arrived_ms: When the bus first received it, ms of server time; ttl counts from here.
        ttl_s: Seconds from arrival after which it is stale.
        attempt: Which attempt this delivery is, from 1.
        correlation_id: Ties a family of tasks and messages together.
        reply_to: Where an answer is expected.
        trace: Trace context.
        role: Role it was meant for.
        ordering_key: Tasks with the same one are handled one after another; empty for no order.
        extra: Unknown fields, verbatim.
        notes: What the tolerant reader had to forgive, in words.
        fields: The entry exactly as it stands in the stream, for dead-lettering and display.
    """

    id: str
    type: str
    payload: bytes
    lane: Lane
    entry_id: str
    sender: str = ""
    to: str = ""
    content_type: str = ""
    created_ms: int = 0
    arrived_ms: int = 0
    ttl_s: float = DEFAULT_TTL_S
    attempt: int = 1
    correlation_id: str = ""
    reply_to: str = ""
    trace: str = ""
    role: str = ""
    ordering_key: str = ""
    extra: Mapping[bytes, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = ()

    def is_stale(self, now_ms: int) -> bool:
        """Say whether its time to live has run out at *now_ms* of server time."""
        return now_ms > self.arrived_ms + self.ttl_s * 1000


@dataclass(frozen=True, slots=True)
class DelayedTask:
    """A retry or scheduled task that waits for its time.

    Attributes:
        id: Task id.
        type: Task type.
        stream: Stream it will enter.
        due_ms: When, in ms of server time.
        attempt: Attempt it will be, from 1.
        fields: The entry that it will become.
    """

    id: str
    type: str
    stream: str
    due_ms: int
    attempt: int
    fields: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What the bus remembers of a task by its id, while it lives and for a day after it is settled.

    Attributes:
        id: Task id.
        state: Where it is in its life.
        lane: Stream key it is or was in.
        entry_id: Its entry there; empty while delayed.
        attempt: Attempt it is at, from 1.
        owner: Consumer that runs or ran it; empty if none did.
        reason: Why it is dead, or empty.
        cancel_requested: A cancel waits for its handler to stop.
        type: Kind of work; empty if nothing says.
    """

    id: str
    state: TaskState
    lane: str
    entry_id: str
    attempt: int
    owner: str
    reason: str
    cancel_requested: bool
    type: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended, as far as the bus remembers.

    Attributes:
        record: Where it is in its life.
        payload: What its handler returned; empty if nothing, or if it is not over.
        content_type: MIME type of the payload; empty if unknown.
        error: Why its last attempt failed; empty if none did. Foreign text.
        progress: How far its handler says it is; empty if it does not say. Foreign text.
    """

    record: TaskRecord
    payload: bytes = b""
    content_type: str = ""
    error: str = ""
    progress: str = ""

    @property
    def is_final(self) -> bool:
        """Whether it is settled."""
        return self.record.state in FINAL_STATES
