"""The reading end of mailboxes: one connection that serves every inbox of a process.

One loop does everything in turn: it looks after the mailboxes (their groups, its leases, what the dead and lost
replies left), then waits for messages. So whatever the engine's books say is ours, and we do not hold, is an orphan.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from observatory.bus.talk.waiting import BLOCK_MS, WaitingReader
from observatory.bus.tasks.batch import Batcher
from observatory.model.errors import BusError, UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observatory.bus.links.link import Argument, Link, Reply
    from observatory.bus.talk.mail import Inbox, Letter
    from observatory.model.clock import Clock
    from observatory.model.dead_letter import Reason

KEY_HINT: Final = "find the key with TYPE, rename or delete it"

GROUP: Final = "inbox"
"""Consumer group of every mailbox."""

LEASE_S: Final = 30.0
"""Seconds of silence after which what a reader holds may be read by another."""

MAX_MAILBOXES: Final = 1000
"""Mailboxes that one process reads at most."""

_RENEWALS_PER_LEASE: Final = 4
_PAGE: Final = 100
_CLOSE_DEADLINE_S: Final = 2.0

log = logging.getLogger(__name__)


class What(StrEnum):
    """What is to become of a message that this process holds."""

    ACKNOWLEDGE = "acknowledge"
    EXPIRE = "expire"
    RELEASE = "release"
    UNREAD = "unread"


class Postman:
    """Reads the mailboxes of one process.

    Args:
        link: The link to the engine.
        clock: Where the ages of leases come from.
        consumer: Name in the groups; one that is never used again if empty.
    """

    most_boxes = MAX_MAILBOXES

    def __init__(self, link: Link, clock: Clock, consumer: str = "") -> None:
        self.consumer = consumer or f"inbox@{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._link = link
        self._clock = clock
        self._boxes: dict[str, Inbox] = {}
        self._reader: WaitingReader | None = None
        self._running: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._rounds: list[asyncio.Future[None]] = []
        self._settling = Batcher(self._send_settlements)
        self._background: set[asyncio.Task[Any]] = set()
        self._tended_at = -1e9
        self._server_ms: tuple[int, float] | None = None
        self._closing = False

    def serve(self, box: Inbox) -> None:
        """Read *box* from now on.

        Raises:
            UsageError: This process reads that mailbox already, or too many.
            BusError: The bus is closed.
        """
        if self._closing:
            raise BusError("the bus is closed")
        if self._boxes.setdefault(box.stream, box) is not box:
            raise UsageError(f"agent: this process reads the mailbox of {box.agent} already", "share that inbox")
        if len(self._boxes) > self.most_boxes:
            del self._boxes[box.stream]
            raise UsageError(f"agent: a process reads {self.most_boxes} mailboxes at most", "start another")
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="observatory-postman")
            self._running.add_done_callback(self._stopped)
        self.changed()

    def serves(self, box: Inbox) -> bool:
        """Say whether *box* is being read."""
        return self._boxes.get(box.stream) is box

    async def finish_round(self) -> None:
        """Wait until what is being read has been taken in, or the engine has been silent for too long."""
        if self._running is not None and not self._running.done():
            ended = asyncio.get_running_loop().create_future()
            self._rounds.append(ended)
            self.changed()
            await asyncio.wait({ended}, timeout=_CLOSE_DEADLINE_S)

    async def part(self, box: Inbox) -> None:
        """Read *box* no more, and leave its group if nothing of it is held."""
        del self._boxes[box.stream]
        self.changed()
        with contextlib.suppress(BusError):
            await self._link.call("leave", (GROUP, self.consumer), (box.stream,), deadline_s=_CLOSE_DEADLINE_S)

    def let_go(self, box: Inbox) -> None:
        """Read *box* no more, without a word to the engine, which is out of reach: what it holds stays pending."""
        self._boxes.pop(box.stream, None)
        self.changed()

    async def settle(self, letter: Letter, stream: str, what: What) -> str:
        """Apply *what* to a message; calls made at once share round trips. Returns the word of the script."""
        return await self._settling.submit((letter, stream, what))

    async def bury(self, letter: Letter, stream: str, reason: Reason, why: str) -> str:
        """Move a message to the dead letters; returns the word of the script.

        Raises:
            BusError: There is something else in the place of the dead letters.
        """
        held = (self.consumer, stream, letter.entry_id, letter.deliveries)
        word: bytes = await self._link.call("bury_message", (*held, letter.id, letter.type, reason, why))
        if word == b"broken":
            raise BusError(f"message {line(letter.id)} to {letter.to} cannot be buried", KEY_HINT)
        return word.decode()

    def has_room(self, _box: Inbox) -> None:
        """Look again at what there is to read: a box that was full is not."""
        self.changed()

    def changed(self) -> None:
        """Look again at what there is to read."""
        self._changed.set()
        if self._reader is not None:
            self._reader.wake()

    def server_ms(self) -> float:
        """Time of the engine, ms since the epoch, by its last word and by what has passed here since."""
        if self._server_ms is None:
            return 0.0
        said, at = self._server_ms
        return said + (self._clock.monotonic() - at) * 1000

    def doubt_server_ms(self) -> None:
        """Take back what `server_ms` says until the engine has told the time again: it said that we are ahead."""
        self._server_ms = None

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold *task* until it is done."""
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Close every inbox, then the connection."""
        self._closing = True
        await asyncio.gather(*(box.close() for box in list(self._boxes.values())))
        self.changed()
        pending = {*self._background, *([self._running] if self._running is not None else [])}
        if pending:
            await asyncio.wait(pending)
        await self._settling.flush()
        if self._reader is not None:
            await self._reader.close()

    async def _run(self) -> None:
        if self._reader is None:
            self._reader = WaitingReader(self._link)
        failures = 0
        while self._boxes:
            try:
                await self._look_after()
                await self._read(self._reader)
            except BusError as error:
                # Groups may be gone, and a reply may be lost: look after everything before the next read.
                self._tended_at = -1e9
                failures += 1
                log.warning("mailboxes: %s", error)
                await asyncio.sleep(min(0.02 * 2**failures, 2.0) * random.uniform(0.5, 1.5))
            else:
                failures = 0
            for ended in self._rounds:
                ended.set_result(None)
            self._rounds.clear()

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Tell every inbox when the loop was cancelled or failed: whoever iterates would wait for ever."""
        for box in self._boxes.values():
            why = "was cancelled" if task.cancelled() else f"failed: {task.exception()!r}"
            box.fail(BusError(f"the reader of the mailboxes {why}"))
        self._boxes.clear()

    async def _look_after(self) -> None:
        now = self._clock.monotonic()
        boxes = list(self._boxes.values())
        if now - self._tended_at < self._every_s():
            boxes = [box for box in boxes if not box.is_made]
        else:
            self._tended_at = now
        for first in range(0, len(boxes), _PAGE):
            await self._tend(boxes[first : first + _PAGE])

    async def _tend(self, boxes: Sequence[Inbox]) -> None:
        lease_ms = round(min(box.lease_s for box in boxes) * 1000)
        args: list[Argument] = [self.consumer, lease_ms, int(any(not box.is_made for box in boxes))]
        for box in boxes:
            args += (box.cursor, box.room)
        held = [(box, letter) for box in boxes for letter in box.holds]
        for box, letter in held:
            args += (box.stream, letter.entry_id, letter.deliveries)
        now, answers, renewed = await self._link.call("tend", args, [box.stream for box in boxes])
        self._server_ms = now, self._clock.monotonic()
        for (box, letter), ours in zip(held, renewed, strict=True):
            if not ours:
                box.taken_over(letter)
        for box, answer in zip(boxes, answers, strict=True):
            if self.serves(box):
                self._tended(box, answer)

    def _tended(self, box: Inbox, answer: Reply) -> None:
        problem, made, cursor, rows, lost = answer
        if problem:
            self._refuse(box, problem)
            return
        if made and box.is_made:
            log.warning("the mailbox of %s was deleted under its reader; what was in it is lost", box.agent)
        box.is_made = True
        box.cursor = cursor.decode()
        box.warn_if_stalled()
        box.lost += lost
        for ident, flat, deliveries in rows:
            box.deliver(ident.decode(), flat, deliveries)

    def _refuse(self, box: Inbox, problem: bytes) -> None:
        del self._boxes[box.stream]
        box.fail(BusError(f"the mailbox {box.stream} cannot be read: {line(problem.decode('utf-8', 'replace'))}"))

    async def _read(self, reader: WaitingReader) -> None:
        boxes = [box for box in self._boxes.values() if box.is_made and box.room]
        if not boxes:
            await self._wait_for_change()
            return
        reply = await reader.read(lambda: self._question(boxes))
        for stream, rows in reply or ():
            # A box that parted meanwhile, because its round did not end in time: its orphans wait for the lease.
            if (box := self._boxes.get(stream.decode())) is not None:
                for ident, flat in rows:
                    box.deliver(ident.decode(), flat, 1)

    async def _wait_for_change(self) -> None:
        if self._boxes and all(box.is_made for box in self._boxes.values()):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._patience_ms() / 1000)
        self._changed.clear()

    def _question(self, boxes: Iterable[Inbox]) -> Sequence[Argument]:
        streams = [box.stream for box in boxes]
        count = min(box.room for box in boxes)
        head = ("XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", count, "BLOCK", self._patience_ms(), "STREAMS")
        return (*head, *streams, *(">" for _ in streams))

    def _every_s(self) -> float:
        return min((box.lease_s for box in self._boxes.values()), default=LEASE_S) / _RENEWALS_PER_LEASE

    def _patience_ms(self) -> int:
        """Milliseconds to wait for something to happen: no longer than until leases are to be renewed."""
        left_s = self._every_s() - (self._clock.monotonic() - self._tended_at)
        return max(min(round(left_s * 1000), BLOCK_MS), 1)

    async def _send_settlements(self, batch: Sequence[tuple[Letter, str, What]]) -> Sequence[str]:
        args: list[Argument] = [self.consumer]
        for letter, stream, what in batch:
            args += (stream, letter.entry_id, letter.deliveries, what, round(letter.ttl_s * 1000))
            args += (letter.id, letter.type, letter.to)
        deadline_s = _CLOSE_DEADLINE_S if self._closing else 10.0
        return [word.decode() for word in await self._link.call("acknowledge", args, deadline_s=deadline_s)]
