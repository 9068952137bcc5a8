"""What a gateway stands on, wherever the bus is: visits to mailboxes and lanes, bells, tickets, keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.bus.tasks.visits import Visits
from observatory.model.api_key import Right, parts
from observatory.model.errors import UsageError
from observatory.model.ticket import TicketKind, TicketStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observatory.bus.tasks.delivery import Delivery


pytestmark = pytest.mark.everywhere(make="valkey")

AGENTS = tuple(f"agent-{number}" for number in range(12))
"""As many that on a cluster they live in several partitions."""


@pytest.fixture
async def crowd(bus: Bus, bus_url: str) -> AsyncIterator[Bus]:
    """A client that reads very many mailboxes."""
    async with Bus.connect(bus_url, name="crowd", many_inboxes=True) as opened:
        yield opened


async def test_a_visitor_takes_mail_along_and_acknowledges_it_anywhere(bus: Bus, bus_url: str) -> None:
    """By receipt, over another connection; and its ticket tells all of it."""
    for agent in AGENTS:
        await bus.send_message(agent, agent, id=f"m-{agent}")
    async with Bus.connect(bus_url) as other:
        for agent in AGENTS:
            (ticket,) = await other.tickets(f"m-{agent}")
            assert (ticket.kind, ticket.status, ticket.to) == (TicketKind.MESSAGE, TicketStatus.QUEUED, agent)
            (taken,) = await bus.collect(agent)
            assert taken.message.payload == agent.encode()
            assert await bus.collect(agent) == [], "what is with a visitor is his for a while"
            (ticket,) = await other.tickets(f"m-{agent}")
            assert ticket.status is TicketStatus.DELIVERED
            assert await other.acknowledge(agent, [taken.receipt]) == ["done"]
            (ticket,) = await other.tickets(f"m-{agent}")
            assert ticket.status is TicketStatus.ACKNOWLEDGED
            assert ticket.queued_ms is not None
            assert ticket.delivered_ms is not None
            assert ticket.settled_ms is not None
            assert ticket.queued_ms <= ticket.delivered_ms <= ticket.settled_ms
    assert await bus.tickets("unknown") == []
    with pytest.raises(UsageError, match="receipts"):
        await bus.acknowledge("agent-0", ["nonsense"])


async def test_many_mailboxes_are_read_where_it_rings_and_where_it_does_not(bus: Bus, crowd: Bus, raw: Any) -> None:
    """The bus client rings; a foreign agent adds without a word, and its message is found as well."""
    got: dict[str, list[bytes]] = {agent: [] for agent in AGENTS}

    async def read(agent: str) -> None:
        async with crowd.inbox(agent) as inbox:
            while len(got[agent]) < 2:
                letter = await anext(inbox)
                got[agent].append(letter.payload)
                await letter.ack()

    reading = [asyncio.create_task(read(agent)) for agent in AGENTS]
    for agent in AGENTS:
        await bus.send_message(agent, "rung")
        raw.xadd(bus.partitions.of(agent).keys.mailbox(agent), {"id": f"f-{agent}", "payload": "added"})
    async with asyncio.timeout(20):
        await asyncio.gather(*reading)
    assert all(sorted(payloads) == [b"added", b"rung"] for payloads in got.values())


async def test_an_agent_works_without_staying(bus: Bus) -> None:
    """It takes in any partition, and what it says of a task counts once."""
    visits = Visits(bus)
    try:
        idents = [(await bus.publish("work", {"n": number}, queue="coding")).id for number in range(8)]
        taken: list[Delivery] = []
        async with asyncio.timeout(20):
            while len(taken) < len(idents):
                taken += await visits.take("pink", ("coding",), 3)
        assert sorted(one.task.id for one in taken) == sorted(idents)
        receipts = {one.task.id: visits.receipt(one) for one in taken}
        assert set(await visits.renew("pink", list(receipts.values()))) == {"renewed"}
        assert await visits.done("harold", receipts[idents[0]], None) == "lost"
        for ident in idents[:-1]:
            assert await visits.done("pink", receipts[ident], {"done": ident}) == "settled"
            assert await visits.done("pink", receipts[ident], {"done": ident}) == "again"
            result = await bus.result(ident)
            assert result is not None
            assert result.payload == f'{{"done":"{ident}"}}'.encode()
        assert await visits.failed("pink", receipts[idents[-1]], "no", retry=False) == "settled"
        result = await bus.result(idents[-1])
        assert result is not None
        assert result.error == "no"
        assert (await bus.tickets(idents[-1]))[0].status is TicketStatus.FAILED
    finally:
        await visits.close()


async def test_keys_are_the_same_for_everybody_on_the_bus(bus: Bus, bus_url: str) -> None:
    """One that was made opens what its role and scope say; one that was revoked is gone."""
    token, key = await bus.api_keys.create(role="agent", agents=("team-*",), note="ours")
    found = parts(token)
    assert found is not None
    async with Bus.connect(bus_url) as other:
        (known,) = await other.api_keys.all()
        assert known == key
        assert known.opens(found[1])
        assert not known.opens(found[1][::-1])
        assert known.may(Right.ACT, "team-7")
        assert not known.may(Right.ACT, "pink")
        assert not known.may(Right.STEER)
        assert await other.api_keys.revoke(key.id)
    assert await bus.api_keys.all() == ()
