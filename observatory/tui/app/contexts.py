"""Turning to another bus: it is opened beside the one that is shown, and takes its place only once it answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from observatory.model.errors import ObservatoryError
from observatory.model.text import line
from observatory.tui.screens.base import WRITING
from observatory.tui.screens.table import FIRST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from textual.worker import Worker

    from observatory.tui.app.main import ObservatoryApp
    from observatory.tui.desk import Contexts, OpenBus


class Switch:
    """Turns *app* to other buses.

    Args:
        app: The app.
        contexts: The buses that there are; None for no other.
    """

    def __init__(self, app: ObservatoryApp, contexts: Contexts | None) -> None:
        self._app = app
        self._contexts = contexts

    def known(self) -> Mapping[str, str]:
        """Return what each bus is, in words, by its name; the one that is shown says so."""
        here = self._app.desk.context
        if self._contexts is None:
            return {here: "shown now"}
        return {
            name: f"shown now, {words}" if name == here else words for name, words in self._contexts.known().items()
        }

    def turn_to(self, name: str) -> None:
        """Open the bus called *name* beside everything else, and show it once it answers."""
        app = self._app
        if name == app.desk.context:
            app.notify(f"this is {line(name, 60)}", timeout=3)
        elif self._contexts is None or name not in self._contexts.known():
            app.notify(f"there is no context {line(name, 60)}; :ctx lists them", severity="warning")
        else:
            app.notify(f"connecting to {line(name, 60)} …", timeout=2)
            self._begin(name, self._contexts.open)

    def to_past(self) -> None:
        """Open the past of the bus that is shown, and show its timeline."""
        app = self._app
        if self._contexts is None or app.desk.bus.player is not None:
            app.notify("there is no other past here", timeout=3)
            return
        app.notify("reading the past …", timeout=3)
        self._begin(app.desk.context, self._contexts.past, "timeline")

    def to_live(self) -> None:
        """Return to the present of the bus whose past is shown."""
        app = self._app
        if app.desk.bus.player is None:
            app.notify("this is the present", timeout=3)
        elif self._contexts is None:
            app.notify("this is a recording: it has no present", timeout=3)
        else:
            self._begin(app.desk.context, self._contexts.open, FIRST)

    def _begin(self, name: str, opened: Callable[[str], Awaitable[OpenBus]], screen: str = "") -> None:
        _worker: Worker[None] = self._app.run_worker(
            partial(self._turn, name, opened, screen), name=f"open {name}", group="context", exclusive=True,
            exit_on_error=False, description="open another bus",
        )  # fmt: skip

    async def _turn(self, name: str, opened: Callable[[str], Awaitable[OpenBus]], screen: str) -> None:
        app, here = self._app, self._app.desk.context
        try:
            bus = await opened(name)
        except ObservatoryError as error:
            why = f"{line(name, 60)}: {line(error.problem, 200)}; this is still {line(here, 60)}"
            app.notify(f"✖ {why}", severity="error", timeout=15)
            return
        if busy := next((worker.name for worker in app.workers if worker.group.startswith(WRITING)), ""):
            await bus.close()
            app.notify(f"wait for it to end, then try again: {line(busy, 100)}", severity="warning")
            return
        await app.show_bus(bus)
        if screen:
            await app.trail.go(screen)
