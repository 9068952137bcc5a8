"""Which screen is shown, and which ones lie behind it: going there, going back, and doing so without a pause."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from textual.screen import Screen

from observatory.tui.screens.base import DataScreen
from observatory.tui.screens.table import FIRST, SCREENS, make_screen

if TYPE_CHECKING:
    from observatory.tui.app.main import ObservatoryApp
    from observatory.tui.app.memory import Memory

_BETWEEN = "between"
"""Name of an empty screen that stands for as long as those of one bus give way to those of another."""


class Trail:
    """Moves *app* from screen to screen; the trail itself lies on the desk.

    Args:
        app: The app.
        memory: Keeps which screen was shown last on a bus.
    """

    def __init__(self, app: ObservatoryApp, memory: Memory) -> None:
        self._app = app
        self._memory = memory
        self._made: set[str] = set()
        self.at_once = False
        """A screen that exists is being shown: there is nothing to wait for."""
        self._offer()

    def begin(self) -> None:
        """Show the screen that was shown last on this bus, or the first one."""
        last = self._memory.screen(self._app.desk.context)
        start = last if last in SCREENS else FIRST
        self._app.desk.views[:] = dict.fromkeys((FIRST, start))
        self._app.switch_mode(start)

    async def load_others(self) -> None:
        """Load the modules of all screens beside the keys, so that no first visit waits for a disk."""
        for module, _ in SCREENS.values():
            await asyncio.to_thread(import_module, f"observatory.tui.screens.{module}")

    async def begin_anew(self) -> None:
        """Let go of every screen, and begin with new ones on the desk that the app has now."""
        app = self._app
        app.add_mode(_BETWEEN, Screen)
        await app.switch_mode(_BETWEEN)
        for name in SCREENS:
            await app.remove_mode(name)
        self._made.clear()
        self._offer()
        self.begin()
        await app.remove_mode(_BETWEEN)

    async def go(self, name: str, what: object = None) -> None:
        """Show the screen called *name*; each stands in the trail once, and the first one begins it anew.

        Args:
            name: The screen.
            what: What of it is meant: a lane, an agent, a task; None for the screen as it was left.
        """
        app = self._app
        if name != app.current_mode:
            views = app.desk.views
            views[:] = [FIRST] if name == FIRST else [*(view for view in views if view != name), name]
            await self._turn_to(name)
        if what is not None and isinstance(app.screen, DataScreen):
            app.screen.visit(what)

    async def back(self) -> bool:
        """Go to the view before; False where there is none."""
        views = self._app.desk.views
        if len(views) < 2:
            return False
        views.pop()
        await self._turn_to(views[-1])
        return True

    async def _turn_to(self, name: str) -> None:
        """Show the screen called *name*; one that exists is brought up to date first and then painted at once."""
        app = self._app
        self.at_once = name in self._made
        try:
            if self.at_once:
                for screen in app.get_screen_stack(name):
                    if isinstance(screen, DataScreen):
                        screen.show(app.desk.shown, at_once=True)
            await app.switch_mode(name)
        finally:
            self.at_once = False
        self._memory.showed(app.desk.context, name)
        app.screen.refresh_bindings()

    def _offer(self) -> None:
        for name in SCREENS:
            self._app.add_mode(name, partial(self._make, name))

    def _make(self, name: str) -> DataScreen:
        self._made.add(name)
        return make_screen(name, self._app.desk)
