"""What the verbs of the past have in common: where it is read from, times on the command line, a missing extra."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from observatory.cli.output import note
from observatory.model.errors import ObservatoryError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator
    from datetime import tzinfo

    from observatory.bus import Bus
    from observatory.cli.parser import Parser
    from observatory.history.chronicle import Chronicle
    from observatory.history.source import PastSource
    from observatory.model.quantity import Span

RECORDING = ".obs"
"""How the names of recordings end."""

TOLD_EVERY = 200_000
"""Events of a hot log after which somebody who waits is told how far it is."""


def add_past_flags(parser: Parser) -> None:
    """Add `--archive` and `--recording`."""
    add_archive_flag(parser)
    parser.add_argument("--recording", metavar="FILE", help="a recording, instead of the bus and its archive")


def add_archive_flag(parser: Parser) -> None:
    """Add `--archive`."""
    parser.add_argument(
        "--archive", metavar="DIR", help="folder of all archives (`history` in the data folder; see `config path`)"
    )


def archives(args: argparse.Namespace) -> Path:
    """Return the folder of all archives."""
    from observatory.settings import data_dir

    return Path(args.archive).expanduser().absolute() if args.archive else data_dir() / "history"


@contextmanager
def with_extra() -> Iterator[None]:
    """Say in words which extra is missing.

    Raises:
        ObservatoryError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"pyarrow", "duckdb", "numpy"}:
            raise
        raise ObservatoryError(
            f"the past needs the package {error.name}", "install it with `pip install 'observatory[history]'`"
        ) from error


def on_past(args: argparse.Namespace, work: Callable[[PastSource], Awaitable[int]]) -> int:
    """Open the past that is meant, a recording or that of the bus, and run *work* on it.

    Raises:
        ObservatoryError: It cannot be opened.
        BusUnreachableError: Nothing answers at the bus.
    """
    import asyncio

    with with_extra():
        if args.recording:
            source = open_file(args.recording)

            async def read() -> int:
                return await work(source)

            return asyncio.run(read())

        from observatory.cli.attach import on_bus
        from observatory.history.opening import BusPast

        async def on(bus: Bus) -> int:
            source = await BusPast(bus, archives(args), progress()).source()
            try:
                return await work(source)
            finally:
                source.close()

        return on_bus(args, on)


def open_file(name: str) -> PastSource:
    """Return the past that a recording holds; says on stderr if it is damaged.

    Raises:
        ObservatoryError: It cannot be opened.
    """
    from observatory.history.recording import open_recording
    from observatory.history.source import PastSource

    path = Path(name).expanduser()
    found = open_recording(path)
    if not found.whole:
        note(f"{path.name}: {found.chronicle.gaps[-1].why}; what is whole before that is shown")
    return PastSource(found.chronicle, found.keys, origin=path.name, bookmarks=found.about.bookmarks)


def progress() -> Callable[[int], None]:
    """Return who tells on stderr how much of a long log was read."""
    told = 0

    def tell(rows: int) -> None:
        nonlocal told
        if rows - told >= TOLD_EVERY:
            told = rows
            note(f"reading the log: {rows:,} events")

    return tell


def span_of(text: str, flag: str, now_ms: int) -> Span:
    """Read a time of the command line.

    Raises:
        UsageError: It is none; names the flag.
    """
    from observatory.model.quantity import moment

    try:
        return moment(text, now_ms=now_ms, zone=_here())
    except ValueError as error:
        raise UsageError(f"{flag}: {error}", "a time of day is one of yours; `-` counts from the end") from None


def _here() -> tzinfo:
    from datetime import UTC, datetime

    return datetime.now(UTC).astimezone().tzinfo or UTC


def end_of(chronicle: Chronicle) -> int:
    """Return the time of the last event.

    Raises:
        ObservatoryError: There is none.
    """
    last = chronicle.last_ms
    if last is None:
        raise ObservatoryError("there is no event yet", "the bus's own clients write them; see `observatory demo`")
    return last
