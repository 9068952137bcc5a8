"""Bringing the messages of one agent into its terminal, one after the other, in the order of its mailbox.

A message is acknowledged once the terminal has it and lives on: its prompt is back, or a second has passed. What
is guaranteed when something dies:

- the deliverer, at any moment: its successor reads the same message again, finds its mark in the pane and only
  acknowledges it. Nothing is typed twice, nothing is left out.
- the terminal, before the acknowledgement: the message is typed into the next terminal of that agent. Where the
  first one had read it already, the agent reads it twice; `{id}` in the format of the kind makes that visible.
- both at once: the same.
- the bus: what was typed is acknowledged when it is back; meanwhile nothing else is typed.

Whatever waits, waits here: who sends only ever adds to a mailbox.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from observatory.edge.tmux.panes import Pasted, TmuxError
from observatory.model.dead_letter import Reason
from observatory.model.errors import BusUnreachableError
from observatory.model.terminal import TooLongError, kind_of, typed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from observatory.bus import Bus
    from observatory.bus.talk.mail import Inbox, Letter
    from observatory.edge.tmux.panes import Pane, Panes
    from observatory.model.terminal import AgentKind, TerminalSettings

FIRST_LOOK_S: Final = 0.05
"""Seconds between the first two looks at a screen: what stands still for so long may be typed to."""

LAST_LOOK_S: Final = 1.0
"""Longest pause between two looks at a screen that is not ready."""

REACTION_S: Final = 2.0
"""Seconds for which a screen that looks as before the last message may be one that has not been redrawn yet."""

CONFIRM_S: Final = 1.0
"""Seconds that a terminal must live on with a message before it counts as delivered without a new prompt."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened in the delivery.

    Attributes:
        what: `found`, `gone`, `delivered`, `buried` or `problem`.
        agent: Whom it is about; empty if nobody.
        pane: Which pane; empty if none.
        message: Id of the message; empty if none.
        detail: Anything else, in words.
    """

    what: str
    agent: str = ""
    pane: str = ""
    message: str = ""
    detail: str = ""


class Carrier:
    """Types the messages of one agent.

    Args:
        bus: The bus.
        inbox: Its mailbox.
        panes: The tmux server.
        settings: How to type, and when to give up.
        tell: Is called with what happens.
    """

    def __init__(
        self, bus: Bus, inbox: Inbox, panes: Panes, settings: TerminalSettings, tell: Callable[[Told], None]
    ) -> None:
        self.agent = inbox.agent
        self.pane: Pane | None = None
        self.is_ready = False
        self._bus = bus
        self._inbox = inbox
        self._panes = panes
        self._settings = settings
        self._tell = tell
        self._moved = asyncio.Event()
        self._seen: Sequence[str] = ()
        self._before: Sequence[str] = ()
        self._pasted_at = -1e9
        self._ready_at = bus.clock.monotonic()

    def sit(self, pane: Pane | None) -> None:
        """Type into *pane* from now on; None: there is no terminal of that agent."""
        if pane is None or self.pane is None or (pane.id, pane.pid) != (self.pane.id, self.pane.pid):
            self._seen = self._before = ()
            self._moved.set()
        self.pane = pane

    async def run(self) -> None:
        """Deliver until the inbox is closed.

        Raises:
            BusError: The mailbox cannot be read, or does not let go of a message.
        """
        async with self._inbox:
            async for letter in self._inbox:
                await self._deliver(letter)

    async def _deliver(self, letter: Letter) -> None:
        pause = FIRST_LOOK_S
        while True:
            why = "it has no terminal"
            if (pane := self.pane) is not None:
                try:
                    why = await self._attempt(pane, letter)
                except TooLongError as error:
                    await self._bury(letter, Reason.TOO_LARGE, str(error))
                    return
                except TmuxError as error:
                    why = str(error)
                if not why:
                    await self._settled(letter.ack)
                    self._tell(Told("delivered", self.agent, pane.id, letter.id))
                    return
            if self._waited_s(letter) > self._settings.give_up_s:
                await self._bury(letter, Reason.NO_HANDLER, f"no terminal took it: {why}")
                return
            await self._rest(pause)
            pause = min(pause * 1.3, LAST_LOOK_S)

    async def _attempt(self, pane: Pane, letter: Letter) -> str:
        """Type *letter* if that is possible now; return why it was not, or nothing."""
        mark = self._mark(letter)
        now, screen = await self._panes.look(pane)
        if now is None:
            self.sit(None)
            return "its terminal is gone"
        if now.mark == mark:
            return ""
        kind = kind_of(self._settings.kinds, now.kind, now.command)
        if why := self._why_not(now, kind, screen):
            return why
        assert kind is not None  # noqa: S101 (else there is a reason)
        self._ready_at = self._bus.clock.monotonic()
        pasted = await self._panes.paste(now, typed(kind, letter, brackets=now.brackets), mark)
        if pasted is not Pasted.DONE:
            return f"its terminal did not take it: {pasted}"
        self._before, self._pasted_at = screen, self._bus.clock.monotonic()
        return "" if await self._lives_on(now, kind) else "its terminal ended with the message in it"

    def _why_not(self, now: Pane, kind: AgentKind | None, screen: Sequence[str]) -> str:
        stands, self._seen = screen == self._seen, screen
        self.is_ready = False
        if now.obstacle:
            return now.obstacle
        if kind is None:
            return f"no kind of agent that is known runs there: {now.kind or now.command}"
        if why := kind.why_not_ready(screen):
            return why
        since_s = self._bus.clock.monotonic() - self._pasted_at
        if since_s < kind.cooldown_s or (screen == self._before and since_s < REACTION_S):
            return "it was given a message just now"
        self.is_ready = True
        return "" if stands else "its screen moves"

    async def _lives_on(self, pane: Pane, kind: AgentKind) -> bool:
        """Say whether the process that a message was typed to lives on with it."""
        until = self._pasted_at + CONFIRM_S
        while self._bus.clock.monotonic() < until:
            await asyncio.sleep(FIRST_LOOK_S)
            now, screen = await self._panes.look(pane)
            if now is None or now.is_dead:
                return False
            if screen != self._before and not kind.why_not_ready(screen):
                return True
        return True

    async def _bury(self, letter: Letter, reason: Reason, why: str) -> None:
        await self._settled(lambda: letter.bury(reason, why))
        self._tell(Told("buried", self.agent, message=letter.id, detail=f"{reason}: {why}"))

    async def _settled(self, act: Callable[[], Awaitable[bool]]) -> None:
        """Tell the bus what became of a message, for as long as that takes: nothing else is typed before."""
        while True:
            try:
                await act()
            except BusUnreachableError as error:
                self._tell(Told("problem", self.agent, detail=str(error)))
                await asyncio.sleep(LAST_LOOK_S)
            else:
                return

    async def _rest(self, seconds: float) -> None:
        """Wait for so long, or until the agent has another terminal."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), seconds)
        self._moved.clear()

    def _waited_s(self, letter: Letter) -> float:
        """Seconds for which *letter* could have been typed and no terminal was ready for it."""
        clock = self._bus.clock
        age_s = (clock.now_ms() + self._bus.skew_ms - letter.arrived_ms) / 1000
        return min(age_s, clock.monotonic() - self._ready_at)

    def _mark(self, letter: Letter) -> str:
        """What the pane remembers of *letter*: its entry, and whose mailbox on which bus."""
        whose = f"{self._bus.url} {self._inbox.stream}".encode()
        return f"{letter.entry_id}/{blake2b(whose, digest_size=6).hexdigest()}"
