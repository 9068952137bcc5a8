"""How the gateway and its bus are: health, metrics, agents."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.responses import PlainTextResponse, Response

from observatory.edge.gateway.routes.common import Answer, Asking, Shared, known_query, refusals
from observatory.edge.gateway.shapes import Agents, Health, WhoShape
from observatory.live import snapshot_document
from observatory.live.metrics import exposition
from observatory.model.api_key import Right, Role
from observatory.model.errors import BusError
from observatory.model.snapshot import LinkState
from observatory.model.wire import rfc3339

router = APIRouter(tags=["operations"], dependencies=[Depends(known_query)])


@router.get("/healthz", responses={200: {"model": Health}})
async def healthz() -> Answer:
    """Say that this process answers."""
    return Answer({"status": "ok", "reason": ""})


@router.get("/readyz", responses={200: {"model": Health}, 503: {"model": Health}})
async def readyz(gateway: Shared) -> Answer:
    """Say whether requests can be served: the bus answers, and this gateway is not closing."""
    problem = ""
    if gateway.draining.is_set():
        problem = "closing"
    elif gateway.bus.link.state is LinkState.LOST:
        problem = "the bus does not answer"
    document = {"status": "no" if problem else "ok", "reason": problem}
    return Answer(document, 503 if problem else 200)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}, **refusals()},
)
async def metrics(gateway: Shared, caller: Asking) -> Response:
    """Return the numbers of this gateway and, as far as it can be reached, of the bus."""
    caller.need(Right.LOOK)
    text = gateway.meter.exposition()
    try:
        text += exposition(await gateway.watch.snapshot())
    except BusError:
        text += "# HELP observatory_up 1 if the bus answered.\n# TYPE observatory_up gauge\nobservatory_up 0\n"
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


@router.get("/whoami", responses={200: {"model": WhoShape}, **refusals()})
async def whoami(caller: Asking) -> Answer:
    """Say whose key this is."""
    if caller.key is None:
        return Answer({"key": "", "role": str(Role.OPERATOR), "agents": []})
    return Answer({"key": caller.key.id, "role": str(caller.key.role), "agents": list(caller.key.agents)})


@router.get("/agents", responses={200: {"model": Agents}, **refusals()})
async def agents(gateway: Shared, caller: Asking) -> Answer:
    """List the agents that the bus knows, as they were a second ago at most."""
    caller.need(Right.LOOK)
    snapshot = await gateway.watch.snapshot()
    return Answer({"at": rfc3339(snapshot.at_ms), "agents": snapshot_document(snapshot)["agents"]})
