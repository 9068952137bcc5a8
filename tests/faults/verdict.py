"""The judge: what the log, the engine and the agents' own journals say must agree, however much went wrong.

I1 every acknowledged task reached one terminal state, once; I2 there are no tasks that nobody published; I3 done,
dead and cancelled are disjoint; I4 nothing is left in the lanes; I5 what ran again ran again for a reason that the
log names; I6 what is not declared expires; I7 connections and coroutines are gone. Besides, tasks of one ordering key
ran one after another, as they had arrived.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from observatory.model.event import EventKind
from observatory.model.reduce import Books, fold
from observatory.model.task import TaskState
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from observatory.bus import Bus
    from observatory.model.event import Event

PREFIX = "cortex"

LASTING = frozenset(
    f"{PREFIX}:{name}"
    for name in (
        "agents",
        "agents:seen",
        "heartbeats",
        "tasks:dlq",
        "tasks:delayed",
        "tasks:delayed:bodies",
        "tasks:queues",
    )
)
"""Keys that may live for ever; the lanes, which are streams below `cortex:tasks:`, may too."""

_TERMINAL = {
    EventKind.COMPLETED: TaskState.DONE,
    EventKind.DEAD_LETTERED: TaskState.DEAD,
    EventKind.CANCELLED: TaskState.CANCELLED,
}


_ARRIVALS = frozenset({EventKind.PUBLISHED, EventKind.OBSERVED, EventKind.PROMOTED, EventKind.REQUEUED})


@dataclass
class History:
    """What the outside world knows.

    Attributes:
        acknowledged: Tasks whose publish was answered.
        unsure: Tasks whose publish failed without a clear answer: they may be there or not.
        begun: How often a handler began with each task, by its own account.
        keys: The ordering key of each task that has one.
        disturbed: Words that stand in the names of consumers that were killed, stopped or cut off.
    """

    acknowledged: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    begun: Counter[str] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)
    disturbed: set[str] = field(default_factory=set)


async def drained(bus: Bus, raw: Any, *, timeout: float = 30.0) -> None:
    """Wait until no task waits, runs or will run, in the engine and by the books of the log."""

    async def empty() -> bool:
        assert list(_left_in_lanes(raw)) == []
        live = {task: entry.state for task, entry in (await books(bus)).tasks.items() if entry.state != TaskState.DEAD}
        assert live == {}
        return True

    await eventually(empty, timeout=timeout)


async def events_of(bus: Bus) -> Sequence[Event]:
    """The whole log, oldest first."""
    return (await bus.events(limit=1_000_000)).items[::-1]


async def books(bus: Bus) -> Books:
    """The books that the log amounts to."""
    return fold(Books(), await events_of(bus))


async def verdict(bus: Bus, raw: Any, history: History) -> list[str]:
    """Return every breach of I1 to I6 after a drain, in words; none is what a test wants."""
    log = await events_of(bus)
    return [
        *_terminal_states(log, history),
        *_dead_letters(log, raw),
        *_left_in_lanes(raw),
        *_executions(log, history),
        *out_of_order(log, history.keys),
        *_lasting_keys(raw),
    ]


async def nothing_left(raw: Any, connections: int) -> None:
    """Wait until the engine has *connections* clients and this process runs no coroutine but the caller's (I7)."""

    def back() -> bool:
        found = [(client["addr"], client["cmd"]) for client in raw.client_list()]
        assert len(found) <= connections, found
        running = asyncio.all_tasks() - {asyncio.current_task()}
        assert running == set(), running
        return True

    await eventually(back)


def _terminal_states(log: Sequence[Event], history: History) -> Iterator[str]:
    ends: dict[str, list[TaskState]] = {}
    seen: set[str] = set()
    for event in log:
        if event.task:
            seen.add(event.task)
        if event.kind == EventKind.REQUEUED:
            if ends.get(event.task, [])[-1:] != [TaskState.DEAD]:
                yield f"{event.task}: requeued, and it was not dead"
            ends[event.task] = []
        elif event.kind in _TERMINAL:
            ends.setdefault(event.task, []).append(_TERMINAL[EventKind(event.kind)])
    for task in sorted(history.acknowledged | seen):
        found = ends.get(task, [])
        if len(found) != 1 and (task in history.acknowledged or found):
            yield f"I1 {task}: ended {len(found)} times {list(map(str, found))}"
        if len(set(found)) > 1:
            yield f"I3 {task}: ended as {list(map(str, found))}"
    for task in sorted(seen - history.acknowledged - history.unsure):
        yield f"I2 {task}: nobody published it"


def _dead_letters(log: Sequence[Event], raw: Any) -> Iterator[str]:
    by_log = sorted(task for task, entry in fold(Books(), log).tasks.items() if entry.state is TaskState.DEAD)
    by_stream = sorted(fields.get("id", "?") for _, fields in raw.xrange(f"{PREFIX}:tasks:dlq"))
    if by_log != by_stream:
        yield f"I1 dead by the log {by_log}, dead letters {by_stream}"


def _left_in_lanes(raw: Any) -> Iterator[str]:
    for key in sorted(raw.scan_iter(f"{PREFIX}:tasks:*", count=1000, _type="stream")):
        if key == f"{PREFIX}:tasks:dlq":
            continue
        if length := raw.xlen(key):
            yield f"I4 {key}: {length} entries"
        for group in raw.xinfo_groups(key):
            if group["pending"] or group["lag"] != 0:
                yield f"I4 {key}: group {group['name']} has {group['pending']} pending, lag {group['lag']}"
    for key, count in (
        ("tasks:delayed", raw.zcard),
        ("tasks:delayed:bodies", raw.hlen),
        ("tasks:parked", raw.hlen),
        ("tasks:turns", raw.zcard),
    ):
        if left := count(f"{PREFIX}:{key}"):
            yield f"I4 {key}: {left}"
    for key in sorted(raw.scan_iter(f"{PREFIX}:order:*", count=1000)):
        yield f"I4 {key}: {raw.zrange(key, 0, -1)}"


def _executions(log: Sequence[Event], history: History) -> Iterator[str]:
    allowed: Counter[str] = Counter(history.begun.keys())
    holder: dict[str, str] = {}
    for event in log:
        if event.kind in {EventKind.RETRIED, EventKind.REQUEUED}:
            allowed[event.task] += 1
        elif event.kind == EventKind.REDELIVERED:
            before = holder.get(event.task, "")
            if any(word in before for word in history.disturbed):
                allowed[event.task] += 1
            elif before:
                yield f"I5 {event.task}: taken from {before}, who was not disturbed"
            # Otherwise it was delivered on a line that was dead, and nobody had begun with it.
        if event.kind in {EventKind.TAKEN, EventKind.REDELIVERED}:
            holder[event.task] = event.agent
    for task, begun in sorted(history.begun.items()):
        if begun > allowed[task]:
            yield f"I5 {task}: began {begun} times, the log explains {allowed[task]}"


def out_of_order(log: Sequence[Event], keys: Mapping[str, str]) -> Iterator[str]:
    """Say which tasks began while an earlier one of the same ordering key was not settled.

    Args:
        log: Facts, oldest first.
        keys: Ordering key by task.
    """
    unsettled: dict[str, list[str]] = {}
    for event in log:
        if event.task not in keys:
            continue
        waiting = unsettled.setdefault(keys[event.task], [])
        if event.kind in _ARRIVALS and event.task not in waiting:
            waiting.append(event.task)
        elif event.kind in {EventKind.TAKEN, EventKind.REDELIVERED} and waiting[:1] != [event.task]:
            yield f"{event.task}: began before {waiting[:1]} of the same key was settled"
        elif event.kind in {*_TERMINAL, EventKind.LOST_PAYLOAD} and event.task in waiting:
            waiting.remove(event.task)


def _lasting_keys(raw: Any) -> Iterator[str]:
    for key in sorted(raw.scan_iter(f"{PREFIX}:*", count=1000)):
        lane = key.startswith(f"{PREFIX}:tasks:") and raw.type(key) == "stream"
        if raw.ttl(key) == -1 and key not in LASTING and not lane:
            yield f"I6 {key}: never expires"
