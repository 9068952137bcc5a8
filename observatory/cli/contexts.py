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
    from pathlib import Path

    from observatory.model.timeline import Bookmark
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

        if self._is_first(name):
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

    async def past(self, name: str) -> OpenBus:
        """Open the past of the bus called *name*: its archive in the data folder, and what its engine holds.

        Raises:
            ObservatoryError: The extra is not installed, or the past is damaged.
            BusUnreachableError: Nothing answers there.
        """
        from observatory.cli.past import with_extra
        from observatory.settings import data_dir

        _, settings, url = self._first
        stack = ExitStack()
        if not self._is_first(name):
            settings = self._settings(name)
            url = stack.enter_context(bus_address(settings))
        with with_extra():
            return await _opened_past(name, settings, url, data_dir() / "history", stack)

    def _is_first(self, name: str) -> bool:
        """Say whether *name* is the bus that the session began with, which may have none but its address."""
        first, settings, _ = self._first
        return name == first or (not first and name not in settings.contexts)

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


async def _opened_past(name: str, settings: Settings, url: str, base: Path, stack: ExitStack) -> OpenBus:
    """Connect, read what is not sealed, and return the past; closing it closes *stack*, too."""
    import asyncio

    from observatory.bus import Bus
    from observatory.bus.talk.history import add_bookmark, bookmarks
    from observatory.history.no_actions import NoActions
    from observatory.history.opening import BusPast
    from observatory.history.player import Player
    from observatory.model.clock import SystemClock
    from observatory.tui.desk import OpenBus

    bus = Bus.connect(url, prefix=settings.prefix, name="operator")
    await bus.open(deadline_s=PATIENCE_S)
    try:
        source = await BusPast(bus, base).source()
        source.bookmarks = await bookmarks(bus.partitions)
    except BaseException:
        await bus.close()
        raise

    async def keep(at_ms: int, text: str) -> Bookmark:
        return await add_bookmark(bus.partitions, at_ms, text, operator())

    async def close() -> None:
        source.close()
        await bus.close()
        await asyncio.to_thread(stack.close)

    player = Player(source, SystemClock(), None if settings.read_only else keep)
    return OpenBus(
        name or bus.url, source, NoActions(), read_only=True, colour=settings.colour, theme=settings.theme,
        refresh_s=REPLAY_REFRESH_S, operator=operator(), player=player, close=close,
    )  # fmt: skip


REPLAY_REFRESH_S = 3600.0
"""Seconds of silence that are nothing to worry about: a replay only speaks when the playhead moves."""


def _words(settings: Settings) -> str:
    from observatory.model.secret import masked

    manners = ("read-only" if settings.read_only else "", "protected" if settings.protected else "")
    return ", ".join(filter(None, (masked(settings.url) if settings.url else EMBEDDED, *manners)))
