"""Finding the agents in the panes of a tmux server, and looking after the delivery to all of them.

An agent appears by itself: its pane, window or session carries the option `@observatory_agent`, or its session has a
name that the settings say, and a known kind of agent runs there. From then on its terminal beats for it, the log says
`session_resumed`, and its messages are typed. When it ends, and its shell stands there again, it is gone; for a few
seconds another program may run in its foreground. One deliverer serves a tmux server at a time; its consumer has a
lasting name, so that a successor finds first, and in order, what it had in hand.
"""

from __future__ import annotations

import asyncio
import os
import socket
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from observatory.bus.talk.mail import Mail, check_agent
from observatory.edge.tmux.carrier import Carrier, Told
from observatory.edge.tmux.panes import TmuxError
from observatory.model.agent import DEFAULT_INTERVAL_S
from observatory.model.errors import BusError, UsageError
from observatory.model.event import EventKind
from observatory.model.terminal import kind_of
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from observatory.bus import Bus
    from observatory.edge.tmux.panes import Pane, Panes
    from observatory.model.terminal import TerminalSettings

SCAN_S: Final = 1.0
"""Seconds between two looks at which panes there are."""

ABSENT_S: Final = 5.0
"""Seconds for which another program may run in the foreground of an agent's pane before the agent is gone."""


class Deliverer:
    """Delivers to all agents on one tmux server. Run one at a time.

    Args:
        bus: The bus, open.
        panes: The tmux server.
        settings: Where agents are found, how to type, and when to give up.
        tell: Is called with what happens.
    """

    def __init__(self, bus: Bus, panes: Panes, settings: TerminalSettings, tell: Callable[[Told], None]) -> None:
        self._bus = bus
        self._panes = panes
        self._settings = settings
        self._tell = tell
        self._carriers: dict[str, Carrier] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._mails: dict[int | None, Mail] = {}
        self._seated: dict[str, Pane] = {}
        self._known_at: dict[tuple[str, str], float] = {}
        self._puzzling: dict[str, str] = {}
        self._beaten_at = -1e9
        self._problem = ""

    async def run(self) -> None:
        """Deliver until cancelled; what is in hand then goes back to its mailbox, or is known to be typed."""
        try:
            while True:
                await self.look_around()
                await asyncio.sleep(SCAN_S)
        finally:
            await self._close()

    async def look_around(self) -> None:
        """Find who is there now, and let their terminals beat; one round of `run`."""
        try:
            await self._seat(self._found(await self._panes.list()))
            if self._bus.clock.monotonic() - self._beaten_at >= DEFAULT_INTERVAL_S:
                await self._beat()
            self._problem = ""
        except (BusError, TmuxError) as error:
            if str(error) != self._problem:
                self._tell(Told("problem", detail=str(error)))
            self._problem = str(error)

    def _found(self, panes: Sequence[Pane]) -> dict[str, Pane]:
        """Return the pane of each agent: the one it had, or the first in which a known kind of agent runs."""
        found: dict[str, Pane] = {}
        puzzling: dict[str, str] = {}
        for pane in panes:
            agent = "" if pane.is_dead else self._agent_in(pane)
            if not agent:
                continue
            if not self._is_there(agent, pane):
                puzzling[agent] = f"{pane.id}: no kind of agent that is known runs there: {line(pane.command)}"
            elif agent not in found or self._had(agent, pane):
                found[agent] = pane
        for agent in puzzling.keys() - found.keys():
            if self._puzzling.get(agent) != puzzling[agent]:
                self._tell(Told("problem", agent, detail=puzzling[agent]))
        self._puzzling = puzzling
        return found

    def _is_there(self, agent: str, pane: Pane) -> bool:
        """Say whether the agent of a pane runs in it, or did a moment ago."""
        now = self._bus.clock.monotonic()
        if kind_of(self._settings.kinds, pane.kind, pane.command) is not None:
            self._known_at[pane.id, pane.pid] = now
            return True
        return self._had(agent, pane) and now - self._known_at.get((pane.id, pane.pid), -1e9) < ABSENT_S

    def _had(self, agent: str, pane: Pane) -> bool:
        seated = self._seated.get(agent)
        return seated is not None and (seated.id, seated.pid) == (pane.id, pane.pid)

    def _agent_in(self, pane: Pane) -> str:
        named = pane.agent
        if not named and self._settings.sessions is not None:
            match = self._settings.sessions.fullmatch(pane.session)
            named = (match["agent"] or "") if match is not None else ""
        try:
            check_agent("agent", named)
        except UsageError:
            return ""
        return named

    async def _seat(self, found: dict[str, Pane]) -> None:
        for agent, pane in found.items():
            self._carrier_of(agent).sit(pane)
            if not self._had(agent, pane):
                detail = line(f"tmux {self._panes.place} {pane.id} {pane.session}: {pane.command}", 120)
                await self._bus.note(EventKind.SESSION_RESUMED, agent=agent, detail=detail)
                await self._say(agent, pane, "idle")
                self._tell(Told("found", agent, pane.id, detail=detail))
            self._seated[agent] = pane
        for agent in self._seated.keys() - found.keys():
            pane = self._seated[agent]
            self._carriers[agent].sit(None)
            await self._say(agent, pane, "stopped")
            self._tell(Told("gone", agent, pane.id))
            del self._seated[agent]

    def _carrier_of(self, agent: str) -> Carrier:
        """Return who carries the messages of *agent*, at work; one that failed is replaced."""
        running = self._running.get(agent)
        if running is None or running.done():
            if running is not None and (failure := running.exception()) is not None:
                self._tell(Told("problem", agent, detail=str(failure)))
            inbox = self._mail_of(agent).inbox(agent)
            self._carriers[agent] = Carrier(self._bus, inbox, self._panes, self._settings, self._tell)
            self._running[agent] = asyncio.create_task(self._carriers[agent].run(), name=f"observatory-tmux-{agent}")
        return self._carriers[agent]

    def _mail_of(self, agent: str) -> Mail:
        partition = self._bus.partitions.of(agent)
        if (mail := self._mails.get(partition.number)) is None:
            place = blake2b(self._panes.place.encode(), digest_size=4).hexdigest()
            consumer = f"tmux@{socket.gethostname()}:{os.getuid()}:{place}"
            bus = self._bus
            mail = Mail(partition.link, partition.keys, bus.name, bus.clock, blobs=bus.blobs, consumer=consumer)
            self._mails[partition.number] = mail
        return mail

    async def _beat(self) -> None:
        for agent, pane in self._seated.items():
            await self._say(agent, pane, "idle" if self._carriers[agent].is_ready else "in terminal")
        self._beaten_at = self._bus.clock.monotonic()

    async def _say(self, agent: str, pane: Pane, status: str) -> None:
        """Beat for the terminal of *agent*: its process is the one that was started in the pane."""
        consumer = f"{agent}@{socket.gethostname()}:{pane.pid}:tmux{pane.id[1:]}"
        await self._bus.heartbeat(agent, consumer=consumer, status=status, version=pane.command)

    async def _close(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        for mail in self._mails.values():
            await mail.close()
