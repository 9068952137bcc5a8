"""One socket for each agent: mail and tasks come over it, and it comes back by itself when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from typing import TYPE_CHECKING, Any, Final, Protocol

from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.text import line

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from observatory.bus.remote.channel import Channel, Document

REPLACED: Final = 4000
"""Close code of a gateway where another process opened a socket for the same agent."""

_PAUSES_S: Final = (0.05, 1.0)

log = logging.getLogger(__name__)


class User(Protocol):
    """Who uses the socket of an agent."""

    def greeting(self) -> list[Document]:
        """Return what is to be said whenever the socket has opened."""

    def hear(self, frame: Document) -> None:
        """Act on what came."""

    def dropped(self) -> None:
        """Take note that the socket is lost; it will open again."""

    def failed(self, error: BusError) -> None:
        """Take note that the socket will never open again."""


class Line:
    """The socket of one agent.

    Args:
        channel: The way to the gateway.
        agent: Whose socket it is.
    """

    def __init__(self, channel: Channel, agent: str) -> None:
        self.agent = agent
        self._channel = channel
        self._users: list[User] = []
        self._socket: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._unsaid: list[Document] = []
        self._rung = asyncio.Event()

    def attach(self, user: User) -> None:
        """Let *user* hear what comes, and open the socket if nobody did."""
        self._users.append(user)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name=f"observatory-line-{self.agent}")
        elif self._socket is not None:
            self._greet([user])

    async def detach(self, user: User) -> None:
        """Let *user* hear nothing more; what it holds is given back at once, because the socket is closed for that."""
        if user in self._users:
            self._users.remove(user)
        if self._socket is not None:
            await self._socket.close()
        if not self._users and self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    def say(self, document: Document) -> None:
        """Write a frame if the socket is open; what must be heard is said again by the greeting."""
        if self._socket is not None:
            self._unsaid.append(document)
            self._rung.set()

    async def _run(self) -> None:
        from websockets.asyncio.client import connect  # noqa: PLC0415 - whoever speaks to the engine needs none
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus  # noqa: PLC0415

        pause = _PAUSES_S[0]
        url = f"{self._channel.sockets}/ws/agents/{self.agent}?mail=later&payload=base64"
        while self._users:
            try:
                async with connect(url, additional_headers=self._channel.headers) as socket:
                    pause = _PAUSES_S[0]
                    await self._serve(socket)
            except InvalidStatus as error:
                if error.response.status_code in {401, 403}:
                    self._fail(BusUnreachableError(f"{self._channel.view.url} refuses the key for {self.agent}"))
                    return
                self._channel.note(line(str(error)))
            except (OSError, ConnectionClosed, InvalidHandshake, EOFError, TimeoutError) as error:
                self._channel.note(line(str(error)) or type(error).__name__)
                code = getattr(getattr(error, "rcvd", None), "code", 0)
                if code == REPLACED:
                    self._fail(BusError(f"another process has opened the socket of {self.agent}"))
                    return
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, _PAUSES_S[1])

    async def _serve(self, socket: ClientConnection) -> None:
        self._unsaid = []
        self._rung.clear()
        self._socket = socket
        writing = asyncio.create_task(self._write(socket), name=f"observatory-line-{self.agent}")
        try:
            self._greet(self._users)
            while True:
                frame = json.loads(await socket.recv())
                self._channel.note("")
                for user in list(self._users):
                    user.hear(frame)
        finally:
            self._socket = None
            writing.cancel()
            await asyncio.wait({writing})
            for user in list(self._users):
                user.dropped()

    async def _write(self, socket: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._rung.wait()
                self._rung.clear()
                waiting, self._unsaid = self._unsaid, []
                for document in waiting:
                    await socket.send(json.dumps(document))

    def _greet(self, users: list[User]) -> None:
        for user in users:
            self._unsaid += user.greeting()
        self._rung.set()

    def _fail(self, error: BusError) -> None:
        log.warning("%s", error)
        for user in list(self._users):
            user.failed(error)
        self._users.clear()


def text_of(frame: Document, name: str) -> str:
    """Return a text of a frame; empty where it has none."""
    found: Any = frame.get(name, "")
    return found if isinstance(found, str) else ""
