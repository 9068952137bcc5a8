"""`observatory bench tui`: the screen as its user meets it, timed from outside through a pseudo terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis.asyncio as aioredis

from observatory.bench.crowd import Size, flowing, furnish
from observatory.bench.frame import Bound, Figure, alternate, percentile, summarised
from observatory.bench.terminal import Terminal
from observatory.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

COMMAND: Final = (sys.executable, "-m", "observatory")
BARE_APP: Final = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("READY")
Bare().run()
"""
READY: Final = "LIVE"
ESCAPE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Motion:
    """Keys, those that undo them, and what has to be on the screen for them; the last of each is what is timed.

    Attributes:
        name: What they do, in words.
        before: Keys that lead there.
        there: The keys.
        back: The keys that undo them.
        both: Whether the way back is measured as well; escape waits for what may follow it.
        most_ms: Most milliseconds that the median, and the 99th percentile, may take.
    """

    name: str
    before: tuple[bytes, ...]
    there: tuple[bytes, ...]
    back: tuple[bytes, ...]
    both: bool = True
    most_ms: tuple[float, float] = (10, 25)


MOTIONS: Final = (
    Motion("move a row", (), (b"j",), (b"k",)),
    Motion("switch screen", (), (b"4",), (b"1",)),
    Motion("page of pending entries", (b"3",), (b"\x06",), (b"\x02",)),
    Motion(
        "filter pending entries",
        (),
        (b"/", b"deliveries>0 agent:agent-7", b"\r"),
        (b"/", b"\x15", b"\r"),
        both=False,
        most_ms=(150, 150),
    ),
    Motion("open a payload", (b"4",), (b"\r",), (b"\x1b",), both=False),
)


async def figures(*, quick: bool) -> list[Figure]:
    """Measure the app on a bus at the size where other dashboards stop.

    Args:
        quick: A tenth of that size, and fewer starts, keys and seconds.
    """
    starts, keys, seconds = (3, 60, 5) if quick else (7, 300, 30)
    size = Size().tenth() if quick else Size()
    with tempfile.TemporaryDirectory() as home:
        found: list[Figure] = []
        async with _furnished(size, Path(home)) as (bench, raw, url):
            found += await _starts(bench, starts)
            found += await bench.at_rest(raw, seconds)
            with flowing(url, size):
                found += await asyncio.to_thread(bench.use, keys, seconds)
        if quick:
            return found
        async with _furnished(size.tenth(), Path(home)) as (bench, _, url):
            with flowing(url, size):
                small = await asyncio.to_thread(bench.use, keys, seconds)
    return found + [grown for one in small if (grown := _growth(one, found)) is not None]


async def _starts(bench: _Bench, rounds: int) -> list[Figure]:
    return [
        await alternate(
            "start to the first numbers on screen",
            "ms",
            bench.start,
            bench.bare_start,
            rounds=rounds,
            bound=Bound(must=600, aim=350, lower=True),
        ),
        await alternate(
            "observatory --version",
            "ms",
            bench.command("--version"),
            bench.bare_python,
            rounds=rounds,
            bound=Bound(must=150, aim=80, lower=True),
        ),
        await alternate(
            "observatory status --json",
            "ms",
            bench.command("status", "--json"),
            bench.bare_python,
            rounds=rounds,
            bound=Bound(must=250, aim=150, lower=True),
        ),
    ]


def _growth(small: Figure, figures: list[Figure]) -> Figure | None:
    """Return what ten times the entries do to a figure, or None where there is nothing to compare."""
    large = next((figure for figure in figures if figure.name == small.name), None)
    if large is None or not small.value:
        return None
    ratio = large.value / small.value
    return summarised(f"10x the entries: {small.name}", "x", [ratio], bound=Bound(must=1.2, aim=1.05, lower=True))


class _Bench:
    """Starts programs with one environment and times them."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    async def start(self) -> float:
        """Milliseconds from exec to the first snapshot on screen."""
        return await asyncio.to_thread(self._start, COMMAND, READY)

    async def bare_start(self) -> float:
        """Milliseconds from exec to the text of an app that does nothing."""
        return await asyncio.to_thread(self._start, (sys.executable, "-c", BARE_APP), "READY")

    def command(self, *words: str) -> Callable[[], Any]:
        """Return a measurement of a headless verb, in milliseconds."""

        async def measure() -> float:
            return await asyncio.to_thread(self._run, (*COMMAND, *words))

        return measure

    async def bare_python(self) -> float:
        """Milliseconds of a Python that does nothing."""
        return await asyncio.to_thread(self._run, (sys.executable, "-c", "pass"))

    async def at_rest(self, raw: aioredis.Redis, seconds: float) -> list[Figure]:
        """Watch the app while nothing changes: what it costs itself, and what it costs the engine.

        Args:
            raw: A bare client of the engine.
            seconds: How long to watch, with the app and without it.
        """
        alone = await _costs(raw, seconds)
        with Terminal(COMMAND, self._environ) as terminal:
            await asyncio.to_thread(terminal.wait_for, READY)
            await asyncio.to_thread(terminal.settle)
            before = terminal.cpu_seconds()
            watched = await _costs(raw, seconds)
            after = terminal.cpu_seconds()
        ticks = max(round(watched.seconds), 1)
        share = (watched.cpu_s / watched.seconds - alone.cpu_s / alone.seconds) * 100
        found = [
            summarised("engine CPU of one observer at 1 Hz", "%", [share], bound=Bound(must=1, aim=0.3, lower=True)),
            # Asking for these numbers is a round trip of its own, once in the time that is watched.
            summarised(
                "round trips a tick", "trips", [(watched.reads - 1) / ticks], bound=Bound(must=1.3, aim=1.1, lower=True)
            ),
        ]
        if before is not None and after is not None:
            rest = (after - before) / watched.seconds * 100
            found.append(
                summarised("CPU of one core, nothing changes", "%", [rest], bound=Bound(must=1, aim=0.3, lower=True))
            )
        return found

    def use(self, keys: int, seconds: float) -> list[Figure]:
        """Press keys and watch the app while work flows.

        Args:
            keys: Keys of each kind.
            seconds: How long to watch it without pressing anything.
        """
        with Terminal(COMMAND, self._environ) as terminal:
            terminal.wait_for(READY)
            terminal.settle()
            found = [figure for motion in MOTIONS for figure in self._keys(terminal, motion, keys)]
            found += self._watch(terminal, seconds, "1 Hz", Bound(must=5, aim=3, lower=True))
            if (memory := terminal.resident_bytes()) is not None:
                found.append(summarised("memory", "MB", [memory / 1e6], bound=Bound(must=130, aim=100, lower=True)))
        with Terminal(COMMAND, self._environ | {"OBSERVATORY_REFRESH_S": "0.25"}) as terminal:
            terminal.wait_for(READY)
            terminal.settle()
            found += self._watch(terminal, seconds, "4 Hz", Bound(must=15, aim=8, lower=True))[:1]
        return found

    def _watch(self, terminal: Terminal, seconds: float, rate: str, bound: Bound) -> list[Figure]:
        cpu, written, start = terminal.cpu_seconds(), terminal.written, time.perf_counter()
        time.sleep(seconds)
        took = time.perf_counter() - start
        after, painted = terminal.cpu_seconds(), (terminal.written - written) / took
        share = [] if cpu is None or after is None else [(after - cpu) / took * 100]
        return [
            *(summarised(f"CPU of one core at {rate}", "%", [value], bound=bound) for value in share),
            summarised(
                f"bytes to the terminal at {rate}", "KB/s", [painted / 1e3], bound=Bound(must=30, aim=10, lower=True)
            ),
        ]

    def _keys(self, terminal: Terminal, motion: Motion, count: int) -> list[Figure]:
        for key in motion.before:
            terminal.press(key)
            terminal.settle()
        samples = []
        for number in range(count):
            *lead, last = motion.back if number % 2 else motion.there
            for key in lead:
                terminal.press(key)
                terminal.settle()
            took = terminal.press(last) * 1000
            # A lone escape is a key only when nothing followed it for a while; before that the next key would join it.
            terminal.settle(ESCAPE_S if last == b"\x1b" else 0.02)
            if motion.both or not number % 2:
                samples.append(took)
        return [
            summarised(
                f"key to paint: {motion.name}, p{share * 100:.0f}",
                "ms",
                [percentile(samples, share)],
                bound=Bound(must=must, aim=must / 2, lower=True),
            )
            for share, must in zip((0.5, 0.99), motion.most_ms, strict=True)
        ]

    def _start(self, command: tuple[str, ...], text: str) -> float:
        with Terminal(command, self._environ) as terminal:
            return terminal.wait_for(text) * 1000

    def _run(self, command: tuple[str, ...]) -> float:
        start = time.perf_counter()
        subprocess.run(command, env=self._environ, check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - start) * 1000


def _environ(url: str, home: Path) -> dict[str, str]:
    # Byte code is kept as it is for a user, whatever the shell says that measures: warm files are what is promised.
    left_out = ("OBSERVATORY_", "XDG_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "OBSERVATORY_URL": url, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}


@contextlib.asynccontextmanager
async def _furnished(size: Size, home: Path) -> AsyncIterator[tuple[_Bench, aioredis.Redis, str]]:
    with Engine.temporary() as engine:
        raw = aioredis.Redis.from_url(engine.url, protocol=2)
        try:
            await furnish(raw, size)
            yield _Bench(_environ(engine.url, home)), raw, engine.url
        finally:
            await raw.aclose()


@dataclass(frozen=True, slots=True)
class _Costs:
    """What the engine spent in some time.

    Attributes:
        seconds: How long that was.
        cpu_s: CPU seconds of its main thread.
        reads: Times that it read from a client: round trips.
    """

    seconds: float
    cpu_s: float
    reads: int


async def _costs(raw: aioredis.Redis, seconds: float) -> _Costs:
    async def now() -> tuple[float, float, int]:
        info: dict[str, Any] = await raw.info()
        cpu = info["used_cpu_sys_main_thread"] + info["used_cpu_user_main_thread"]
        return time.perf_counter(), float(cpu), int(info["total_reads_processed"])

    before = await now()
    await asyncio.sleep(seconds)
    return _Costs(*(after - first for after, first in zip(await now(), before, strict=True)))  # type: ignore[arg-type]
