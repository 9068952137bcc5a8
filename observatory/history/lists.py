"""The long lists of a moment: what the books and the facts before it tell, in pages like those of the present.

The log keeps no payloads and no entry ids, so rows carry none; their keys are made of their time, and stay the same
for as long as the moment is shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from observatory.bus.reads.paging import Place, Window, paged
from observatory.history.render import GROUP
from observatory.model.agent import agent_of
from observatory.model.dead_letter import DeadLetter
from observatory.model.errors import UsageError
from observatory.model.event import event_order
from observatory.model.listing import (
    AgentDetail,
    Ask,
    ConsumerRow,
    EntryRow,
    EntryState,
    GroupRow,
    Held,
    Hold,
    Page,
    PendingRow,
    PendingScope,
    ProcessRow,
    TaskRow,
)
from observatory.model.snapshot import GroupView
from observatory.model.task import DelayedTask, EntryId, Task, TaskState
from observatory.model.trace import STATE_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from observatory.history.render import Moment
    from observatory.model.books import LiveTask
    from observatory.model.event import Event

Row = TypeVar("Row")

FACTS_AT_ONCE: Final = 500
NOT_KEPT: Final = "the log keeps no payloads"


async def page_of(rows: Sequence[Row], ask: Ask, key: Callable[[Row], str], *, time: str = "") -> Page[Row]:
    """Answer *ask* from *rows*, oldest first, each with a *key* of its own."""
    places = {key(row): at for at, row in enumerate(rows)}

    async def window(place: Place, count: int) -> Window[Row]:
        at = places.get(place.cursor, -1)
        if at >= 0:
            at += place.inclusive != ask.ascending
        elif place.cursor:
            at = sum(_order(key(row)) < _order(place.cursor) for row in rows)
        else:
            at = 0 if ask.ascending else len(rows)
        found = rows[at : at + count] if ask.ascending else rows[max(at - count, 0) : at][::-1]
        more = at + count < len(rows) if ask.ascending else at - count > 0
        return Window(found, more, len(rows))

    return await paged(ask, window, key, time=time)


def _order(key: str) -> tuple[int, ...]:
    try:
        return tuple(EntryId.parse(key.partition(" ")[0]))
    except ValueError:
        raise UsageError("that is not a place in this list", "search again from the top") from None


def numbered(tasks: Iterable[tuple[str, LiveTask]], time: Callable[[LiveTask], int]) -> list[tuple[str, str, LiveTask]]:
    """Return tasks by their time, each with a key like an entry id: its time, and a number within it."""
    found: list[tuple[str, str, LiveTask]] = []
    seen: Counter[int] = Counter()
    for ident, task in sorted(tasks, key=lambda one: (time(one[1]), one[0])):
        ms = time(task)
        found.append((f"{ms}-{seen[ms]}", ident, task))
        seen[ms] += 1
    return found


def dead_letters(moment: Moment) -> list[DeadLetter]:
    """Return the dead letters of a moment, oldest first."""
    dead = [(ident, task) for ident, task in moment.books.tasks.items() if task.state is TaskState.DEAD]
    return [
        DeadLetter(
            entry_id=key,
            task_id=ident,
            type=task.type,
            reason=task.reason or "?",
            error=task.error,
            attempts=task.attempt or None,
            source=task.lane,
            source_id="",
            worker=task.agent,
            died_ms=task.since_ms,
            first_seen_ms=None,
            requeues=0,
            payload=b"",
            fields=(),
        )
        for key, ident, task in numbered(dead, lambda task: task.since_ms)
    ]


def entries(moment: Moment, stream: str) -> list[EntryRow]:
    """Return what stood in a stream, oldest first: a lane, the dead letters, the delayed work."""
    if stream.endswith(":tasks:dlq"):
        return [
            EntryRow(one.entry_id, stream, one.died_ms, one, EntryState.DEAD, cut=True) for one in dead_letters(moment)
        ]
    tasks = moment.books.tasks.items()
    if stream.endswith(":tasks:delayed"):
        waits = [(ident, task) for ident, task in tasks if task.state is TaskState.DELAYED]
        return [
            EntryRow(
                key, stream, task.since_ms, DelayedTask(ident, task.type, task.lane, 0, task.attempt, ()),
                EntryState.DELAYED, cut=True,
            )
            for key, ident, task in numbered(waits, lambda task: task.since_ms)
        ]  # fmt: skip
    lane = moment.lane_of(stream)
    if lane is None:
        return []
    same = {one for one in {task.lane for _, task in tasks} if moment.lane_of(one) == lane}
    there = [(i, t) for i, t in tasks if t.lane in same and t.state in {TaskState.QUEUED, TaskState.RUNNING}]
    found = []
    for key, ident, task in numbered(there, lambda task: task.arrived_ms):
        holds = (_hold(moment, task),) if task.state is TaskState.RUNNING else ()
        item = Task(
            id=ident, type=task.type, payload=b"", lane=lane, entry_id=key, arrived_ms=task.arrived_ms,
            created_ms=task.arrived_ms, attempt=max(task.attempt, 1), notes=(NOT_KEPT,),
        )  # fmt: skip
        state = EntryState.HELD if holds else EntryState.WAITING
        found.append(EntryRow(key, stream, task.arrived_ms, item, state, holds, () if holds else (GROUP,), 0, True))
    return found


def pending(moment: Moment, scope: PendingScope) -> list[PendingRow]:
    """Return what was given to consumers and not settled, in the order in which the work arrived."""
    running = [(ident, task) for ident, task in moment.books.tasks.items() if task.state is TaskState.RUNNING]
    rows = []
    for key, ident, task in numbered(running, lambda task: task.arrived_ms):
        lane = moment.lane_of(task.lane)
        wanted = lane is not None and (
            not scope.streams or task.lane in scope.streams or lane in {moment.lane_of(one) for one in scope.streams}
        )
        if not wanted or scope.group not in {"", GROUP} or scope.consumer not in {"", task.agent}:
            continue
        rows.append(
            PendingRow(
                key=f"{key} {task.lane} {GROUP}",
                stream=task.lane,
                lane=str(lane),
                entry_id=key,
                hold=_hold(moment, task),
                task_id=ident,
                type=task.type,
            )
        )
    return rows


def groups(moment: Moment, stream: str) -> tuple[GroupRow, ...]:
    """Return the one group that events speak of, with the consumers that held something of a lane."""
    there = entries(moment, stream)
    held = Counter(hold.consumer for row in there for hold in row.holds)
    waiting = [row for row in there if not row.holds]
    view = GroupView(GROUP, len(waiting), sum(held.values()), len(held), "")
    consumers = tuple(ConsumerRow(name, agent_of(name), count, 0) for name, count in sorted(held.items()))
    oldest = min((row.at_ms for row in there if row.holds), default=None)
    return (GroupRow(view, consumers, oldest, min((row.at_ms for row in waiting), default=None)),)


def agent(moment: Moment, name: str) -> AgentDetail | None:
    """Return everything that is written about one agent; None if nothing is."""
    view = next((one for one in moment.snapshot(origin="").agents if one.name == name), None)
    if view is None or (view.state is None and not view.pending):
        return None
    running = [
        (ident, task)
        for ident, task in moment.books.tasks.items()
        if task.state is TaskState.RUNNING and agent_of(task.agent) == name
    ]
    held = Counter((task.lane, task.agent) for _, task in running)
    processes = tuple(
        ProcessRow(
            consumer=consumer,
            state=view.state,
            last_seen_s=max(moment.at_ms - one.seen_ms, 0) / 1000,
            status=one.state,
            task=next((ident for ident, task in running if task.agent == consumer), ""),
            done=one.done,
            failed=one.failed,
        )
        for consumer, one in moment.books.processes.items()
        if agent_of(consumer) == name and view.state is not None
    )
    return AgentDetail(
        name=name,
        processes=processes,
        held=tuple(Held(stream, consumer, count) for (stream, consumer), count in held.most_common()),
        tasks=tuple(task_row(ident, task) for ident, task in running),
    )


def task_row(ident: str, task: LiveTask) -> TaskRow:
    """Return a live task as a row of the list of tasks."""
    return TaskRow(
        key=ident,
        type=task.type,
        state=task.state,
        stream=task.lane,
        agent=agent_of(task.agent),
        attempt=task.attempt or None,
        at_ms=task.since_ms,
        what=str(task.state),
        reason=task.reason,
    )


def tasks(moment: Moment, *, most: int) -> tuple[list[TaskRow], int]:
    """Return the tasks that the last *most* facts speak of and all that were live, the one last heard of first.

    Returns:
        The rows, and how many facts were looked at.
    """
    facts = moment.chronicle.events(max(moment.row - most, 0), moment.row)
    rows = {ident: task_row(ident, task) for ident, task in moment.books.tasks.items()}
    for fact in facts:
        state = STATE_AFTER.get(fact.kind)
        if state is None or not fact.task:
            continue
        known = rows.get(fact.task)
        if fact.task in moment.books.tasks and known is not None:
            rows[fact.task] = replace(known, what=fact.kind)
        else:
            rows[fact.task] = _settled(fact, state)
    ordered = sorted(rows.values(), key=lambda row: (row.at_ms, row.key), reverse=True)
    return ordered, len(facts)


def _settled(fact: Event, state: TaskState) -> TaskRow:
    return TaskRow(
        key=fact.task,
        type=fact.type,
        state=state,
        stream=fact.lane,
        agent=agent_of(fact.agent) if state is not TaskState.CANCELLED else "",
        attempt=fact.attempt or None,
        at_ms=fact.ts_ms,
        what=fact.kind,
        reason=fact.reason,
    )


def piece_of_tasks(rows: Sequence[TaskRow], searched: int, ask: Ask) -> Page[TaskRow]:
    """Return the piece of *rows*, newest first, that *ask* wants.

    Raises:
        UsageError: *ask* wants another order, or its cursor is no task of the search.
    """
    if ask.backwards or not ask.newest_first:
        raise UsageError("tasks are listed newest first")
    start = 0
    if ask.cursor:
        start = next((at for at, row in enumerate(rows) if row.key == ask.cursor), -1) + 1
        if not start:
            raise UsageError("this search is over", "search again from the top")
    fit = [row for row in rows[start:] if ask.where is None or ask.where(row)]
    after = fit[ask.limit - 1].key if len(fit) > ask.limit else None
    return Page(tuple(fit[: ask.limit]), after, len(rows), searched=searched)


async def events(moment: Moment, ask: Ask) -> Page[Event]:
    """Return a piece of the log before a moment, newest first, forwards only.

    Raises:
        UsageError: *ask* wants another order, or its cursor is no fact.
    """
    if ask.backwards or not ask.newest_first:
        raise UsageError("the event log is read newest first")
    reached: dict[str, int] = {}

    async def window(place: Place, count: int) -> Window[Event]:
        row = moment.row if not place.cursor else reached.get(place.cursor, -1)
        if row < 0:
            try:
                order = event_order(place.cursor)
            except ValueError:
                raise UsageError("that is not the id of an event", "for example 1770378300000-0") from None
            row = moment.chronicle.row_behind((*order[:3], order[3] - 1))
        row = min(row, moment.row)
        low = max(row - count, 0)
        found = moment.chronicle.events(low, row)
        reached.update((fact.id, low + at) for at, fact in enumerate(found))
        return Window(found[::-1], low > 0, None)

    return await paged(ask, window, lambda fact: fact.id)


def _hold(moment: Moment, task: LiveTask) -> Hold:
    idle = max(moment.at_ms - task.since_ms, 0)
    return Hold(GROUP, task.agent, agent_of(task.agent), idle, max(task.attempt, 1))
