"""Old agents that poll on while their messages move to the bus, one agent at a time and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from observatory.bus.talk.sides import Side
from observatory.edge.bridge.protocol import Names, Paths, Protocol
from observatory.edge.bridge.report import standings
from observatory.edge.bridge.upstream import Upstream
from observatory.model.errors import SettingsError
from tests.conftest import eventually
from tests.edge.bridge.conftest import OldAgent, OldServer, bridging
from tests.edge.processes import process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from observatory.bus import Bus


@contextlib.asynccontextmanager
async def agents(url: str, *names: str) -> AsyncIterator[list[OldAgent]]:
    """Old agents that are pointed at *url*."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(httpx.AsyncClient(base_url=url)) for _ in names]
        yield [OldAgent(name, client) for name, client in zip(names, clients, strict=True)]


async def is_at(bus: Bus, agent: str, side: Side) -> bool:
    """Whether an agent has arrived."""
    return (await bus.sides.all())[agent].now is side


async def test_agents_move_one_by_one_and_back_and_nothing_is_lost_or_repeated(bus: Bus, old_server: OldServer) -> None:
    """Three agents talk all the time while each is moved to the bus, and one of them back again."""
    names = ("pink", "harold", "blue")
    moves = [
        ("pink", Side.POLLING),
        ("harold", Side.POLLING),
        ("pink", Side.OLD),
        ("blue", Side.POLLING),
        ("pink", Side.POLLING),
    ]
    async with bridging(bus, old_server.url) as url, agents(url, *names) as (pink, harold, blue):
        sent = 0
        for agent, side in [*moves, ("", Side.OLD)]:
            for _ in range(3):
                for one, other in ((pink, harold), (harold, blue), (blue, pink)):
                    await one.send(other.name, sent)
                sent += 1
                await asyncio.gather(*(one.poll() for one in (pink, harold, blue)))
            if agent:
                await bus.sides.want(agent, side)
                await eventually(lambda: is_at(bus, agent, side))  # noqa: B023 - awaited at once
        await eventually(lambda: _have(sent, pink, harold, blue), timeout=20)
        assert [one.got for one in (pink, harold, blue)] == [list(range(sent))] * 3
        async with Upstream(old_server.url, Protocol()) as upstream:
            found = {one.agent: one for one in await standings(bus, upstream)}
        assert {name: one.move.now for name, one in found.items()} == dict.fromkeys(names, Side.POLLING)
        assert not any(one.amiss for one in found.values())


async def _have(count: int, *those: OldAgent) -> bool:
    await asyncio.gather(*(one.poll() for one in those))
    return all(len(one.got) >= count for one in those)


async def test_what_waits_goes_along_in_order_and_what_was_not_acknowledged_comes_again(
    bus: Bus, old_server: OldServer
) -> None:
    """Moved with full boxes, there and back: the order stays, and what was only polled comes again."""
    for number in range(5):
        old_server.send({"from": "x", "to": "pink", "type": "note", "data": number})
    async with bridging(bus, old_server.url) as url, agents(url, "pink", "x") as (pink, stranger):
        assert (await pink.client.get("/messages/pink")).json()["last"] == 5
        await bus.sides.want("pink", Side.POLLING)
        await eventually(lambda: is_at(bus, "pink", Side.POLLING))
        assert old_server.boxes["pink"] == []
        await stranger.send("pink", {"n": 5})
        await bus.send_message("pink", "six")
        # Its last acknowledgement is in the words of the old server, and holds.
        await eventually(lambda: _waits(pink, 7))
        answer = await pink.client.post("/messages/pink/ack", json={"id": 2})
        assert answer.json() == {"acknowledged": 2}
        await bus.sides.want("pink", Side.OLD)
        await eventually(lambda: is_at(bus, "pink", Side.OLD))
        await bus.send_message("pink", "seven")
        await eventually(lambda: len(old_server.boxes["pink"]) == 6)
        pink.since = str(1 << 52)
        await eventually(lambda: _have(6, pink))
        assert pink.got == [2, 3, 4, {"n": 5}, "six", "seven"]
        move = (await bus.sides.all())["pink"]
        assert (move.carried, move.returned) == (5, 6)


async def _waits(agent: OldAgent, count: int) -> bool:
    return len((await agent.client.get(f"/messages/{agent.name}")).json()["messages"]) == count


async def test_a_new_agent_reads_the_bus_and_old_ones_reach_it(bus: Bus, old_server: OldServer) -> None:
    """Who has moved for good is not polled for; even what somebody sends straight to the old server arrives."""
    async with bridging(bus, old_server.url) as url, agents(url, "pink", "harold") as (pink, harold):
        await pink.poll()
        await bus.sides.want("pink", Side.NEW)
        await eventually(lambda: is_at(bus, "pink", Side.NEW))
        refused = await pink.client.get("/messages/pink")
        assert (refused.status_code, "reads the bus by itself" in refused.json()["error"]) == (409, True)
        await harold.send("pink", "through the bridge")
        old_server.send({"from": "x", "to": "pink", "type": "note", "data": "straight"})
        async with bus.inbox("pink") as inbox:
            letters = [await anext(inbox), await anext(inbox)]
            assert [letter.payload for letter in letters] == [b"through the bridge", b"straight"]
            assert letters[0].sender == "harold"
        await bus.send_message("harold", "from the bus to the old server")
        await eventually(lambda: _have(1, harold))
        assert harold.got == ["from the bus to the old server"]


async def test_without_an_old_server_the_bus_serves_who_polls(bus: Bus) -> None:
    """The last step of a move: the old server is gone, its agents poll on."""
    async with bridging(bus) as url, agents(url, "pink", "harold") as (pink, harold):
        await bus.send_message("pink", "bytes \\xff")
        await harold.send("pink", ["any", {"json": 1}])
        await eventually(lambda: _have(2, pink))
        assert pink.got == ["bytes \\xff", ["any", {"json": 1}]]
        assert await pink.poll() == 0
        box = await bus.reads.mailbox("pink")
        assert box is not None
        assert box.length == 0


async def test_a_dead_old_server_holds_up_only_who_is_there(bus: Bus, old_server: OldServer) -> None:
    """Requests for agents that have moved are served; the others are told, and nothing that was refused is kept."""
    async with bridging(bus, old_server.url) as url, agents(url, "pink", "harold") as (pink, harold):
        await pink.poll()
        await bus.sides.want("pink", Side.POLLING)
        await eventually(lambda: is_at(bus, "pink", Side.POLLING))
        old_server.down = True
        body = {"from": "x", "to": "harold", "data": 1}
        assert (await harold.client.post("/messages", json=body)).status_code == 502
        assert (await harold.client.get("/messages/harold")).status_code == 502
        await harold.send("pink", "still served")
        await eventually(lambda: _have(1, pink))
        old_server.down = False
        assert (await harold.client.get("/messages/harold")).json()["messages"] == []


async def test_a_bridge_that_is_killed_loses_nothing(bus: Bus, bus_url: str, old_server: OldServer, soak: bool) -> None:
    """Killed again and again while agents talk and move: each message arrives, in order; a repetition is next to it."""
    rng = random.Random(5)
    lives = 20 if soak else 3
    command = [sys.executable, "-m", "observatory", "migrate", "http", "serve", "--port", "0"]
    environment = {**os.environ, "OBSERVATORY_URL": bus_url}
    async with agents("http://127.0.0.1:1", "pink", "harold") as (pink, harold):
        for life in range(lives):
            started = process(*command, "--upstream", old_server.url, env=environment, stderr=asyncio.subprocess.PIPE)
            async with started as bridge:
                assert bridge.stderr is not None
                said = (await asyncio.wait_for(bridge.stderr.readline(), 30)).decode()
                found = re.search(r":(\d+) in front of", said)
                assert found is not None, said
                for one in (pink, harold):
                    one.client.base_url = httpx.URL(f"http://127.0.0.1:{found[1]}")
                await bus.sides.want("pink", rng.choice([Side.OLD, Side.POLLING]))
                for number in range(6 * life, 6 * life + 6):
                    await harold.send("pink", number)
                    await pink.poll()
                await asyncio.sleep(rng.uniform(0, 0.6))
                if life == lives - 1:
                    await eventually(lambda: _complete(pink, 6 * lives), timeout=30)
                    bridge.send_signal(signal.SIGINT)
                    assert await bridge.wait() == 130
    first = list(dict.fromkeys(pink.got))
    assert first == list(range(6 * lives))


async def _complete(agent: OldAgent, count: int) -> bool:
    await agent.poll()
    return set(agent.got) == set(range(count))


async def test_another_protocol_and_a_token(bus: Bus, tmp_path: Path) -> None:
    """Paths and names are those of the file; without the token nothing is answered."""
    file = tmp_path / "protocol.toml"
    file.write_text(
        '[paths]\npoll = "/inbox"\nsend = "/out"\nack = "/done"\n[names]\nto = "target"\nmessages = "mail"\n'
    )
    protocol = Protocol.read(file)
    assert protocol == Protocol(Paths("/inbox", "/out", "/done"), replace(Names(), to="target", messages="mail"))
    async with bridging(bus, token="secret", protocol=protocol) as url, httpx.AsyncClient(base_url=url) as client:
        body: dict[str, Any] = {"from": "x", "target": "pink", "data": "hello"}
        assert (await client.post("/out", json=body)).status_code == 401
        client.headers["authorization"] = "Bearer secret"
        assert (await client.post("/out", json=body)).status_code == 200
        found = await eventually(lambda: _mail(client))
        assert [(one["target"], one["data"]) for one in found] == [("pink", "hello")]
        assert (await client.post("/done", json={"agent": "pink", "id": found[0]["id"]})).json() == {"acknowledged": 1}
        for wrong, field in (({"data": "x"}, "target"), ({**body, "target": "@x"}, "agent"), ([], "body")):
            refused = await client.post("/out", json=wrong)
            assert (refused.status_code, refused.json()["error"].partition(":")[0]) == (400, field)
        assert (await client.get("/inbox", params={"agent": "pink", "limit": "0"})).status_code == 400
        assert (await client.post("/out", content=b"{")).status_code == 400
        assert (await client.post("/done", json={"agent": "pink", "id": True})).status_code == 400


async def _mail(client: httpx.AsyncClient) -> Any:
    return (await client.get("/inbox", params={"agent": "pink"})).json()["mail"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[path]", "there is no such table"),
        ("[paths]\npull = '/x'", "there is no such name"),
        ("[paths]\npoll = 'x y'", "is no path"),
        ("[names]\nto = 1", "must be text"),
        ("names = 1", "must be a table"),
        ("nonsense", "not TOML"),
    ],
)
def test_a_protocol_that_cannot_be_one_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """The error names the file and what is wrong in it."""
    file = tmp_path / "protocol.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        Protocol.read(file)
