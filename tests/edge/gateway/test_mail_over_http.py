"""Store and forward over HTTP: what was accepted is on the bus, and its ticket tells what became of it."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from observatory.model.dead_letter import Reason
from tests.conftest import eventually
from tests.edge.gateway.conftest import Rig, error_of, gateway_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis

    from observatory.bus import Bus


async def test_a_message_to_an_agent_that_nobody_knows_waits_for_it(rig: Rig) -> None:
    """It is accepted at once, and is there when the agent first opens its mailbox."""
    answer = await rig.client.post("/agents/newcomer/send", json={"payload": {"step": 1}, "type": "greeting"})
    assert answer.status_code == 201
    told = answer.json()
    assert (told["status"], told["known"], told["duplicate"]) == ("queued", False, False)
    async with rig.bus.inbox("newcomer") as inbox:
        letter = await anext(inbox)
        assert (letter.id, letter.type, letter.payload) == (told["ticketId"], "greeting", b'{"step":1}')


async def test_a_ticket_follows_its_message_to_the_end(rig: Rig) -> None:
    """Queued, delivered, acknowledged, each with its time."""
    ident = await rig.send("pink", "hello")
    first = await rig.ticket(ident)
    assert (first["status"], first["to"], first["kind"]) == ("queued", "pink", "message")
    assert first["queuedAt"]
    assert first["deliveredAt"] is None
    (message,) = (await rig.client.get("/agents/pink/messages")).json()["messages"]
    assert (message["id"], message["payload"], message["encoding"]) == (ident, "hello", "text")
    second = await rig.ticket(ident)
    assert second["status"] == "delivered"
    assert second["deliveredAt"] >= second["queuedAt"]
    answer = await rig.client.post("/agents/pink/ack", json={"receipts": [message["receipt"]]})
    assert answer.json() == {"outcomes": ["done"]}
    third = await rig.ticket(ident)
    assert third["status"] == "acknowledged"
    assert third["settledAt"] >= third["deliveredAt"]
    again = await rig.client.post("/agents/pink/ack", json={"receipts": [message["receipt"]]})
    assert again.json() == {"outcomes": ["gone"]}, "a repeated acknowledgement is no failure"


async def test_a_ticket_tells_what_an_agent_on_the_bus_did(rig: Rig) -> None:
    """Who reads over Redis settles the ticket as well."""
    ident = await rig.send("pink", "hello")
    async with rig.bus.inbox("pink") as inbox:
        letter = await anext(inbox)
        assert (await rig.ticket(ident))["status"] == "delivered"
        await letter.ack()
    assert (await rig.ticket(ident))["status"] == "acknowledged"


async def test_a_message_that_nobody_read_in_time_has_failed(rig: Rig) -> None:
    """Its ticket says why, before and after it was swept."""
    ident = await rig.send("pink", "hello", ttl=0.05)

    async def failed() -> bool:
        return bool((await rig.ticket(ident))["status"] == "failed")

    await eventually(failed)
    assert (await rig.ticket(ident))["reason"] == "expired"
    assert (await rig.client.get("/agents/pink/messages")).json() == {"messages": []}
    swept = await rig.ticket(ident)
    assert (swept["status"], swept["reason"]) == ("failed", "expired")
    assert swept["settledAt"]


async def test_a_message_that_became_a_dead_letter_has_failed(rig: Rig) -> None:
    """With the reason, whoever buried it."""
    ident = await rig.send("pink", "hello")
    async with rig.bus.inbox("pink") as inbox:
        letter = await anext(inbox)
        await letter.bury(Reason.NO_HANDLER, "no terminal")
    ticket = await rig.ticket(ident)
    assert (ticket["kind"], ticket["status"], ticket["reason"]) == ("message", "failed", "no_handler")
    assert ticket["settledAt"]


async def test_a_repeated_request_is_answered_and_not_repeated(rig: Rig) -> None:
    """The same Idempotency-Key gives the same ticket with its present status, for each agent by itself."""
    key = {"Idempotency-Key": "order-17"}
    first = await rig.client.post("/agents/pink/send", json={"payload": 1}, headers=key)
    second = await rig.client.post("/agents/pink/send", json={"payload": 1}, headers=key)
    other = await rig.client.post("/agents/harold/send", json={"payload": 1}, headers=key)
    assert [one.status_code for one in (first, second, other)] == [201, 200, 201]
    assert first.json()["ticketId"] == second.json()["ticketId"] != other.json()["ticketId"]
    assert second.json()["duplicate"] is True
    messages = (await rig.client.get("/agents/pink/messages")).json()["messages"]
    assert len(messages) == 1
    await rig.client.post("/agents/pink/ack", json={"receipts": [messages[0]["receipt"]]})
    third = await rig.client.post("/agents/pink/send", json={"payload": 1}, headers=key)
    assert third.json()["status"] == "acknowledged"


async def test_a_long_poll_is_answered_when_a_message_comes(rig: Rig, plain: redis.Redis) -> None:
    """It waits for the bus client's bell, and finds what a foreign agent added without one."""
    waiting = asyncio.create_task(rig.client.get("/agents/pink/messages", params={"wait": 15}))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await rig.bus.send_message("pink", "rung")
    assert [one["payload"] for one in (await waiting).json()["messages"]] == ["rung"]
    waiting = asyncio.create_task(rig.client.get("/agents/pink/messages", params={"wait": 15}))
    await asyncio.sleep(0.1)
    plain.xadd("cortex:messages:pink", {"id": "m-1", "payload": "added"})
    assert [one["payload"] for one in (await waiting).json()["messages"]] == ["added"]


async def test_a_long_poll_has_a_cap(bus_url: str) -> None:
    """Whoever asks for longer is answered with nothing, and asks again."""
    async with gateway_on(bus_url, longest_wait_s=0.2) as rig:
        async with asyncio.timeout(10):
            answer = await rig.client.get("/agents/pink/messages", params={"wait": 60})
        assert answer.json() == {"messages": []}


async def test_what_another_reader_has_by_now_is_a_conflict(rig: Rig) -> None:
    """A receipt is worth nothing once the message was delivered anew."""
    await rig.send("pink", "hello")
    (message,) = (await rig.client.get("/agents/pink/messages")).json()["messages"]
    entry = message["receipt"].partition("/")[0]
    answer = await rig.client.post("/agents/pink/ack", json={"receipts": [f"{entry}/7"]})
    assert answer.status_code == 409
    assert error_of(answer)["field"] == "receipts"


async def test_a_batch_is_accepted_piece_by_piece(rig: Rig, bus: Bus) -> None:
    """One that cannot be taken keeps none of the others."""
    await bus.send_message("pink", "before", id="known")
    said = [{"to": "pink", "payload": 1}, {"to": "pink", "payload": 2, "id": "known"}, {"to": "harold", "payload": 3}]
    broken = {"to": "harold", "payload": "x", "payloadBase64": "eA=="}
    answer = await rig.client.post("/messages", json={"messages": [*said, broken]})
    results = answer.json()["results"]
    assert [one["status"] for one in results] == [201, 200, 201, 422]
    assert results[3]["error"]["field"] == "payloadBase64"
    messages = (await rig.client.get("/agents/harold/messages")).json()["messages"]
    assert [one["payload"] for one in messages] == [3]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"payload": None}, ("", "text")),
        ({"payload": "[not json"}, ("[not json", "text")),
        ({"payload": "7"}, ("7", "text")),
        ({"payload": 7}, (7, "json")),
        ({"payload": {"a": [1, None, "ü"]}}, ({"a": [1, None, "ü"]}, "json")),
        ({"payloadBase64": base64.b64encode(b"\xff\x00").decode()}, ("/wA=", "base64")),
        ({"payloadBase64": base64.b64encode(b"plain").decode()}, ("plain", "text")),
    ],
)
async def test_what_was_said_is_what_is_read(rig: Rig, said: dict[str, Any], shown: tuple[Any, str]) -> None:
    """JSON, text and bytes come back as what they were."""
    answer = await rig.client.post("/agents/pink/send", json=said)
    assert answer.status_code == 201
    (message,) = (await rig.client.get("/agents/pink/messages")).json()["messages"]
    assert (message["payload"], message["encoding"]) == shown
    await rig.client.post("/agents/pink/ack", json={"receipts": [message["receipt"]]})


async def test_bytes_are_had_as_they_are(rig: Rig) -> None:
    """Who asks for Base64 gets every payload in it."""
    await rig.send("pink", {"a": 1})
    answer = await rig.client.get("/agents/pink/messages", params={"payload": "base64"})
    (message,) = answer.json()["messages"]
    assert base64.b64decode(message["payload"]) == b'{"a":1}'


async def test_a_full_mailbox_says_when_to_try_again(rig: Rig, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 with Retry-After, and nothing was dropped to make room."""
    monkeypatch.setattr("observatory.bus.talk.mail.MAILBOX_BOUND", 2)
    for number in range(2):
        await rig.send("pink", number)
    answer = await rig.client.post("/agents/pink/send", json={"payload": 3})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert error_of(answer)["code"] == "busy"
    messages = (await rig.client.get("/agents/pink/messages")).json()["messages"]
    assert [one["payload"] for one in messages] == [0, 1]


async def test_a_heartbeat_puts_an_agent_on_every_screen(rig: Rig) -> None:
    """Who beats over HTTP is an agent like any other; a process of another agent it cannot be."""
    answer = await rig.client.post("/agents/pink/heartbeat", json={"status": "thinking", "load": 0.5})
    assert answer.status_code == 200
    async with asyncio.timeout(10):
        (agent,) = (await rig.client.get("/agents")).json()["agents"]
    assert (agent["name"], agent["state"], agent["status"], agent["load"]) == ("pink", "alive", "thinking", 0.5)
    forged = await rig.client.post("/agents/pink/heartbeat", json={"consumer": "harold@somewhere"})
    assert forged.status_code == 422
    assert error_of(forged)["field"] == "consumer"


async def test_all_agents_are_told_once(rig: Rig) -> None:
    """A broadcast reaches who listens, and its id makes it one."""
    hearing = rig.bus.broadcasts("pink", since="0")
    first = await rig.client.post("/broadcast", json={"payload": "lunch", "id": "b-1"})
    second = await rig.client.post("/broadcast", json={"payload": "lunch", "id": "b-1"})
    assert (first.status_code, second.status_code) == (201, 200)
    async with asyncio.timeout(10):
        told = await anext(hearing)
    assert getattr(told, "payload", None) == b"lunch"
    await hearing.close()


@pytest.fixture
async def two(bus_url: str) -> AsyncIterator[tuple[Rig, Rig]]:
    """Return two gateways of one bus."""
    async with gateway_on(bus_url) as one, gateway_on(bus_url) as other:
        yield one, other


async def test_any_gateway_answers_for_any_other(two: tuple[Rig, Rig]) -> None:
    """What was accepted at one is read, acknowledged and asked about at another."""
    one, other = two
    ident = await one.send("pink", "hello")
    (message,) = (await other.client.get("/agents/pink/messages")).json()["messages"]
    answer = await one.client.post("/agents/pink/ack", json={"receipts": [message["receipt"]]})
    assert answer.json() == {"outcomes": ["done"]}
    assert (await other.ticket(ident))["status"] == "acknowledged"
