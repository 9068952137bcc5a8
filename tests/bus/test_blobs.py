"""Claim checks: what is too large for a lane lies in a store, and nothing that a reference says is believed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observatory.bus.payloads.blobs import (
    CLAIM_TYPE,
    MAX_BLOB,
    MAX_REFERENCE,
    BlobError,
    BlobStore,
    BlobStoreError,
    DamagedBlobError,
    ForeignClaimError,
    MalformedClaimError,
    MissingBlobError,
    is_claim,
    public,
    read_claim,
    redeemed,
    stowed,
)
from observatory.bus.tasks.handlers import DoNotRetry
from observatory.model.errors import UsageError
from observatory.model.task import Lane, NewTask, Priority, Task
from observatory.model.wire import MAX_PAYLOAD

if TYPE_CHECKING:
    from pathlib import Path

LARGE = bytes(range(256)) * 1025
DIGEST = hashlib.sha256(LARGE).hexdigest()

WRITER = """
import asyncio, os, pathlib, sys
from observatory.bus.payloads.blobs import BlobStore
step, folder = sys.argv[1:]
def stop(*_):
    print("there", flush=True)
    sys.stdin.read()
setattr(os if step == "fsync" else pathlib.Path, step, stop)
asyncio.run(BlobStore.open(folder).put(bytes(range(256)) * 1025, "image/png"))
"""


class LaterClock:
    """A clock that is hours ahead of the files."""

    def __init__(self, hours: float) -> None:
        self.hours = hours

    def now_ms(self) -> int:
        """Return the time that it is later."""
        return round((time.time() + self.hours * 3600) * 1000)

    def monotonic(self) -> float:
        """Return nothing that anybody asks for."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Return nothing that anybody asks for."""
        raise NotImplementedError


@pytest.fixture(params=["folder", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is: a folder, or a file system of fsspec."""
    return str(tmp_path / "blobs") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/blobs"


def reference(**other: Any) -> bytes:
    """Write a reference by hand."""
    said = {"digest": f"sha256:{DIGEST}", "size": len(LARGE), "content_type": "image/png", "store": "s3://there"}
    return json.dumps(said | other).encode()


def blob_of(folder: Path) -> Path:
    """Return the place of the blob in a folder."""
    return folder / "sha256" / DIGEST[:2] / DIGEST


async def test_what_was_put_comes_back_with_its_type(address: str) -> None:
    """The reference is small JSON that names digest, size, type and store."""
    store = BlobStore.open(address)
    claim = await store.put(LARGE, "image/png")
    assert json.loads(claim) == {
        "digest": f"sha256:{DIGEST}",
        "size": len(LARGE),
        "content_type": "image/png",
        "store": store.url,
    }
    assert await BlobStore.open(address).get(claim) == (LARGE, "image/png")


async def test_the_same_payload_is_stored_once_and_mended_if_it_was_damaged(tmp_path: Path) -> None:
    """Putting it again, also at the same time, leaves one file, whole, that only its owner can read."""
    store = BlobStore.open(tmp_path / "blobs")
    claims = await asyncio.gather(*(store.put(LARGE, "image/png") for _ in range(8)))
    assert len(set(claims)) == 1
    place = blob_of(tmp_path / "blobs")
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and path.name != ".lock"] == [place]
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    place.write_bytes(b"x" * len(LARGE))
    assert await store.get(await store.put(LARGE, "")) == (LARGE, "")


async def test_an_empty_payload_is_a_payload(address: str) -> None:
    """Nothing at all can be stored and fetched."""
    store = BlobStore.open(address)
    assert await store.get(await store.put(b"", "")) == (b"", "")


@pytest.mark.parametrize(
    ("damage", "word"),
    [(lambda data: data[:-1], "bytes long"), (lambda data: data + b"x", "longer"), (lambda data: data[::-1], "digest")],
)
async def test_a_blob_that_was_changed_is_not_handed_out(tmp_path: Path, damage: Any, word: str) -> None:
    """Cut, grown or altered: the error says so, and trying again is of no use."""
    store = BlobStore.open(tmp_path)
    claim = await store.put(LARGE, "")
    blob_of(tmp_path).write_bytes(damage(LARGE))
    with pytest.raises(DamagedBlobError, match=word) as caught:
        await store.get(claim)
    assert isinstance(caught.value, DoNotRetry)


async def test_a_blob_that_is_gone_is_missed_by_name(address: str) -> None:
    """Swept from our store, or never in it: then the other store is named; both may heal, so they are tried again."""
    store = BlobStore.open(address)
    with pytest.raises(MissingBlobError, match=DIGEST[:12]) as caught:
        await store.get(reference(store=store.url))
    assert not isinstance(caught.value, ForeignClaimError | DoNotRetry)
    with pytest.raises(ForeignClaimError, match=DIGEST[:12]) as caught:
        await store.get(reference(store="s3://me:secret@there/blobs?token=secret"))
    assert "s3://there/blobs" in caught.value.hint
    assert "secret" not in str(caught.value)


async def test_a_store_that_another_name_leads_to_is_the_same_store(tmp_path: Path) -> None:
    """What counts is whether the blob is there: a share can be mounted elsewhere."""
    await BlobStore.open(tmp_path).put(LARGE, "")
    assert (await BlobStore.open(tmp_path).get(reference(store="file:///mnt/elsewhere")))[0] == LARGE


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 4000,
        b"{" + b" " * MAX_REFERENCE + b"}",
        b"{}",
        reference(digest="sha256:../../../../etc/passwd"),
        reference(digest=f"sha256:{DIGEST}/../../x"),
        reference(digest=f"sha256:{DIGEST}\n"),
        reference(digest=f"SHA256:{DIGEST}"),
        reference(digest=f"sha256:{DIGEST.upper()}"),
        reference(digest=f"md5:{DIGEST[:32]}"),
        reference(digest=[DIGEST]),
        reference(digest=None),
        reference(size=-1),
        reference(size=True),
        reference(size=1.5),
        reference(size="12"),
        reference(size=MAX_BLOB + 1),
        reference(size=None),
        reference(content_type=7),
        reference(content_type="x" * 300),
        reference(content_type="text/plain\r\nX: y"),
        reference(content_type=CLAIM_TYPE),
        reference(store=["file:///"]),
    ],
)
async def test_a_hostile_reference_is_refused_by_name(tmp_path: Path, hostile: bytes) -> None:
    """It leads to no path and to no read; a worker dead-letters it as malformed at once."""
    with pytest.raises(MalformedClaimError) as caught:
        await BlobStore.open(tmp_path / "blobs").get(hostile)
    assert isinstance(caught.value, DoNotRetry)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "blobs").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["digest", "size", "content_type", "store"]) | st.text(max_size=3), inner, max_size=5
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_a_reference_is_reading_it_raises_nothing_else(data: bytes) -> None:
    """Any bytes and any JSON are a claim or the one named error."""
    try:
        claim = read_claim(data)
    except MalformedClaimError:
        return
    assert len(claim.hex) == 64


@pytest.mark.parametrize("step", ["fsync", "replace"])
async def test_a_writer_that_is_killed_leaves_nothing_to_be_seen(tmp_path: Path, step: str) -> None:
    """Killed with everything written, but not yet on the disk or in its place: no blob, and the next one succeeds."""
    folder = tmp_path / "blobs"
    writer = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        [sys.executable, "-c", WRITER, step, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"there\n"
    store = BlobStore.open(folder)
    with pytest.raises(MissingBlobError):
        await store.get(reference(store=store.url))
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert len(list((folder / "drafts").iterdir())) == 1
    with pytest.raises(MissingBlobError):
        await store.get(reference(store=store.url))
    assert await store.get(await store.put(LARGE, "")) == (LARGE, "")
    assert await BlobStore.open(folder, clock=LaterClock(2)).sweep(86_400) == 0
    assert len(list((folder / "drafts").iterdir())) == 1, "its writer may live"
    assert await BlobStore.open(folder, clock=LaterClock(25)).sweep(86_400) == 1
    assert not list((folder / "drafts").iterdir())


async def test_a_sweep_takes_what_is_old_and_nothing_that_was_put_again(address: str) -> None:
    """Age counts from the last put."""
    store = BlobStore.open(address, clock=LaterClock(1))
    old = await store.put(b"old", "")
    assert await store.sweep(7200) == 0
    assert await store.sweep(1800) == 1
    with pytest.raises(MissingBlobError):
        await store.get(old)
    assert await store.sweep(0) == 0
    with pytest.raises(UsageError, match="negative"):
        await store.sweep(-1)


async def test_a_blob_that_is_put_again_is_young_again(tmp_path: Path) -> None:
    """Two tasks that share a payload keep it for as long as the later one needs it."""
    store = BlobStore.open(tmp_path)
    claim = await store.put(LARGE, "")
    os.utime(blob_of(tmp_path), (1, 1))
    await store.put(LARGE, "")
    assert await store.sweep(3600) == 0
    assert (await store.get(claim))[0] == LARGE


async def test_a_sweep_leaves_alone_what_is_not_ours(tmp_path: Path) -> None:
    """A file with another name in the folder is not a blob."""
    store = BlobStore.open(tmp_path)
    await store.put(LARGE, "")
    note = blob_of(tmp_path).with_name("note.txt")
    note.write_text("mine")
    os.utime(note, (1, 1))
    assert await store.sweep(3600) == 0
    assert note.read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/hostname")])
async def test_something_else_in_the_place_of_a_blob_is_named(tmp_path: Path, make: Any) -> None:
    """A pipe does not block the reader, a link is not followed, a folder is no payload."""
    blob_of(tmp_path).parent.mkdir(parents=True)
    make(blob_of(tmp_path))
    with pytest.raises(BlobStoreError, match="blob store file:///"):
        await BlobStore.open(tmp_path).get(reference())


async def test_a_store_that_does_not_take_it_says_why(tmp_path: Path) -> None:
    """A file in the folder's place: the store is named, and the reason is the system's own."""
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(BlobStoreError, match=r"exists|Not a directory"):
        await BlobStore.open(tmp_path / "blobs").put(LARGE, "")
    with pytest.raises(BlobStoreError, match="Not a directory"):
        await BlobStore.open(tmp_path / "blobs").get(reference())


async def test_what_is_too_large_for_the_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is that of the reader, so nothing can be put that could not be fetched."""
    monkeypatch.setattr("observatory.bus.payloads.blobs.MAX_BLOB", 1000)
    with pytest.raises(UsageError, match="1000 at most"):
        await BlobStore.open(tmp_path).put(LARGE, "")
    with pytest.raises(UsageError, match="content_type"):
        await BlobStore.open(tmp_path).put(b"x", CLAIM_TYPE)


def test_an_address_that_cannot_be_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, another machine's folder, or a URL where fsspec is not installed: the error says what to do."""
    with pytest.raises(UsageError, match="neither"):
        BlobStore.open("")
    with pytest.raises(UsageError, match="names no folder"):
        BlobStore.open("file://elsewhere/blobs")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="s3://there") as caught:
        BlobStore.open("s3://me:secret@there")
    assert "observatory[blobs]" in caught.value.hint
    assert "secret" not in str(caught.value)


async def test_a_scheme_that_fsspec_does_not_know_is_named_without_its_secret() -> None:
    """What the library says of itself may hold the URL, so only the kind of error is passed on."""
    with pytest.raises(BlobStoreError, match="nowhere://there") as caught:
        await BlobStore.open("nowhere://me:secret@there").put(LARGE, "")
    assert "secret" not in str(caught.value)


def test_folders_need_no_fsspec(tmp_path: Path) -> None:
    """Putting into and getting from a folder, by path or URL, loads nothing that is not installed by default."""
    code = (
        "import asyncio, sys; from observatory.bus.payloads.blobs import BlobStore as B\n"
        "async def run(p):\n"
        "    for s in (B.open(p), B.open('file://' + p)): await s.get(await s.put(b'x', ''))\n"
        "asyncio.run(run(sys.argv[1])); print('fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_secrets_in_an_address_are_not_shown() -> None:
    """User, password, query and fragment go, also where they are badly written."""
    assert public("s3://bucket/a") == "s3://bucket/a"
    assert public("ftp://u:p@ss/w@host/a?key=k#f") == "ftp://host/a"
    assert public("simplecache::sftp://u:p@host/a") == "simplecache::sftp://host/a"


def test_a_reference_is_known_by_its_type() -> None:
    """Case and parameters of the type do not matter."""
    assert is_claim(CLAIM_TYPE)
    assert is_claim("Application/VND.observatory.claim+JSON; charset=utf-8")
    assert not is_claim("application/json")
    assert not is_claim("")


async def test_a_task_is_stowed_only_where_it_must_be_and_redeemed_as_it_was(tmp_path: Path) -> None:
    """Small payloads travel in the lane as ever; large ones are what they were when the handler sees them."""
    store = BlobStore.open(tmp_path)
    small = NewTask("t", b"x" * MAX_PAYLOAD, "1")
    large = NewTask("t", LARGE, "2", content_type="image/png")
    assert await stowed(store, small) is small
    assert await stowed(None, large) is large
    sent = await stowed(store, large)
    assert sent.content_type == CLAIM_TYPE
    assert len(sent.payload) < 1000
    taken = Task("2", "t", sent.payload, Lane("shared", Priority.LOW), "1-1", content_type=sent.content_type)
    task = await redeemed(store, taken)
    assert (task.payload, task.content_type, task.id) == (LARGE, "image/png", "2")
    assert await redeemed(store, task) is task
    with pytest.raises(BlobError, match="this client has none"):
        await redeemed(None, taken)
