"""An old server as such systems have one, old agents that poll it, and the bridge between."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from observatory.edge.bridge.bridge import Bridge
from observatory.edge.bridge.protocol import Protocol
from observatory.edge.bridge.server import Listening, _Server, serve
from observatory.edge.bridge.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from observatory.bus import Bus


@dataclass
class OldServer:
    """The polling server that is to be replaced: numbered messages in memory.

    Attributes:
        url: Where it listens.
        boxes: What waits for each agent.
        down: It answers nothing but errors.
    """

    url: str = ""
    boxes: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    down: bool = False
    _last: int = 0

    def send(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take a message."""
        self._last += 1
        self.boxes[body["to"]].append({**body, "id": self._last})
        return {"id": self._last}

    def poll(self, agent: str, since: int, limit: int) -> dict[str, Any]:
        """Return what waits."""
        found = [one for one in self.boxes[agent] if one["id"] > since][:limit]
        return {"messages": found, "last": found[-1]["id"] if found else since}

    def ack(self, agent: str, ident: int) -> dict[str, Any]:
        """Forget everything up to an id."""
        self.boxes[agent] = [one for one in self.boxes[agent] if one["id"] > ident]
        return {"acknowledged": ident}


@dataclass
class OldAgent:
    """An agent that knows nothing but polling.

    Attributes:
        name: Its name.
        client: How it asks.
        got: What it has read, in order.
        since: The last id that it has seen.
    """

    name: str
    client: httpx.AsyncClient
    got: list[Any] = field(default_factory=list)
    since: str = ""

    async def send(self, to: str, data: Any) -> None:
        """Send a message, again and again until it is taken."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                body = {"from": self.name, "to": to, "type": "note", "data": data}
                if (await self.client.post("/messages", json=body)).status_code == 200:
                    return
            await asyncio.sleep(0.02)

    async def poll(self) -> int:
        """Poll once, and acknowledge; return how many messages came."""
        query = {"since": self.since} if self.since else {}
        try:
            answer = await self.client.get(f"/messages/{self.name}", params=query)
            if answer.status_code != 200:
                return 0
            messages = answer.json()["messages"]
            self.got += [one["data"] for one in messages]
            if messages:
                self.since = str(messages[-1]["id"])
                await self.client.post(f"/messages/{self.name}/ack", json={"id": messages[-1]["id"]})
            return len(messages)
        except httpx.HTTPError:
            return 0


@contextlib.asynccontextmanager
async def bridging(
    bus: Bus, upstream: str = "", *, token: str = "", protocol: Protocol | None = None
) -> AsyncIterator[str]:
    """Run a bridge for the length of a block; yields its address."""
    spoken = protocol or Protocol()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with contextlib.AsyncExitStack() as stack:
        old = await stack.enter_async_context(Upstream(upstream, spoken)) if upstream else None
        bridge = await stack.enter_async_context(Bridge(bus, spoken, old))
        serving = asyncio.create_task(serve(bridge, Listening(port=0, token=token), started=port.set_result))
        try:
            yield f"http://127.0.0.1:{await asyncio.wait_for(port, 10)}"
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def old_server() -> AsyncIterator[OldServer]:
    """An old server that listens."""
    server = OldServer()

    async def poll(request: Request) -> Response:
        query = request.query_params
        if server.down:
            return Response(status_code=500)
        since, limit = int(query.get("since", 0)), int(query.get("limit", 100))
        return JSONResponse(server.poll(request.path_params["agent"], since, limit))

    async def send(request: Request) -> Response:
        return Response(status_code=500) if server.down else JSONResponse(server.send(await request.json()))

    async def ack(request: Request) -> Response:
        return JSONResponse(server.ack(request.path_params["agent"], (await request.json())["id"]))

    app = Starlette(
        routes=[
            Route("/messages/{agent}", poll),
            Route("/messages", send, methods=["POST"]),
            Route("/messages/{agent}/ack", ack, methods=["POST"]),
        ]
    )
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = _Server(uvicorn.Config(app, lifespan="off", log_config=None), started.set_result)
        serving = asyncio.create_task(running.serve([listener]))
        server.url = f"http://127.0.0.1:{await asyncio.wait_for(started, 10)}"
        yield server
        running.should_exit = True
        await serving
