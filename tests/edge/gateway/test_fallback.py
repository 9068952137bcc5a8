"""A client with two ways: the engine, and a gateway for as long as the engine is out of reach."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from observatory.bus import Bus
from observatory.demo.proxy import Proxy
from observatory.model.errors import BusUnreachableError, UsageError
from observatory.model.snapshot import LinkState
from observatory.model.task import NewTask, Task, TaskState
from observatory.model.ticket import TicketStatus
from tests.conftest import eventually
from tests.edge.gateway.conftest import Rig, gateway_on
from tests.rigs import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observatory.bus.remote.fallback import FallbackBus
    from observatory.bus.talk.mail import Letter


@asynccontextmanager
async def two_ways(url: str) -> AsyncIterator[tuple[FallbackBus, Proxy, Rig]]:
    """Yield a client, the wire between it and the engine, and the gateway, which has a wire of its own."""
    proxy = Proxy(url)
    await proxy.open()
    try:
        async with gateway_on(url) as rig:
            gateway = f"http://:{rig.token}@127.0.0.1:{rig.port}"
            async with Bus.connect(proxy.url, name="pink", fallback=gateway) as bus:
                yield cast("FallbackBus", bus), proxy, rig
    finally:
        await proxy.close()


async def test_what_is_published_while_the_wire_is_cut_is_there_once(bus_url: str) -> None:
    """Through the gateway meanwhile, by the engine before and after; nothing lost, nothing twice."""
    async with two_ways(bus_url) as (bus, proxy, rig):
        published: list[str] = []
        cut = asyncio.Event()

        async def publish() -> None:
            for number in range(150):
                published.append((await bus.publish("work", id=f"t-{number}")).id)
                await bus.send_message("harold", str(number), id=f"m-{number}")
                if number == 50:
                    cut.set()

        publishing = asyncio.create_task(publish())
        await cut.wait()
        proxy.cut()
        await eventually(lambda: bus.is_far, timeout=15)
        assert bus.link.state is LinkState.READY
        await eventually(lambda: len(published) >= 100, timeout=15)
        proxy.restore()
        await eventually(lambda: not bus.is_far, timeout=15)
        await publishing
        assert await bus.publish_many([NewTask("work", b"", "t-150")])
        tasks = await rig.client.post("/agents/harold/tasks/take", json={"limit": 100})
        more = await rig.client.post("/agents/harold/tasks/take", json={"limit": 100})
        taken = [one["id"] for answer in (tasks, more) for one in answer.json()["tasks"]]
        assert taken == [f"t-{number}" for number in range(151)]
        mail: list[str] = []
        for _ in range(2):
            answer = await rig.client.get("/agents/harold/messages")
            mail += [one["payload"] for one in answer.json()["messages"]]
        assert mail == [str(number) for number in range(150)]


async def test_everything_that_a_sender_asks_goes_the_other_way(bus_url: str) -> None:
    """Records, results, cancels, tickets, beats, broadcasts and requests."""

    async def double(task: Task) -> int:
        return 2 * int(task.payload)

    async with two_ways(bus_url) as (bus, proxy, rig):
        proxy.cut()
        published = await bus.publish("late", delay=60)
        assert bus.is_far
        record = await bus.record(published.id)
        assert record is not None
        assert record.state in {TaskState.DELAYED, TaskState.QUEUED}
        assert await bus.cancel(published.id)
        assert (await bus.tickets(published.id))[0].reason == "cancelled"
        await bus.heartbeat("pink", status="busy")
        await bus.broadcast("hello")
        worker = rig.bus.worker("harold", {"double": double})
        running = asyncio.create_task(worker.run())
        assert (await bus.request("double", "4")).payload == b"8"
        worker.stop()
        await running
        assert [one["name"] for one in (await rig.client.get("/agents")).json()["agents"]] == ["harold", "pink"]
        proxy.restore()


async def test_a_worker_goes_on_through_the_gateway_and_back(bus_url: str, bus: Bus) -> None:
    """Its tasks are done while the wire is cut, and after it is whole again; each is settled once."""
    done: list[str] = []

    async def note(task: Task) -> None:
        done.append(task.id)

    async with two_ways(bus_url) as (agent, proxy, _):
        worker = agent.worker("pink", {"note": note}, concurrency=2)
        running = asyncio.create_task(worker.run())
        await bus.publish("note", id="near")
        await eventually(lambda: done == ["near"])
        proxy.cut()
        await eventually(lambda: agent.is_far, timeout=20)
        await bus.publish("note", id="far")
        await eventually(lambda: "far" in done, timeout=20)
        proxy.restore()
        await eventually(lambda: not agent.is_far, timeout=20)
        await bus.publish("note", id="back")
        await eventually(lambda: "back" in done, timeout=20)
        await eventually(lambda: worker.stats.done == 3, timeout=20)
        worker.stop()
        await running
        assert done == ["near", "far", "back"]


async def test_an_inbox_goes_on_through_the_gateway_and_back(bus_url: str, bus: Bus, soak: bool) -> None:
    """Each message is read once, and what was in hand when the way changed is acknowledged by the other way."""
    read: list[Letter] = []

    async with two_ways(bus_url) as (agent, proxy, _):
        inbox = agent.inbox("pink")

        async def reading() -> None:
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    read.append(await anext(inbox))

        task = asyncio.create_task(reading())
        await bus.send_message("pink", "1", id="near")
        await eventually(lambda: len(read) == 1)
        proxy.cut()
        await eventually(lambda: agent.is_far, timeout=20)
        await bus.send_message("pink", "2", id="far")
        await bus.send_message("pink", "3", id="held")
        await eventually(lambda: len(read) == 3, timeout=20)
        assert await read[1].ack()
        if soak:
            assert await read[0].ack(), "the gateway has it once the lease of the first reader is over"
        proxy.restore()
        await eventually(lambda: not agent.is_far, timeout=20)
        await bus.send_message("pink", "4", id="back")
        await eventually(lambda: len(read) == 4, timeout=20)
        assert [await read[number].ack() for number in (0, 2, 3)] == [True, True, True]
        assert [letter.id for letter in read] == ["near", "far", "held", "back"]
        task.cancel()
        await asyncio.wait([task])
        for letter in read:
            assert (await bus.tickets(letter.id))[0].status is TicketStatus.ACKNOWLEDGED


async def test_a_client_may_begin_through_the_gateway(bus_url: str) -> None:
    """Where the engine is away from the start; where both are, it says so."""
    (port,) = free_ports(1)
    async with gateway_on(bus_url) as rig:
        gateway = f"http://:{rig.token}@127.0.0.1:{rig.port}"
        async with Bus.connect(f"redis://127.0.0.1:{port}", fallback=gateway) as bus:
            published = await bus.publish("work")
            assert await rig.bus.record(published.id) is not None
    lost = Bus.connect(f"redis://127.0.0.1:{port}", fallback=f"http://127.0.0.1:{port}")
    with pytest.raises(BusUnreachableError):
        await lost.open(deadline_s=0.5)


@pytest.mark.parametrize(
    ("url", "fallback", "outbox"),
    [
        ("redis://h", "redis://h", None),
        ("http://h", "http://h", None),
        ("redis://h", "http://h", "/tmp/outbox"),
    ],
)
def test_a_fallback_that_cannot_be_one_is_refused(url: str, fallback: str, outbox: str | None) -> None:
    """By its name."""
    with pytest.raises(UsageError, match="fallback"):
        Bus.connect(url, fallback=fallback, outbox=outbox)
