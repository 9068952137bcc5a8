"""The canonical form of an entry: how we write a task, always in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from observatory.model.wire.values import rfc3339, written_seconds

if TYPE_CHECKING:
    from observatory.model.task import NewTask

WIRE_VERSION: Final = b"1"
"""Value of the `v` field in entries that we write."""

MAX_PAYLOAD: Final = 256 * 1024
"""Largest payload that may be published inline, in bytes."""

_TIES: Final = (b"correlation_id", b"reply_to", b"trace", b"role", b"ordering_key")


def _names(*, to: bool, content_type: bool) -> tuple[bytes, ...]:
    head = (b"id", b"type", b"from", *((b"to",) if to else ()), b"priority", b"payload")
    return (*head, *((b"content_type",) if content_type else ()), b"created_at", b"ttl", b"v")


_PLAIN: Final = {(to, kind): _names(to=to, content_type=kind) for to in (False, True) for kind in (False, True)}
PLAIN_NAMES: Final = {names: key for key, names in _PLAIN.items()}
"""What the field names of an entry without any ties say: whether it has an addressee, and a content type."""


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
    values += (rfc3339(task.created_ms).encode() if task.created_ms else b"", written_seconds(task.ttl_s))
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
