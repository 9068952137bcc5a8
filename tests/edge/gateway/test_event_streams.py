"""The event feed over a socket and as server-sent events."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from observatory.model.task import NewTask
from tests.conftest import eventually
from tests.edge.gateway.conftest import Rig, gateway_on

if TYPE_CHECKING:
    from observatory.bus import Bus


async def test_facts_are_pushed_as_they_happen(rig: Rig) -> None:
    """Everything, or what the filter of the screens lets through."""
    async with rig.open("/ws/events") as everything, rig.open("/ws/events?filter=kind:published") as some:
        await asyncio.sleep(0.1)
        await rig.bus.send_message("pink", "hello")
        published = await rig.bus.publish("deploy", {})
        kinds = [(await everything.next("event"))["event"]["kind"] for _ in range(2)]
        assert kinds == ["message_sent", "published"]
        fact = (await some.next("event"))["event"]
        assert (fact["kind"], fact["task"], fact["type"]) == ("published", published.id, "deploy")


async def test_who_comes_back_misses_nothing(rig: Rig) -> None:
    """It resumes behind the last id that it has, and goes on live, each fact once."""
    for number in range(5):
        await rig.bus.publish("before", {}, id=f"t-{number}")
    first = (await rig.bus.events(limit=10)).items[-1]
    async with rig.open(f"/ws/events?after={first.id}&filter=kind:published") as socket:
        told = [(await socket.next("event"))["event"]["task"] for _ in range(4)]
        for number in range(5, 10):
            await rig.bus.publish("after", {}, id=f"t-{number}")
        told += [(await socket.next("event"))["event"]["task"] for _ in range(5)]
    assert told == [f"t-{number}" for number in range(1, 10)]


async def test_a_filter_that_cannot_be_read_is_refused(rig: Rig) -> None:
    """Over HTTP with the field; a socket is not opened."""
    answer = await rig.client.get("/events", params={"filter": "colour:red"})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "filter"
    assert answer.json()["error"]["reason"]


async def test_server_sent_events_have_ids_and_resume(rig: Rig) -> None:
    """A browser that reconnects says what it had last, and goes on behind it."""

    async def read(count: int, headers: dict[str, str], then: Any = None) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        async with rig.client.stream("GET", "/events?filter=kind:published", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            current: dict[str, str] = {}
            async for text in answer.aiter_lines():
                if text.startswith(": connected") and then is not None:
                    await asyncio.sleep(0.1)
                    await then()
                name, _, value = text.partition(": ")
                if text:
                    current[name] = value
                elif "data" in current:
                    found.append(current)
                    if len(found) == count:
                        break
                    current = {}
        return found

    async def publish() -> None:
        for number in range(3):
            await rig.bus.publish("work", {}, id=f"t-{number}")

    async with asyncio.timeout(20):
        first = await read(3, {}, publish)
        assert [json.loads(one["data"])["task"] for one in first] == ["t-0", "t-1", "t-2"]
        assert first[0]["event"] == "published"
        resumed = await read(2, {"Last-Event-ID": first[0]["id"]})
    assert [json.loads(one["data"])["task"] for one in resumed] == ["t-1", "t-2"]


async def test_a_slow_listener_is_told_where_to_resume(bus_url: str, bus: Bus) -> None:
    """It loses the middle and knows it; another one hears everything."""
    tasks = 1500
    async with gateway_on(bus_url, queue=32) as rig, rig.open("/ws/events") as slow, rig.open("/ws/events") as quick:
        slow.stop_reading()

        for first in range(0, tasks, 50):
            await bus.publish_many(NewTask("t" * 120, b"", f"t-{first + number}") for number in range(50))
            heard = [(await quick.next())["event"]["task"] for _ in range(50)]
            assert heard == [f"t-{first + number}" for number in range(50)]

        async def resynced() -> bool:
            return "observatory_gateway_resyncs_total 0" not in (await rig.client.get("/metrics")).text

        await eventually(resynced, timeout=30)
        slow.go_on_reading()
        told = [await slow.next()]
        while told[-1]["op"] != "resync":
            told.append(await slow.next())
        after = told[-1]["after"]
        assert after == told[-2]["event"]["id"]
        async with rig.open(f"/ws/events?after={after}") as again:
            missed = (await again.next("event"))["event"]
        assert int(missed["task"].removeprefix("t-")) == len(told) - 1
