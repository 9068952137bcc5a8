"""The life of one task as a waterfall: from the facts about it, or from its entry alone where nobody wrote any down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from observatory.model.agent import agent_of
from observatory.model.dead_letter import DeadLetter
from observatory.model.event import EventKind
from observatory.model.listing import EntryState
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from observatory.model.event import Event
    from observatory.model.listing import EntryRow
    from observatory.model.task import TaskRecord

ACKNOWLEDGED = "acknowledged"
"""How a span ended whose consumer acknowledged the entry and wrote no event: when that was, nobody knows."""


GONE = "gone"
"""How a span ended whose entry left the stream while nobody wrote why: a foreign hand deleted or trimmed it."""


class SpanKind(StrEnum):
    """What a task did for a while."""

    WAITING = "waiting"
    """It stood in a lane."""
    DELAYED = "delayed"
    """It waited for its time: scheduled, or between two attempts."""
    RUNNING = "running"
    """A consumer had it."""
    DEAD = "dead"
    """It lay in the dead letters."""


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of a task's life.

    Attributes:
        kind: What it did.
        from_ms: When that began, ms of server time.
        to_ms: When it ended; None while it lasts, and where nobody knows when it ended.
        attempt: Which attempt it belongs to, from 1.
        stream: Key of the stream, for dead letters of the lane it came from; empty if unknown.
        consumer: Who had it; empty if nobody.
        outcome: The kind of event that ended it, `ACKNOWLEDGED` or `GONE`; empty while it lasts.
        detail: What that event says besides: the reason, the error.
    """

    kind: SpanKind
    from_ms: int
    to_ms: int | None
    attempt: int
    stream: str = ""
    consumer: str = ""
    outcome: str = ""
    detail: str = ""

    @property
    def agent(self) -> str:
        """The agent that had it; empty if nobody."""
        return agent_of(self.consumer)

    @property
    def lasts(self) -> bool:
        """It goes on now."""
        return not self.outcome


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that is known of one task.

    Attributes:
        task_id: Its id.
        type: Kind of work; empty if nothing says.
        state: Where it is in its life; None where that cannot be told.
        at_ms: Server time at which it was looked at.
        spans: What it did, in order of time.
        events: The facts about it, oldest first; none for a task that only foreign agents touched.
        record: What the bus remembers of it; None if nothing.
        entry: Where it stands now; None if it stands nowhere, or nobody knows where.
        letter: The dead letter that it is now; None if it is none.
        complete: The beginning of its life is among the facts, or its entry is all there is.
        searched: Entries of the log and of lanes that were searched for it.
    """

    task_id: str
    type: str
    state: TaskState | None
    at_ms: int
    spans: tuple[Span, ...] = ()
    events: tuple[Event, ...] = ()
    record: TaskRecord | None = None
    entry: EntryRow | None = None
    letter: DeadLetter | None = None
    complete: bool = False
    searched: int = 0

    @property
    def found(self) -> bool:
        """Anything at all is known of it."""
        return bool(self.events or self.record or self.entry or self.letter)


@dataclass(frozen=True, slots=True)
class Clues:
    """What was found about a task, wherever it was found.

    Attributes:
        task_id: Its id.
        at_ms: Server time at which it was looked for.
        events: The facts about it, oldest first.
        record: What the bus remembers of it.
        entry: The entry it has now, in a lane or among the dead letters.
        searched: Entries that were searched for it.
    """

    task_id: str
    at_ms: int
    events: tuple[Event, ...] = ()
    record: TaskRecord | None = None
    entry: EntryRow | None = None
    searched: int = 0


BEGINNINGS = frozenset({EventKind.PUBLISHED, EventKind.SCHEDULED, EventKind.OBSERVED})
"""Kinds by which a task first enters the log."""

NEXT: Mapping[str, SpanKind | None] = {
    EventKind.PUBLISHED: SpanKind.WAITING,
    EventKind.OBSERVED: SpanKind.WAITING,
    EventKind.SCHEDULED: SpanKind.DELAYED,
    EventKind.PROMOTED: SpanKind.WAITING,
    EventKind.TAKEN: SpanKind.RUNNING,
    EventKind.REDELIVERED: SpanKind.RUNNING,
    EventKind.GIVEN_BACK: SpanKind.WAITING,
    EventKind.RETRIED: SpanKind.DELAYED,
    EventKind.SNOOZED: SpanKind.DELAYED,
    EventKind.DEAD_LETTERED: SpanKind.DEAD,
    EventKind.REQUEUED: SpanKind.WAITING,
    EventKind.RESTORED: SpanKind.DEAD,
    EventKind.REVIVED: SpanKind.WAITING,
    EventKind.RESCHEDULED: SpanKind.DELAYED,
    EventKind.TRASHED: None,
    EventKind.COMPLETED: None,
    EventKind.CANCELLED: None,
    EventKind.DROPPED: None,
    EventKind.LOST_PAYLOAD: None,
}
"""What a task does after a fact about it; None if it has ended."""

STATE_AFTER: Mapping[str, TaskState] = {
    EventKind.PUBLISHED: TaskState.QUEUED,
    EventKind.OBSERVED: TaskState.QUEUED,
    EventKind.SCHEDULED: TaskState.DELAYED,
    EventKind.PROMOTED: TaskState.QUEUED,
    EventKind.TAKEN: TaskState.RUNNING,
    EventKind.REDELIVERED: TaskState.RUNNING,
    EventKind.GIVEN_BACK: TaskState.QUEUED,
    EventKind.RETRIED: TaskState.DELAYED,
    EventKind.SNOOZED: TaskState.DELAYED,
    EventKind.DEAD_LETTERED: TaskState.DEAD,
    EventKind.REQUEUED: TaskState.QUEUED,
    EventKind.RESTORED: TaskState.DEAD,
    EventKind.REVIVED: TaskState.QUEUED,
    EventKind.RESCHEDULED: TaskState.DELAYED,
    EventKind.TRASHED: TaskState.DEAD,
    EventKind.COMPLETED: TaskState.DONE,
    EventKind.CANCELLED: TaskState.CANCELLED,
    EventKind.DROPPED: TaskState.DEAD,
    EventKind.LOST_PAYLOAD: TaskState.DEAD,
}
"""Where a task is in its life after a fact about it."""

_AFTER_A_FAILURE = frozenset({EventKind.RETRIED})
_NAMES_ITS_CONSUMER = frozenset({EventKind.TAKEN, EventKind.REDELIVERED})


def trace_of(clues: Clues) -> Trace:
    """Tell the life of a task from what was found about it.

    Facts and record speak for the bus's own clients. Foreign agents take, acknowledge and delete without a word, so
    where the last word is that the task waits, its entry decides.
    """
    events, record, entry = clues.events, clues.record, clues.entry
    letter = entry.item if entry is not None and isinstance(entry.item, DeadLetter) else None
    standing = None if letter is not None else entry
    spans = spans_of(events)
    last = STATE_AFTER.get(events[-1].kind) if events else None
    state = record.state if record else last
    waits = last in {None, TaskState.QUEUED} and state in {None, TaskState.QUEUED, TaskState.RUNNING}
    if standing is not None and waits:
        state = state_of_entry(standing)
        begun = spans[-1].from_ms if spans and spans[-1].lasts else standing.at_ms
        own = spans_of_entry(standing, clues.at_ms)
        spans = (*(spans[:-1] if spans and spans[-1].lasts else spans), replace(own[0], from_ms=begun), *own[1:])
    elif entry is None and state is TaskState.QUEUED:
        state = None
        if spans and spans[-1].lasts:
            spans = (*spans[:-1], replace(spans[-1], outcome=GONE))
    return Trace(
        task_id=clues.task_id,
        type=next((event.type for event in events if event.type), entry.type if entry else ""),
        state=state,
        at_ms=clues.at_ms,
        spans=spans,
        events=events,
        record=record,
        entry=standing,
        letter=letter,
        complete=any(event.kind in BEGINNINGS for event in events) or (not events and entry is not None),
        searched=clues.searched,
    )


def spans_of(events: Iterable[Event]) -> tuple[Span, ...]:
    """Turn the facts about one task, oldest first, into what it did.

    Where the beginning of a stretch is not among the facts, the duration that its end tells is taken for it.
    """
    spans: list[Span] = []
    before_it = ""
    for event in events:
        if event.kind not in NEXT:
            continue
        if spans and spans[-1].lasts:
            spans[-1] = replace(spans[-1], to_ms=event.ts_ms, outcome=event.kind, detail=event.detail or event.reason)
        # A foreign task is observed in the moment in which it is taken, so its waiting has no length yet.
        if (before := _before(event)) is not None and (not spans or before_it == EventKind.OBSERVED):
            spans = [*spans[:-1], before]
        before_it = event.kind
        if (kind := NEXT[event.kind]) is not None:
            attempt = event.attempt + 1 if event.kind in _AFTER_A_FAILURE else max(event.attempt, 1)
            consumer = event.agent if event.kind in _NAMES_ITS_CONSUMER else ""
            spans.append(Span(kind, event.ts_ms, None, attempt, event.lane, consumer))
    return tuple(spans)


def _before(event: Event) -> Span | None:
    """Return the stretch that ended with *event*, as far as that alone tells."""
    if event.ms is None:
        return None
    kind = SpanKind.WAITING if event.kind in _NAMES_ITS_CONSUMER else SpanKind.RUNNING
    consumer = "" if kind is SpanKind.WAITING else event.agent
    detail = event.detail or event.reason
    start = event.ts_ms - event.ms
    return Span(kind, start, event.ts_ms, max(event.attempt, 1), event.lane, consumer, event.kind, detail)


def spans_of_entry(entry: EntryRow, at_ms: int) -> tuple[Span, ...]:
    """Tell what a task did from its entry alone, as it stands at *at_ms*: nobody wrote an event about it."""
    attempt = getattr(entry.item, "attempt", 1)
    waiting = Span(SpanKind.WAITING, entry.at_ms, None, attempt, entry.stream)
    if entry.holds:
        hold = min(entry.holds, key=lambda hold: hold.idle_ms)
        taken = max(at_ms - hold.idle_ms, entry.at_ms)
        return (
            replace(waiting, to_ms=taken, outcome=EventKind.TAKEN),
            Span(SpanKind.RUNNING, taken, None, hold.deliveries, entry.stream, hold.consumer),
        )
    if entry.state is EntryState.SETTLED:
        return (replace(waiting, outcome=ACKNOWLEDGED),)
    return (waiting,)


def state_of_entry(entry: EntryRow) -> TaskState:
    """Return where a task is in its life by its entry alone."""
    return {
        EntryState.WAITING: TaskState.QUEUED,
        EntryState.HELD: TaskState.RUNNING,
        EntryState.SETTLED: TaskState.DONE,
        EntryState.DELAYED: TaskState.DELAYED,
        EntryState.DEAD: TaskState.DEAD,
    }[entry.state]
