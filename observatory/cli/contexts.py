"""The buses that the settings name, opened for the screen one at a time: what `:ctx NAME` turns to."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from observatory.cli.acting import actions_on
from observatory.cli.attach import PATIENCE_S, named_file, operator
from observatory.cli.watching import keeper_for
from observatory.model.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from observatory.settings import Settings
    from observatory.tui.desk import OpenBus

EMBEDDED = "embedded engine"
"""What a bus without an address is called."""

KEPT_FLAGS = ("read_only", "data_dir", "theme")
"""Flags that hold for every bus of a session; an address or a prefix was meant for the one it began with."""


class Contexts:
    """Opens buses by name.

    Args:
        args: The command line.
        settings: Those that the session begins with.
        url: Address of the bus that it begins with.
        name: What that one is called.
    """

    def __init__(self, args: argparse.Namespace, settings: Settings, url: str, name: str) -> None:
        self._args = args
        self._first = (name, settings, url)

    def known(self) -> dict[str, str]:
        """Return every bus by name, with its address and its manners in words."""
        name, settings, _ = self._first
        found = {name: _words(settings)} if name not in settings.contexts else {}
        for each in settings.contexts:
            try:
                found[each] = _words(self._settings(each))
            except SettingsError as error:
                found[each] = f"✖ {error.problem}"
        return found

    async def first(self) -> OpenBus:
        """Open the bus that the session begins with.

        Raises:
            BusUnreachableError: Nothing answers there.
        """
        name, settings, url = self._first
        return await _opened(name, settings, url)

    async def open(self, name: str) -> OpenBus:
        """Open the bus called *name*.

        Raises:
            SettingsError: There is none of that name, or its settings make no sense.
            BusUnreachableError: Nothing answers there.
            EngineError: It is an embedded engine that cannot be started.
        """
        import asyncio

        if name == self._first[0]:
            return await self.first()
        settings = self._settings(name)
        stack = ExitStack()
        # Starting an engine takes a moment in which the screen must not stand still.
        url = await asyncio.to_thread(stack.enter_context, bus_address(settings))
        try:
            return await _opened(name, settings, url, stack)
        except BaseException:
            stack.close()
            raise

    def _settings(self, name: str) -> Settings:
        from observatory.settings import load

        flags = {flag: getattr(self._args, flag) for flag in KEPT_FLAGS if hasattr(self._args, flag)}
        return load({**flags, "context": name}, file=named_file(self._args))


@contextmanager
def bus_address(settings: Settings) -> Iterator[str]:
    """Yield the address of the configured bus, or of the embedded engine for as long as somebody uses it."""
    if settings.url:
        yield settings.url
        return
    from observatory.engine import shared

    with shared(settings.data_dir) as engine:
        yield engine.url


async def _opened(name: str, settings: Settings, url: str, stack: ExitStack | None = None) -> OpenBus:
    """Connect, watch for alerts, and return the bus; closing it closes *stack*, too."""
    import asyncio

    from observatory.bus import Bus
    from observatory.bus.talk.notes import CauseNotes
    from observatory.live import LiveSource
    from observatory.tui.desk import OpenBus

    bus = Bus.connect(url, prefix=settings.prefix, name="operator")
    await bus.open(deadline_s=PATIENCE_S)
    keeper = keeper_for(settings, bus)
    actions = actions_on(bus, settings)
    await actions.look_at_rights()

    async def close() -> None:
        await keeper.close()
        await bus.close()
        if stack is not None:
            await asyncio.to_thread(stack.close)

    return OpenBus(
        name or bus.url,
        LiveSource(bus, refresh_s=settings.refresh_s, alerts=keeper),
        actions,
        read_only=settings.read_only,
        protected=settings.protected,
        colour=settings.colour,
        theme=settings.theme,
        refresh_s=settings.refresh_s,
        notes=CauseNotes(bus.partitions),
        operator=operator(),
        close=close,
    )


def _words(settings: Settings) -> str:
    from observatory.model.secret import masked

    manners = ("read-only" if settings.read_only else "", "protected" if settings.protected else "")
    return ", ".join(filter(None, (masked(settings.url) if settings.url else EMBEDDED, *manners)))
