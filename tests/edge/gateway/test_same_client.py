"""`Bus.connect("http://…")`: the same client, through a gateway."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus, CancelOutcome, DoNotRetry, PublishOutcome, TaskContext
from observatory.bus.talk.requests import RequestFailed, RequestTimeout
from observatory.model.errors import BusError, BusUnreachableError, UsageError
from observatory.model.snapshot import LinkState
from observatory.model.task import NewTask, Task, TaskState
from observatory.model.ticket import TicketStatus
from tests.conftest import eventually
from tests.edge.gateway.conftest import Rig, gateway_on
from tests.rigs import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis

    from observatory.bus.talk.mail import Letter


@asynccontextmanager
async def through(rig: Rig, scheme: str = "http", **more: Any) -> AsyncIterator[Bus]:
    """Connect through the gateway, as an agent somewhere else would."""
    async with Bus.connect(f"{scheme}://:{rig.token}@127.0.0.1:{rig.port}", name="far", **more) as bus:
        yield bus


async def test_tasks_are_published_and_followed(rig: Rig, plain: redis.Redis) -> None:
    """Under ids of their own, each once, whatever is in them."""
    async with through(rig) as far:
        first = await far.publish("sum", b"\x00\xff", queue="coding", priority="high", id="t-1", sender="pink")
        again = await far.publish("sum", b"", id="t-1")
        later = await far.publish("sum", delay=60)
        assert (first.outcome, again.outcome, later.outcome) == (
            PublishOutcome.QUEUED,
            PublishOutcome.DUPLICATE,
            PublishOutcome.DELAYED,
        )
        many = await far.publish_many([NewTask("x", b"", "t-2"), NewTask("x", b"", "t-3")])
        assert [one.id for one in many] == ["t-2", "t-3"]
        one = await far.publish("x", dedupe="nightly")
        two = await far.publish("x", dedupe="nightly")
        assert one.id == two.id
        record = await far.record("t-1")
        assert record is not None
        assert record.state is TaskState.QUEUED
        assert await far.record("unknown") is None
        assert await far.cancel("t-2") is CancelOutcome.CANCELLED
        assert await far.cancel("unknown") is CancelOutcome.UNKNOWN
        with pytest.raises(UsageError, match="ttl: "):
            await far.publish("x", ttl=-1)
    rows: Any = plain.xrange("cortex:tasks:coding:high")
    ((_, fields),) = rows
    assert (fields[b"payload"], fields[b"from"]) == (b"\x00\xff", b"pink")


async def test_mail_is_read_and_acknowledged(rig: Rig) -> None:
    """As if the mailbox were here, bytes as they are."""
    async with through(rig, "ws") as far:
        sent = await far.send_message("harold", b"\x00\xff", type="note", ttl=60, correlation_id="c-1")
        assert not sent.known
        async with rig.bus.inbox("harold") as inbox:
            near = await anext(inbox)
            assert (near.payload, near.type, near.ttl_s, near.correlation_id) == (b"\x00\xff", "note", 60, "c-1")
        await rig.bus.send_message("pink", {"n": 1}, id="m-1", sender="harold")
        async with asyncio.timeout(10), far.inbox("pink") as inbox:
            letter = await anext(inbox)
            assert (letter.id, letter.sender, letter.payload) == ("m-1", "harold", b'{"n":1}')
            assert await letter.ack()
        (ticket,) = await far.tickets("m-1")
        assert ticket.status is TicketStatus.ACKNOWLEDGED


async def test_a_worker_does_tasks_from_afar(rig: Rig) -> None:
    """Results, failures, dead letters, progress, cancels and drain are those of every worker."""
    begun, broken_off = asyncio.Event(), asyncio.Event()

    async def double(task: Task, context: TaskContext) -> int:
        await context.progress(0.5, "half")
        return 2 * int(task.payload)

    async def raw(_: Task) -> bytes:
        return b"\xff"

    async def hopeless(_: Task) -> None:
        raise DoNotRetry("no use")

    async def long(_: Task) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            broken_off.set()

    async with through(rig) as far:
        handlers: dict[str, Any] = {"double": double, "raw": raw, "hopeless": hopeless, "long": long}
        worker = far.worker("pink", handlers, concurrency=4)
        running = asyncio.create_task(worker.run())
        reply = await far.request("double", "21")
        assert reply.payload == b"42"
        assert (await far.request("raw")).payload == b"\xff"
        with pytest.raises(RequestFailed) as failed:
            await far.request("hopeless")
        assert "no use" in failed.value.reply.error
        published = await far.publish("long")
        await begun.wait()
        assert await far.cancel(published.id) is CancelOutcome.REQUESTED
        async with asyncio.timeout(10):
            await broken_off.wait()
        await eventually(lambda: worker.stats.cancelled == 1)
        assert (worker.stats.done, worker.stats.failed, worker.stats.lost) == (2, 1, 0)
        worker.stop()
        async with asyncio.timeout(10):
            await running
    record = await rig.bus.record(published.id)
    assert record is not None
    assert record.state is TaskState.CANCELLED


async def test_the_log_is_followed_from_afar(rig: Rig) -> None:
    """Fact by fact, as at the engine, and from where one left off."""
    first = await rig.bus.publish("a", id="t-1")
    (before,) = (await rig.bus.events(limit=1)).items
    async with through(rig) as far, asyncio.timeout(20):
        facts = far.tail(before.id)
        await rig.bus.publish("b", id="t-2")
        await rig.bus.cancel(first.id)
        told = [await anext(facts) for _ in range(2)]
        near = (await rig.bus.events(limit=2)).items
        assert told == list(reversed(near))
        with pytest.raises(UsageError, match="agent"):
            far.tail(agent="pink")


async def test_what_only_the_engine_can_tell_is_refused_with_the_way_out(rig: Rig) -> None:
    """A `UsageError`, never a riddle."""
    async with through(rig) as far:
        for asking in (
            far.doctor(),
            far.audit(),
            far.pause([]),
            far.reads.engine(),
            far.observe(),
            far.events(),
            far.dead_letters(),
        ):
            with pytest.raises(UsageError, match="gateway"):
                await asking
        with pytest.raises(UsageError, match="retry_delays"):
            far.worker("pink", {}, retry_delays=(1.0,))
        with pytest.raises(RequestTimeout):
            await far.request("nobody", timeout=0.5)


@pytest.mark.parametrize("url", ["http://", "http://host:x", "http://host/path", "ws://host?x=1"])
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    """Before anything is tried."""
    with pytest.raises(UsageError):
        Bus.connect(url)


async def test_a_gateway_that_is_not_there_or_wants_another_key_is_unreachable(rig: Rig) -> None:
    """Exit code 3, and the key is nowhere in the words."""
    (port,) = free_ports(1)
    with pytest.raises(BusUnreachableError):
        await Bus.connect(f"http://:secret@127.0.0.1:{port}").open(deadline_s=0.3)
    with pytest.raises(BusUnreachableError) as refused:
        await Bus.connect(f"http://:obs_secret@127.0.0.1:{rig.port}").open(deadline_s=1)
    assert "secret" not in str(refused.value)
    token, _ = await rig.bus.api_keys.create(role="agent", agents=("pink",))
    async with Bus.connect(f"http://:{token}@127.0.0.1:{rig.port}") as far:
        with pytest.raises(BusError, match="may not"):
            await far.broadcast("hi")
        with pytest.raises(BusError, match="refuses the key"):
            await anext(far.inbox("harold"))


async def test_nothing_is_lost_and_nothing_comes_twice_when_the_gateway_restarts(bus_url: str, bus: Bus) -> None:
    """What was sent arrives once, what is held may still be acknowledged, and the inbox goes on."""
    (port,) = free_ports(1)
    read: list[Letter] = []

    async def reading(far: Bus) -> None:
        inbox = far.inbox("pink")
        while True:
            read.append(await anext(inbox))

    async with gateway_on(bus_url, port=port) as rig:
        far = Bus.connect(f"http://:{rig.token}@127.0.0.1:{port}")
        await far.open()
        await bus.send_message("pink", "1", id="m-1")
        task = asyncio.create_task(reading(far))
        await eventually(lambda: len(read) == 1)
    sending = asyncio.create_task(far.send_message("pink", "2", id="m-2"))
    await eventually(lambda: far.link.state is LinkState.LOST)
    async with gateway_on(bus_url, port=port):
        await sending
        await eventually(lambda: len(read) == 2)
        assert [letter.id for letter in read] == ["m-1", "m-2"]
        assert all([await letter.ack() for letter in read])
        assert far.link.state is LinkState.READY
        task.cancel()
        await asyncio.wait([task])
        await far.close()
        assert [(await bus.tickets(ident))[0].status for ident in ("m-1", "m-2")] == [TicketStatus.ACKNOWLEDGED] * 2
