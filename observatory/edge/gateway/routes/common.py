"""What the routes share: who asks, which agent is meant, and what every route may answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Header, Path, Request
from fastapi.security import HTTPBearer
from starlette.responses import Response

from observatory.edge.gateway.documents import Document, as_text
from observatory.edge.gateway.gateway import Gateway
from observatory.edge.gateway.keyring import Caller
from observatory.edge.gateway.problems import Problem
from observatory.edge.gateway.shapes import IDENT, NAME, ErrorShape
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = {
    401: "There is no key, or it opens nothing.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    409: "Something else happened to it meanwhile.",
    413: "The body is too large.",
    422: "A field cannot be taken; `field` names it.",
    429: "Too much at once, or a lane or mailbox is full; see `Retry-After`.",
    503: "The bus cannot be reached, or refuses; nothing was kept.",
}


def refusals(*more: int) -> dict[int | str, dict[str, Any]]:
    """Return the refusals that every route knows, and *more*, for the description of the interface."""
    return {status: {"model": ErrorShape, "description": _WORDS[status]} for status in (401, 403, 422, 429, 503, *more)}


class Answer(Response):
    """JSON, written as it is everywhere here."""

    media_type = "application/json"

    def __init__(self, document: Document, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(as_text(document), status, dict(headers) if headers else None)


def _gateway(request: Request) -> Gateway:
    found: Gateway = request.app.state.gateway
    return found


def _caller(request: Request, _: Annotated[object, Depends(HTTPBearer(auto_error=False))]) -> Caller:
    found: Caller = request.state.caller
    return found


def known_query(request: Request) -> None:
    """Refuse parameters that the route does not know: a misspelt one would be a wish that nobody hears.

    Raises:
        Problem: 422.
    """
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise Problem(422, "invalid", "there is no such parameter", field=line(name, 64))


Shared = Annotated[Gateway, Depends(_gateway)]
Asking = Annotated[Caller, Depends(_caller)]
Agent = Annotated[str, Path(pattern=NAME, description="Name of an agent.", examples=["pink"])]
Ident = Annotated[str, Path(pattern=IDENT, description="Id of a message or task.")]
Idempotency = Annotated[
    str | None,
    Header(
        pattern=IDENT,
        alias="Idempotency-Key",
        description="Makes a repeated request one that is answered, for a day at least, and not repeated.",
    ),
]


def chosen_id(said: str | None, key: str | None, caller: Caller, where: str) -> str | None:
    """Return the id of what is to be sent: the one that was given, else one that follows from the idempotency key.

    Raises:
        Problem: 422, where both are given.
    """
    if key is None:
        return said
    if said is not None:
        raise Problem(422, "invalid", "give an id or an Idempotency-Key, not both", field="id")
    name = caller.name if caller.key is not None else ""
    return hashlib.sha256(f"{where}\0{name}\0{key}".encode()).hexdigest()[:32]
