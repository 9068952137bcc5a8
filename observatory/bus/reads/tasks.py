"""Tasks that were heard of lately: from the event log, and from the lanes what foreign agents never wrote down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from observatory.bus.reads.entries import page_of_entries
from observatory.bus.reads.log import page_of_events
from observatory.model.agent import agent_of
from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.listing import Ask, EntryState, TaskRow
from observatory.model.task import TaskState
from observatory.model.trace import ACKNOWLEDGED, STATE_AFTER, state_of_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.model.event import Event
    from observatory.model.listing import EntryRow

PER_LANE = 500
"""Newest entries of each lane that a search for tasks looks at, for those that nobody wrote an event about."""

FACTS_AT_ONCE = 500
"""Facts that are read in one step."""


@dataclass(frozen=True, slots=True)
class TaskSearch:
    """Tasks that were found, the one last heard of first.

    Attributes:
        rows: The tasks.
        searched: Facts and entries that were looked at.
        whole: Everything there is was looked at.
        broken: What could not be read, each with its key and why: the rest is shown, and this is said.
    """

    rows: tuple[TaskRow, ...]
    searched: int
    whole: bool
    broken: tuple[str, ...] = ()


async def recent_tasks(link: Link, keys: Keys, streams: Sequence[str], *, most: int) -> TaskSearch:
    """Return the tasks that the newest *most* facts of the log and the newest entries of *streams* speak of.

    What the log says of a task is held against its entry: if a foreign agent took or acknowledged it since, that is
    what counts, because such agents write no events.
    """
    rows: dict[str, TaskRow] = {}
    broken: list[str] = []
    searched, whole = 0, False
    try:
        searched, whole = await _read_log(link, keys, rows, most)
    except BusUnreachableError:
        raise
    except BusError as error:
        broken.append(f"the event log: {error.problem}")
    ask = Ask(limit=PER_LANE)
    pages = await asyncio.gather(
        *(page_of_entries(link, keys, stream, ask) for stream in streams), return_exceptions=True
    )
    for stream, page in zip(streams, pages, strict=True):
        if isinstance(page, BusError) and not isinstance(page, BusUnreachableError):
            broken.append(f"{stream}: {page.problem}")
        elif isinstance(page, BaseException):
            raise page
        else:
            for entry in page.items:
                _reconcile(rows, entry)
            searched += len(page.items)
            whole = whole and page.after is None
    found = tuple(sorted(rows.values(), key=lambda row: row.at_ms, reverse=True))
    return TaskSearch(found, searched, whole and not broken, tuple(broken))


async def _read_log(link: Link, keys: Keys, rows: dict[str, TaskRow], most: int) -> tuple[int, bool]:
    """Take in the newest *most* facts; return how many there were, and whether these were all."""
    searched, cursor = 0, None
    while searched < most:
        page = await page_of_events(link, keys, after=cursor, limit=min(FACTS_AT_ONCE, most - searched))
        for event in page.items:
            _note(rows, event)
        searched += len(page.items)
        cursor = page.after
        if cursor is None:
            return searched, True
    return searched, False


def _note(rows: dict[str, TaskRow], event: Event) -> None:
    """Take in one fact; facts come newest first, so the first one about a task decides."""
    state = STATE_AFTER.get(event.kind)
    if state is None or not event.task:
        return
    known = rows.get(event.task)
    if known is None:
        runs = state in {TaskState.RUNNING, TaskState.DONE, TaskState.DEAD}
        rows[event.task] = TaskRow(
            key=event.task,
            type=event.type,
            state=state,
            stream=event.lane,
            agent=agent_of(event.agent) if runs else "",
            attempt=event.attempt or None,
            at_ms=event.ts_ms,
            what=event.kind,
            reason=event.reason,
        )
    elif not known.type and event.type:
        rows[event.task] = replace(known, type=event.type)


def _reconcile(rows: dict[str, TaskRow], entry: EntryRow) -> None:
    """Take in one entry of a lane: the only trace of a task that foreign agents work on."""
    if not entry.task_id:
        return
    known = rows.get(entry.task_id)
    observed = known is None or (known.state is TaskState.QUEUED and entry.state is not EntryState.WAITING)
    if known is not None and (not observed or known.stream != entry.stream or known.at_ms > entry.at_ms + 1000):
        return
    hold = min(entry.holds, key=lambda hold: hold.idle_ms, default=None)
    rows[entry.task_id] = TaskRow(
        key=entry.task_id,
        type=entry.type,
        state=state_of_entry(entry),
        stream=entry.stream,
        agent=hold.agent if hold else "",
        attempt=getattr(entry.item, "attempt", None),
        at_ms=entry.at_ms,
        what=ACKNOWLEDGED if entry.state is EntryState.SETTLED else str(entry.state),
        observed=known is None,
    )
