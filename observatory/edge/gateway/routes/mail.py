"""Mail: sending to one agent or many, reading a mailbox, acknowledging, telling all, and signs of life."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from observatory.bus.talk.mail import SendOutcome
from observatory.edge.gateway.documents import message_document, payload_of
from observatory.edge.gateway.problems import Problem, problem_of
from observatory.edge.gateway.push.bells import waiting_for_mail
from observatory.edge.gateway.routes.common import (
    Agent,
    Answer,
    Asking,
    Idempotency,
    Shared,
    chosen_id,
    known_query,
    refusals,
)
from observatory.edge.gateway.shapes import (
    Accepted,
    Acknowledge,
    BatchAnswer,
    Beat,
    Messages,
    Outcomes,
    Send,
    SendMany,
    Tell,
    Told,
)
from observatory.model.api_key import Right
from observatory.model.errors import ObservatoryError
from observatory.model.message import NewMessage
from observatory.model.ticket import TicketStatus

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from observatory.bus.talk.visits import Taken
    from observatory.edge.gateway.documents import Document
    from observatory.edge.gateway.gateway import Gateway
    from observatory.edge.gateway.keyring import Caller

FIRST_LOOK_S: Final = 0.05
LOOK_EVERY_S: Final = 1.0
"""Seconds between two looks into a mailbox for which it does not ring."""

router = APIRouter(tags=["mail"], dependencies=[Depends(known_query)])


@router.post(
    "/agents/{agent}/send",
    status_code=201,
    responses={
        200: {"model": Accepted, "description": "It was sent before."},
        201: {"model": Accepted},
        **refusals(413),
    },
)
async def send(agent: Agent, said: Send, gateway: Shared, caller: Asking, key: Idempotency = None) -> Answer:
    """Send a message to an agent, also to one that was never heard of: it waits until it is read or expires."""
    document = await send_one(gateway, caller, agent, said, key)
    return Answer(document, 200 if document["duplicate"] else 201)


@router.post("/messages", responses={200: {"model": BatchAnswer}, **refusals(413)})
async def send_many(said: SendMany, gateway: Shared, caller: Asking) -> Answer:
    """Send messages to any number of agents; each is accepted or refused by itself, and answered in order."""
    caller.need(Right.SEND)
    results = await asyncio.gather(*(item(send_one(gateway, caller, one.to, one, None)) for one in said.messages))
    return Answer({"results": results})


@router.get("/agents/{agent}/messages", responses={200: {"model": Messages}, **refusals()})
async def messages(
    agent: Agent,
    request: Request,
    gateway: Shared,
    caller: Asking,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the first; the gateway caps it.")] = 0.0,
    payload: Annotated[str, Query(pattern="^(json|base64)$", description="How payloads are shown.")] = "json",
) -> Answer:
    """Hand out messages, the oldest first. What is not acknowledged within 30 s is handed out again."""
    caller.need(Right.ACT, agent)
    found = await gateway.bus.collect(agent, limit=limit)
    if not found and wait:
        found = await _when_there_is_mail(agent, request, gateway, limit=limit, wait_s=wait)
    raw = payload == "base64"
    return Answer({"messages": [message_document(one.message, one.receipt, one.deliveries, raw=raw) for one in found]})


@router.post("/agents/{agent}/ack", responses={200: {"model": Outcomes}, **refusals(409)})
async def acknowledge(agent: Agent, said: Acknowledge, gateway: Shared, caller: Asking) -> Answer:
    """Acknowledge messages by receipt: `done`, or `gone` where it was done before. 409 where another has one now."""
    caller.need(Right.ACT, agent)
    outcomes = await gateway.bus.acknowledge(agent, said.receipts)
    if "lost" in outcomes:
        words = ", ".join(outcomes)
        raise Problem(409, "lost", f"another reader has it now: {words}", field="receipts", hint="read it again")
    return Answer({"outcomes": outcomes})


@router.post("/agents/{agent}/heartbeat", responses={200: {"model": Outcomes}, **refusals()})
async def heartbeat(agent: Agent, said: Beat, gateway: Shared, caller: Asking) -> Answer:
    """Say that an agent lives; `stopped` as its status says goodbye."""
    caller.need(Right.ACT, agent)
    await beat(gateway, agent, said)
    return Answer({"outcomes": ["noted"]})


@router.post(
    "/broadcast",
    status_code=201,
    responses={200: {"model": Told, "description": "It was told before."}, 201: {"model": Told}, **refusals(413)},
)
async def broadcast(said: Tell, gateway: Shared, caller: Asking) -> Answer:
    """Tell all agents; for operators."""
    caller.need(Right.STEER)
    body, _ = payload_of(said)
    told = await gateway.bus.broadcast(body, type=said.type, id=said.id, correlation_id=said.correlation_id)
    again = told.outcome is SendOutcome.DUPLICATE
    return Answer({"id": told.id, "duplicate": again}, 200 if again else 201)


async def beat(gateway: Gateway, agent: str, said: Beat) -> None:
    """Write down a sign of life.

    Raises:
        Problem: 422, where the process is not one of that agent.
    """
    consumer = said.consumer or agent
    if consumer != agent and not consumer.startswith(f"{agent}@"):
        raise Problem(422, "invalid", f"must be {agent}, or begin with {agent}@", field="consumer")
    await gateway.bus.heartbeat(
        agent,
        consumer=consumer,
        status=said.status,
        task=said.task,
        load=said.load,
        interval_s=said.interval,
        capabilities=said.capabilities,
        version=said.version,
    )


async def send_one(gateway: Gateway, caller: Caller, agent: str, said: Send, key: str | None) -> Document:
    """Send one message, and return how it was accepted.

    Raises:
        Problem: The caller may not, or a field cannot be taken.
        BusError: The bus does not take it.
    """
    caller.need(Right.SEND)
    ident = chosen_id(said.id, key, caller, f"message {agent}")
    body, kind = payload_of(said)
    sent = await gateway.bus.post(
        NewMessage(
            body,
            ident or secrets.token_hex(16),
            to=agent,
            type=said.type,
            sender=caller.sender(said.sender),
            content_type=kind,
            created_ms=gateway.bus.clock.now_ms(),
            ttl_s=said.ttl,
            correlation_id=said.correlation_id,
            reply_to=said.reply_to,
        )
    )
    again = sent.outcome is SendOutcome.DUPLICATE
    status = TicketStatus.QUEUED
    if again:
        status = next((one.status for one in await gateway.bus.tickets(sent.id) if one.to == agent), status)
    return {"ticketId": sent.id, "status": str(status), "duplicate": again, "known": sent.known}


async def item(sending: Coroutine[Any, Any, Document]) -> Document:
    """Return one result of a batch: the refusal of one is no refusal of the others."""
    try:
        document = await sending
    except ObservatoryError as error:
        problem = problem_of(error)
    except Problem as refused:
        problem = refused
    else:
        return {"status": 200 if document["duplicate"] else 201, "ticket": document}
    return {"status": problem.status, **problem.document()}


async def _when_there_is_mail(
    agent: str, request: Request, gateway: Gateway, *, limit: int, wait_s: float
) -> list[Taken]:
    """Return messages as soon as there are any; none where the time is over, the client or the gateway goes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(wait_s, gateway.options.longest_wait_s)
    # Whoever sends before this is subscribed rings for nobody, so the first look is soon.
    pause = FIRST_LOOK_S
    gateway.meter.waits += 1
    try:
        with waiting_for_mail(gateway.bus, agent) as rang:
            while (left := deadline - loop.time()) > 0 and not gateway.draining.is_set():
                await _rung(rang, min(left, pause), gateway)
                pause = LOOK_EVERY_S
                if await request.is_disconnected():
                    break
                if found := await gateway.bus.collect(agent, limit=limit):
                    return found
    finally:
        gateway.meter.waits -= 1
    return []


async def _rung(rang: asyncio.Event, seconds: float, gateway: Gateway) -> None:
    """Wait until it rang, *seconds* are over, or the gateway closes."""
    rang.clear()
    waits = [asyncio.create_task(rang.wait()), asyncio.create_task(gateway.draining.wait())]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
