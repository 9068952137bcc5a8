"""What every request passes first: who comes, how often, how much; and what is written down of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from observatory.edge.gateway.problems import Problem, problem_of
from observatory.model.errors import BusUnreachableError
from observatory.model.snapshot import LinkState

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from observatory.edge.gateway.gateway import Gateway
    from observatory.edge.gateway.keyring import Caller

OPEN: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
"""Paths that need no key: they tell nothing of the bus."""

MOST_BUCKETS: Final = 10_000
"""Callers whose rate is remembered; beyond, those who have been quiet are forgotten."""


class Rates:
    """A token bucket for each caller.

    Args:
        per_second: Requests in the long run; 0 for any number. Twice as many may come at once.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float) -> float:
        """Count one request of *name*; return 0 if it may pass, else the seconds until one may."""
        if not self._per_second:
            return 0.0
        most = 2 * self._per_second
        left, at = self._buckets.get(name, (most, now))
        left = min(left + (now - at) * self._per_second, most)
        if left < 1:
            self._buckets[name] = (left, now)
            return (1 - left) / self._per_second
        self._buckets[name] = (left - 1, now)
        if len(self._buckets) > MOST_BUCKETS:
            full_since = now - most / self._per_second
            self._buckets = {one: bucket for one, bucket in self._buckets.items() if bucket[1] > full_since}
        return 0.0


class Gate:
    """ASGI middleware in front of everything.

    Args:
        app: What is behind it.
        gateway: Whose gate it is.
    """

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway
        self._rates = Rates(gateway.options.rate)
        self._serving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one connection in, or answer in its place."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._serving += 1
        caller: Caller | None = None
        try:
            caller = await self._admit(scope)
            body = _Body(receive, self._gateway.options.max_body)
            if (length := _header(scope, b"content-length")).isdigit():
                body.check(int(length))
            # A body of a known length is what the server counts already.
            await self._app(scope, receive if length else body.receive, noting)
        except Problem as problem:
            await answer(problem, noting)
        finally:
            self._serving -= 1
            self._note(scope, status, time.perf_counter() - began, caller)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway = self._gateway
        began = time.perf_counter()
        status, caller = 101, None
        try:
            caller = await self._admit(scope)
            gateway.check_sockets()
            await self._app(scope, receive, send)
        except Problem as problem:
            status = problem.status
            await refuse(scope, problem, send)
        finally:
            self._note(scope, status, time.perf_counter() - began, caller)

    async def _admit(self, scope: Scope) -> Caller | None:
        """Say who comes, and refuse whoever may not now.

        Raises:
            Problem: 401, 429 or 503.
        """
        if scope["path"] in OPEN:
            return None
        gateway = self._gateway
        if gateway.draining.is_set():
            raise Problem(503, "draining", "this gateway is closing", hint="try again", retry_after_s=1)
        if gateway.bus.link.state is LinkState.LOST and scope["path"] != "/metrics":
            # It is tried again and again by who reads the keys: nobody needs to wait for it here.
            raise problem_of(BusUnreachableError("lost"))
        if self._serving > gateway.options.max_requests:
            raise Problem(503, "overloaded", "too many requests at once", hint="nothing was kept", retry_after_s=1)
        address = scope["client"][0] if scope.get("client") else "local"
        caller = await gateway.keyring.admit(_token(scope), address)
        if wait_s := self._rates.take(caller.name, time.monotonic()):
            raise Problem(429, "too_fast", "more requests than this key may make", retry_after_s=wait_s)
        scope.setdefault("state", {})["caller"] = caller
        return caller

    def _note(self, scope: Scope, status: int, seconds: float, caller: Caller | None) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope.get("method", "GET")
        if scope["type"] == "http":
            self._gateway.meter.request(method, route, status, seconds)
        self._gateway.journal.note(scope, status, seconds, caller)


class _Body:
    """Counts a body of unknown length while it comes.

    Args:
        receive: Where it comes from.
        most: Bytes at most.
    """

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._size = 0

    def check(self, size: int) -> None:
        """Refuse a body of *size* bytes if that is too much.

        Raises:
            Problem: 413.
        """
        if size > self._most:
            raise Problem(413, "too_large", f"the body has more than {self._most} bytes")

    async def receive(self) -> Message:
        """Return the next piece."""
        message = await self._receive()
        self._size += len(message.get("body", b""))
        self.check(self._size)
        return message


async def answer(problem: Problem, send: Send) -> None:
    """Answer a request with *problem*."""
    body, headers = _written(problem)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Scope, problem: Problem, send: Send) -> None:
    """Answer a socket that was not opened with *problem*: as HTTP where the server can."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": problem.reason[:100]})
        return
    body, headers = _written(problem)
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _written(problem: Problem) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    body = json.dumps(problem.document()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    return body, headers


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def _token(scope: dict[str, Any] | Scope) -> str:
    kind, _, token = _header(scope, b"authorization").partition(" ")
    return token.strip() if kind.lower() == "bearer" else _header(scope, b"x-api-key")
