"""Entries on the wire: the canonical form that we write, and the tolerant reader of what others write.

Agents in the field send flat maps in any field order, under other names, with times in other units, wrapped in
JSON. Reading never raises: what cannot be a task is `Malformed`, with the entry kept exactly as it stands.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from observatory.model.dead_letter import DeadLetter
from observatory.model.task import DEFAULT_TTL_S, MAX_TTL_S, EntryId, Lane, NewTask, Priority, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Fields = tuple[tuple[bytes, bytes], ...]
"""A stream entry's fields, in the order they stand there; names may repeat."""

WIRE_VERSION = b"1"
"""Value of the `v` field in entries that we write."""

MAX_PAYLOAD = 256 * 1024
"""Largest payload that may be published inline, in bytes."""

MAX_FOREIGN_PAYLOAD = 4 * 1024 * 1024
"""Largest payload of a foreign entry that is handed to a handler, in bytes; larger ones are dead-lettered."""

MAX_ID_BYTES = 512
"""Longest task id that is believed; take.lua holds the same bound."""

MAX_ORDERING_KEY = 200
"""Longest ordering key that is believed, in bytes; common.lua holds the same bound."""

SKEW_TOLERANCE_MS = 300_000
"""A creation time further in the future than this is not believed."""

_TIES = (b"correlation_id", b"reply_to", b"trace", b"role", b"ordering_key")


def _names(*, to: bool, content_type: bool) -> tuple[bytes, ...]:
    head = (b"id", b"type", b"from", *((b"to",) if to else ()), b"priority", b"payload")
    return (*head, *((b"content_type",) if content_type else ()), b"created_at", b"ttl", b"v")


_PLAIN = {(to, kind): _names(to=to, content_type=kind) for to in (False, True) for kind in (False, True)}
_PLAIN_NAMES = {names: key for key, names in _PLAIN.items()}

_ALIASES: Mapping[str, str] = {
    alias: name
    for name, aliases in {
        "id": ("id", "task_id", "message_id", "uuid", "_watermill_message_uuid"),
        "type": ("type", "kind", "event", "function"),
        "from": ("from", "sender", "source", "agent"),
        "to": ("to", "target", "recipient"),
        "priority": ("priority",),
        "payload": ("payload", "data", "body", "message", "__data__"),
        "content_type": ("content_type",),
        "created_at": ("created_at", "timestamp", "ts", "time", "enqueue_time"),
        "ttl": ("ttl", "expires_in", "max_age"),
        "attempt": ("attempt",),
        "correlation_id": ("correlation_id",),
        "reply_to": ("reply_to",),
        "trace": ("trace",),
        "role": ("role",),
        "ordering_key": ("ordering_key",),
        "v": ("v",),
        "arrived": ("arrived",),
    }.items()
    for alias in aliases
}
ABSENT_WORDS = frozenset({"", "null", "undefined", "None"})
"""What senders write where they mean nothing."""

_ABSENT = frozenset(word.encode() for word in ABSENT_WORDS)
_ODD = (_ABSENT - {b""}) | {b"[object Object]"}
_DURATION = re.compile(r"([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*(ms|s|sec|m|min|h|d)?", re.IGNORECASE)
_UNIT_S = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PRIORITY_WORDS = {
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


def encode(task: NewTask) -> tuple[tuple[bytes, ...], list[bytes]]:
    """Return the names and the values of the canonical fields of *task*, in the one canonical order.

    A field that would say nothing is left out: entries with equal field sets share them within a node of the stream,
    tasks of a batch share them on the way, and each field that is not there spares the engine some copies of it.
    """
    addressee = task.queue[1:] if task.queue.startswith("@") else ""
    values = [task.id.encode(), task.type.encode(), task.sender.encode()]
    if addressee:
        values.append(addressee.encode())
    values += (task.priority.encode(), task.payload)
    if task.content_type:
        values.append(task.content_type.encode())
    values += (rfc3339(task.created_ms).encode() if task.created_ms else b"", _seconds(task.ttl_s))
    plain = _PLAIN[bool(addressee), bool(task.content_type)]
    ties = (task.correlation_id, task.reply_to, task.trace, task.role, task.ordering_key)
    if not any(ties) and not task.extra:
        values.append(WIRE_VERSION)
        return plain, values
    names = list(plain[:-1])
    for name, tie in zip(_TIES, ties, strict=True):
        if tie:
            names.append(name)
            values.append(tie.encode())
    return (*names, b"v", *task.extra), [*values, WIRE_VERSION, *task.extra.values()]


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
    if (plain_key := _PLAIN_NAMES.get(tuple([name for name, _ in raw]))) is not None:
        plain = _read_plain(lane, entry_id, raw, *plain_key)
        if plain is not None:
            return plain
    return read_any_entry(lane, entry_id, raw)


def read_any_entry(lane: Lane, entry_id: str, fields: Fields) -> Task | Malformed:
    """Read one lane entry by the full set of rules; `read_entry` has a shorter way to the same result for our own."""
    raw = _spread(fields)
    notes: list[str] = []
    known, extra = _sort_out(raw, notes)
    known = _unwrap(known, extra, notes)
    if "type" not in known and "payload" not in known:
        why = "neither a type nor a payload" if raw else "an empty entry"
        return Malformed(lane, entry_id, why, raw, _task_id(known.get("id")))
    arrived = EntryId.parse(entry_id).ms
    if (earlier := _integer(known.get("arrived"))) is not None:
        arrived = min(earlier, arrived)
    return Task(
        id=_task_id(known.get("id")) or foreign_id(lane, entry_id),
        type=_text(known.get("type")),
        payload=known.get("payload", b""),
        lane=lane,
        entry_id=entry_id,
        sender=_text(known.get("from")),
        to=_text(known.get("to")),
        content_type=_text(known.get("content_type")),
        created_ms=_created(known.get("created_at"), arrived, notes),
        arrived_ms=arrived,
        ttl_s=_ttl(known.get("ttl"), notes),
        attempt=max(_integer(known.get("attempt")) or 1, 1),
        correlation_id=_text(known.get("correlation_id")),
        reply_to=_text(known.get("reply_to")),
        trace=_text(known.get("trace")),
        role=_text(known.get("role")),
        ordering_key=_ordering_key(known.get("ordering_key"), notes),
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
    created_ms = _time_ms(created.decode("ascii", "replace"))
    ttl_s = _seconds_of(ttl)
    if created_ms is None or created_ms > arrived + SKEW_TOLERANCE_MS or ttl_s is None or not 0 < ttl_s < MAX_TTL_S:
        return None
    if priority != lane.priority.encode():
        return None
    return Task(
        id=_text(ident),
        type=_text(kind),
        payload=payload,
        lane=lane,
        entry_id=entry_id,
        sender=_text(sender),
        to=_text(values[3]) if has_to else "",
        content_type=_text(values[5 + has_to]) if has_type else "",
        created_ms=created_ms,
        arrived_ms=arrived,
        ttl_s=ttl_s,
        fields=raw,
    )


def read_dead_letter(entry_id: str, fields: Iterable[tuple[bytes, bytes]]) -> DeadLetter:
    """Read one entry of the dead-letter stream, whoever wrote it; what nothing says is `?`, empty or None.

    The bus appends its own fields behind the original ones, so of a repeated name the last one counts.
    """
    raw = _spread(tuple(fields))
    last = {_name(name): value for name, value in raw}
    known, _ = _sort_out(raw, [])
    return DeadLetter(
        entry_id=entry_id,
        task_id=_text(known.get("id")),
        type=_text(known.get("type")),
        reason=_text(last.get("reason")) or "?",
        error=_text(last.get("last_error")),
        attempts=_integer(last.get("attempts")),
        source=_text(last.get("source")),
        source_id=_text(last.get("source_id")),
        worker=_text(last.get("worker")),
        died_ms=EntryId.parse(entry_id).ms,
        first_seen_ms=_integer(last.get("first_seen")),
        requeues=_integer(last.get("requeues")) or 0,
        payload=known.get("payload", b""),
        fields=raw,
    )


def foreign_id(lane: Lane, entry_id: str) -> str:
    """Return the id of a task whose sender gave none; a retry carries it on, so it stays the same."""
    return f"x-{lane}-{entry_id}"


def _spread(raw: Fields) -> Fields:
    """Take apart an entry that was too wide to be moved: `narrow` in common.lua keeps its fields as netstrings."""
    packed = next((value for name, value in raw if name == b"netstrings"), None)
    if packed is None:
        return raw
    parts: list[bytes] = []
    at = 0
    while at < len(packed):
        head, colon, _ = packed[at : at + 12].partition(b":")
        if not colon or not head.isdigit():
            return raw
        start = at + len(head) + 1
        parts.append(packed[start : start + int(head)])
        at = start + int(head) + 1
    if len(parts) % 2:
        return raw
    return (*(field for field in raw if field[0] != b"netstrings"), *pairs(parts))


def pairs(flat: Sequence[bytes]) -> Fields:
    """Turn a flat list of names and values, as the engine returns it, into pairs."""
    return tuple(zip(flat[::2], flat[1::2], strict=True))


@lru_cache(maxsize=256)
def rfc3339(ms: int) -> str:
    """Return *ms* since the epoch as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration_s(text: str) -> float:
    """Read a duration such as `30`, `30s`, `500ms`, `5m`, `1.5h` or `2d`.

    Returns:
        Seconds.

    Raises:
        ValueError: *text* is not a duration.
    """
    # The bound keeps a hostile text from costing more than it is worth.
    match = _DURATION.fullmatch(text.strip()) if len(text) <= 64 else None
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a duration such as 30, 30s, 5m or 2h")
    return float(match[1]) * _UNIT_S[(match[2] or "s").lower()]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the names of an entry mean, whatever its values: senders repeat their names from entry to entry.

    Attributes:
        known: Place and canonical name of each field that we know; of two that mean the same, the better one last.
        extra: Place and name of each field that we do not know.
        note: What had to be forgiven in the names; empty if nothing.
    """

    known: tuple[tuple[int, str], ...]
    extra: tuple[tuple[int, bytes], ...]
    note: str


@lru_cache(maxsize=512)
def _shape(names: tuple[bytes, ...]) -> _Shape:
    known: list[tuple[int, str]] = []
    extra: list[tuple[int, bytes]] = []
    foreign = set()
    for place, name in enumerate(names):
        alias = _name(name)
        canonical = _ALIASES.get(alias)
        if canonical is None:
            extra.append((place, name))
            continue
        # Of several fields that mean the same, the canonical name wins, then whichever stands first.
        known.append((place, canonical))
        if alias != canonical:
            foreign.add(alias)
    known.sort(key=lambda item: (_name(names[item[0]]) == item[1], -item[0]))
    note = f"read {', '.join(sorted(foreign))} by another name" if foreign else ""
    return _Shape(tuple(known), tuple(extra), note)


def _sort_out(raw: Fields, notes: list[str]) -> tuple[dict[str, bytes], dict[bytes, bytes]]:
    """Split fields into those we know, under their canonical names, and the rest, verbatim."""
    shape = _shape(tuple([name for name, _ in raw]))
    if shape.note:
        notes.append(shape.note)
    known: dict[str, bytes] = {}
    extra = {name: raw[place][1] for place, name in shape.extra}
    source: dict[str, int] = {}
    for place, canonical in shape.known:
        value = raw[place][1]
        if value in _ABSENT and canonical != "payload":
            continue
        if canonical in known:
            beaten = source[canonical]
            extra[raw[beaten][0]] = raw[beaten][1]
        known[canonical] = value
        source[canonical] = place
    return known, extra


_CARRIED = frozenset({"id", "type", "attempt", "arrived", "ordering_key"})
"""Fields that the bus itself adds to a foreign entry when it is tried again; they do not make it another entry."""


def _unwrap(known: dict[str, bytes], extra: dict[bytes, bytes], notes: list[str]) -> dict[str, bytes]:
    """Take one level of JSON off an entry whose only field is an object that holds our names."""
    added = {name: value for name, value in known.items() if name in _CARRIED}
    wrapped = None
    if set(known) - _CARRIED == {"payload"} and set(extra) <= {b"requeues"}:
        wrapped = known["payload"]
    elif not set(known) - _CARRIED and set(extra) <= {b"json", b"requeues"}:
        wrapped = extra.get(b"json")
    if wrapped is None or wrapped.lstrip()[:1] != b"{":
        return known
    try:
        inner = json.loads(wrapped)
        if not isinstance(inner, dict) or not any(_ALIASES.get(str(name).lower()) in {"id", "type"} for name in inner):
            return known
        fields = tuple((str(name).encode("utf-8", "surrogatepass"), _inner(value)) for name, value in inner.items())
    except (ValueError, RecursionError):
        return known
    extra.pop(b"json", None)
    unwrapped, rest = _sort_out(fields, notes)
    extra.update(rest)
    notes.append("unwrapped one level of JSON")
    return unwrapped | added


def _inner(value: object) -> bytes:
    if value is None:
        return b""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


def _disagreements(known: Mapping[str, bytes], lane: Lane) -> list[str]:
    notes = []
    if (said := _text(known.get("priority")).lower()) and _PRIORITY_WORDS.get(said) is not lane.priority:
        notes.append(f"says priority {said[:32]}, stands in {lane.priority}")
    if known.get("payload") == b"[object Object]":
        notes.append("payload is [object Object]: the sender forgot to serialise it")
    return notes


def _created(value: bytes | None, arrived_ms: int, notes: list[str]) -> int:
    if value is None:
        return arrived_ms
    created = _time_ms(_text(value))
    if created is None:
        notes.append("creation time is not a time")
        return arrived_ms
    if created > arrived_ms + SKEW_TOLERANCE_MS:
        notes.append("creation time is in the future")
        return arrived_ms
    return created


@lru_cache(maxsize=1024)
def _time_ms(text: str) -> int | None:
    """Read epoch seconds, milliseconds, microseconds or nanoseconds by magnitude, or RFC 3339 with any fraction."""
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    for limit, factor in ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (1e20, 1e-6)):
        if 0 <= number < limit:
            return int(number * factor)
    return None


def _ttl(value: bytes | None, notes: list[str]) -> float:
    if value is None:
        return DEFAULT_TTL_S
    seconds = _seconds_of(value)
    if seconds is None:
        notes.append("ttl is not a duration")
        return DEFAULT_TTL_S
    return min(seconds, MAX_TTL_S) if seconds > 0 else DEFAULT_TTL_S


@lru_cache(maxsize=256)
def _seconds_of(value: bytes) -> float | None:
    try:
        return duration_s(_text(value))
    except ValueError:
        return None


def _task_id(value: bytes | None) -> str:
    """An id becomes part of a key, so an absurdly long one does not count as one."""
    return "" if value is None or len(value) > MAX_ID_BYTES else _text(value)


def _ordering_key(value: bytes | None, notes: list[str]) -> str:
    """It becomes part of a key as well."""
    if value is None or len(value) <= MAX_ORDERING_KEY:
        return _text(value)
    notes.append("ordering key is too long")
    return ""


def _integer(value: bytes | None) -> int | None:
    if value is None:
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def _seconds(value: float) -> bytes:
    """Write seconds to the millisecond, which is as fine as the bus tells time."""
    whole = int(value)
    return (str(whole) if value == whole else f"{max(value, 0.001):.3f}".rstrip("0")).encode()


def _name(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape").lower()


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape")
