"""Running the app: in a loop, guarded against a terminal that goes away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from observatory.tui.terminal.guard import Terminal
from observatory.tui.terminal.tidy import Tidier

if TYPE_CHECKING:
    from observatory.tui.app.main import ObservatoryApp


def run_app(app: ObservatoryApp) -> int:
    """Run *app* in a loop of its own until it ends; see `run_app_async`."""
    return asyncio.run(run_app_async(app))


async def run_app_async(app: ObservatoryApp) -> int:
    """Run *app* until it ends, and leave the terminal as it was whatever ends it.

    Returns:
        Exit code: 0 for a quit, 1 for a crash, 128 + signal for SIGTERM, SIGHUP and a terminal that went away.
    """
    terminal, tidier = Terminal(app), Tidier(app.desk.clock, lambda: app.touched_at)
    app.desk.stagger_s = min(0.04, app.desk.refresh_s / 20)
    app.when_painted = tidier.settle
    tidying = asyncio.create_task(tidier.keep_tidy(), name="observatory-tidy")
    try:
        with terminal.guarded():
            await app.run_async()
    finally:
        tidying.cancel()
    return terminal.exit_code
