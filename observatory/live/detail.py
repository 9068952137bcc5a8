"""What a snapshot has no room for: one agent in full, and pages of a search for tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.agent import agent_of, agent_state
from observatory.model.errors import UsageError
from observatory.model.listing import AgentDetail, Held, Page, ProcessRow, TaskRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observatory.bus.reads.observe import LaneReading
    from observatory.bus.reads.tasks import TaskSearch
    from observatory.model.agent import Heartbeat
    from observatory.model.listing import Ask
    from observatory.model.task import TaskRecord


def agent_detail(
    name: str, beats: Iterable[Heartbeat], lanes: Iterable[LaneReading], now_ms: int
) -> AgentDetail | None:
    """Return what is known of the agent *name* without asking the bus; None if nothing is.

    Args:
        name: The agent.
        beats: Last beat of each of its processes.
        lanes: The lanes of the last look.
        now_ms: Server time of the last look.
    """
    processes = sorted((_process(beat, now_ms) for beat in beats), key=lambda process: process.last_seen_s)
    held = [
        Held(lane.stream, consumer, pending)
        for lane in lanes
        for consumer, pending in lane.owners
        if pending and agent_of(consumer) == name
    ]
    if not processes and not held:
        return None
    return AgentDetail(name, tuple(processes), tuple(sorted(held, key=lambda one: one.pending, reverse=True)))


def _process(beat: Heartbeat, now_ms: int) -> ProcessRow:
    since = beat.task_since_ms
    return ProcessRow(
        consumer=beat.consumer or beat.agent,
        state=agent_state(beat, now_ms),
        last_seen_s=max(now_ms - beat.seen_ms, 0) / 1000,
        status=beat.status,
        task=beat.task,
        task_age_s=None if since is None else max(now_ms - since, 0) / 1000,
        load=beat.load,
        interval_s=beat.interval_s,
        version=beat.version,
        done=beat.done,
        failed=beat.failed,
        capabilities=beat.capabilities,
    )


def current_task(record: TaskRecord, processes: Sequence[ProcessRow], now_ms: int) -> TaskRow:
    """Return the task that an agent says it runs, as the bus remembers it."""
    age_s = next((one.task_age_s for one in processes if one.task == record.id and one.task_age_s is not None), 0.0)
    return TaskRow(
        key=record.id,
        type=record.type,
        state=record.state,
        stream=record.lane,
        agent=agent_of(record.owner),
        attempt=record.attempt,
        at_ms=now_ms - round(age_s * 1000),
        what=str(record.state),
        reason=record.reason,
    )


def piece_of_tasks(search: TaskSearch, ask: Ask) -> Page[TaskRow]:
    """Return the piece of *search* that *ask* wants.

    Raises:
        UsageError: *ask* wants another order, or its cursor is no task of the search.
    """
    if ask.backwards or not ask.newest_first:
        raise UsageError("tasks are listed newest first")
    rows = search.rows
    start = 0
    if ask.cursor:
        place = next((at for at, row in enumerate(rows) if row.key == ask.cursor), None)
        if place is None:
            raise UsageError("this search is over", "search again from the top")
        start = place + 1
    found: list[TaskRow] = []
    after: str | None = None
    for row in rows[start:]:
        if ask.where is None or ask.where(row):
            if len(found) == ask.limit:
                after = found[-1].key
                break
            found.append(row)
    total = len(rows) if search.whole else None
    return Page(tuple(found), after, total, searched=search.searched, broken=search.broken)
