"""Large results, messages and broadcasts: references on the way, payloads at both ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.bus.payloads.blobs import BlobError, is_claim
from observatory.model.errors import UsageError
from observatory.model.message import Broadcast
from tests.bus.conftest import working
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from observatory.model.task import Task

pytestmark = pytest.mark.everywhere(soak=True)

LARGE = bytes(range(256)) * 4_000


@pytest.fixture
async def stocked(bus_url: str, tmp_path: Path) -> AsyncIterator[Bus]:
    """A client with a blob store."""
    async with Bus.connect(bus_url, name="harold", blobs=tmp_path / "blobs") as bus:
        yield bus


async def echo(task: Task) -> bytes:
    """Return what was sent, twice."""
    return task.payload * 2


@pytest.mark.everywhere
async def test_a_large_answer_reaches_who_asked(stocked: Bus, raw: Any) -> None:
    """The handler returns it, the requester has it, and the engine saw only references."""
    async with working(stocked, "pink", {"echo": echo}):
        reply = await stocked.request("echo", LARGE, wait=True)
    assert reply.payload == LARGE * 2
    assert len(raw.hget(stocked.partitions.of(reply.task_id).keys.record(reply.task_id), "result")) < 1_000


@pytest.mark.everywhere
async def test_an_answer_that_cannot_be_had_says_so(stocked: Bus, bus_url: str) -> None:
    """Who asks without a store, and is answered with a reference, gets an error with words that help."""

    async def long(_task: Task) -> bytes:
        return LARGE

    async with working(stocked, "pink", {"long": long}), Bus.connect(bus_url) as poor:
        with pytest.raises(BlobError, match="this client has none"):
            await poor.request("long", wait=True)


@pytest.mark.everywhere
async def test_a_large_message_is_whole_in_its_mailbox(stocked: Bus, raw: Any) -> None:
    """It travels as a reference, is read as it was sent, and is acknowledged like any other."""
    await stocked.send_message("pink", LARGE, type="picture")
    box = stocked.partitions.of("pink").keys.mailbox("pink")
    ((_, fields),) = raw.xrange(box)
    assert len(fields["payload"]) < 1_000
    async with stocked.inbox("pink") as inbox:
        letter = await anext(inbox)
        assert (letter.payload, letter.type, letter.notes) == (LARGE, "picture", ())
        assert await letter.ack()
    assert raw.xlen(box) == 0


@pytest.mark.everywhere
async def test_a_message_whose_payload_is_gone_is_still_a_message(stocked: Bus, bus_url: str) -> None:
    """It is read and acknowledged, and its notes say why the payload is a reference; the next one follows."""
    await stocked.send_message("pink", LARGE)
    await stocked.send_message("pink", "small")
    async with Bus.connect(bus_url) as poor, poor.inbox("pink") as inbox:
        first, second = await anext(inbox), await anext(inbox)
        assert is_claim(first.content_type)
        assert "this client has none" in first.notes[-1]
        assert second.payload == b"small"
        assert await first.ack()


async def test_giving_up_while_a_payload_is_fetched_loses_no_message(
    stocked: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops waiting for a slow store gets the message when it asks again."""
    assert stocked.blobs is not None
    fetch, slow = stocked.blobs.get, asyncio.Event()

    async def get(reference: bytes) -> tuple[bytes, str]:
        slow.set()
        await asyncio.sleep(3600)
        return await fetch(reference)

    await stocked.send_message("pink", LARGE)
    async with stocked.inbox("pink") as inbox:
        with monkeypatch.context() as patched:
            patched.setattr(stocked.blobs, "get", get)
            asking = asyncio.create_task(anext(inbox))
            await slow.wait()
            asking.cancel()
            await asyncio.wait({asking})
        assert (await anext(inbox)).payload == LARGE


@pytest.mark.everywhere
async def test_a_large_broadcast_is_heard_whole(stocked: Bus, raw: Any) -> None:
    """It travels as a reference, and the cursor moves behind it as behind any other."""
    await stocked.broadcast(LARGE)
    await stocked.broadcast("lunch")
    assert len(raw.xrange(stocked.keys.broadcasts)[0][1]["payload"]) < 1_000
    async with stocked.broadcasts("pink", since="0") as hearing:
        heard = [await anext(hearing), await anext(hearing)]
        assert [item.payload for item in heard if isinstance(item, Broadcast)] == [LARGE, b"lunch"]
        await eventually(lambda: raw.hget(stocked.keys.cursors, "pink") is not None)


async def test_without_a_store_the_bound_is_named(bus: Bus) -> None:
    """What cannot be sent is refused where it is sent."""
    for attempt in (bus.send_message("pink", LARGE), bus.broadcast(LARGE), bus.request("x", LARGE)):
        with pytest.raises(UsageError, match="262144 at most"):
            await attempt
