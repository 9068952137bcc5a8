"""The ASGI application: routes, sockets, and what every refusal looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from observatory import __version__
from observatory.edge.gateway.express import Express
from observatory.edge.gateway.gate import Gate
from observatory.edge.gateway.problems import Problem, problem_of
from observatory.edge.gateway.push import agent_socket, event_streams
from observatory.edge.gateway.routes import mail, operations, tasks
from observatory.edge.gateway.routes.common import Answer
from observatory.model.errors import ObservatoryError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from observatory.edge.gateway.gateway import Gateway

SUMMARY = """\
Store and forward for agents that do not speak Redis: what is accepted is on the bus, and its ticket tells what became
of it. Every refusal has one shape: `{"error": {"code", "field", "reason", "hint"}}`.
"""

_CODES = {404: "unknown", 405: "method"}


def make_app(gateway: Gateway) -> Gate:
    """Put the application together; pages of other origins may not use it, for nothing here allows them to."""
    return Gate(Express(_framework(gateway), gateway), gateway)


def _framework(gateway: Gateway) -> FastAPI:
    app = FastAPI(title="Observatory gateway", version=__version__, description=SUMMARY, redoc_url=None)
    app.state.gateway = gateway
    for module in (mail, tasks, operations, event_streams, agent_socket):
        app.include_router(module.router)
    app.add_exception_handler(Problem, _refused)
    app.add_exception_handler(ObservatoryError, _refused_by_the_bus)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _broken)
    return app


async def _refused(_: Request, error: Exception) -> Answer:
    assert isinstance(error, Problem)  # noqa: S101 - registered for it
    return Answer(error.document(), error.status, error.headers)


async def _refused_by_the_bus(request: Request, error: Exception) -> Answer:
    assert isinstance(error, ObservatoryError)  # noqa: S101 - registered for it
    return await _refused(request, problem_of(error))


async def _broken(request: Request, _: Exception) -> Answer:
    """Answer for a defect of ours; the server logs what it was."""
    return await _refused(request, Problem(500, "defect", "something unforeseen, a defect of Observatory"))


async def _invalid(request: Request, error: Exception) -> Answer:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    first = error.errors()[0]
    field = "body" if first["type"] == "json_invalid" else _field(first["loc"])
    return await _refused(request, Problem(422, "invalid", line(str(first["msg"]), 300), field=field))


def _field(place: Sequence[object]) -> str:
    """Return the place in a request as a path: `messages.3.ttl`."""
    return line(".".join(str(part) for part in place[1:]), 100) if len(place) > 1 else str(place[0])


async def _http(request: Request, error: Exception) -> Answer:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    if isinstance(error.__cause__, Problem):
        # A body that was refused while it was read.
        return await _refused(request, error.__cause__)
    if error.status_code == 400:
        return await _refused(request, Problem(422, "invalid", "cannot be read as JSON", field="body"))
    problem = Problem(error.status_code, _CODES.get(error.status_code, "http"), line(str(error.detail), 200))
    answer = await _refused(request, problem)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer
