"""Inboxes with two ways: they are read at the engine, and through a gateway while that is out of reach.

What was read by one way and is not acknowledged yet stays in hand when the way changes. The engine gives it to the
other way's reader in time, at the latest when the lease of the first is over, and its acknowledgement waits for that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from observatory.bus.talk.mail import Inbox
from observatory.bus.talk.postman import LEASE_S, Postman, What
from observatory.model.errors import BusError, BusUnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.bus.remote.fallback import FallbackBus
    from observatory.bus.remote.mail import RemotePostman
    from observatory.bus.talk.mail import Letter
    from observatory.model.dead_letter import Reason

ACK_DEADLINE_S: Final = LEASE_S + 15.0
"""Seconds in which what was read by the other way must have come to this one."""

ASK_AGAIN_S: Final = 0.5


class MovingInbox(Inbox):
    """The messages to one agent, whichever way they come."""

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - as Inbox
        super().__init__(*args, **more)
        self.moved: set[str] = set()

    def deliver(self, entry_id: str, flat: Sequence[bytes], deliveries: int) -> None:
        """Take in one entry; one that is in hand already, since before the way changed, is only held anew."""
        held = self._held.get(entry_id)
        if entry_id not in self.moved or held is None or held in self._unread:
            super().deliver(entry_id, flat, deliveries)
            return
        self.moved.discard(entry_id)
        super().deliver(entry_id, flat, deliveries)
        self._unread.pop()

    def taken_over(self, letter: Letter) -> None:
        """Drop what another reader holds now; what is in hand since before the way changed is on its way here."""
        if letter.entry_id not in self.moved:
            super().taken_over(letter)

    def settled(self, letter: Letter) -> None:
        """Take note that *letter* is not on its way here any more."""
        self.moved.discard(letter.entry_id)

    def _forget(self, letter: Letter) -> None:
        # Whoever acknowledges may have it from before the way changed.
        super()._forget(self._held.get(letter.entry_id, letter))

    def move(self) -> None:
        """Note what is in hand while the way changes, and have the mailbox looked after from the beginning."""
        self.moved = {letter.entry_id for letter in self.holds}
        self.is_made = False


class MovingPostman(Postman):
    """Reads mailboxes by the way that there is.

    Args:
        bus: The bus with two ways.
        near_of: Returns who reads the mailbox of an agent at the engine.
        far: Who reads mailboxes through the gateway.
    """

    def __init__(self, bus: FallbackBus, near_of: Callable[[str], Postman], far: RemotePostman) -> None:
        self._bus = bus
        self._near_of = near_of
        self._far = far
        self._served: dict[str, MovingInbox] = {}
        self._ways: dict[str, Postman] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._moving: asyncio.Task[None] | None = None
        self._closing = False

    def serve(self, box: Inbox) -> None:
        """Read *box* from now on.

        Raises:
            UsageError: This process reads that mailbox already.
            BusError: The bus is closed.
        """
        assert isinstance(box, MovingInbox)  # noqa: S101 - made by the bus with two ways
        if self._closing:
            raise BusError("the bus is closed")
        if box.stream in self._served:
            raise UsageError(f"agent: this process reads the mailbox of {box.agent} already", "share that inbox")
        self._way_for(box).serve(box)
        self._ways[box.stream] = self._way_for(box)
        self._served[box.stream] = box
        if self._moving is None:
            self._moving = asyncio.create_task(self._move_on_and_on(), name="observatory-moving")

    def serves(self, box: Inbox) -> bool:
        """Say whether *box* is being read."""
        return self._served.get(box.stream) is box

    async def finish_round(self) -> None:
        """Wait until what is being read has been taken in."""
        await asyncio.gather(*(way.finish_round() for way in set(self._ways.values())))

    async def part(self, box: Inbox) -> None:
        """Read *box* no more; what it holds is given back."""
        del self._served[box.stream]
        await self._ways.pop(box.stream).part(box)

    async def settle(self, letter: Letter, stream: str, what: What) -> str:
        """Apply *what* to a message, by the way that there is."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ACK_DEADLINE_S
        while True:
            box = self._served.get(stream)
            held = letter if box is None else box.holding(letter.entry_id) or letter
            answer = "lost"
            try:
                answer = await self._ways[stream].settle(held, stream, what)
            except BusUnreachableError:
                if loop.time() > end or what is not What.ACKNOWLEDGE:
                    raise
            is_coming = box is not None and letter.entry_id in box.moved
            if answer != "lost" or what is not What.ACKNOWLEDGE or not is_coming or loop.time() > end:
                if box is not None:
                    box.settled(letter)
                return answer
            await asyncio.sleep(ASK_AGAIN_S)

    async def bury(self, letter: Letter, stream: str, reason: Reason, why: str) -> str:
        """Move a message to the dead letters, where the engine can be reached."""
        return await self._ways[stream].bury(letter, stream, reason, why)

    def has_room(self, box: Inbox) -> None:
        """Look again at what there is to read: a box that was full is not."""
        if (way := self._ways.get(box.stream)) is not None:
            way.has_room(box)

    def changed(self) -> None:
        """Each way looks by itself."""

    def server_ms(self) -> float:
        """Nothing is dropped here for its age: the ways do that."""
        return 0.0

    def doubt_server_ms(self) -> None:
        """Nothing is known of the engine's time here."""

    async def close(self) -> None:
        """Close every inbox."""
        self._closing = True
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.wait({self._moving})
        await asyncio.gather(*(box.close() for box in list(self._served.values())))
        if self._background:
            await asyncio.wait(self._background)

    def _way_for(self, box: Inbox) -> Postman:
        return self._far if self._bus.is_far else self._near_of(box.agent)

    async def _move_on_and_on(self) -> None:
        while True:
            await self._bus.turned()
            for box in list(self._served.values()):
                await self._move(box)

    async def _move(self, box: MovingInbox) -> None:
        before, after = self._ways[box.stream], self._way_for(box)
        if before is after:
            return
        box.move()
        if before is self._far:
            await before.part(box)
        else:
            before.let_go(box)
        self._ways[box.stream] = after
        after.serve(box)
