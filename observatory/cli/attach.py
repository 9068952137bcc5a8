"""From the command line to a connected bus: which settings hold, which bus is meant, and a verb that runs on it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from observatory.cli.parser import SETTING_FLAGS
from observatory.model.errors import BusError, BusUnreachableError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from observatory.bus import Bus
    from observatory.settings import Settings


PATIENCE_S = 1.0
"""Seconds in which a bus that cannot be reached at first is tried again: whoever typed a verb waits for it."""


def settings_for(args: argparse.Namespace) -> Settings:
    """Load the settings that hold for this command line.

    Raises:
        SettingsError: A file or variable cannot be taken; names it.
    """
    from pathlib import Path

    from observatory.settings import load

    flags = {name: getattr(args, name) for name in SETTING_FLAGS if hasattr(args, name)}
    if "data_dir" in flags:
        flags["data_dir"] = Path(flags["data_dir"]).expanduser().absolute()
    return load(flags, file=named_file(args))


def named_file(args: argparse.Namespace) -> Path | None:
    """Return the file of settings that the command line names; None if it names none."""
    from pathlib import Path

    return Path(args.config).expanduser() if hasattr(args, "config") else None


def bus_url(settings: Settings) -> str:
    """Return the address of the bus that is meant: the configured one, else the embedded engine that runs.

    Raises:
        BusUnreachableError: None is configured, and no engine runs in the data directory.
    """
    if settings.url:
        return settings.url
    from observatory.engine import running

    engine = running(settings.data_dir)
    if engine is None:
        raise BusUnreachableError(
            f"no bus is configured and no embedded engine runs in {settings.data_dir}",
            "start one with `observatory engine start`, or name a bus with --url or OBSERVATORY_URL",
        )
    return engine.url


def operator() -> str:
    """Return what the person at this terminal is called."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"


def on_bus(args: argparse.Namespace, work: Callable[[Bus], Awaitable[int]], *, writes: bool = False) -> int:
    """Connect to the bus that is meant, run *work* on it, and return its exit code.

    Args:
        args: The command line.
        work: What the verb does.
        writes: Whether it changes the bus; it is then refused where that is forbidden.

    Raises:
        UsageError: The address makes no sense, or writing is forbidden.
        BusUnreachableError: Nothing answers there, or not a Redis.
    """
    import asyncio

    settings = settings_for(args)
    if writes:
        refuse_if_read_only(settings)
    url = bus_url(settings)

    async def run() -> int:
        from observatory.bus import Bus

        bus = Bus.connect(url, prefix=settings.prefix, name="operator")
        await bus.open(deadline_s=PATIENCE_S)
        try:
            return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(run())


@contextmanager
def about(what: str, unsure: str = "") -> Iterator[None]:
    """Put *what* in front of a refusal of the bus, for the server does not name the key that it speaks of.

    Args:
        what: What was being done, and to which key.
        unsure: What may have happened nevertheless when no answer came.
    """
    try:
        yield
    except BusError as error:
        hints = (unsure if isinstance(error, BusUnreachableError) else "", error.hint)
        raise type(error)(f"{what}: {error.problem}", "; ".join(filter(None, hints))) from error


def refuse_if_read_only(settings: Settings) -> None:
    """Stop a verb that would change the bus where the settings forbid it.

    Raises:
        UsageError: Settings say read-only; names who said so.
    """
    if settings.read_only:
        raise UsageError(
            f"this would change the bus, and read_only is set by {settings.provenance('read_only')}",
            "nothing was changed",
        )
