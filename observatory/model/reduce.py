"""Rebuilding the state of the swarm from its events: the same code for auditing the present and for replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observatory.model.dead_letter import Reason
from observatory.model.event import EventKind
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from observatory.model.event import Event


@dataclass(frozen=True, slots=True)
class LiveTask:
    """A task that is not settled, or that lies in the dead letters.

    Attributes:
        state: Where it is.
        lane: Stream key it is in or came from.
        agent: Consumer that runs it; empty otherwise.
        reason: Why it is dead; empty otherwise.
    """

    state: TaskState
    lane: str
    agent: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """The books of the swarm: every task that is somewhere, and totals of what happened.

    Attributes:
        tasks: Live tasks and dead letters, by task id.
        totals: How often each kind of event happened.
        last_id: Id of the newest event that is in the books; empty before the first.
    """

    tasks: Mapping[str, LiveTask] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    last_id: str = ""

    def count(self, state: TaskState) -> int:
        """Return how many tasks are in *state* (never more than zero for done and cancelled: they leave the books)."""
        return sum(task.state is state for task in self.tasks.values())

    def dead(self, *, stale: bool) -> int:
        """Return how many dead letters there are that are stale, or that are anything but stale."""
        return sum(
            task.state is TaskState.DEAD and (task.reason == Reason.STALE) is stale for task in self.tasks.values()
        )


def reduce(books: Books, event: Event) -> Books:
    """Return the books after *event*. For many events, `fold` copies once instead of once each."""
    return fold(books, (event,))


def fold(books: Books, events: Iterable[Event]) -> Books:
    """Return the books after all *events*, which must be in the order of their ids."""
    tasks = dict(books.tasks)
    totals = dict(books.totals)
    last_id = books.last_id
    for event in events:
        totals[event.kind] = totals.get(event.kind, 0) + 1
        last_id = event.id
        change = _CHANGES.get(event.kind)
        if change is not None and event.task:
            after = change(event)
            if after is None:
                tasks.pop(event.task, None)
            else:
                tasks[event.task] = after
    return Books(tasks, totals, last_id)


def _queued(event: Event) -> LiveTask:
    return LiveTask(TaskState.QUEUED, event.lane)


def _delayed(event: Event) -> LiveTask:
    return LiveTask(TaskState.DELAYED, event.lane)


def _running(event: Event) -> LiveTask:
    return LiveTask(TaskState.RUNNING, event.lane, agent=event.agent)


def _dead(event: Event) -> LiveTask:
    return LiveTask(TaskState.DEAD, event.lane, reason=event.reason)


def _settled(_event: Event) -> None:
    return None


_CHANGES: Mapping[str, Callable[[Event], LiveTask | None]] = {
    EventKind.PUBLISHED: _queued,
    EventKind.SCHEDULED: _delayed,
    EventKind.OBSERVED: _queued,
    EventKind.PROMOTED: _queued,
    EventKind.TAKEN: _running,
    EventKind.REDELIVERED: _running,
    EventKind.COMPLETED: _settled,
    EventKind.RETRIED: _delayed,
    EventKind.SNOOZED: _delayed,
    EventKind.GIVEN_BACK: _queued,
    EventKind.DEAD_LETTERED: _dead,
    EventKind.CANCELLED: _settled,
    EventKind.REQUEUED: _queued,
    EventKind.DROPPED: _settled,
    EventKind.LOST_PAYLOAD: _settled,
}
