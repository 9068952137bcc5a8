"""The index of a stretch as one file: a table of contents in JSON, then what it points at. Versioned, checksummed.

`OBSINDEX`, the length of the table of contents (8 bytes, little-endian), the table, then packed pieces at the offsets
that it names.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import numpy as np

from observatory.history.index import Frame, Group, Index, pack, unpack
from observatory.model.errors import ObservatoryError

VERSION: Final = 1
_MAGIC: Final = b"OBSINDEX"
_HEAD: Final = len(_MAGIC) + 8


class DamagedError(ObservatoryError):
    """A file of the past that is not what it was when it was written."""


def write_index(index: Index) -> bytes:
    """Return *index* as the bytes of a file."""
    pieces: list[bytes] = []
    length = 0

    def put(piece: bytes) -> list[int]:
        nonlocal length
        pieces.append(piece)
        length += len(piece)
        return [length - len(piece), len(piece)]

    table: dict[str, Any] = {
        "version": VERSION,
        "first": index.first,
        "last": index.last,
        "groups": [[one.row, one.rows, one.first_ms, one.last_ms, one.kinds, put(one.bloom)] for one in index.groups],
        "frames": [[one.row, one.whole, put(one.data)] for one in index.frames],
        "seconds": {kind: _put_seconds(put, *found) for kind, found in index.seconds.items()},
    }
    body = b"".join(pieces)
    table["sha256"] = hashlib.sha256(body).hexdigest()
    head = json.dumps(table, separators=(",", ":")).encode()
    return b"".join([_MAGIC, len(head).to_bytes(8, "little"), head, body])


def read_index(data: memoryview, *, check: bool = False) -> Index:
    """Return the index that `write_index` was given; keyframes and filters stay where they are until they are used.

    Args:
        data: The bytes of the file; must stay valid for as long as the index is used.
        check: Whether to compare its checksum, which reads all of it.

    Raises:
        DamagedError: The file is damaged or of a later version.
    """
    try:
        if bytes(data[: len(_MAGIC)]) != _MAGIC:
            raise DamagedError("that is no index of events")
        length = int.from_bytes(data[len(_MAGIC) : _HEAD], "little")
        table = json.loads(bytes(data[_HEAD : _HEAD + length]))
        body = data[_HEAD + length :]
        if table["version"] != VERSION:
            raise DamagedError(f"index of version {table['version']}, this program knows {VERSION}", "use a newer one")
        if check and hashlib.sha256(body).hexdigest() != table["sha256"]:
            raise DamagedError("an index of events does not match its checksum")

        def get(place: list[int]) -> bytes:
            return bytes(body[place[0] : place[0] + place[1]])

        return Index(
            groups=[
                Group(row, rows, first, last, kinds, get(bloom))
                for row, rows, first, last, kinds, bloom in table["groups"]
            ],
            frames=[Frame(row, get(place), whole) for row, whole, place in table["frames"]],
            seconds={kind: _seconds(get(one), get(two)) for kind, (one, two) in table["seconds"].items()},
            first=None if table["first"] is None else tuple(table["first"]),
            last=None if table["last"] is None else tuple(table["last"]),
        )
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise DamagedError(f"an index of events cannot be read: {type(error).__name__}") from error


def _put_seconds(put: Any, seconds: Any, total: Any) -> list[list[int]]:  # noqa: ANN401 - arrays of numpy
    return [put(pack(np.diff(column, prepend=0).astype("<i8").tobytes())) for column in (seconds, total)]


def _seconds(one: bytes, two: bytes) -> tuple[Any, Any]:
    seconds, total = (np.cumsum(np.frombuffer(unpack(data), "<i8")) for data in (one, two))
    return seconds, total
