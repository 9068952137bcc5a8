"""Entries on the wire: the canonical form that we write, and the tolerant reader of what others write.

Agents in the field send flat maps in any field order, under other names, with times in other units, wrapped in
JSON. Reading never raises: what cannot be a task is `Malformed`, with the entry kept exactly as it stands.
"""

from observatory.model.wire.canonical import MAX_PAYLOAD, WIRE_VERSION, encode
from observatory.model.wire.fields import ABSENT_WORDS, Fields, pairs
from observatory.model.wire.reader import (
    MAX_FOREIGN_PAYLOAD,
    Malformed,
    foreign_id,
    read_any_entry,
    read_dead_letter,
    read_entry,
)
from observatory.model.wire.values import MAX_ID_BYTES, MAX_ORDERING_KEY, SKEW_TOLERANCE_MS, duration_s, rfc3339

__all__ = [
    "ABSENT_WORDS",
    "MAX_FOREIGN_PAYLOAD",
    "MAX_ID_BYTES",
    "MAX_ORDERING_KEY",
    "MAX_PAYLOAD",
    "SKEW_TOLERANCE_MS",
    "WIRE_VERSION",
    "Fields",
    "Malformed",
    "duration_s",
    "encode",
    "foreign_id",
    "pairs",
    "read_any_entry",
    "read_dead_letter",
    "read_entry",
    "rfc3339",
]
