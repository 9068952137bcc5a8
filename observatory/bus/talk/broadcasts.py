"""Broadcasts: telling all agents, and reading what was told from a cursor of one's own.

The stream keeps the newest broadcasts only. A reader that was away for too long is told so by a `Gap`, and goes on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from observatory.bus.payloads.blobs import opened, packed
from observatory.bus.talk.mail import SendOutcome, check_agent, check_message
from observatory.bus.talk.waiting import BLOCK_MS, WaitingReader
from observatory.bus.tasks.batch import Batcher
from observatory.model.errors import BusError, BusUnreachableError, UsageError
from observatory.model.message import Broadcast, Gap, NewMessage, encode_message
from observatory.model.task import EntryId
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from types import TracebackType

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument, Link
    from observatory.bus.payloads.blobs import BlobStore
    from observatory.bus.payloads.payload import Payload
    from observatory.model.clock import Clock

KEPT: Final = 10_000
"""Broadcasts that the stream keeps, about."""

_PAGE: Final = 100
_NOTHING: Final = "0-0"
_CLOSE_DEADLINE_S: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a broadcast.

    Attributes:
        id: Its id.
        outcome: What became of it.
        entry_id: Its entry in the stream.
    """

    id: str
    outcome: SendOutcome
    entry_id: str


class Broadcasts:
    """Telling all agents, and hearing what they are told, over one link.

    Args:
        link: The link to the engine.
        keys: Key names.
        name: Who tells, where a broadcast does not say.
        clock: Where creation times come from.
        blobs: Where large payloads are; None for nowhere.
    """

    def __init__(self, link: Link, keys: Keys, name: str, clock: Clock, *, blobs: BlobStore | None = None) -> None:
        self._link = link
        self._keys = keys
        self._name = name
        self._clock = clock
        self._blobs = blobs
        self._outgoing = Batcher(self._send)
        self._doorbell = Doorbell(link, keys)

    async def tell(
        self,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        sender: str | None = None,
        correlation_id: str = "",
        reply_to: str = "",
    ) -> Told:
        """Tell all agents. Calls made by many coroutines at once share round trips.

        Args:
            payload: Bytes or text as they are; anything else is written as JSON.
            type: What kind of message it is.
            id: Its id; made here if not given. Telling an id again within a day is answered, not repeated.
            sender: Who tells; the bus's name by default.
            correlation_id: Ties a family of tasks and messages together.
            reply_to: Where an answer is expected.

        Raises:
            UsageError: A field cannot be taken; the message begins with its name.
        """
        body, content_type = await packed(self._blobs, payload)
        message = NewMessage(
            payload=body,
            id=uuid.uuid4().hex if id is None else id,
            type=type,
            sender=self._name if sender is None else sender,
            content_type=content_type,
            created_ms=self._clock.now_ms(),
            correlation_id=correlation_id,
            reply_to=reply_to,
        )
        check_message(message)
        outcome, entry_id = await self._outgoing.submit(message)
        return Told(message.id, SendOutcome(outcome), entry_id)

    def hear(self, agent: str, *, since: str | None = None) -> Hearing:
        """Return the broadcasts that *agent* has not handled yet, and those to come; see `Hearing`.

        Args:
            agent: Who reads; its cursor is kept under this name, so no two readers may share it at a time.
            since: The entry behind which to begin on the very first start, `0` for all there are; by default now.

        Raises:
            UsageError: *agent* or *since* cannot be one.
        """
        check_agent("agent", agent)
        if since is not None:
            try:
                since = str(EntryId.parse(since))
            except ValueError:
                raise UsageError(
                    f"since: {line(since, 64)!r} is not the id of an entry", "for example 0, or 1770378300000-0"
                ) from None
        return Hearing(self._link, self._keys, self._doorbell, agent, since or "", blobs=self._blobs)

    async def close(self) -> None:
        """Send what is under way, write the cursors of all readers, and close the connection."""
        await self._outgoing.flush()
        await self._doorbell.close()

    async def _send(self, batch: Sequence[NewMessage]) -> Sequence[tuple[str, str]]:
        args: list[Argument] = [KEPT]
        for message in batch:
            flat = encode_message(message)
            args += (message.id, message.type, message.sender, len(flat), *flat)
        return [(outcome.decode(), entry.decode()) for outcome, entry in await self._link.call("broadcast", args)]


class Hearing:
    """The broadcasts to one agent: iterate over it, leave it by `async with` or close it. Made by `Broadcasts.hear`.

    Whoever asks for the next one has handled the last: then the cursor moves. After a crash, or a break out of the
    loop, the one that was in hand comes again. Losing the engine only pauses it.
    """

    def __init__(
        self, link: Link, keys: Keys, doorbell: Doorbell, agent: str, since: str, *, blobs: BlobStore | None
    ) -> None:
        self.agent = agent
        self._link = link
        self._keys = keys
        self._doorbell = doorbell
        self._since = since
        self._blobs = blobs
        self._position = ""
        self._waiting: deque[Broadcast | Gap] = deque()
        self._in_hand = ""
        self._handled = ""
        self._written = ""
        self._writing: asyncio.Task[None] | None = None
        self._rung = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Broadcast | Gap]:
        return self

    async def __anext__(self) -> Broadcast | Gap:
        """Return the next broadcast, as soon as there is one, or the gap in front of it.

        A large payload that cannot be had stays a reference, and the notes say why.

        Raises:
            StopAsyncIteration: The reader, or the bus, was closed.
            BusError: The broadcasts cannot be read: the key holds something else, or the user may not.
        """
        self._mark()
        if not self._closed:
            self._doorbell.join(self)
        while not self._closed:
            if self._waiting:
                item = self._waiting[0]
                if isinstance(item, Broadcast):
                    item = await opened(self._blobs, item)
                self._waiting.popleft()
                self._in_hand = item.entry_id if isinstance(item, Broadcast) else ""
                return item
            self._rung.clear()
            newest = await self._listen()
            if not self._waiting and not self._closed:
                self._doorbell.watch(newest)
                await self._rung.wait()
        raise StopAsyncIteration

    async def close(self) -> None:
        """Hear nothing more; what was handled is written down."""
        self._closed = True
        self._rung.set()
        self._doorbell.forget(self)
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=_CLOSE_DEADLINE_S)

    def ring(self) -> None:
        """Say that there may be something new."""
        self._rung.set()

    async def _listen(self) -> str:
        """Read a page behind the position; return the newest id there is."""
        reply = None
        while reply is None:
            try:
                reply = await self._link.call("listen", (self.agent, self._position, self._since, _PAGE))
            except BusUnreachableError as error:
                log.warning("broadcasts to %s: %s", self.agent, error)
        cursor, gap, first, rows, newest = reply
        if gap:
            self._waiting.append(Gap(cursor.decode(), first.decode()))
        self._waiting.extend(Broadcast.read(ident.decode(), pairs(flat)) for ident, flat in rows)
        behind = rows[-1][0] if rows else newest if gap else cursor
        self._position = behind.decode()
        return str(newest.decode())

    def _mark(self) -> None:
        if self._in_hand:
            self._handled, self._in_hand = self._in_hand, ""
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write(), name=f"observatory-cursor-{self.agent}")

    async def _write(self) -> None:
        """Write the cursor down; one write is under way at a time, and skips what was overtaken meanwhile."""
        while self._written != self._handled:
            reached = self._handled
            try:
                await self._link.command("HSET", self._keys.cursors, self.agent, reached)
            except BusError as error:
                # The next broadcast that is handled tries again; until then a restart repeats a few.
                log.warning("cursor of %s: %s", self.agent, error)
                return
            self._written = reached


class Doorbell:
    """One read that waits for the next broadcast, for every reader of the process; each then reads by itself.

    Args:
        link: The link to the engine.
        keys: Key names.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._stream = keys.broadcasts
        self._newest = _NOTHING
        self._listeners: set[Hearing] = set()
        self._reader: WaitingReader | None = None
        self._running: asyncio.Task[None] | None = None
        self._closing = False

    def join(self, hearing: Hearing) -> None:
        """Ring *hearing* from now on.

        Raises:
            BusError: The bus is closed.
        """
        if self._closing:
            raise BusError("the bus is closed")
        self._listeners.add(hearing)

    def watch(self, newest: str) -> None:
        """Ring for whatever comes behind *newest*, if nobody does yet."""
        if self._running is None or self._running.done():
            self._newest = newest
            self._running = asyncio.create_task(self._run(), name="observatory-doorbell")

    def forget(self, hearing: Hearing) -> None:
        """Ring *hearing* no more."""
        self._listeners.discard(hearing)
        if not self._listeners and self._reader is not None:
            self._reader.wake()

    async def close(self) -> None:
        """Close every reader, then the connection."""
        self._closing = True
        await asyncio.gather(*(hearing.close() for hearing in list(self._listeners)))
        if self._running is not None:
            await asyncio.wait({self._running})
        if self._reader is not None:
            await self._reader.close()

    async def _run(self) -> None:
        reader = self._reader = self._reader or WaitingReader(self._link)
        failures = 0
        while self._listeners:
            try:
                await reader.read(
                    lambda: ("XREAD", "COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS", self._stream, self._newest)
                )
                # After a burst there is one ring, and a stream that was made anew, with lower ids, rings as well.
                rows = await self._link.command("XREVRANGE", self._stream, "+", "-", "COUNT", 1)
            except BusError as error:
                failures += 1
                log.warning("broadcasts: %s", error)
                await asyncio.sleep(min(0.02 * 2**failures, 2.0) * random.uniform(0.5, 1.5))
                if not isinstance(error, BusUnreachableError):
                    self._ring()
                continue
            failures = 0
            newest = rows[0][0].decode() if rows else _NOTHING
            if newest != self._newest:
                self._newest = newest
                self._ring()

    def _ring(self) -> None:
        for hearing in self._listeners:
            hearing.ring()
