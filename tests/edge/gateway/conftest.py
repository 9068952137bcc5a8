"""A gateway of its own for every test, on a real engine, behind a real server on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from observatory.bus import Bus
from observatory.edge.gateway.options import GatewayOptions
from observatory.edge.gateway.server import Serving, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE_S = 20.0


@dataclass
class Rig:
    """A gateway that serves, and how to speak to it.

    Attributes:
        bus: A client of the same bus, as any agent has.
        port: Where the gateway listens.
        token: A key that may do everything.
        client: An HTTP client with that key.
        serving: The server.
    """

    bus: Bus
    port: int
    token: str
    client: httpx.AsyncClient
    serving: Serving
    ended: asyncio.Task[None] = field(repr=False)

    def client_of(self, token: str) -> httpx.AsyncClient:
        """An HTTP client with another key."""
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=bearer(token), timeout=PATIENCE_S)

    @contextlib.asynccontextmanager
    async def open(self, path: str, token: str = "") -> AsyncIterator[Socket]:
        """Open a socket; for an agent, wait until it is greeted."""
        url = f"ws://127.0.0.1:{self.port}{path}"
        plug = socket.socket()
        # What the kernel keeps for a client that does not read should not be all that a test sends.
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        plug.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", self.port))
        async with connect(url, sock=plug, additional_headers=bearer(token or self.token)) as connection:
            opened = Socket(connection)
            if path.startswith("/ws/agents/"):
                assert (await opened.next())["op"] == "hello"
            yield opened

    async def send(self, agent: str, payload: Any = None, **more: Any) -> str:
        """Send a message, and return its ticket."""
        answer = await self.client.post(f"/agents/{agent}/send", json={"payload": payload, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticketId"])

    async def ticket(self, ident: str) -> Any:
        """Return what the gateway tells of a ticket."""
        answer = await self.client.get(f"/tickets/{ident}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def stop(self) -> None:
        """Close the gateway as SIGTERM does, and wait for its end."""
        self.serving.stop()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.shield(self.ended)


class Socket:
    """A socket at a gateway, as a client sees it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def stop_reading(self) -> None:
        """Be a client that hangs."""
        self._transport.pause_reading()

    def go_on_reading(self) -> None:
        """Hang no more."""
        self._transport.resume_reading()

    @property
    def _transport(self) -> asyncio.Transport:
        return self.connection.transport

    async def next(self, op: str = "") -> Any:
        """Return the next frame, or the next with this *op*."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = json.loads(await self.connection.recv())
                if not op or frame["op"] == op:
                    return frame

    async def say(self, op: str, **more: Any) -> None:
        """Write a frame."""
        await self.connection.send(json.dumps({"op": op, **more}))


def bearer(token: str) -> dict[str, str]:
    """Return the header that brings a key."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def error_of(answer: httpx.Response) -> Any:
    """Return what a refusal says, which has one shape whatever was refused."""
    document = answer.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "field", "reason", "hint"}
    return document["error"]


@contextlib.asynccontextmanager
async def gateway_on(url: str, **options: Any) -> AsyncIterator[Rig]:
    """Serve the bus at *url* with *options*, on a free port."""
    loop = asyncio.get_running_loop()
    serving: asyncio.Future[Serving] = loop.create_future()
    chosen = GatewayOptions(**{"port": 0, "access_log": False, "drain_s": 2.0, **options})
    async with Bus.connect(url, name="gateway", many_inboxes=True) as served, Bus.connect(url, name="agent") as bus:
        token, _ = await bus.api_keys.create(role="operator", note="test")
        ended = asyncio.create_task(serve(served, chosen, started=serving.set_result))

        def over(task: asyncio.Task[None]) -> None:
            if not serving.done():
                serving.set_exception(task.exception() or EOFError())

        ended.add_done_callback(over)
        found = await serving
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{found.port}", headers=bearer(token), timeout=PATIENCE_S
        ) as client:
            rig = Rig(bus, found.port, token, client, found, ended)
            try:
                yield rig
            finally:
                await rig.stop()


@pytest.fixture
async def rig(bus_url: str) -> AsyncIterator[Rig]:
    """Return a gateway of a clean bus."""
    async with gateway_on(bus_url) as opened:
        yield opened
