"""The short way for the request that decides what a gateway costs: sending one message.

What is as it should be is served here without the framework, at a quarter of its cost. Everything else, and every
refusal of what was sent, goes the way of all requests, with the body that was read: so there is one place that words
errors, and one that describes the interface.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from observatory.edge.gateway.documents import as_text
from observatory.edge.gateway.gate import answer
from observatory.edge.gateway.problems import Problem, problem_of
from observatory.edge.gateway.routes.mail import send_one
from observatory.edge.gateway.shapes import IDENT, NAME, Send
from observatory.model.errors import ObservatoryError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope
    from starlette.types import Send as Sending

    from observatory.edge.gateway.gateway import Gateway

_PATH = re.compile(rf"/agents/({NAME[1:-1]})/send", re.ASCII)
_KEY = re.compile(IDENT)
_JSON: Final = b"application/json"


class Route:
    """What the counters know of the route that is served here."""

    path = "/agents/{agent}/send"


class Express:
    """ASGI application in front of the framework's.

    Args:
        app: The way of all requests.
        gateway: The gateway.
    """

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway
        self._read = Send.__pydantic_validator__.validate_json

    async def __call__(self, scope: Scope, receive: Receive, send: Sending) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or (found := _PATH.fullmatch(scope["path"])) is None:
            await self._app(scope, receive, send)
            return
        key: str | None = None
        is_json = False
        for name, value in scope["headers"]:
            if name == b"idempotency-key":
                key = value.decode("latin-1")
            elif name == b"content-type":
                is_json = value.partition(b";")[0].strip().lower() == _JSON
        if scope["query_string"]:
            is_json = False
        first = await receive()
        try:
            said = self._read(first.get("body", b"")) if is_json and not first.get("more_body") else None
        except ValidationError:
            said = None
        if said is None or (key is not None and not _KEY.fullmatch(key)):
            await self._app(scope, _again(first, receive), send)
            return
        scope["route"] = Route
        try:
            document = await send_one(self._gateway, scope["state"]["caller"], found[1], said, key)
        except Problem as problem:
            await answer(problem, send)
        except ObservatoryError as error:
            await answer(problem_of(error), send)
        else:
            body = as_text(document).encode()
            headers = [(b"content-type", _JSON), (b"content-length", b"%d" % len(body))]
            status = 200 if document["duplicate"] else 201
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def _again(first: Message, receive: Receive) -> Receive:
    """Return what receives *first* once more, and then what follows it."""
    kept: list[Message] = [first]

    async def again() -> Message:
        return kept.pop() if kept else await receive()

    return again
