"""Mailboxes through a gateway: the same `Inbox`, with a postman who listens to a socket."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from observatory.bus.talk.postman import Postman, What
from observatory.model.errors import BusError, BusUnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.bus.remote.channel import Document
    from observatory.bus.remote.line import Line
    from observatory.bus.talk.mail import Inbox, Letter
    from observatory.model.dead_letter import Reason

ACK_DEADLINE_S = 10.0
"""Seconds in which an acknowledgement must be answered."""


class RemotePostman(Postman):
    """Reads the mailboxes of one process through a gateway.

    Args:
        line_of: Returns the socket of an agent.
    """

    def __init__(self, line_of: Callable[[str], Line]) -> None:
        self._line_of = line_of
        self._users: dict[str, Listener] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._closing = False

    def serve(self, box: Inbox) -> None:
        """Read *box* from now on.

        Raises:
            UsageError: This process reads that mailbox already.
            BusError: The bus is closed.
        """
        if self._closing:
            raise BusError("the bus is closed")
        if box.stream in self._users:
            raise UsageError(f"agent: this process reads the mailbox of {box.agent} already", "share that inbox")
        line = self._line_of(box.agent)
        listener = self._users[box.stream] = Listener(box, line)
        line.attach(listener)

    def serves(self, box: Inbox) -> bool:
        """Say whether *box* is being read."""
        found = self._users.get(box.stream)
        return found is not None and found.box is box

    async def finish_round(self) -> None:
        """Nothing is read that was not taken in."""

    async def part(self, box: Inbox) -> None:
        """Read *box* no more; what it holds is given back."""
        listener = self._users.pop(box.stream)
        await listener.line.detach(listener)

    async def settle(self, letter: Letter, stream: str, what: What) -> str:
        """Acknowledge a message; what is given back goes with the socket.

        Raises:
            BusUnreachableError: The gateway does not answer; the message is still held.
        """
        listener = self._users.get(stream)
        if what is not What.ACKNOWLEDGE or listener is None:
            return "done"
        return await listener.acknowledge(letter.entry_id)

    async def bury(self, letter: Letter, stream: str, reason: Reason, why: str) -> str:  # noqa: ARG002
        """Refuse: only who speaks to the engine moves messages to the dead letters."""
        raise UsageError("a message cannot be buried through a gateway", "connect to the engine itself: redis://…")

    def changed(self) -> None:
        """The gateway knows by the acknowledgements how much room there is."""

    def server_ms(self) -> float:
        """What has expired is dropped by the gateway; here nothing does."""
        return 0.0

    def doubt_server_ms(self) -> None:
        """Nothing is known of the engine's time here."""

    async def close(self) -> None:
        """Close every inbox."""
        self._closing = True
        await asyncio.gather(*(listener.box.close() for listener in list(self._users.values())))
        if self._background:
            await asyncio.wait(self._background)


class Listener:
    """The mailbox end of an agent's socket.

    Attributes:
        box: Whose mail comes.
        line: The socket.
    """

    def __init__(self, box: Inbox, line: Line) -> None:
        self.box = box
        self.line = line
        self._asked: dict[str, asyncio.Future[str]] = {}

    def greeting(self) -> list[Document]:
        """Ask for mail, but for what is held, and ask again what was not answered."""
        frames: list[Document] = [{"op": "mail", "have": [letter.entry_id for letter in self.box.holds]}]
        if self._asked:
            frames.append({"op": "ack", "entryIds": list(self._asked)})
        return frames

    def hear(self, frame: Document) -> None:
        """Take in mail, and answers to acknowledgements."""
        if frame.get("op") == "message":
            message = frame["message"]
            if self.box.holding(message["entryId"]) is None:
                self.box.deliver(message["entryId"], _flat(message), message["deliveries"])
        elif frame.get("op") == "acked":
            for ident in frame["entryIds"]:
                self._answer(ident, "done")
            for ident in frame["lost"]:
                self._answer(ident, "lost")

    def dropped(self) -> None:
        """What is held stays held: the gateway is told so when the socket is back."""

    def failed(self, error: BusError) -> None:
        """End the iteration, and every wait."""
        self.box.fail(error)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(error)

    async def acknowledge(self, entry_id: str) -> str:
        """Acknowledge an entry; returns `done` or `lost`."""
        waiting = self._asked.setdefault(entry_id, asyncio.get_running_loop().create_future())
        self.line.say({"op": "ack", "entryIds": [entry_id]})
        try:
            async with asyncio.timeout(ACK_DEADLINE_S):
                return await asyncio.shield(waiting)
        except TimeoutError:
            raise BusUnreachableError("the gateway does not answer; the message is still held") from None
        finally:
            self._asked.pop(entry_id, None)

    def _answer(self, ident: str, word: str) -> None:
        waiting = self._asked.get(ident)
        if waiting is not None and not waiting.done():
            waiting.set_result(word)


def _flat(message: Document) -> list[bytes]:
    """Return a message as the flat list of fields that it was."""
    said = {
        "id": message["id"],
        "from": message["from"],
        "type": message["type"],
        "content_type": message["contentType"],
        "ttl": f"{message['ttl']:g}",
        "correlation_id": message["correlationId"],
        "reply_to": message["replyTo"],
    }
    flat = [part.encode("utf-8", "surrogateescape") for pair in said.items() for part in pair]
    return [*flat, b"payload", base64.b64decode(message["payload"])]
