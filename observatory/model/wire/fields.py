"""The fields of an entry, and what their names mean: senders use other names, repeat them, pack them, wrap them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fields = tuple[tuple[bytes, bytes], ...]
"""A stream entry's fields, in the order they stand there; names may repeat."""

_ALIASES: Final[Mapping[str, str]] = {
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
ABSENT_WORDS: Final = frozenset({"", "null", "undefined", "None"})
"""What senders write where they mean nothing."""

ABSENT: Final = frozenset(word.encode() for word in ABSENT_WORDS)

_CARRIED: Final = frozenset({"id", "type", "attempt", "arrived", "ordering_key"})
"""Fields that the bus itself adds to a foreign entry when it is tried again; they do not make it another entry."""


def pairs(flat: Sequence[bytes]) -> Fields:
    """Turn a flat list of names and values, as the engine returns it, into pairs."""
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def spread(raw: Fields) -> Fields:
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


def sort_out(raw: Fields, notes: list[str]) -> tuple[dict[str, bytes], dict[bytes, bytes]]:
    """Split fields into those we know, under their canonical names, and the rest, verbatim."""
    shape = _shape(tuple([name for name, _ in raw]))
    if shape.note:
        notes.append(shape.note)
    known: dict[str, bytes] = {}
    extra = {name: raw[place][1] for place, name in shape.extra}
    source: dict[str, int] = {}
    for place, canonical in shape.known:
        value = raw[place][1]
        if value in ABSENT and canonical != "payload":
            continue
        if canonical in known:
            beaten = source[canonical]
            extra[raw[beaten][0]] = raw[beaten][1]
        known[canonical] = value
        source[canonical] = place
    return known, extra


def unwrap(known: dict[str, bytes], extra: dict[bytes, bytes], notes: list[str]) -> dict[str, bytes]:
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
    unwrapped, rest = sort_out(fields, notes)
    extra.update(rest)
    notes.append("unwrapped one level of JSON")
    return unwrapped | added


def _inner(value: object) -> bytes:
    if value is None:
        return b""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


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
        alias = folded(name)
        canonical = _ALIASES.get(alias)
        if canonical is None:
            extra.append((place, name))
            continue
        # Of several fields that mean the same, the canonical name wins, then whichever stands first.
        known.append((place, canonical))
        if alias != canonical:
            foreign.add(alias)
    known.sort(key=lambda item: (folded(names[item[0]]) == item[1], -item[0]))
    note = f"read {', '.join(sorted(foreign))} by another name" if foreign else ""
    return _Shape(tuple(known), tuple(extra), note)


def folded(name: bytes) -> str:
    """Return a field name as it is compared: names mean the same in any case."""
    return name.decode("utf-8", "surrogateescape").lower()
