"""Mailboxes: sending notes to one agent, and reading the notes to the agents of this process.

A message stays in its mailbox until it is acknowledged or has expired. What a reader took and did not acknowledge
before it died is read again, by its successor or by another reader of the same mailbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from observatory.bus.payloads.blobs import most_bytes, opened, stowed
from observatory.bus.payloads.payload import Payload, written
from observatory.bus.talk.postman import KEY_HINT, LEASE_S, Postman, What
from observatory.bus.tasks.batch import Batcher
from observatory.model.errors import BusBusyError, BusError, UsageError
from observatory.model.message import Message, NewMessage, encode_message
from observatory.model.retention import Retention
from observatory.model.task import DEFAULT_TTL_S, MAX_TTL_S, is_queue_name
from observatory.model.text import line
from observatory.model.wire import MAX_PAYLOAD, pairs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from types import TracebackType

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument, Link
    from observatory.bus.payloads.blobs import BlobStore
    from observatory.model.clock import Clock
    from observatory.model.dead_letter import Reason

MAILBOX_BOUND: Final = 10_000
"""Messages in a mailbox at which sending to it is refused."""

MAX_ID: Final = 200
"""Longest id of a message, in characters."""

WINDOW: Final = 64
"""Messages that an inbox holds unacknowledged before it reads no further."""

MAX_WINDOW: Final = 1000

log = logging.getLogger(__name__)


class SendOutcome(StrEnum):
    """What became of a send."""

    SENT = "sent"
    DUPLICATE = "duplicate"
    """A message of this id was sent to this agent within the last day; nothing was added."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer to a send.

    Attributes:
        id: Message id.
        to: The agent.
        outcome: What became of it.
        entry_id: Its entry in the mailbox.
        known: The bus has heard of that agent: it has opened its mailbox before, or has sent heartbeats. If not, the
            message waits for whoever opens the mailbox, until it expires; perhaps the name is misspelt.
    """

    id: str
    to: str
    outcome: SendOutcome
    entry_id: str
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter(Message):
    """A message in the hands of a reader, which must acknowledge it.

    Attributes:
        deliveries: How often it was delivered, this time included; above 1, somebody may have acted on it before.
    """

    deliveries: int
    _inbox: Inbox = field(repr=False, compare=False)

    async def ack(self) -> bool:
        """Take it off the mailbox: it will not be delivered again.

        Returns:
            Whether that holds. False: this reader was silent for so long that another one has it now.

        Raises:
            BusUnreachableError: The engine does not answer; the message is still held, and this may be repeated.
        """
        return await self._inbox.acknowledge(self)

    async def bury(self, reason: Reason, why: str) -> bool:
        """Move it to the dead letters: it cannot be delivered.

        Args:
            reason: The kind of reason.
            why: What an operator should read, in one line.

        Returns:
            As `ack` does.

        Raises:
            BusError: There is something else in the place of the dead letters; the message is still held.
        """
        return await self._inbox.bury(self, reason, why)


class Mail:
    """Sending and reading messages over one link.

    Args:
        link: The link to the engine.
        keys: Key names.
        name: Who sends, where a message does not say.
        clock: Where creation times and the ages of leases come from.
        blobs: Where large payloads are; None for nowhere.
        consumer: Name of this process as a reader of mailboxes. One is made that is never used again; give a lasting
            one only where no second process uses it: then what its former life left is read first, at once.
        postman: Who reads the mailboxes; one that waits at all of them by default.
    """

    def __init__(
        self,
        link: Link,
        keys: Keys,
        name: str,
        clock: Clock,
        *,
        blobs: BlobStore | None = None,
        consumer: str = "",
        postman: Postman | None = None,
    ) -> None:
        self._link = link
        self._keys = keys
        self._name = name
        self._clock = clock
        self._blobs = blobs
        self._outgoing = Batcher(self._send)
        self._postman = postman or Postman(link, clock, consumer)

    @property
    def postman(self) -> Postman:
        """Who reads the mailboxes."""
        return self._postman

    async def send(
        self,
        agent: str,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        ttl: float = DEFAULT_TTL_S,
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        sender: str | None = None,
        correlation_id: str = "",
        reply_to: str = "",
    ) -> Sent:
        """Put a message into the mailbox of *agent*. Calls made by many coroutines at once share round trips.

        Args:
            agent: Whom it is for; one that was never heard of has a mailbox from now on, see `Sent.known`.
            payload: Bytes or text as they are; anything else is written as JSON.
            type: What kind of message it is.
            ttl: Seconds from arrival after which it is dropped unread, with an event.
            id: Message id; made here if not given. Sending an id to an agent again is answered, not repeated.
            sender: Who sends; the bus's name by default.
            correlation_id: Ties a family of tasks and messages together.
            reply_to: Where an answer is expected.

        Raises:
            UsageError: A field cannot be taken; the message begins with its name.
            BusBusyError: The mailbox is full; nothing was added, and nothing was dropped to make room.
        """
        body, content_type = written(payload, most=most_bytes(self._blobs))
        return await self.send_message(
            NewMessage(
                payload=body,
                id=uuid.uuid4().hex if id is None else id,
                to=agent,
                type=type,
                sender=self._name if sender is None else sender,
                content_type=content_type,
                ttl_s=ttl,
                correlation_id=correlation_id,
                reply_to=reply_to,
            )
        )

    async def send_message(self, message: NewMessage) -> Sent:
        """Send one message that is complete with its id; see `send`."""
        check_agent("to", message.to)
        stored = await stowed(self._blobs, message)
        check_message(stored)
        dated = stored if stored.created_ms else replace(stored, created_ms=self._clock.now_ms())
        outcome, entry_id, known = await self._outgoing.submit(dated)
        if outcome == "broken":
            raise BusError(f"message {message.id} to {message.to} was not sent: {line(entry_id)}", KEY_HINT)
        if outcome == "busy":
            raise BusBusyError(f"the mailbox of {message.to} is full", "let it be read, or send with a shorter ttl")
        return Sent(message.id, message.to, SendOutcome(outcome), entry_id, known)

    def inbox(self, agent: str, *, window: int = WINDOW, lease_s: float = LEASE_S) -> Inbox:
        """Return the mailbox of *agent* for reading; all inboxes of a process share one connection.

        Args:
            agent: Whose mailbox.
            window: Messages held unacknowledged at most; at that many it reads no further.
            lease_s: Seconds of silence after which another reader may take over what this one holds; the shortest of
                all inboxes of the process counts.

        Raises:
            UsageError: *agent* or *window* cannot be one.
        """
        check_agent("agent", agent)
        if not 0 < window <= MAX_WINDOW:
            raise UsageError(f"window: {window}, must be from 1 to {MAX_WINDOW}")
        return Inbox(self._postman, self._keys.mailbox(agent), agent, window, lease_s, blobs=self._blobs)

    async def close(self) -> None:
        """Send what is under way, give back what was read and not acknowledged, and close the connection."""
        await self._outgoing.flush()
        await self._postman.close()

    async def _send(self, batch: Sequence[NewMessage]) -> Sequence[tuple[str, str, bool]]:
        args: list[Argument] = [MAILBOX_BOUND, Retention().mailbox_bytes, DEFAULT_TTL_S]
        for message in batch:
            flat = encode_message(message)
            args += (message.to, message.id, message.type, message.sender, len(flat), *flat)
        answers = await self._link.call("send", args)
        return [(outcome.decode(), entry.decode("utf-8", "replace"), bool(known)) for outcome, entry, known in answers]


class Inbox:
    """The messages to one agent: iterate over it, and acknowledge each. Made by `Mail.inbox`.

    Leave it by `async with`, or close it: what was not acknowledged goes back to the mailbox at once. Several readers
    of one mailbox share its messages. Losing the engine only pauses it.

    Attributes:
        agent: Whose mailbox it is.
        expired: Messages dropped here because nobody read them in time; each is an event as well.
        lost: Payloads that somebody deleted while they were pending; each is an event as well.
    """

    def __init__(
        self, postman: Postman, stream: str, agent: str, window: int, lease_s: float, *, blobs: BlobStore | None
    ) -> None:
        self.agent = agent
        self.expired = 0
        self.lost = 0
        self.stream = stream
        self.lease_s = lease_s
        self.cursor = "0-0"
        self.is_made = False
        self._postman = postman
        self._blobs = blobs
        self._window = window
        self._held: dict[str, Letter] = {}
        self._unread: deque[Letter] = deque()
        self._arrived = asyncio.Event()
        self._problem: BusError | None = None
        self._closed = False
        self._moved = True

    async def __aenter__(self) -> Self:
        self._postman.serve(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Letter]:
        return self

    async def __anext__(self) -> Letter:
        """Return the next message, as soon as there is one; a large payload that cannot be had stays a reference.

        Raises:
            StopAsyncIteration: The inbox, or the bus, was closed.
            BusError: The mailbox cannot be read: its key holds something else, or the user may not.
        """
        while not self._closed:
            if self._problem is not None:
                raise self._problem
            if not self._postman.serves(self):
                self._postman.serve(self)
            while self._unread:
                letter = self._unread.popleft()
                if self._held.get(letter.entry_id) is not letter:
                    continue
                if not letter.is_expired(self._postman.server_ms()):
                    if (whole := await self._opened(letter)) is not None:
                        return whole
                    continue
                self._postman.keep(asyncio.create_task(self._expire(letter)))
            self._arrived.clear()
            await self._arrived.wait()
        raise StopAsyncIteration

    async def acknowledge(self, letter: Letter) -> bool:
        """See `Letter.ack`."""
        answer = await self._postman.settle(letter, self.stream, What.ACKNOWLEDGE)
        self._forget(letter)
        return answer != "lost"

    async def bury(self, letter: Letter, reason: Reason, why: str) -> bool:
        """See `Letter.bury`."""
        answer = await self._postman.bury(letter, self.stream, reason, why)
        self._forget(letter)
        return answer != "lost"

    async def close(self) -> None:
        """Read nothing more, and give back what was not acknowledged."""
        if self._closed:
            return
        self._closed = True
        self._arrived.set()
        if self._postman.serves(self):
            await self._postman.finish_round()
            unread = {letter.entry_id for letter in self._unread}
            givens = (
                self._postman.settle(letter, self.stream, What.UNREAD if entry_id in unread else What.RELEASE)
                for entry_id, letter in self._held.items()
            )
            await asyncio.gather(*givens, return_exceptions=True)
            await self._postman.part(self)

    @property
    def room(self) -> int:
        """Messages that may be read now: none, or half a window at least, so that reads are not of one message."""
        free = self._window - len(self._held)
        return 0 if self._closed or free < (self._window + 1) // 2 else free

    def holding(self, entry_id: str) -> Letter | None:
        """Return the message of this entry if this reader holds it."""
        return self._held.get(entry_id)

    @property
    def holds(self) -> Sequence[Letter]:
        """What this reader holds by the engine's books."""
        return tuple(self._held.values())

    def deliver(self, entry_id: str, flat: Sequence[bytes], deliveries: int) -> None:
        """Take in one entry that was delivered to this process."""
        letter = Letter.read(self.agent, entry_id, pairs(flat), deliveries=deliveries, _inbox=self)
        self._held[entry_id] = letter
        self._unread.append(letter)
        self._arrived.set()

    def taken_over(self, letter: Letter) -> None:
        """Drop what another reader holds now; the token tells it from a later delivery of the same entry."""
        if self._held.get(letter.entry_id) is letter:
            del self._held[letter.entry_id]

    def warn_if_stalled(self) -> None:
        """Say so if the window is full of what was read, and nothing was acknowledged since the last call."""
        if self._moved or self._unread or len(self._held) < self._window:
            self._moved = False
            return
        log.warning("inbox of %s: %d messages wait to be acknowledged, no other is read", self.agent, self._window)

    def fail(self, problem: BusError) -> None:
        """End the iteration with *problem*."""
        self._problem = problem
        self._arrived.set()

    async def _opened(self, letter: Letter) -> Letter | None:
        """Return *letter* with its payload; None if it passed to another reader meanwhile, or the inbox was closed."""
        try:
            whole = await opened(self._blobs, letter)
        except asyncio.CancelledError:
            self._unread.appendleft(letter)
            raise
        if self._closed or self._held.get(letter.entry_id) is not letter:
            return None
        self._held[letter.entry_id] = whole
        return whole

    async def _expire(self, letter: Letter) -> None:
        with contextlib.suppress(BusError):
            answer = await self._postman.settle(letter, self.stream, What.EXPIRE)
            if answer == "kept":
                self._postman.doubt_server_ms()
                self._unread.append(letter)
                self._arrived.set()
                return
            self.expired += answer == "done"
        self._forget(letter)

    def _forget(self, letter: Letter) -> None:
        self._moved = True
        was_full = not self.room
        self.taken_over(letter)
        if was_full and self.room:
            self._postman.has_room(self)


def check_agent(name: str, agent: str) -> None:
    """Refuse what cannot name an agent.

    Raises:
        UsageError: It begins with *name*, the field.
    """
    if agent.startswith("@") or not is_queue_name(f"@{agent}"):
        raise UsageError(f"{name}: {line(agent, 64)!r} cannot name an agent", "letters, digits, dots, dashes")


def check_message(message: NewMessage) -> None:
    """Refuse a message that cannot be sent.

    Raises:
        UsageError: A field cannot be taken; the message begins with its name.
    """
    if not 0 < len(message.id) <= MAX_ID:
        raise UsageError(f"id: 1 to {MAX_ID} characters")
    if len(message.payload) > MAX_PAYLOAD:
        raise UsageError(f"payload: {len(message.payload)} bytes, {MAX_PAYLOAD} at most")
    if not 0 < message.ttl_s <= MAX_TTL_S:
        raise UsageError(f"ttl: {message.ttl_s} s, must be above zero and at most {MAX_TTL_S} s")
