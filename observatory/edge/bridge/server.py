"""Listening for old agents: the three requests of their protocol, in front of a bridge."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from observatory.edge.bridge.post import MovedAwayError
from observatory.edge.bridge.upstream import UpstreamError
from observatory.edge.listening import listening as listen
from observatory.model.errors import BusBusyError, BusUnreachableError, ObservatoryError, UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request

    from observatory.edge.bridge.bridge import Bridge

    Act = Callable[[Request], Awaitable[dict[str, Any]]]

MOST_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request's body at most."""

DRAIN_S: Final = 5
"""Seconds that what is under way is given at the end."""

_STATUS: Final = (
    (UsageError, 400),
    (MovedAwayError, 409),
    (BusBusyError, 429),
    (UpstreamError, 502),
    (BusUnreachableError, 503),
)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a bridge listens, and whom it lets in.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        token: What must come as `Authorization: Bearer …`; empty if nothing must.
    """

    host: str = "127.0.0.1"
    port: int = 18803
    token: str = ""


def make_app(bridge: Bridge, token: str = "") -> Starlette:
    """Put the application together."""
    paths, names = bridge.protocol.paths, bridge.protocol.names

    async def poll(request: Request) -> dict[str, Any]:
        query = request.query_params
        agent = request.path_params.get("agent") or query.get(names.agent, "")
        return await bridge.poll(agent, query.get(names.since, ""), query.get(names.limit, "100"))

    async def send(request: Request) -> dict[str, Any]:
        return await bridge.send(await _body(request))

    async def ack(request: Request) -> dict[str, Any]:
        body = await _body(request)
        if not isinstance(body, dict):
            raise UsageError("body: must be a JSON object")
        agent = request.path_params.get("agent") or body.get(names.agent, "")
        if not isinstance(agent, str):
            raise UsageError(f"{names.agent}: must be text")
        return await bridge.ack(agent, body.get(names.id))

    return Starlette(
        routes=[
            Route(paths.poll, _answering(poll, token), methods=["GET"]),
            Route(paths.send, _answering(send, token), methods=["POST"]),
            Route(paths.ack, _answering(ack, token), methods=["POST"]),
        ]
    )


async def serve(bridge: Bridge, listening: Listening, *, started: Callable[[int], None]) -> None:
    """Serve until cancelled, and then finish what is under way.

    Args:
        bridge: The bridge, at work.
        listening: Where, and for whom.
        started: Called with the port once requests are served.

    Raises:
        ObservatoryError: The address is in use.
    """
    with listen(listening.host, listening.port) as listener:
        config = uvicorn.Config(
            make_app(bridge, listening.token),
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
        server = _Server(config, started)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise


class _Server(uvicorn.Server):
    """A server that leaves signals to the program that it is a part of, and says when it serves."""

    def __init__(self, config: uvicorn.Config, started: Callable[[int], None]) -> None:
        super().__init__(config)
        self._started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            self._started(sockets[0].getsockname()[1])


def _answering(act: Act, token: str) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def answer(request: Request) -> JSONResponse:
        said = request.headers.get("authorization", "")
        if token and not hmac.compare_digest(said.encode(), f"Bearer {token}".encode()):
            return JSONResponse({"error": "authorization: missing or wrong"}, 401, {"www-authenticate": "Bearer"})
        try:
            return JSONResponse(await act(request))
        except ObservatoryError as error:
            status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
            return JSONResponse({"error": line(str(error), 300)}, status)

    return answer


async def _body(request: Request) -> object:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY:
            raise UsageError(f"body: more than {MOST_BODY} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("body: cannot be read as JSON") from None
