"""Looks at several partitions made one: what adds up is added, what is oldest is the oldest of all.

What one partition does not know, the whole does not know either.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.bus.reads.observe import (
    ConsumerReading,
    Cursor,
    DeadLetterReading,
    GroupReading,
    LaneReading,
    Observation,
    ServerReading,
)
from observatory.bus.reads.whole import told
from observatory.model.event import event_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observatory.bus.partitions import Partition
    from observatory.model.task import Lane


def merged(
    parts: Sequence[tuple[Partition, Observation]],
    servers: Sequence[ServerReading],
    before: Sequence[DeadLetterReading],
    most_events: int,
) -> Observation:
    """Return the look at the whole bus.

    Args:
        parts: The partitions, and the look at each.
        servers: What INFO says on each node.
        before: Dead letters of each partition as of the look before; empty if there was none.
        most_events: Facts to return at most.
    """
    looks = [look for _, look in parts]
    events = sorted(
        (told(event, partition) for partition, look in parts for event in look.events),
        key=lambda event: event_order(event.id),
        reverse=True,
    )
    letters = [
        _remembered(look.dead_letters, old) for look, old in zip(looks, before or (None,) * len(looks), strict=True)
    ]
    changed = any(look.dead_letters.reasons is not None for look in looks)
    counts: Counter[tuple[int, str]] = Counter()
    for look in looks:
        counts.update(look.counts)
    return Observation(
        at_ms=max(look.at_ms for look in looks),
        lanes=_lanes(looks),
        dead_letters=_letters(letters, changed=changed),
        delayed=_sum(look.delayed for look in looks),
        beats=tuple(sorted((beat for look in looks for beat in look.beats), key=lambda beat: beat.seen_ms)),
        events=tuple(events[:most_events]),
        events_skipped=any(look.events_skipped for look in looks) or len(events) > most_events,
        counts=dict(counts),
        server=_server(servers),
        cursor=Cursor(parts=tuple(look.cursor for look in looks), letters=tuple(letters)),
    )


def _lanes(looks: Iterable[Observation]) -> tuple[LaneReading, ...]:
    found: dict[Lane, list[LaneReading]] = {}
    for look in looks:
        for reading in look.lanes:
            found.setdefault(reading.lane, []).append(reading)
    shared = [lane for lane in found if str(lane) == str(lane.priority)]
    named = sorted((lane for lane in found if lane not in shared), key=lambda lane: lane.queue)
    return tuple(_lane(found[lane]) for lane in (*shared, *named))


def _lane(readings: Sequence[LaneReading]) -> LaneReading:
    problem = next((reading.problem for reading in readings if reading.problem), "")
    if problem:
        return replace(readings[0], problem=problem, length=None, entries_added=None, groups=(), owners=())
    owners: Counter[str] = Counter()
    for reading in readings:
        owners.update(dict(reading.owners))
    groups: dict[str, list[GroupReading]] = {}
    for reading in readings:
        for group in reading.groups:
            groups.setdefault(group.name, []).append(group)
    return replace(
        readings[0],
        length=_sum(reading.length for reading in readings),
        entries_added=_sum(reading.entries_added for reading in readings),
        groups=tuple(_group(groups[name]) for name in sorted(groups)),
        oldest_waiting_ms=_least(reading.oldest_waiting_ms for reading in readings),
        oldest_pending_ms=_least(reading.oldest_pending_ms for reading in readings),
        owners=tuple(sorted(owners.items())),
        parked=sum(reading.parked for reading in readings),
        # A lane is paused in all partitions at once.
        paused_until_ms=next((at for reading in readings if (at := reading.paused_until_ms) is not None), None),
    )


def _group(readings: Sequence[GroupReading]) -> GroupReading:
    return GroupReading(
        readings[0].name,
        _sum(reading.lag for reading in readings),
        sum(reading.pending for reading in readings),
        # A worker stands in the group of each partition that it has read from.
        max(reading.consumers for reading in readings),
        max((reading.last_delivered for reading in readings), key=lambda ident: tuple(map(int, ident.split("-")))),
        _sum(reading.entries_read for reading in readings),
        _members([reading for reading in readings if reading.lag != 0]),
    )


def _members(starved: Sequence[GroupReading]) -> tuple[ConsumerReading, ...] | None:
    """Return who could take what waits, wherever it waits; None where it was not looked at."""
    found: dict[str, ConsumerReading] = {}
    for group in starved:
        if group.members is None:
            return None
        for one in group.members:
            known = found.get(one.name, ConsumerReading(one.name, 0, one.idle_ms))
            found[one.name] = ConsumerReading(one.name, known.pending + one.pending, min(known.idle_ms, one.idle_ms))
    return tuple(found.values()) if starved else None


def _remembered(reading: DeadLetterReading, before: DeadLetterReading | None) -> DeadLetterReading:
    """Return *reading* with the reasons of before where they have not changed since."""
    if reading.reasons is not None or before is None or reading.problem:
        return reading
    return replace(reading, reasons=before.reasons, counted=before.counted)


def _letters(readings: Sequence[DeadLetterReading], *, changed: bool) -> DeadLetterReading:
    problem = next((reading.problem for reading in readings if reading.problem), "")
    if problem:
        return DeadLetterReading(total=None, problem=problem)
    reasons: Counter[str] = Counter()
    for reading in readings:
        reasons.update(dict(reading.reasons or ()))
    return DeadLetterReading(
        total=_sum(reading.total for reading in readings),
        oldest_ms=_least(reading.oldest_ms for reading in readings),
        reasons=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))) if changed else None,
        counted=sum(reading.counted for reading in readings),
    )


def _server(nodes: Sequence[ServerReading]) -> ServerReading:
    """Return what there is to say of all nodes: memory of the fullest, clients and commands of all together."""
    if not nodes:
        return ServerReading()
    fullest = max(
        nodes, key=lambda node: ((node.memory or 0) / node.memory_limit if node.memory_limit else 0, node.memory or 0)
    )
    policies = sorted({node.policy for node in nodes})
    return replace(
        fullest,
        policy=", ".join(policies),
        aof=None if any(node.aof is None for node in nodes) else all(node.aof for node in nodes),
        clients=_sum(node.clients for node in nodes),
        ops_per_s=_sum(node.ops_per_s for node in nodes),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)
