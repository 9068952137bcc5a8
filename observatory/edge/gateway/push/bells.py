"""Bells for long polls: who waits for the mail of an agent is woken when somebody sends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.bus import Bus


@contextlib.contextmanager
def waiting_for_mail(bus: Bus, agent: str) -> Iterator[asyncio.Event]:
    """Return an event that is set whenever mail for *agent* came; a bell may be lost."""
    event = asyncio.Event()

    def rang(_: str) -> None:
        event.set()

    bus.hear_mail(agent, rang)
    try:
        yield event
    finally:
        bus.unhear_mail(agent, rang)
