"""One look at the whole bus, in one round trip, as plain readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.links.link import info_of
from observatory.bus.partitions import everywhere
from observatory.bus.reads.log import read_events
from observatory.bus.reads.merge import merged
from observatory.bus.reads.observe import (
    PARKED,
    ConsumerReading,
    Cursor,
    DeadLetterReading,
    GroupReading,
    LaneReading,
    Observation,
    ServerReading,
)
from observatory.model.agent import read_heartbeat
from observatory.model.event import EventKind
from observatory.model.task import EntryId
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Reply
    from observatory.bus.partitions import Partitions
    from observatory.model.agent import Heartbeat

FACTS = 256
"""Facts that one look returns at most; look.lua stops reading the log behind it."""

_KINDS = tuple(str(kind) for kind in EventKind)


async def look(partitions: Partitions, cursor: Cursor, *, deadline_s: float) -> Observation:
    """Look at the bus once, in one round trip a node.

    Args:
        partitions: The parts of the bus.
        cursor: That of the look before, or an empty one.
        deadline_s: Seconds after which to give up.

    Raises:
        BusError: The engine refuses; `BusUnreachableError` if it does not answer in time.
    """
    parts = list(partitions)
    # Partitions that were not there at the look before are a bus made anew: it is read from its beginning.
    known = cursor.parts if len(cursor.parts) == len(parts) else (Cursor(),) * len(parts)
    cursors = (
        {part.number: one for part, one in zip(parts, known, strict=True)}
        if len(parts) > 1
        else {parts[0].number: cursor}
    )
    answers = await everywhere(
        parts, "look", lambda part: _arguments(cursors[part.number]), "INFO", deadline_s=deadline_s
    )
    looks = [
        (part, _observation(part.keys, cursors[part.number], reply, info))
        for part, (reply, info) in zip(parts, answers, strict=True)
    ]
    if len(looks) == 1:
        return looks[0][1]
    # One reply of INFO stands for every partition of its node.
    servers = {id(info): one.server for (_, info), (_, one) in zip(answers, looks, strict=True)}
    letters = cursor.letters if len(cursor.letters) == len(parts) else ()
    return merged(looks, tuple(servers.values()), letters, FACTS)


def _arguments(cursor: Cursor) -> list[str | int]:
    known_length, known_newest = cursor.dlq
    return [
        cursor.beats,
        cursor.events,
        known_length,
        known_newest,
        cursor.scan,
        len(_KINDS),
        *_KINDS,
        *cursor.queues,
    ]


def _observation(keys: Keys, cursor: Cursor, reply: Reply, info: bytes | None) -> Observation:
    now, scan, queues, lanes, letters, delayed, last_beats, beats, events, skipped, counts, pauses = reply
    paused = {_word(stream): int(till) for stream, till in zip(pauses[::2], pauses[1::2], strict=True)}
    read = tuple(event for ident, flat in events for event in reversed(read_events(ident, flat)))[:FACTS]
    return Observation(
        at_ms=int(now),
        lanes=tuple(lane for row in lanes if (lane := _lane(keys, row, paused)) is not None),
        dead_letters=_letters(letters),
        delayed=None if delayed < 0 else delayed,
        beats=(*_beats(last_beats), *_beats(beats)),
        events=read,
        events_skipped=bool(skipped),
        counts={(int(minute), kind.decode()): int(n) for minute, kind, n in counts},
        server=_server(info_of(info)) if info is not None else ServerReading(),
        cursor=Cursor(
            beats=beats[-1][0].decode() if beats else ("0-0" if cursor.beats == "-" else cursor.beats),
            events=events[0][0].decode() if events else cursor.events,
            dlq=(letters[1], _word(letters[3])),
            scan=int(scan),
            queues=tuple(map(_word, queues)),
        ),
    )


def _lane(keys: Keys, row: Reply, paused: Mapping[str, int]) -> LaneReading | None:
    stream, problem, length, added, groups, unread = row
    lane = keys.lane_of(_word(stream))
    if lane is None:
        return None
    if problem:
        return LaneReading(lane, _word(stream), problem=_word(problem))
    owners: dict[str, int] = {}
    waiting = [EntryId.parse(unread).ms] if unread else []
    pending: list[int] = []
    for *_, first_waiting, first_pending, flat, _members in groups:
        waiting += [EntryId.parse(first_waiting).ms] if first_waiting else []
        pending += [EntryId.parse(first_pending).ms] if first_pending else []
        for consumer, held in zip(flat[::2], flat[1::2], strict=True):
            owners[_word(consumer)] = owners.get(_word(consumer), 0) + int(held)
    parked = owners.pop(PARKED, 0)
    return LaneReading(
        lane,
        _word(stream),
        length=length,
        entries_added=_known(added),
        groups=tuple(sorted((_group(group) for group in groups), key=lambda group: group.name)),
        oldest_waiting_ms=min(waiting, default=None),
        oldest_pending_ms=min(pending, default=None),
        owners=tuple(sorted(owners.items())),
        parked=parked,
        paused_until_ms=paused.get(_word(stream)),
    )


def _group(row: Reply) -> GroupReading:
    name, lag, pending, consumers, last, entries_read, _waiting, _pending, owners, flat = row
    living = consumers - (PARKED.encode() in owners[::2])
    members = None
    if flat is not None:
        rows = zip(*(iter(flat),) * 3, strict=True)
        found = (ConsumerReading(_word(who), held, idle) for who, held, idle in rows)
        members = tuple(one for one in found if one.name != PARKED)
    return GroupReading(_word(name), _known(lag), pending, living, _word(last), _known(entries_read), members)


def _letters(row: Reply) -> DeadLetterReading:
    problem, total, oldest, _newest, reasons, counted = row
    if problem:
        return DeadLetterReading(total=None, problem=_word(problem))
    counts = None
    if reasons is not None:
        found = zip(map(_word, reasons[::2]), reasons[1::2], strict=True)
        counts = tuple(sorted(found, key=lambda item: (-item[1], item[0])))
    return DeadLetterReading(total, EntryId.parse(oldest).ms if oldest else None, counts, counted)


def _beats(rows: Iterable[tuple[bytes, list[bytes]]]) -> list[Heartbeat]:
    """Read beats that came with an entry id or with a time in ms; what names no agent is left out."""
    beats = (read_heartbeat(EntryId.parse(stamp).ms, pairs(flat)) for stamp, flat in rows)
    return [beat for beat in beats if beat is not None]


def _server(info: Mapping[str, str]) -> ServerReading:
    product = info.get("server_name") or "redis"
    return ServerReading(
        product=product,
        version=info.get(f"{product}_version") or info.get("redis_version", ""),
        memory=_integer(info.get("used_memory")),
        memory_limit=_integer(info.get("maxmemory")),
        policy=info.get("maxmemory_policy", ""),
        aof=None if "aof_enabled" not in info else info["aof_enabled"] == "1",
        clients=_integer(info.get("connected_clients")),
        ops_per_s=_integer(info.get("instantaneous_ops_per_sec")),
    )


def _known(value: int) -> int | None:
    """Lua cannot carry a nil inside a list, so -1 stands for what the engine does not know."""
    return None if value < 0 else value


def _integer(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _word(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
