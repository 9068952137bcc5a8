"""`/ws/events` and `/events`: the event log as it grows, over a socket or as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, WebSocket
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

from observatory.edge.gateway.documents import as_text, event_text
from observatory.edge.gateway.gate import refuse
from observatory.edge.gateway.gateway import GOING_AWAY
from observatory.edge.gateway.problems import Problem
from observatory.edge.gateway.push.agent_socket import FAREWELL_S, LOOK_AT_KEY_S, REVOKED, TOO_SLOW
from observatory.edge.gateway.routes.common import Asking, Shared, known_query, refusals
from observatory.model.api_key import Right
from observatory.model.filter import Filter, FilterError
from observatory.model.filter.rows import EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observatory.edge.gateway.gateway import Gateway
    from observatory.edge.gateway.keyring import Caller
    from observatory.edge.gateway.push.feed import Listener
    from observatory.model.event import Event

KEEP_ALIVE_S: Final = 15.0
"""Seconds of silence after which an event stream says that it is still there."""

FACT = r"^(\d{1,16}-\d{1,10}(\.\d{1,6})?(@\d{1,4})?)?$"

router = APIRouter(tags=["events"])

Wanted = Annotated[str, Query(alias="filter", max_length=1000, description="As on the screens: `kind:published`.")]
After = Annotated[str, Query(pattern=FACT, description="Id of the last fact that the client has.")]


@router.websocket("/ws/events")
async def event_socket(socket: WebSocket, wanted: Wanted = "", after: After = "") -> None:
    """Push facts as they are written; `resync` with the last id that was told where the client is too slow."""
    gateway: Gateway = socket.app.state.gateway
    caller: Caller = socket.state.caller
    try:
        caller.need(Right.LOOK)
        chosen = _filter(wanted)
    except Problem as problem:
        await refuse(socket.scope, problem, socket.send)
        return
    await socket.accept()
    gateway.meter.sockets["events"] += 1
    try:
        async with gateway.feed.listen(chosen, after) as listener:
            parts: list[asyncio.Task[tuple[int, str] | None]] = [
                asyncio.create_task(part, name="gateway-events")
                for part in (_until_gone(socket), _push(socket, listener, gateway), _until_unwanted(gateway, caller))
            ]
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)
            said = [farewell for one in done if (farewell := one.result()) is not None]
            code, reason = said[0] if said else (1000, "")
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await socket.close(code, reason)
    finally:
        gateway.meter.sockets["events"] -= 1


@router.get(
    "/events",
    response_class=StreamingResponse,
    dependencies=[Depends(known_query)],
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}, **refusals()},
)
async def event_stream(
    gateway: Shared,
    caller: Asking,
    wanted: Wanted = "",
    after: After = "",
    last_event_id: Annotated[str, Header(pattern=FACT, description="Sent by browsers that come back.")] = "",
) -> StreamingResponse:
    """Stream facts as they are written; the event `resync` names the last id that was told to a slow client."""
    caller.need(Right.LOOK)
    gateway.check_sockets()
    told = _told(gateway, caller, _filter(wanted), last_event_id or after)
    return StreamingResponse(told, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _told(gateway: Gateway, caller: Caller, wanted: Filter[Event] | None, after: str) -> AsyncIterator[str]:
    gateway.meter.sockets["sse"] += 1
    unwanted = asyncio.create_task(_until_unwanted(gateway, caller), name="gateway-sse")
    try:
        yield ": connected\n\n"
        async with gateway.feed.listen(wanted, after) as listener:
            while not unwanted.done():
                coming = asyncio.create_task(listener.next())
                done, _ = await asyncio.wait(
                    {coming, unwanted}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
                )
                if coming not in done:
                    coming.cancel()
                    yield ": alive\n\n"
                    continue
                event = coming.result()
                gateway.meter.pushed["event"] += 1
                if isinstance(event, str):
                    yield f"event: resync\ndata: {as_text({'after': event})}\n\n"
                else:
                    yield f"id: {event.id}\nevent: {event.kind}\ndata: {event_text(event)}\n\n"
    finally:
        unwanted.cancel()
        gateway.meter.sockets["sse"] -= 1


async def _push(socket: WebSocket, listener: Listener, gateway: Gateway) -> tuple[int, str] | None:
    while True:
        event = await listener.next()
        if isinstance(event, str):
            text = as_text({"op": "resync", "after": event})
        else:
            text = f'{{"op":"event","event":{event_text(event)}}}'
        try:
            async with asyncio.timeout(gateway.options.send_timeout_s):
                await socket.send_text(text)
        except TimeoutError:
            return TOO_SLOW, "the client does not read"
        except (RuntimeError, WebSocketDisconnect):
            return None
        gateway.meter.pushed["event"] += 1


async def _until_gone(socket: WebSocket) -> None:
    """Read what the client says, which is nothing to us, until it leaves."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        continue


async def _until_unwanted(gateway: Gateway, caller: Caller) -> tuple[int, str]:
    """Wait until the gateway closes or the key is revoked."""
    while not gateway.draining.is_set():
        await gateway.pause(LOOK_AT_KEY_S)
        if not gateway.keyring.knows(caller):
            return REVOKED, "the key was revoked"
    return GOING_AWAY, "this gateway is closing: connect again"


def _filter(text: str) -> Filter[Event] | None:
    if not text.strip():
        return None
    try:
        return Filter(text, EVENTS, now_ms=time.time_ns() // 1_000_000)
    except FilterError as error:
        raise Problem(422, "invalid", error.problem, field="filter", hint=error.hint) from None
