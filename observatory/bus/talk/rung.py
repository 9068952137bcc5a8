"""Reading very many mailboxes: where a sender rang, and once a second wherever nobody rings.

A read that waits names every mailbox, so at a thousand mailboxes each message would cost a thousand names. Here a
message costs a bell and one read of its own mailbox. Bells may be lost, and what foreign agents add by a plain XADD
rings for nobody: the sweep finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from observatory.bus.talk.postman import Postman

if TYPE_CHECKING:
    from observatory.bus.links.link import Link, Reply
    from observatory.bus.talk.mail import Inbox
    from observatory.bus.talk.mailbell import MailBell
    from observatory.bus.talk.waiting import WaitingReader
    from observatory.model.clock import Clock

SWEEP_S: Final = 1.0
"""Seconds between two looks into every mailbox."""

MAX_RUNG_MAILBOXES: Final = 20_000
"""Mailboxes that one process reads at most when it is rung for."""

_PAGE: Final = 100


class RungPostman(Postman):
    """A postman who goes where it rang.

    Args:
        link: The link to the engine.
        clock: Where the ages of leases come from.
        bell: Who hears where it rings.
        consumer: Name in the groups; one that is never used again if empty.
    """

    most_boxes = MAX_RUNG_MAILBOXES

    def __init__(self, link: Link, clock: Clock, bell: MailBell, consumer: str = "") -> None:
        super().__init__(link, clock, consumer)
        self._bell = bell
        self._streams: dict[str, str] = {}
        self._rung: dict[str, None] = {}
        self._swept_at = -1e9

    def serve(self, box: Inbox) -> None:
        """Read *box* from now on.

        Raises:
            UsageError: This process reads that mailbox already, or too many.
            BusError: The bus is closed.
        """
        super().serve(box)
        if box.agent not in self._streams:
            self._streams[box.agent] = box.stream
            self._bell.listen(box.agent, self._rang)

    async def part(self, box: Inbox) -> None:
        """Read *box* no more, and leave its group if nothing of it is held."""
        if self._streams.pop(box.agent, None) is not None:
            self._bell.unlisten(box.agent, self._rang)
        await super().part(box)

    def let_go(self, box: Inbox) -> None:
        """Read *box* no more, without a word to the engine."""
        if self._streams.pop(box.agent, None) is not None:
            self._bell.unlisten(box.agent, self._rang)
        super().let_go(box)

    def ring(self, stream: str) -> None:
        """Say that there may be something new in the mailbox *stream*."""
        if stream in self._boxes:
            self._rung[stream] = None
            self._changed.set()

    def has_room(self, box: Inbox) -> None:
        """Look into *box* again: it was full, and is not."""
        self.ring(box.stream)

    def _rang(self, agent: str) -> None:
        self.ring(self._streams[agent])

    def _tended(self, box: Inbox, answer: Reply) -> None:
        was_made = box.is_made
        super()._tended(box, answer)
        if not was_made:
            self.ring(box.stream)

    async def _read(self, reader: WaitingReader) -> None:  # noqa: ARG002 - it waits for bells, not at the engine
        now = self._clock.monotonic()
        if now - self._swept_at >= SWEEP_S:
            self._swept_at = now
            self._rung.update(dict.fromkeys(self._boxes))
        # Where there is no room it rings again as soon as there is.
        rung, self._rung = self._rung, {}
        boxes = [box for stream in rung if (box := self._boxes.get(stream)) is not None and box.is_made and box.room]
        if not boxes:
            await self._wait_for_change()
        for first in range(0, len(boxes), _PAGE):
            await self._fetch(boxes[first : first + _PAGE])

    async def _fetch(self, boxes: list[Inbox]) -> None:
        rooms = [box.room for box in boxes]
        streams = [box.stream for box in boxes]
        _, answers = await self._link.call("fetch", (self.consumer, 0, *rooms), streams)
        for box, room, (problem, rows) in zip(boxes, rooms, answers, strict=True):
            if not self.serves(box):
                continue
            if problem:
                self._refuse(box, problem)
                continue
            for ident, flat, deliveries in rows:
                box.deliver(ident.decode(), flat, deliveries)
            if len(rows) == room:
                self.ring(box.stream)
