"""Claim checks: payloads that are too large for a stream lie in a blob store, and the entry carries a reference.

That goes for tasks, for what their handlers return, for messages and for broadcasts.

A reference is small JSON of the type `application/vnd.observatory.claim+json`:
`{"digest": "sha256:…", "size": N, "content_type": "…", "store": "<URL without secrets>"}`. The digest is the name of
the blob: the same payload is stored once, and what comes back is checked against it. The store that is read is
always the reader's own, and the digest the only part of a reference that a path is made of.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from observatory.bus.payloads.payload import Payload, written
from observatory.bus.payloads.shelves import Folder, Remote, Shelf
from observatory.bus.tasks.handlers import MalformedPayloadError
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.message import NewMessage, Note
from observatory.model.task import NewTask
from observatory.model.text import line
from observatory.model.wire import MAX_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.model.task import Task

New = TypeVar("New", NewTask, NewMessage)
AnyNote = TypeVar("AnyNote", bound=Note)

CLAIM_TYPE: Final = "application/vnd.observatory.claim+json"
"""MIME type of a reference."""

MAX_BLOB: Final = 256 * 1024 * 1024
"""Largest payload that is stored, or fetched on the word of a reference, in bytes."""

MAX_REFERENCE: Final = 4096
"""Longest reference that is read, in bytes."""

DRAFT_S: Final = 3600.0
"""Seconds for which a draft is left alone, because its writer may live."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_TYPE_LIMIT: Final = 255


class BlobError(ObservatoryError):
    """A payload cannot be put into, or fetched from, the blob store."""


class BlobStoreError(BlobError):
    """The store itself does not do what it should: no space, no rights, no answer. Trying again may help."""


class MissingBlobError(BlobError):
    """The blob that a reference names is not there: swept, or not there yet."""


class ForeignClaimError(MissingBlobError):
    """The blob is not there, and the reference says that it lies in another store than ours."""


class MalformedClaimError(BlobError, MalformedPayloadError):
    """What should be a reference is none; in a handler's place this is a dead letter with the reason `malformed`."""


class DamagedBlobError(BlobError, MalformedPayloadError):
    """The blob is not what the reference names: size or digest differ; `malformed` like a reference that is none."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A reference that was read.

    Attributes:
        hex: SHA-256 of the payload in 64 hexadecimal digits: its name in the store.
        size: Its length in bytes.
        content_type: MIME type of the payload; empty if unknown.
        store: Where it was put, as the writer says; told to people, never opened.
    """

    hex: str
    size: int
    content_type: str
    store: str


def is_claim(content_type: str) -> bool:
    """Say whether a payload of this MIME type is a reference to one that lies elsewhere."""
    return content_type == CLAIM_TYPE or content_type.partition(";")[0].strip().lower() == CLAIM_TYPE


def read_claim(reference: bytes) -> Claim:
    """Read a reference, whoever wrote it.

    Raises:
        MalformedClaimError: It is none; the message says why.
    """
    if len(reference) > MAX_REFERENCE:
        raise MalformedClaimError(f"reference to a payload: {len(reference)} bytes, {MAX_REFERENCE} at most")
    try:
        said = json.loads(reference)
    except (ValueError, RecursionError) as error:
        raise MalformedClaimError("reference to a payload: not JSON") from error
    if not isinstance(said, dict):
        raise MalformedClaimError("reference to a payload: not a JSON object")
    digest, size = said.get("digest"), said.get("size")
    kind, store = said.get("content_type", ""), said.get("store", "")
    named = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if named is None:
        raise MalformedClaimError(f"reference to a payload: digest {_shown(digest)} is not sha256: and 64 digits")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BLOB:
        raise MalformedClaimError(f"reference to a payload: size {_shown(size)} is not from 0 to {MAX_BLOB}")
    if not isinstance(kind, str) or len(kind) > _TYPE_LIMIT or not kind.isprintable() or is_claim(kind):
        raise MalformedClaimError(f"reference to a payload: content_type {_shown(kind)} cannot be one")
    if not isinstance(store, str):
        raise MalformedClaimError(f"reference to a payload: store {_shown(store)} is not text")
    return Claim(named[1], size, kind, store)


async def stowed(store: BlobStore | None, new: New) -> New:
    """Return a task or message as it can be sent: a payload that is too large is put into *store*, if there is one.

    Raises:
        UsageError: It is too large for the store as well.
        BlobStoreError: The store does not take it.
    """
    if store is None or len(new.payload) <= MAX_PAYLOAD:
        return new
    reference = await store.put(new.payload, new.content_type)
    return replace(new, payload=reference, content_type=CLAIM_TYPE)


async def packed(store: BlobStore | None, payload: Payload) -> tuple[bytes, str]:
    """Return what travels for *payload*, and its MIME type: the payload as it is written, or a reference to it.

    Raises:
        UsageError: It is too large, or cannot be written as JSON.
        BlobStoreError: The store does not take it.
    """
    body, content_type = written(payload, most=most_bytes(store))
    if len(body) <= MAX_PAYLOAD or store is None:
        return body, content_type
    return await store.put(body, content_type), CLAIM_TYPE


def most_bytes(store: BlobStore | None) -> int:
    """Bytes that a payload may have where *store* is at hand."""
    return MAX_PAYLOAD if store is None else MAX_BLOB


async def fetched(store: BlobStore | None, payload: bytes, content_type: str) -> tuple[bytes, str]:
    """Return a payload and its MIME type: what came, or what it refers to.

    Raises:
        BlobError: The payload cannot be had; the kind says why.
    """
    if not is_claim(content_type):
        return payload, content_type
    if store is None:
        read_claim(payload)
        raise BlobStoreError("the payload lies in a blob store, and this client has none", "Bus.connect(…, blobs=URL)")
    return await store.get(payload)


async def redeemed(store: BlobStore | None, task: Task) -> Task:
    """Return *task* as a handler wants it: with its payload where it carries a reference.

    Raises:
        BlobError: The payload cannot be had; the kind says why.
    """
    if not is_claim(task.content_type):
        return task
    payload, content_type = await fetched(store, task.payload, task.content_type)
    return replace(task, payload=payload, content_type=content_type)


async def opened(store: BlobStore | None, note: AnyNote) -> AnyNote:
    """Return a note with its payload; one that cannot be had stays a reference, and `notes` says why."""
    if not is_claim(note.content_type):
        return note
    try:
        payload, content_type = await fetched(store, note.payload, note.content_type)
    except BlobError as error:
        return replace(note, notes=(*note.notes, f"the payload stays a reference: {line(str(error), 200)}"))
    return replace(note, payload=payload, content_type=content_type)


class BlobStore:
    """A store of payloads by their digest. Made by `BlobStore.open`; safe to share between coroutines.

    A blob outlives its task: `sweep` it after the longest time for which a task can wait, run and lie among the dead.

    Attributes:
        url: Where it is, without secrets.
    """

    def __init__(self, shelf: Shelf, url: str, clock: Clock) -> None:
        self.url = url
        self._shelf = shelf
        self._clock = clock

    @classmethod
    def open(cls, url_or_path: str | Path, *, clock: Clock | None = None) -> Self:
        """Prepare a store; nothing is read or written yet.

        Args:
            url_or_path: A folder, as a path or `file://` URL, or any other URL that fsspec knows, for which the
                extra `observatory[blobs]` must be installed.
            clock: Tells how old blobs are; the system's by default.

        Raises:
            UsageError: It cannot be one, or fsspec is not installed.
        """
        chosen = clock or SystemClock()
        given = str(url_or_path)
        if not given:
            raise UsageError("blob store: neither a folder nor a URL", "for example /var/lib/observatory/blobs")
        if "://" not in given or given.startswith("file://"):
            folder = _folder_of(given)
            return cls(Folder(folder), folder.as_uri(), chosen)
        shown = public(given)
        if importlib.util.find_spec("fsspec") is None:
            raise UsageError(
                f"blob store {line(shown)}: only folders can be used without fsspec", "pip install 'observatory[blobs]'"
            )
        return cls(Remote(given, shown), shown, chosen)

    async def put(self, payload: bytes, content_type: str) -> bytes:
        """Store *payload* and return the reference to it; storing it again renews it, and mends it if it was damaged.

        Once this returns the blob is whole; a writer that dies before leaves nothing that a reader could see.

        Args:
            payload: What to store.
            content_type: Its MIME type; empty if unknown.

        Raises:
            UsageError: It is too large, or its type cannot be one.
            BlobStoreError: The store does not take it.
        """
        if len(payload) > MAX_BLOB:
            raise UsageError(f"payload: {len(payload)} bytes, {MAX_BLOB} at most")
        if len(content_type) > _TYPE_LIMIT or not content_type.isprintable() or is_claim(content_type):
            raise UsageError(f"content_type: {line(content_type, 64)!r} cannot be that of a stored payload")
        digest = await asyncio.to_thread(self._store, payload)
        claim = {"digest": f"sha256:{digest}", "size": len(payload), "content_type": content_type, "store": self.url}
        return json.dumps(claim, separators=(",", ":")).encode()

    async def get(self, reference: bytes) -> tuple[bytes, str]:
        """Fetch the payload that *reference* names, and its MIME type.

        Raises:
            MalformedClaimError: It is no reference.
            MissingBlobError: The blob is not there; `ForeignClaimError` if it was put into another store.
            DamagedBlobError: The blob is not the one that was put.
            BlobStoreError: The store cannot be read.
        """
        claim = read_claim(reference)
        return await asyncio.to_thread(self._fetch, claim), claim.content_type

    async def sweep(self, older_than_s: float) -> int:
        """Delete what was last put more than *older_than_s* seconds ago, and what dead writers left.

        Returns:
            How many blobs went.

        Raises:
            UsageError: The age is negative.
            BlobStoreError: The store cannot be read, or does not let go of a blob.
        """
        if older_than_s < 0:
            raise UsageError(f"older_than_s: {older_than_s:g} is negative")
        now_s = self._clock.now_ms() / 1000
        with _told(self.url):
            return await asyncio.to_thread(self._shelf.sweep, now_s - older_than_s, now_s - max(older_than_s, DRAFT_S))

    def _store(self, payload: bytes) -> str:
        name = hashlib.sha256(payload).hexdigest()
        with _told(self.url):
            self._shelf.write(name, payload)
        return name

    def _fetch(self, claim: Claim) -> bytes:
        with _told(self.url):
            try:
                # One byte more than there should be tells a longer blob without reading it.
                payload = self._shelf.read(claim.hex, claim.size + 1)
            except FileNotFoundError as error:
                raise self._missing(claim) from error
        if len(payload) != claim.size:
            found = "longer" if len(payload) > claim.size else f"{len(payload)} bytes long"
            raise DamagedBlobError(f"blob {claim.hex[:12]}… is {found}, its reference says {claim.size} bytes")
        if hashlib.sha256(payload).hexdigest() != claim.hex:
            raise DamagedBlobError(f"blob {claim.hex[:12]}… does not have that digest: it was changed")
        return payload

    def _missing(self, claim: Claim) -> MissingBlobError:
        problem = f"blob {claim.hex[:12]}… is not in {line(self.url)}"
        if claim.store and claim.store != self.url:
            return ForeignClaimError(
                problem, f"it was put into {line(public(claim.store))}: let both sides use one store"
            )
        return MissingBlobError(problem, "was it swept before its task was done?")


def public(url: str) -> str:
    """Return *url* without user, password, query and fragment."""
    # Greedy up to the last @: a password that holds @ or / unescaped must not show even in part.
    return "::".join(re.sub(r"(?<=://).*@", "", re.sub(r"[?#].*", "", part)) for part in url.split("::"))


def _folder_of(given: str) -> Path:
    if not given.startswith("file://"):
        return Path(given).expanduser().absolute()
    parts = urlsplit(given)
    if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise UsageError(f"blob store {line(public(given))} names no folder", "for example file:///var/lib/blobs")
    return Path(unquote(parts.path))


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Say which store refused. What a file system says of itself may hold secrets, so only its kind is passed on."""
    try:
        yield
    except BlobError:
        raise
    except Exception as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise BlobStoreError(
            f"blob store {line(url)}: {line(why, 100)}", "is it there, with room and rights?"
        ) from error


def _shown(value: object) -> str:
    return line(json.dumps(value), 80)
