"""`/ws/agents/{agent}`: mail and tasks are pushed, acknowledgements and results come back."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Path, Query, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from observatory.edge.gateway.documents import as_text, message_document
from observatory.edge.gateway.gate import refuse
from observatory.edge.gateway.problems import Problem, problem_of
from observatory.edge.gateway.push import frames
from observatory.edge.gateway.push.labour import Labour
from observatory.edge.gateway.push.outlet import Frame, Outlet
from observatory.edge.gateway.routes.mail import beat, send_one
from observatory.edge.gateway.shapes import NAME
from observatory.model.api_key import Right
from observatory.model.errors import BusError, ObservatoryError
from observatory.model.task import EntryId
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observatory.bus.talk.mail import Letter
    from observatory.edge.gateway.documents import Document
    from observatory.edge.gateway.gateway import Gateway
    from observatory.edge.gateway.keyring import Caller

LOOK_AT_KEY_S: Final = 2.0
"""Seconds between two looks whether the key of an open socket still opens it."""

FAREWELL_S: Final = 1.0
"""Seconds in which a client must take the word that its socket is closed."""

LATE_S: Final = 5.0
"""Seconds in which what a former socket of the client held must have come to its next one."""

MOST_ACTING: Final = 256
"""Frames of one client that are acted on at once; beyond, no other is read."""

WINDOW: Final = 64
"""Messages that are pushed and not acknowledged at most, unless the client says otherwise."""

REPLACED: Final = 4000
REVOKED: Final = 4401
TOO_SLOW: Final = 4408
BROKEN: Final = 1011

router = APIRouter()


@router.websocket("/ws/agents/{agent}")
async def agent_socket(
    socket: WebSocket,
    agent: Annotated[str, Path(pattern=NAME)],
    after: Annotated[str, Query(pattern=r"^(\d{1,16}-\d{1,10})?$")] = "",
    window: Annotated[int, Query(ge=1, le=1000)] = WINDOW,
    payload: Annotated[str, Query(pattern="^(json|base64)$")] = "json",
    mail: Annotated[str, Query(pattern="^(now|later)$")] = "now",
) -> None:
    """Serve one agent.

    Args:
        socket: The socket.
        agent: Whose mail and tasks are pushed.
        after: Entry id of the last message that the client has, if it alone reads the mailbox; what it has and did
            not acknowledge is not pushed again, and may be acknowledged.
        window: Messages that are pushed and not acknowledged at most.
        payload: How payloads are shown.
        mail: Whether mail is pushed at once, or when the client says so.
    """
    caller: Caller = socket.state.caller
    if not caller.may(Right.ACT, agent):
        await refuse(socket.scope, Problem(403, "forbidden", f"this key may not act as {agent}"), socket.send)
        return
    await socket.accept()
    serving = AgentSocket(socket, agent, after=after, window=window, raw=payload == "base64")
    if mail == "now":
        serving.begin_mail(())
    await serving.serve()


class AgentSocket:
    """One open socket of one agent.

    Args:
        socket: The socket.
        agent: Whose mail and tasks are pushed.
        after: Entry id of the last message that the client has; empty for none.
        window: Messages that are pushed and not acknowledged at most.
        raw: Show payloads in Base64.
    """

    def __init__(self, socket: WebSocket, agent: str, *, after: str, window: int, raw: bool) -> None:
        gateway: Gateway = socket.app.state.gateway
        options = gateway.options
        self._gateway = gateway
        self._caller: Caller = socket.state.caller
        self._socket = socket
        self._agent = agent
        self._raw = raw
        self._after = EntryId.parse(after) if after else None
        self._last = after
        self._outlet = Outlet(
            socket.send_text,
            self._wrote,
            self._resync,
            gateway.meter,
            most=options.queue,
            timeout_s=options.send_timeout_s,
        )
        self._inbox = gateway.bus.inbox(agent, window=window)
        self._labour = Labour(gateway.bus, agent, self._tell, raw=raw)
        self._unsent: dict[str, str] = {}
        self._has: set[str] = set()
        self._wants_mail = asyncio.Event()
        self._arrived = asyncio.Event()
        self._acting: set[asyncio.Task[None]] = set()
        self._dismissed = asyncio.Event()
        self._over = asyncio.Event()
        self._farewell = (BROKEN, "it failed")

    async def serve(self) -> None:
        """Serve until the client leaves, its key is revoked, another socket takes its place, or the gateway closes."""
        sockets = self._gateway.sockets
        while (other := sockets.get(self._agent)) is not None:
            other.dismiss(REPLACED, "another socket has opened for this agent")
            await other.over()
        sockets[self._agent] = self
        self._gateway.meter.sockets["agent"] += 1
        self._tell({"op": "hello", "agent": self._agent, "lease": self._inbox.lease_s}, "hello", "")
        parts = [
            asyncio.create_task(part, name=f"gateway-{self._agent}")
            for part in (self._read(), self._write(), self._push_mail(), self._guard())
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in (*parts, *self._acting):
                part.cancel()
            ending = asyncio.create_task(self._end(), name=f"gateway-parting-{self._agent}")
            self._gateway.keep(ending)
            await asyncio.shield(ending)

    def begin_mail(self, have: Iterable[str]) -> None:
        """Push mail from now on, but for the entries that the client has."""
        self._has.update(have)
        self._wants_mail.set()

    def dismiss(self, code: int, reason: str) -> None:
        """Close the socket, and give back what it holds; `over` tells when that is done."""
        if not self._dismissed.is_set():
            self._farewell = code, reason
            self._dismissed.set()

    async def over(self) -> None:
        """Wait until nothing is held here any more."""
        await self._over.wait()

    async def _end(self) -> None:
        try:
            await asyncio.gather(self._labour.stop(), self._inbox.close(), return_exceptions=True)
        finally:
            self._gateway.meter.sockets["agent"] -= 1
            if self._gateway.sockets.get(self._agent) is self:
                del self._gateway.sockets[self._agent]
            self._over.set()
        # A client that does not read does not read this either.
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._socket.close(*self._farewell)

    async def _guard(self) -> None:
        """Wait until this socket is to end for a reason that is none of the client's."""
        while not self._dismissed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AT_KEY_S):
                    await self._dismissed.wait()
            if not self._gateway.keyring.knows(self._caller):
                self.dismiss(REVOKED, "the key was revoked")

    async def _write(self) -> None:
        try:
            await self._outlet.run()
        except TimeoutError:
            self.dismiss(TOO_SLOW, "the client does not read")
        except (RuntimeError, WebSocketDisconnect):
            return

    async def _push_mail(self) -> None:
        await self._wants_mail.wait()
        try:
            async for letter in self._inbox:
                self._arrived.set()
                is_news = self._after is None or EntryId.parse(letter.entry_id) > self._after
                if is_news and letter.entry_id not in self._has:
                    self._tell(self._shown(letter), "message", letter.entry_id)
        except BusError as error:
            self._complain(problem_of(error))
            await self._dismissed.wait()

    async def _read(self) -> None:
        try:
            while True:
                text = await self._socket.receive_text()
                try:
                    frame = frames.FRAMES.validate_json(text)
                except ValidationError as error:
                    first = error.errors()[0]
                    field = ".".join(map(str, first["loc"][1:]))
                    self._complain(Problem(422, "invalid", line(first["msg"], 300), field=field))
                    continue
                if len(self._acting) >= MOST_ACTING:
                    await asyncio.wait(self._acting, return_when=asyncio.FIRST_COMPLETED)
                acting = asyncio.create_task(self._act(frame))
                self._acting.add(acting)
                acting.add_done_callback(self._acting.discard)
        except (WebSocketDisconnect, KeyError):
            # A frame of bytes has no text: whoever sends one does not speak this.
            return

    async def _act(self, frame: frames.ClientFrame) -> None:
        try:
            await self._carry_out(frame)
        except Problem as problem:
            self._complain(problem, frame)
        except ObservatoryError as error:
            self._complain(problem_of(error), frame)

    async def _carry_out(self, frame: frames.ClientFrame) -> None:
        labour = self._labour
        known = True
        match frame:
            case frames.Ack():
                await self._acknowledge(frame.entry_ids)
            case frames.MailFrame():
                self.begin_mail(frame.have)
            case frames.Work():
                self._begin_work(frame)
            case frames.Done():
                known = labour.done(frame.task_id, _result(frame))
            case frames.Fail():
                known = labour.failed(frame.task_id, frame.error, retry=frame.retry)
            case frames.Snoozed():
                known = labour.snoozed(frame.task_id, frame.seconds)
            case frames.Progress():
                known = await labour.progress(frame.task_id, frame.share, frame.note)
            case frames.SendFrame():
                accepted = await send_one(self._gateway, self._caller, frame.to, frame, None)
                self._tell({"op": "sent", "ref": frame.ref, **accepted}, "sent", "")
            case frames.BeatFrame():
                await beat(self._gateway, self._agent, frame)
            case frames.Ping():
                self._tell({"op": "pong"}, "pong", "")
        if not known:
            raise Problem(409, "lost", "that task is not with this socket", field="taskId")

    async def _acknowledge(self, entry_ids: list[str]) -> None:
        await self._arrival_of(entry_ids)
        letters = [letter for ident in entry_ids if (letter := self._inbox.holding(ident)) is not None]
        answers = await asyncio.gather(*(letter.ack() for letter in letters))
        done = [letter.entry_id for letter, held in zip(letters, answers, strict=True) if held]
        for ident in done:
            self._unsent.pop(ident, None)
        lost = [ident for ident in entry_ids if ident not in done]
        self._tell({"op": "acked", "entryIds": done, "lost": lost}, "acked", "")

    async def _arrival_of(self, entry_ids: list[str]) -> None:
        """Wait a moment for what the client has from a socket before this one, and which is not here yet."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATE_S):
                while any(ident in self._has and self._inbox.holding(ident) is None for ident in entry_ids):
                    self._arrived.clear()
                    await self._arrived.wait()

    def _begin_work(self, frame: frames.Work) -> None:
        if self._labour.is_running:
            raise Problem(409, "working", "this socket has said so before")
        for queue in frame.queues:
            if queue.startswith("@"):
                self._caller.need(Right.ACT, queue[1:])
        self._labour.start(frame.slots, tuple(frame.queues), frame.version)

    def _complain(self, problem: Problem, frame: frames.ClientFrame | None = None) -> None:
        about = {} if frame is None else {"about": frame.op, "ref": getattr(frame, "ref", None)}
        self._tell({"op": "error", **about, **problem.document()}, "error", "")

    def _tell(self, document: Document, kind: str, key: str) -> None:
        if key:
            self._unsent[key] = kind
        self._outlet.put(Frame(as_text(document), kind, key))

    def _wrote(self, frame: Frame) -> None:
        if frame.key:
            self._unsent.pop(frame.key, None)
            if frame.kind == "message":
                self._last = frame.key

    def _resync(self) -> list[Frame]:
        """Tell the client that it was too slow, and then what it holds and was not told."""
        told = [Frame(as_text({"op": "resync", "after": self._last}), "resync")]
        for key, kind in list(self._unsent.items()):
            letter = self._inbox.holding(key) if kind == "message" else None
            document = self._labour.document(key) if letter is None else self._shown(letter)
            if document is None:
                del self._unsent[key]
            else:
                told.append(Frame(as_text(document), kind, key))
        return told

    def _shown(self, letter: Letter) -> Document:
        shown = message_document(letter, letter.entry_id, letter.deliveries, raw=self._raw)
        return {"op": "message", "message": shown}


def _result(frame: frames.Done) -> object:
    """Return what a handler returned.

    Raises:
        Problem: 422.
    """
    if frame.result_base64 is None:
        return frame.result
    try:
        return base64.b64decode(frame.result_base64, validate=True)
    except binascii.Error:
        raise Problem(422, "invalid", "is not Base64", field="resultBase64") from None
