"""`observatory` without a verb: the full-screen app on the bus that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import named_file, settings_for
from observatory.cli.contexts import EMBEDDED, REPLAY_REFRESH_S, Contexts, bus_address
from observatory.cli.output import note
from observatory.cli.terminal import require_terminal
from observatory.model.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from observatory.history.source import PastSource
    from observatory.settings import Settings
    from observatory.tui.desk import OpenBus


def run(args: argparse.Namespace) -> int:
    """Open the app on the configured bus, or on the embedded engine, started if nobody has."""
    settings = settings_for(args)
    check_theme(settings)
    require_terminal("observatory status")
    with bus_address(settings) as url:
        return open_screen(args, url, settings, context=settings.context or ("" if settings.url else EMBEDDED))


def check_theme(settings: Settings) -> None:
    """Refuse a theme that does not exist, before anything is started.

    Raises:
        SettingsError: There is no such theme; the hint names the nearest.
    """
    from observatory.settings import themes

    themes().get(settings.theme)


def open_screen(args: argparse.Namespace, url: str, settings: Settings, *, context: str = "") -> int:
    """Run the full-screen app until it is left, and return its exit code.

    Args:
        args: The command line.
        url: Address of the bus.
        settings: How it is shown.
        context: What the bus is called on the screen; its masked address by default.

    Raises:
        BusUnreachableError: Nothing answers at the start; later that is a banner, not an end.
    """
    contexts = Contexts(args, settings, url, context)
    return _run_app(args, settings, contexts.first, contexts)


def show_past(args: argparse.Namespace, source: PastSource, settings: Settings) -> int:
    """Run the full-screen app on a recording until it is left, and return its exit code.

    Args:
        args: The command line.
        source: The past.
        settings: How it is shown.
    """

    async def first() -> OpenBus:
        from observatory.history.no_actions import NoActions
        from observatory.history.player import Player
        from observatory.model.clock import SystemClock
        from observatory.tui.desk import OpenBus

        player = Player(source, SystemClock())
        return OpenBus(source.origin, source, NoActions(), read_only=True, refresh_s=REPLAY_REFRESH_S, player=player)

    return _run_app(args, settings, first)


def _run_app(
    args: argparse.Namespace,
    settings: Settings,
    first: Callable[[], Awaitable[OpenBus]],
    contexts: Contexts | None = None,
) -> int:
    import asyncio

    unkept: list[SettingsError] = []

    def keep_theme(name: str) -> None:
        from observatory.settings import save_choice

        try:
            save_choice("theme", name, file=named_file(args))
        except SettingsError as error:
            unkept[:] = [error]

    async def show() -> int:
        from observatory.settings import state_dir, themes
        from observatory.settings.keymap import keymap
        from observatory.tui.app import ObservatoryApp, run_app_async

        app = ObservatoryApp(
            await first(),
            themes=themes(),
            theme=settings.theme,
            contexts=contexts,
            keymap=keymap(),
            on_theme_chosen=keep_theme,
            state_dir=state_dir() / "reports",
            memory=state_dir() / "memory.json",
        )
        try:
            return await run_app_async(app)
        finally:
            await app.desk.bus.close()

    code = asyncio.run(show())
    for error in unkept:
        note(f"the theme was not kept: {error}")
    return code
