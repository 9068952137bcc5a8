"""Payloads that do not stand in the line: artifacts, files that a line only names, and what is too large to travel.

They go to the blob store of the bus, and their entries carry claim checks (`bus.payloads.blobs`), as those of any
sender do.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from observatory.bus.payloads.blobs import CLAIM_TYPE, MAX_BLOB
from observatory.model.text import line
from observatory.model.wire import MAX_PAYLOAD

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus.payloads.blobs import BlobStore
    from observatory.bus.talk.journal import Row

ARTIFACT: Final = "artifact"
"""Type of the lines whose data is the path of a file, where nobody says another."""


class NoArtifactError(ValueError):
    """A payload cannot be had; the message says why."""


class Artifacts:
    """What becomes of payloads that cannot stand in an entry.

    Args:
        store: Where they go; None if they cannot go anywhere.
        folder: Where the files are that lines name; None if lines name no files.
        type: Type of the lines that name files.
    """

    def __init__(self, store: BlobStore | None = None, folder: Path | None = None, *, type: str = ARTIFACT) -> None:  # noqa: A002 - the field's name on the wire
        self._store = store
        self._folder = folder.resolve() if folder is not None else None
        self._type = type.encode()

    def concerns(self, row: Row) -> bool:
        """Say whether the payload of *row* cannot travel as it is."""
        return (self._folder is not None and row.type == self._type) or len(row.payload) > MAX_PAYLOAD

    async def checked_in(self, row: Row) -> Row:
        """Return *row* with a claim check for its payload, which is in the store then.

        Raises:
            NoArtifactError: There is no such file, it lies elsewhere, or there is no store.
            UsageError: It is too large for the store.
            BlobStoreError: The store does not take it.
        """
        if self._store is None:
            raise NoArtifactError(f"its payload of {len(row.payload):,} bytes needs a blob store, see --blobs")
        payload = await asyncio.to_thread(self.payload_of, row)
        return replace(row, payload=await self._store.put(payload, ""), content_type=CLAIM_TYPE)

    def payload_of(self, row: Row) -> bytes:
        """Return the payload that *row* stands for.

        Raises:
            NoArtifactError: There is no such file, or it lies elsewhere.
        """
        if self._folder is None or row.type != self._type:
            return row.payload
        name = row.payload.decode("utf-8", "surrogateescape").strip()
        try:
            path = (self._folder / name).resolve()
            if not path.is_relative_to(self._folder):
                raise NoArtifactError(f"its artifact {line(name, 80)!r} lies outside of the folder of artifacts")
            if path.stat().st_size > MAX_BLOB:
                raise NoArtifactError(f"its artifact {line(name, 80)!r} has more than {MAX_BLOB:,} bytes")
            return path.read_bytes()
        except (OSError, ValueError) as error:
            if isinstance(error, NoArtifactError):
                raise
            why = error.strerror if isinstance(error, OSError) else "no path"
            raise NoArtifactError(f"its artifact {line(name, 80)!r} cannot be read: {why}") from None

    def digest_of(self, row: Row) -> str:
        """Return the SHA-256 of the payload that *row* stands for; empty if it cannot be had now."""
        try:
            return hashlib.sha256(self.payload_of(row)).hexdigest()
        except NoArtifactError:
            return ""
