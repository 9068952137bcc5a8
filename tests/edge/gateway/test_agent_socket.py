"""Sockets of agents: mail and tasks are pushed, acknowledgements and results come back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from observatory.bus import CancelOutcome
from tests.conftest import eventually
from tests.edge.gateway.conftest import Rig, Socket, gateway_on

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus


async def closed(socket: Socket) -> int:
    """Wait until the gateway closes the socket; return its code."""
    async with asyncio.timeout(20):
        await socket.connection.wait_closed()
    assert socket.connection.close_code is not None
    return socket.connection.close_code


async def test_mail_is_pushed_and_acknowledged(rig: Rig, plain: redis.Redis) -> None:
    """What waited, what comes, and what a foreign agent adds."""
    before = await rig.send("pink", "before")
    async with rig.open("/ws/agents/pink") as socket:
        first = (await socket.next("message"))["message"]
        assert (first["id"], first["payload"]) == (before, "before")
        after = await rig.send("pink", {"n": 1})
        second = (await socket.next("message"))["message"]
        assert (second["id"], second["payload"]) == (after, {"n": 1})
        plain.xadd("cortex:messages:pink", {"id": "foreign", "payload": "hi"})
        third = (await socket.next("message"))["message"]
        assert third["id"] == "foreign"
        entries = [one["entryId"] for one in (first, second, third)]
        await socket.say("ack", entryIds=entries)
        assert (await socket.next("acked"))["entryIds"] == entries
    ticket = await rig.ticket(after)
    assert ticket["status"] == "acknowledged"
    assert ticket["queuedAt"] <= ticket["deliveredAt"] <= ticket["settledAt"]


async def test_what_was_not_acknowledged_is_pushed_to_the_next_socket(rig: Rig) -> None:
    """A client that dies loses nothing; one that comes back says what it has already."""
    await rig.send("pink", 1)
    await rig.send("pink", 2)
    async with rig.open("/ws/agents/pink") as socket:
        first, second = [(await socket.next("message"))["message"] for _ in range(2)]
    async with rig.open("/ws/agents/pink") as socket:
        again = [(await socket.next("message"))["message"] for _ in range(2)]
        assert [one["id"] for one in again] == [first["id"], second["id"]]
        assert [one["deliveries"] for one in again] == [2, 2]
    async with rig.open(f"/ws/agents/pink?after={first['entryId']}") as socket:
        assert (await socket.next("message"))["message"]["id"] == second["id"]
        await socket.say("ack", entryIds=[first["entryId"], second["entryId"]])
        assert len((await socket.next("acked"))["entryIds"]) == 2


async def test_tasks_are_pushed_and_settled(rig: Rig) -> None:
    """Done, failed and snoozed, with progress on the way."""
    async with rig.open("/ws/agents/pink") as socket:
        await socket.say("work", slots=3, queues=["shared", "coding"])
        for kind, queue in (("good", "shared"), ("bad", "coding"), ("later", "@pink")):
            await rig.bus.publish(kind, {"n": 1}, queue=queue, id=kind)
        pushed = {}
        for _ in range(3):
            task = (await socket.next("task"))["task"]
            pushed[task["id"]] = task
        assert pushed["bad"]["queue"] == "coding"
        await socket.say("progress", taskId="good", share=0.5, note="half")

        async def half() -> bool:
            return bool((await rig.client.get("/tasks/good")).json()["progress"] == "50% half")

        await eventually(half)
        await socket.say("done", taskId="good", result={"n": 2})
        await socket.say("fail", taskId="bad", error="no", retry=False)
        await socket.say("snooze", taskId="later", seconds=60)
        settled = {}
        for _ in range(3):
            frame = await socket.next("settled")
            settled[frame["taskId"]] = (frame["outcome"], frame["answer"])
        assert settled == {
            "good": ("done", "settled"),
            "bad": ("dead", "settled"),
            "later": ("snooze", "settled"),
        }
    assert (await rig.client.get("/tasks/good")).json()["result"] == {"n": 2}
    (letter,) = (await rig.bus.dead_letters()).items
    assert "no" in letter.error


async def test_a_cancelled_task_is_told_to_its_client(rig: Rig) -> None:
    """The client learns of it at once, and what it says of the task afterwards counts for nothing."""
    async with rig.open("/ws/agents/pink") as socket:
        await socket.say("work")
        await rig.bus.publish("long", {}, id="t-1")
        await socket.next("task")
        assert await rig.bus.cancel("t-1") is CancelOutcome.REQUESTED
        assert (await socket.next("cancel"))["taskId"] == "t-1"
        await socket.say("done", taskId="t-1", result=1)
        refused = await socket.next("error")
        assert (refused["about"], refused["error"]["code"]) == ("done", "lost")
    assert (await rig.ticket("t-1"))["reason"] == "cancelled"


async def test_the_tasks_of_a_socket_that_closed_are_given_back(rig: Rig) -> None:
    """The next worker has them at once, not after a lease."""
    async with rig.open("/ws/agents/pink") as socket:
        await socket.say("work")
        await rig.bus.publish("long", {}, id="t-1")
        await socket.next("task")
    async with asyncio.timeout(10), rig.open("/ws/agents/harold") as socket:
        await socket.say("work")
        assert (await socket.next("task"))["task"]["id"] == "t-1"


async def test_a_socket_sends_and_beats_as_well(rig: Rig) -> None:
    """One connection is enough for an agent."""
    async with rig.open("/ws/agents/pink") as socket:
        await socket.say("send", to="harold", payload="hi", ref="r-1")
        sent = await socket.next("sent")
        assert (sent["ref"], sent["status"]) == ("r-1", "queued")
        await socket.say("beat", status="busy")
        await socket.say("ping")
        assert (await socket.next("pong"))["op"] == "pong"

        async def busy() -> bool:
            agents = (await rig.client.get("/agents")).json()["agents"]
            return [(one["name"], one["status"]) for one in agents] == [("pink", "busy")]

        await eventually(busy)
    assert (await rig.ticket(sent["ticketId"]))["to"] == "harold"


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ("nonsense", ""),
        ('{"op": "fly"}', ""),
        ('{"op": "ack"}', "entryIds"),
        ('{"op": "work", "slots": 0}', "slots"),
        ('{"op": "send", "to": "pink", "ttl": -1}', "ttl"),
        ("[" * 5000, ""),
    ],
)
async def test_a_frame_that_cannot_be_taken_is_told_and_the_socket_goes_on(rig: Rig, frame: str, field: str) -> None:
    """Names the field; nothing else happens."""
    async with rig.open("/ws/agents/pink") as socket:
        await socket.connection.send(frame)
        error = (await socket.next("error"))["error"]
        assert error["code"] == "invalid"
        assert field in error["field"]
        await socket.say("ping")
        await socket.next("pong")


async def test_a_second_socket_takes_the_place_of_the_first(rig: Rig) -> None:
    """A client that lost its connection and does not know it yet does not keep its new one out."""
    await rig.send("pink", "held")
    async with rig.open("/ws/agents/pink") as first:
        await first.next("message")
        async with rig.open("/ws/agents/pink") as second:
            assert await closed(first) == 4000
            assert (await second.next("message"))["message"]["payload"] == "held"


async def test_a_slow_client_is_told_to_resync_and_misses_nothing(bus_url: str, bus: Bus) -> None:
    """Its queue is bounded and dropped; what it was not told is told again, and nobody else waits."""
    async with gateway_on(bus_url, queue=8) as rig, rig.open("/ws/agents/pink?window=500") as slow:
        slow.stop_reading()
        body = "x" * 60_000
        sent = [(await bus.send_message("pink", body)).id for _ in range(150)]
        async with rig.open("/ws/agents/harold") as quick:
            async with asyncio.timeout(10):
                await bus.send_message("harold", "still here")
                assert (await quick.next("message"))["message"]["payload"] == "still here"

        async def resynced() -> bool:
            text = (await rig.client.get("/metrics")).text
            return "observatory_gateway_resyncs_total 0" not in text

        await eventually(resynced, timeout=20)
        slow.go_on_reading()
        told: list[str] = []
        resyncs = 0
        while len(set(told)) < len(sent):
            frame = await slow.next()
            resyncs += frame["op"] == "resync"
            if frame["op"] == "message":
                told.append(frame["message"]["id"])
        assert told == sent, "in order, each once"
        assert resyncs >= 1


async def test_a_client_that_never_reads_is_let_go(bus_url: str, bus: Bus) -> None:
    """After a while its socket is closed, and its mail is there for the next."""
    async with gateway_on(bus_url, send_timeout_s=0.3) as rig:
        async with rig.open("/ws/agents/pink?window=500") as slow:
            slow.stop_reading()
            sent = [(await bus.send_message("pink", "x" * 60_000)).id for _ in range(150)]

            async def let_go() -> bool:
                return 'sockets{kind="agent"} 0' in (await rig.client.get("/metrics")).text

            await eventually(let_go, timeout=20)
            slow.go_on_reading()
        async with rig.open("/ws/agents/pink?window=500") as next_one:
            told = {(await next_one.next("message"))["message"]["id"] for _ in sent}
        assert told == set(sent)


async def test_a_gateway_that_closes_gives_everything_back(bus_url: str, bus: Bus) -> None:
    """Its sockets are told to come again, and what they held waits for the next gateway."""
    async with gateway_on(bus_url) as rig:
        await rig.send("pink", "held")
        async with rig.open("/ws/agents/pink") as socket:
            await socket.next("message")
            await asyncio.gather(rig.stop(), closed(socket))
            assert socket.connection.close_code == 1012
    async with asyncio.timeout(5), bus.inbox("pink") as inbox:
        assert json.loads(json.dumps((await anext(inbox)).payload.decode())) == "held"
