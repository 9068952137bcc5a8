"""Tasks: publishing, taking and settling without staying, cancelling, and what became of one."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import APIRouter, Depends, Query, Request

from observatory.bus import CancelOutcome, PublishOutcome
from observatory.edge.gateway.documents import payload_of, shown, task_document, ticket_document
from observatory.edge.gateway.problems import Problem
from observatory.edge.gateway.routes.common import (
    Agent,
    Answer,
    Asking,
    Idempotency,
    Ident,
    Shared,
    chosen_id,
    known_query,
    refusals,
)
from observatory.edge.gateway.routes.mail import item
from observatory.edge.gateway.shapes import (
    Accepted,
    Acknowledge,
    BatchAnswer,
    Cancelled,
    Outcomes,
    Publish,
    PublishMany,
    ResultShape,
    SettleMany,
    Take,
    Tasks,
    TicketShape,
)
from observatory.model.api_key import Right
from observatory.model.task import NewTask
from observatory.model.ticket import TicketStatus, ticket_of

if TYPE_CHECKING:
    from observatory.bus.payloads.payload import Payload
    from observatory.edge.gateway.documents import Document
    from observatory.edge.gateway.gateway import Gateway
    from observatory.edge.gateway.keyring import Caller

LOOK_EVERY_S = 0.25
"""Seconds between two looks for a task, or for the end of one, while a request waits."""

router = APIRouter(tags=["tasks"], dependencies=[Depends(known_query)])


@router.post(
    "/tasks",
    status_code=201,
    responses={
        200: {"model": Accepted, "description": "It was published before."},
        201: {"model": Accepted},
        **refusals(413),
    },
)
async def publish(said: Publish, gateway: Shared, caller: Asking, key: Idempotency = None) -> Answer:
    """Publish a task."""
    document = await _publish(gateway, caller, said, key)
    return Answer(document, 200 if document["duplicate"] else 201)


@router.post("/tasks/batch", responses={200: {"model": BatchAnswer}, **refusals(413)})
async def publish_many(said: PublishMany, gateway: Shared, caller: Asking) -> Answer:
    """Publish tasks; each is accepted or refused by itself, and answered in order."""
    caller.need(Right.SEND)
    results = await asyncio.gather(*(item(_publish(gateway, caller, one, None)) for one in said.tasks))
    return Answer({"results": results})


@router.get("/tasks/{ident}", responses={200: {"model": ResultShape}, **refusals(404)})
async def result(
    ident: Ident,
    gateway: Shared,
    caller: Asking,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for its end; the gateway caps it.")] = 0.0,
    payload: Annotated[str, Query(pattern="^(json|base64)$", description="How the result is shown.")] = "json",
) -> Answer:
    """Tell where a task is, how it ended, and what its handler returned. A result says what it was asked to say."""
    caller.need(Right.LOOK)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(wait, gateway.options.longest_wait_s)
    while True:
        found = await gateway.bus.result(ident)
        if found is None:
            raise Problem(404, "unknown", "the bus remembers no task of this id", field="ident")
        if found.is_final or loop.time() >= deadline or gateway.draining.is_set():
            break
        await gateway.pause(LOOK_EVERY_S)
    told = shown(found.payload, found.content_type, raw=payload == "base64")
    return Answer(
        {
            "ticket": ticket_document(ticket_of(found.record)),
            "result": told["payload"] if found.payload else None,
            "encoding": told["encoding"],
            "contentType": found.content_type,
            "error": found.error,
            "progress": found.progress,
        }
    )


@router.post("/tasks/{ident}/cancel", responses={200: {"model": Cancelled}, **refusals(404, 409)})
async def cancel(ident: Ident, gateway: Shared, caller: Asking) -> Answer:
    """Take a task back: `cancelled`, or `requested` where it runs and its worker will stop it. For operators."""
    caller.need(Right.STEER)
    outcome = await gateway.bus.cancel(ident)
    if outcome is CancelOutcome.UNKNOWN:
        raise Problem(404, "unknown", "the bus remembers no task of this id", field="ident")
    if outcome is CancelOutcome.SETTLED:
        raise Problem(409, "settled", "too late: it is done, or a dead letter")
    return Answer({"outcome": str(outcome)})


@router.get("/tickets/{ident}", responses={200: {"model": TicketShape}, **refusals(404)})
async def ticket(
    ident: Ident,
    gateway: Shared,
    caller: Asking,
    agent: Annotated[str, Query(max_length=64, description="Which agent, where one id was sent to several.")] = "",
) -> Answer:
    """Tell what became of a message or task."""
    caller.need(Right.LOOK)
    for found in await gateway.bus.tickets(ident):
        if not agent or found.to == agent:
            return Answer(ticket_document(found))
    raise Problem(404, "unknown", "the bus remembers nothing of this id", field="ident")


@router.post("/agents/{agent}/tasks/take", responses={200: {"model": Tasks}, **refusals()})
async def take(
    agent: Agent,
    said: Take,
    request: Request,
    gateway: Shared,
    caller: Asking,
    payload: Annotated[str, Query(pattern="^(json|base64)$", description="How payloads are shown.")] = "json",
) -> Answer:
    """Take tasks, the most urgent first: of the agent's own queue, then of *queues*.

    What is neither settled nor renewed within 30 s passes to another.
    """
    caller.need(Right.ACT, agent)
    _check_queues(caller, said.queues)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(said.wait, gateway.options.longest_wait_s)
    gateway.meter.waits += 1
    try:
        found = await gateway.visits.take(agent, said.queues, said.limit)
        while not found and (left := deadline - loop.time()) > 0 and not gateway.draining.is_set():
            await gateway.pause(min(left, LOOK_EVERY_S))
            if await request.is_disconnected():
                break
            found = await gateway.visits.take(agent, said.queues, said.limit)
    finally:
        gateway.meter.waits -= 1
    receipt = gateway.visits.receipt
    raw = payload == "base64"
    return Answer({"tasks": [task_document(one.task, receipt(one), one.deliveries, raw=raw) for one in found]})


@router.post("/agents/{agent}/tasks/settle", responses={200: {"model": Outcomes}, **refusals(409, 413)})
async def settle(agent: Agent, said: SettleMany, gateway: Shared, caller: Asking) -> Answer:
    """Say how tasks ended: `settled`, or `again` where it was said before. 409 where another has one now."""
    caller.need(Right.ACT, agent)
    outcomes = []
    for one in said.settlements:
        if one.outcome == "done":
            outcomes.append(await gateway.visits.done(agent, one.receipt, cast("Payload", one.result)))
        else:
            retry = one.outcome == "fail"
            outcomes.append(await gateway.visits.failed(agent, one.receipt, one.error, retry=retry))
    if "lost" in outcomes:
        words = ", ".join(outcomes)
        raise Problem(409, "lost", f"another has it now, or it is over: {words}", field="settlements")
    return Answer({"outcomes": outcomes})


@router.post("/agents/{agent}/tasks/renew", responses={200: {"model": Outcomes}, **refusals()})
async def renew(agent: Agent, said: Acknowledge, gateway: Shared, caller: Asking) -> Answer:
    """Keep tasks for another 30 s: `renewed`, `lost`, or `cancelled` where it should be broken off."""
    caller.need(Right.ACT, agent)
    return Answer({"outcomes": await gateway.visits.renew(agent, said.receipts)})


def _check_queues(caller: Caller, queues: list[str]) -> None:
    for queue in queues:
        if queue.startswith("@"):
            caller.need(Right.ACT, queue[1:])


async def _publish(gateway: Gateway, caller: Caller, said: Publish, key: str | None) -> Document:
    caller.need(Right.SEND)
    bus = gateway.bus
    ident = chosen_id(said.id, key, caller, "task")
    body, kind = payload_of(said)
    published = await bus.publish_task(
        NewTask(
            type=said.type,
            payload=body,
            id=ident or uuid.uuid4().hex,
            queue=said.queue,
            priority=said.priority,
            sender=caller.sender(said.sender),
            content_type=kind,
            ttl_s=said.ttl,
            delay_s=said.delay,
            correlation_id=said.correlation_id,
            reply_to=said.reply_to,
            ordering_key=said.ordering_key,
        ),
        dedupe=said.dedupe,
        dedupe_ttl=said.dedupe_ttl,
        durable=said.durable,
    )
    again = published.outcome is PublishOutcome.DUPLICATE
    status = TicketStatus.QUEUED
    if again and (record := await bus.record(published.id)) is not None:
        status = ticket_of(record).status
    return {"ticketId": published.id, "status": str(status), "duplicate": again}
