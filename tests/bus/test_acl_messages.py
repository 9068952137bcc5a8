"""Roles: an agent may send messages, tell all and ask, and what is granted for that is needed for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import redis

from observatory.bus import Bus
from observatory.bus.care.acl import MESSAGES
from observatory.bus.talk.broadcasts import Broadcasts
from observatory.bus.talk.mail import Mail
from observatory.bus.talk.requests import Requests
from observatory.model.clock import SystemClock
from tests.bus.test_acl import lacks, user_of
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def admin(any_engine: str) -> Iterator[Any]:
    """A plain client that may do everything, on an engine of each make."""
    with redis.Redis.from_url(any_engine, decode_responses=True) as client:
        yield client


@contextlib.asynccontextmanager
async def closing(one: Any) -> AsyncIterator[Any]:
    """Close *one* at the end of a block."""
    try:
        yield one
    finally:
        await one.close()


def furnish(admin: Any) -> None:
    """Leave a foreign worker, which does not beat."""
    admin.xgroup_create("cortex:tasks:@scout:normal", "agents", id="0", mkstream=True)
    admin.xgroup_createconsumer("cortex:tasks:@scout:normal", "agents", "scout")


async def conversation(bus: Bus, admin: Any) -> None:
    """Write and read a message, tell and hear a broadcast, ask and be answered."""
    link, keys, clock = bus.connection, bus.keys, SystemClock()
    async with closing(Mail(link, keys, "pink", clock)) as mail, mail.inbox("pink") as inbox:
        for word in ("hello", "again"):
            await mail.send("pink", word)
        assert [await (await anext(inbox)).ack() for _ in range(2)] == [True, True]
    async with closing(Broadcasts(link, keys, "pink", clock)) as all_agents, all_agents.hear("pink", since="0") as told:
        await all_agents.tell("first")
        await anext(told)
        waiting = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0.05)  # It waits now, and has to be rung.
        await all_agents.tell("second")
        await waiting
    async with closing(Requests(bus.partitions, "pink", clock, bus.publish_task)) as requests:
        asking = asyncio.create_task(requests.request("add", "1", queue="@scout"))
        entries = await eventually(lambda: admin.xrange("cortex:tasks:@scout:normal") or asking.done())
        fields = entries[0][1]
        admin.xadd(fields["reply_to"], {"task": fields["id"], "status": "done", "payload": "2"})
        assert (await asking).payload == b"2"


async def test_an_agent_talks(any_engine: str, admin: Any) -> None:
    """Messages, broadcasts and requests work with an agent's rights, without any refusal."""
    furnish(admin)
    async with Bus.connect(user_of(admin, any_engine, "agent"), name="pink") as bus:
        await conversation(bus, admin)
    assert admin.acl_log() == []


@pytest.mark.parametrize("command", [grant.command for grant in MESSAGES])
async def test_an_agent_needs_each_command_to_talk(bus_url: str, command: str) -> None:
    """Without it, the engine refuses some part of a conversation."""
    with redis.Redis.from_url(bus_url, decode_responses=True) as admin:
        furnish(admin)

        async def duties() -> None:
            async with Bus.connect(user_of(admin, bus_url, "agent", command), name="pink") as bus:
                await conversation(bus, admin)

        assert await lacks(admin, command, duties())
