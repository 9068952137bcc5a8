"""Bells for long polls: who waits for the mail of an agent is woken when somebody sends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.bus import Bus


class MailBells:
    """Wakes those who wait for mail.

    Args:
        bus: The bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def open(self) -> None:
        """Begin to listen."""
        self._bus.hear_mail(self._heard)

    def close(self) -> None:
        """Stop listening."""
        self._bus.unhear_mail(self._heard)

    @contextlib.contextmanager
    def waiting_for(self, agent: str) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever mail for *agent* came; a bell may be lost."""
        event = asyncio.Event()
        self._waiting.setdefault(agent, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[agent].discard(event)
            if not self._waiting[agent]:
                del self._waiting[agent]

    def _heard(self, word: str, agent: str) -> None:
        if word == "mail":
            for event in self._waiting.get(agent, ()):
                event.set()
