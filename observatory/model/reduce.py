"""Rebuilding the state of the swarm from its events: the same code for auditing the present and for replay."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from observatory.model.books import Books, Firing, LaneSample, LiveTask, Process
from observatory.model.event import EventKind, event_order
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from observatory.model.event import Event

    Row = tuple[str, int, str, str, str, str, int, str, int | None, str]
    """What the books need of a fact: kind, time, task, type, lane, agent, attempt, reason, ms, detail."""

__all__ = ["Books", "Folding", "LiveTask", "fold", "reduce"]

FORGET_AFTER_MS: Final = 3_600_000
"""Ms after which a consumer that left or was lost is forgotten, at the next coming or going of any other."""

row_of: Callable[[Event], Row] = attrgetter(
    "kind", "ts_ms", "task", "type", "lane", "agent", "attempt", "reason", "ms", "detail"
)
"""Take out of a fact what the books need of it."""

_STARTED = frozenset({EventKind.TAKEN, EventKind.REDELIVERED})
_FAILED = frozenset({EventKind.RETRIED, EventKind.DEAD_LETTERED})
_WORK = frozenset({*_STARTED, *_FAILED, EventKind.COMPLETED, EventKind.SNOOZED, EventKind.GIVEN_BACK})
"""Kinds whose `agent` is the consumer that did it."""

_AFTER: Mapping[str, TaskState | None] = {
    EventKind.PUBLISHED: TaskState.QUEUED,
    EventKind.SCHEDULED: TaskState.DELAYED,
    EventKind.OBSERVED: TaskState.QUEUED,
    EventKind.PROMOTED: TaskState.QUEUED,
    EventKind.TAKEN: TaskState.RUNNING,
    EventKind.REDELIVERED: TaskState.RUNNING,
    EventKind.COMPLETED: None,
    EventKind.RETRIED: TaskState.DELAYED,
    EventKind.SNOOZED: TaskState.DELAYED,
    EventKind.GIVEN_BACK: TaskState.QUEUED,
    EventKind.DEAD_LETTERED: TaskState.DEAD,
    EventKind.CANCELLED: None,
    EventKind.REQUEUED: TaskState.QUEUED,
    EventKind.TRASHED: None,
    EventKind.RESTORED: TaskState.DEAD,
    EventKind.REVIVED: TaskState.QUEUED,
    EventKind.RESCHEDULED: TaskState.DELAYED,
    EventKind.DROPPED: None,
    EventKind.LOST_PAYLOAD: None,
}
"""Where a task is after a fact about it; None if it leaves the books."""


def reduce(books: Books, event: Event) -> Books:
    """Return the books after *event*. For many events, `fold` copies once instead of once each."""
    return fold(books, (event,))


def fold(books: Books, events: Iterable[Event]) -> Books:
    """Return the books after all *events*, in the order of their ids; one that is in the books already is left out."""
    folding = Folding(books)
    last = event_order(books.last_id) if books.last_id else (-1, -1, -1, -1)

    def fresh() -> Iterable[Row]:
        nonlocal last
        for event in events:
            order = event_order(event.id)
            if order > last:
                last, folding.last_id = order, event.id
                yield row_of(event)

    folding.run(fresh())
    return folding.books()


class Folding:
    """Books that are being written: the one place where facts change state.

    Args:
        books: What they begin with; not changed.

    Attributes:
        last_id: Id of the newest fact; kept by whoever passes the rows.
        touched: Ids of the tasks that facts spoke of, for whoever wants to know what changed; may be emptied.
    """

    def __init__(self, books: Books) -> None:
        self.tasks = dict(books.tasks)
        self.totals = dict(books.totals)
        self.arrivals = dict(books.arrivals)
        self.processes = dict(books.processes)
        self.paused = dict(books.paused)
        self.alerts = dict(books.alerts)
        self.lanes = dict(books.lanes)
        self.vitals = dict(books.vitals)
        self.last_id = books.last_id
        self.at_ms = books.at_ms
        self.touched: set[str] = set()

    def books(self) -> Books:
        """Return the books as they are now, as a value of its own."""
        return Books(
            dict(self.tasks),
            dict(self.totals),
            dict(self.arrivals),
            self.last_id,
            self.at_ms,
            dict(self.processes),
            dict(self.paused),
            dict(self.alerts),
            dict(self.lanes),
            dict(self.vitals),
        )

    def run(self, rows: Iterable[Row]) -> None:
        """Enter facts, each newer than all before; this is the hot path of every seek and of the seal."""
        tasks, totals, processes, touched = self.tasks, self.totals, self.processes, self.touched
        arrivals = self.arrivals
        after, others, ts = _AFTER, _OTHERS, self.at_ms
        for kind, ts, task, type_, lane, agent, attempt, reason, ms, detail in rows:
            totals[kind] = totals.get(kind, 0) + 1
            if kind not in after:
                other = others.get(kind)
                if other is not None:
                    other(self, (kind, ts, task, type_, lane, agent, attempt, reason, ms, detail))
                continue
            if task:
                state = after[kind]
                touched.add(task)
                if state is None:
                    tasks.pop(task, None)
                elif state is TaskState.RUNNING:
                    tasks[task] = LiveTask(state, lane, agent, "", type_, attempt, ts, ts - (ms or 0))
                elif state is TaskState.DEAD:
                    tasks[task] = LiveTask(state, lane, agent, reason, type_, attempt, ts, ts, detail)
                elif kind == EventKind.RETRIED:
                    tasks[task] = LiveTask(state, lane, "", "", type_, attempt + 1, ts, ts, detail)
                else:
                    tasks[task] = LiveTask(state, lane, "", "", type_, attempt, ts, ts)
                    if state is TaskState.QUEUED:
                        arrivals[lane] = arrivals.get(lane, 0) + 1
            if agent and kind in _WORK:
                known = processes.get(agent)
                done, failed = (known.done, known.failed) if known else (0, 0)
                since = known.since_ms if known and known.state == "up" else ts
                processes[agent] = Process(
                    "up", since, ts, done + (kind == EventKind.COMPLETED), failed + (kind in _FAILED)
                )
        self.at_ms = ts


def _agent_up(books: Folding, fact: Row) -> None:
    ts, agent = fact[1], fact[5]
    known = books.processes.get(agent)
    books.processes[agent] = Process("up", ts, ts, known.done if known else 0, known.failed if known else 0)
    _forget(books, ts)


def _agent_down(books: Folding, fact: Row) -> None:
    _leave(books, "down", fact)


def _agent_lost(books: Folding, fact: Row) -> None:
    _leave(books, "lost", fact)


def _leave(books: Folding, state: str, fact: Row) -> None:
    ts, agent = fact[1], fact[5]
    known = books.processes.get(agent, Process(state, ts, ts))
    books.processes[agent] = known._replace(state=state, since_ms=ts)
    _forget(books, ts)


def _forget(books: Folding, ts: int) -> None:
    before = ts - FORGET_AFTER_MS
    gone = [name for name, one in books.processes.items() if one.state != "up" and one.since_ms < before]
    for name in gone:
        del books.processes[name]
        books.vitals.pop(name, None)


def _paused(books: Folding, fact: Row) -> None:
    _kind, ts, _task, _type, lane, _agent, _attempt, _reason, ms, _detail = fact
    if lane:  # else it is a group or an agent that pauses
        books.paused[lane] = ts + ms if ms else 0


def _resumed(books: Folding, fact: Row) -> None:
    books.paused.pop(fact[4], None)


def _alert_fired(books: Folding, fact: Row) -> None:
    ident, _, text = fact[9].partition(": ")
    known = books.alerts.get(ident)
    books.alerts[ident] = Firing(fact[7], known.since_ms if known else fact[1], text)


def _alert_resolved(books: Folding, fact: Row) -> None:
    books.alerts.pop(fact[9].partition(": ")[0], None)


def _sampled(books: Folding, fact: Row) -> None:
    _kind, ts, _task, _type, lane, agent, _attempt, reason, _ms, detail = fact
    if not lane:
        books.vitals[agent or reason] = detail
        return
    sample = _lane_sample(detail, ts)
    if sample is not None:
        books.lanes[lane] = sample


def lane_sample(sample: LaneSample) -> str:
    """Write a sample as the detail of a fact."""
    return json.dumps(sample[1:], separators=(",", ":"))


def _lane_sample(detail: str, ts: int) -> LaneSample | None:
    """Read a sample; None where somebody wrote something else under that name."""
    try:
        length, waiting, pending, queued, running, oldest_waiting, oldest_pending, groups = json.loads(detail)
        told = tuple((str(name), lag, held, consumers) for name, lag, held, consumers in groups)
        return LaneSample(ts, length, waiting, pending, queued, running, oldest_waiting, oldest_pending, told)
    except (ValueError, TypeError, RecursionError):
        return None


_OTHERS: Mapping[str, Callable[[Folding, Row], None]] = {
    EventKind.AGENT_UP: _agent_up,
    EventKind.AGENT_DOWN: _agent_down,
    EventKind.AGENT_LOST: _agent_lost,
    EventKind.PAUSED: _paused,
    EventKind.RESUMED: _resumed,
    EventKind.ALERT_FIRED: _alert_fired,
    EventKind.ALERT_RESOLVED: _alert_resolved,
    EventKind.SAMPLED: _sampled,
}
"""What facts do that are not about a task."""
