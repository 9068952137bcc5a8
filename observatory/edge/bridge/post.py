"""The post of one agent that moves: where its messages are now, and carrying them when it changes sides.

Everything that is done for an agent is done under one lock, one thing after the other: a message that is sent while
its agent changes sides waits until the earlier ones are there. Guaranteed, wherever the bridge is killed: a message
that was taken is on one side or, until it is acknowledged on the one it leaves, on both; none is lost, and the order
of those that go the same way stays.

- From the old server to the bus each message is carried once: its id there makes its id here, and the bus knows ids
  for a day.
- From the bus to the old server it is handed over before it is acknowledged: whoever is killed between the two
  hands it over twice. The old server has no ids of ours by which to tell.
- What an agent has polled and not acknowledged comes again, on whichever side it is then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from observatory.bus.talk.mail import MAX_ID, MAX_WINDOW
from observatory.bus.talk.sides import Side
from observatory.edge.bridge.protocol import number_of, ours
from observatory.edge.bridge.upstream import UpstreamError
from observatory.model.errors import BusUnreachableError, ObservatoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.bus import Bus
    from observatory.bus.talk.mail import Letter, Mail
    from observatory.bus.talk.sides import Move
    from observatory.edge.bridge.protocol import Protocol, Said
    from observatory.edge.bridge.upstream import Upstream

EMPTYING_S: Final = 10.0
"""Seconds in which a mailbox should be empty when its agent goes back to the old server; then it goes anyway."""

AGAIN_S: Final = 0.5
"""Seconds after which what failed is tried again."""

log = logging.getLogger(__name__)


class MovedAwayError(ObservatoryError):
    """The agent reads the bus by itself; nobody may poll for it any more."""


class Post:
    """The post of one agent.

    Args:
        agent: Its name.
        bus: The bus.
        mail: Reads its mailbox.
        move: What is known of its move.
        protocol: How it polls.
        upstream: The old server; None if there is none, and everything is on the bus.
    """

    def __init__(
        self, agent: str, bus: Bus, mail: Mail, move: Move, *, protocol: Protocol, upstream: Upstream | None
    ) -> None:
        self.agent = agent
        self.move = move
        self._bus = bus
        self._mail = mail
        self._protocol = protocol
        self._upstream = upstream
        self._lock = asyncio.Lock()
        self._carrying = asyncio.Lock()
        self._held: list[Letter] = []
        self._reader: asyncio.Task[None] | None = None

    async def send(self, said: Said, body: dict[str, Any]) -> dict[str, Any]:
        """Take a message for the agent, to where its messages are; return the answer.

        Raises:
            UpstreamError: The old server does not take it.
            BusError: The bus does not take it.
        """
        async with self._lock:
            if self.move.now is Side.OLD and self._upstream is not None:
                return await self._upstream.send(body)
            sent = await self._deliver(said, None)
            return {self._protocol.names.id: number_of(sent)}

    async def poll(self, since: str, limit: int) -> list[dict[str, Any]]:
        """Return what waits for the agent behind *since*, as it knows messages.

        Raises:
            MovedAwayError: It reads the bus by itself.
            UpstreamError: The old server does not answer.
        """
        async with self._lock:
            if self.move.now is Side.NEW:
                raise MovedAwayError(f"{self.agent} reads the bus by itself", "stop polling for it, or move it back")
            if self.move.now is Side.OLD and self._upstream is not None:
                # Ids that we gave out mean nothing there.
                behind = self.move.cursor if ours(since) is not None else since
                return [body for _, body in await self._upstream.poll(self.agent, behind, limit)]
            after = ours(since) or 0
            waiting = [letter for letter in self._held if number_of(letter.entry_id) > after]
            return [self._protocol.written(letter) for letter in waiting[:limit]]

    async def ack(self, ident: str) -> int:
        """Acknowledge everything up to *ident*; return how many messages of ours that were, or 1 for the old server's.

        Raises:
            UpstreamError: The old server does not take it.
            BusError: The bus does not take it.
        """
        async with self._lock:
            if self.move.now is Side.OLD and self._upstream is not None:
                if ours(ident) is not None:
                    return 0
                await self._upstream.ack(self.agent, ident)
                await self._know(lambda move: replace(move, cursor=ident))
                return 1
            done = self._up_to(ident)
            for letter in done:
                await letter.ack()
                self._held.remove(letter)
            return len(done)

    async def follow(self, move: Move) -> None:
        """Go where the agent is wanted, and do what its side asks for; called again and again.

        Raises:
            ObservatoryError: Something does not answer; what was done so far stays done.
        """
        async with self._lock:
            self.move = replace(self.move, wanted=move.wanted)
            if move.wanted is not self.move.now and not (move.wanted is Side.OLD and self._upstream is None):
                await self._change_sides(move.wanted)
            self._read()
        if self.move.now is not Side.OLD:
            # Somebody who knows only the old server may send there still. It may be slow, and who polls does not wait.
            await self._carry()

    async def close(self) -> None:
        """Give back what is held."""
        await self._stop_reading()

    async def _change_sides(self, wanted: Side) -> None:
        await self._stop_reading()
        if self.move.now is Side.OLD:
            await self._carry()
        elif wanted is Side.OLD:
            await self._empty()
        await self._know(lambda move: replace(move, now=wanted))
        log.info("%s is %s now", self.agent, wanted)

    async def _carry(self) -> None:
        """Carry what waits on the old server to the bus."""
        if self._upstream is None:
            return
        async with self._carrying:
            while found := await self._upstream.poll(self.agent, self.move.cursor):
                for said, _ in found:
                    await self._deliver(said, _id_of(self.agent, said.id))
                    await self._carried(said.id)
                await self._upstream.ack(self.agent, self.move.cursor)

    async def _carried(self, ident: str) -> None:
        await self._know(lambda move: replace(move, cursor=ident, carried=move.carried + 1))

    async def _empty(self) -> None:
        """Carry what waits in the mailbox to the old server, as far as nobody else holds it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EMPTYING_S), self._mail.inbox(self.agent) as inbox:
                while await self._is_waiting():
                    await self._hand_over(await anext(inbox))

    async def _is_waiting(self) -> bool:
        box = await self._bus.reads.mailbox(self.agent)
        return box is not None and box.length > 0

    async def _hand_over(self, letter: Letter) -> None:
        assert self._upstream is not None  # noqa: S101 (only with an old server messages go back)
        names = self._protocol.names
        body = self._protocol.written(letter)
        await self._upstream.send({name: value for name, value in body.items() if name != names.id})
        await letter.ack()
        await self._know(lambda move: replace(move, returned=move.returned + 1))

    async def _deliver(self, said: Said, ident: str | None) -> str:
        sent = await self._mail.send(self.agent, said.data, type=said.type, sender=said.sender, id=ident)
        return sent.entry_id

    async def _know(self, how: Callable[[Move], Move]) -> None:
        self.move = await self._bus.sides.change(self.agent, how, how(self.move))

    def _read(self) -> None:
        """Read the mailbox, if this side does."""
        if self._reader is not None and not self._reader.done():
            return
        if self.move.now is Side.POLLING or self._upstream is None:
            self._reader = asyncio.create_task(self._hold(), name=f"observatory-hold-{self.agent}")
        elif self.move.now is Side.OLD:
            self._reader = asyncio.create_task(self._forward(), name=f"observatory-forward-{self.agent}")

    async def _hold(self) -> None:
        """Keep what a polling agent has not acknowledged."""
        self._held.clear()
        async with self._mail.inbox(self.agent, window=MAX_WINDOW) as inbox:
            async for letter in inbox:
                self._held.append(letter)

    async def _forward(self) -> None:
        """Hand over to the old server what others send over the bus."""
        async with self._mail.inbox(self.agent) as inbox:
            async for letter in inbox:
                await self._handed_over(letter)

    async def _handed_over(self, letter: Letter) -> None:
        while True:
            # Under the lock: who changes sides must not interrupt between the handing over and its acknowledgement.
            async with self._lock:
                try:
                    await self._hand_over(letter)
                except (UpstreamError, BusUnreachableError) as error:
                    log.warning("%s: %s", self.agent, error)
                else:
                    return
            await asyncio.sleep(AGAIN_S)

    async def _stop_reading(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        self._held.clear()

    def _up_to(self, ident: str) -> list[Letter]:
        """Return what *ident* acknowledges: an id of ours, or of the old server for what was carried from there."""
        number = ours(ident)
        if number is not None:
            return [letter for letter in self._held if number_of(letter.entry_id) <= number]
        carried = _id_of(self.agent, ident)
        place = next((at for at, letter in enumerate(self._held) if letter.id == carried), -1)
        return self._held[: place + 1]


def _id_of(agent: str, ident: str) -> str:
    """Return the id on the bus of a message that the old server knows as *ident*."""
    found = f"old-{agent}-{ident}"
    return found if len(found) <= MAX_ID else f"old-{agent}-{blake2b(ident.encode(), digest_size=16).hexdigest()}"
