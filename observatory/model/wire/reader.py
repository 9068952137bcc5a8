"""The tolerant reader of lane entries and dead letters. It never raises: what cannot be a task is `Malformed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.model.dead_letter import DeadLetter
from observatory.model.task import MAX_TTL_S, EntryId, Lane, Priority, Task
from observatory.model.wire.canonical import PLAIN_NAMES
from observatory.model.wire.fields import ABSENT, Fields, folded, sort_out, spread, unwrap
from observatory.model.wire.values import (
    MAX_ID_BYTES,
    SKEW_TOLERANCE_MS,
    as_integer,
    as_text,
    created_at,
    id_of,
    ordering_key_of,
    seconds_of,
    time_ms,
    ttl_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_FOREIGN_PAYLOAD: Final = 4 * 1024 * 1024
"""Largest payload of a foreign entry that is handed to a handler, in bytes; larger ones are dead-lettered."""

_ODD: Final = (ABSENT - {b""}) | {b"[object Object]"}
_PRIORITY_WORDS: Final = {
    **{str(priority): priority for priority in Priority},
    "urgent": Priority.CRITICAL,
    "med": Priority.NORMAL,
    "medium": Priority.NORMAL,
    "p0": Priority.CRITICAL,
    "p1": Priority.HIGH,
    "p2": Priority.NORMAL,
    "p3": Priority.LOW,
}


@dataclass(frozen=True, slots=True)
class Malformed:
    """An entry that cannot be a task.

    Attributes:
        lane: Where it stands.
        entry_id: Its id there.
        why: What is wrong, in words.
        fields: The entry exactly as it stands.
        id: Task id, if it carries one; empty otherwise.
    """

    lane: Lane
    entry_id: str
    why: str
    fields: Fields
    id: str = ""


def read_entry(lane: Lane, entry_id: str, fields: Iterable[tuple[bytes, bytes]]) -> Task | Malformed:
    """Read one lane entry, whoever wrote it.

    Args:
        lane: The lane it stands in; it decides over any priority field.
        entry_id: Its stream id; its milliseconds are the arrival unless the entry says otherwise.
        fields: Names and values as bytes, in any order, names in any case, possibly repeated.

    Returns:
        The task, with everything that had to be forgiven in `notes`; or what cannot be one.
    """
    raw = tuple(fields)
    if (plain_key := PLAIN_NAMES.get(tuple([name for name, _ in raw]))) is not None:
        plain = _read_plain(lane, entry_id, raw, *plain_key)
        if plain is not None:
            return plain
    return read_any_entry(lane, entry_id, raw)


def read_any_entry(lane: Lane, entry_id: str, fields: Fields) -> Task | Malformed:
    """Read one lane entry by the full set of rules; `read_entry` has a shorter way to the same result for our own."""
    raw = spread(fields)
    notes: list[str] = []
    known, extra = sort_out(raw, notes)
    known = unwrap(known, extra, notes)
    if "type" not in known and "payload" not in known:
        why = "neither a type nor a payload" if raw else "an empty entry"
        return Malformed(lane, entry_id, why, raw, id_of(known.get("id")))
    arrived = EntryId.parse(entry_id).ms
    if (earlier := as_integer(known.get("arrived"))) is not None:
        arrived = min(earlier, arrived)
    return Task(
        id=id_of(known.get("id")) or foreign_id(lane, entry_id),
        type=as_text(known.get("type")),
        payload=known.get("payload", b""),
        lane=lane,
        entry_id=entry_id,
        sender=as_text(known.get("from")),
        to=as_text(known.get("to")),
        content_type=as_text(known.get("content_type")),
        created_ms=created_at(known.get("created_at"), arrived, notes),
        arrived_ms=arrived,
        ttl_s=ttl_of(known.get("ttl"), notes),
        attempt=max(as_integer(known.get("attempt")) or 1, 1),
        correlation_id=as_text(known.get("correlation_id")),
        reply_to=as_text(known.get("reply_to")),
        trace=as_text(known.get("trace")),
        role=as_text(known.get("role")),
        ordering_key=ordering_key_of(known.get("ordering_key"), notes),
        extra=extra,
        notes=(*notes, *_disagreements(known, lane)),
        fields=raw,
    )


def _read_plain(lane: Lane, entry_id: str, raw: Fields, has_to: bool, has_type: bool) -> Task | None:
    """Read an entry as `encode` writes it; None if a value needs the full rules."""
    values = [value for _, value in raw]
    ident, kind, sender = values[:3]
    created, ttl, _ = values[-3:]
    priority, payload = values[3 + has_to : 5 + has_to]
    if not ident or len(ident) > MAX_ID_BYTES or not _ODD.isdisjoint(values):
        return None
    arrived = int(entry_id.partition("-")[0])
    created_ms = time_ms(created.decode("ascii", "replace"))
    ttl_s = seconds_of(ttl)
    if created_ms is None or created_ms > arrived + SKEW_TOLERANCE_MS or ttl_s is None or not 0 < ttl_s < MAX_TTL_S:
        return None
    if priority != lane.priority.encode():
        return None
    return Task(
        id=as_text(ident),
        type=as_text(kind),
        payload=payload,
        lane=lane,
        entry_id=entry_id,
        sender=as_text(sender),
        to=as_text(values[3]) if has_to else "",
        content_type=as_text(values[5 + has_to]) if has_type else "",
        created_ms=created_ms,
        arrived_ms=arrived,
        ttl_s=ttl_s,
        fields=raw,
    )


def read_dead_letter(entry_id: str, fields: Iterable[tuple[bytes, bytes]]) -> DeadLetter:
    """Read one entry of the dead-letter stream, whoever wrote it; what nothing says is `?`, empty or None.

    The bus appends its own fields behind the original ones, so of a repeated name the last one counts.
    """
    raw = spread(tuple(fields))
    last = {folded(name): value for name, value in raw}
    known, _ = sort_out(raw, [])
    return DeadLetter(
        entry_id=entry_id,
        task_id=as_text(known.get("id")),
        type=as_text(known.get("type")),
        reason=as_text(last.get("reason")) or "?",
        error=as_text(last.get("last_error")),
        attempts=as_integer(last.get("attempts")),
        source=as_text(last.get("source")),
        source_id=as_text(last.get("source_id")),
        worker=as_text(last.get("worker")),
        died_ms=EntryId.parse(entry_id).ms,
        first_seen_ms=as_integer(last.get("first_seen")),
        requeues=as_integer(last.get("requeues")) or 0,
        payload=known.get("payload", b""),
        fields=raw,
    )


def foreign_id(lane: Lane, entry_id: str) -> str:
    """Return the id of a task whose sender gave none; a retry carries it on, so it stays the same."""
    return f"x-{lane}-{entry_id}"


def _disagreements(known: Mapping[str, bytes], lane: Lane) -> list[str]:
    notes = []
    if (said := as_text(known.get("priority")).lower()) and _PRIORITY_WORDS.get(said) is not lane.priority:
        notes.append(f"says priority {said[:32]}, stands in {lane.priority}")
    if known.get("payload") == b"[object Object]":
        notes.append("payload is [object Object]: the sender forgot to serialise it")
    return notes
