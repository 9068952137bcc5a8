"""`observatory bench tui`: the screen as its user meets it, timed from outside through a pseudo terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from observatory.bench.frame import Bound, Figure, alternate, percentile, summarised
from observatory.bench.terminal import Terminal
from observatory.bus import Bus, TaskContext
from observatory.engine import Engine
from observatory.model.event import EventKind
from observatory.model.task import NewTask, Priority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from observatory.model.task import Task

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
RATE: Final = 100
AGENTS: Final = 8
LETTERS: Final = 200


async def figures(*, quick: bool) -> list[Figure]:
    """Measure the app.

    Args:
        quick: Fewer starts, keys and seconds.
    """
    starts, keys, seconds = (3, 60, 5) if quick else (7, 300, 30)
    with Engine.temporary() as engine, tempfile.TemporaryDirectory() as home:
        bench = _Bench(_environ(engine.url, Path(home)))
        async with Bus.connect(engine.url) as bus:
            await _seed(bus)
            found = [
                await alternate(
                    "start to the first numbers on screen",
                    "ms",
                    bench.start,
                    bench.bare_start,
                    rounds=starts,
                    bound=Bound(must=600, aim=350, lower=True),
                ),
                await alternate(
                    "observatory --version",
                    "ms",
                    bench.command("--version"),
                    bench.bare_python,
                    rounds=starts,
                    bound=Bound(must=150, aim=80, lower=True),
                ),
                await alternate(
                    "observatory status --json",
                    "ms",
                    bench.command("status", "--json"),
                    bench.bare_python,
                    rounds=starts,
                    bound=Bound(must=250, aim=150, lower=True),
                ),
            ]
            async with _flowing(bus):
                return found + await asyncio.to_thread(bench.use, keys, seconds)


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

    def use(self, keys: int, seconds: float) -> list[Figure]:
        """Press keys and watch the app while work flows.

        Args:
            keys: Keys of each kind.
            seconds: How long to watch it at rest.
        """
        with Terminal(COMMAND, self._environ) as terminal:
            terminal.wait_for(READY)
            terminal.settle()
            latencies = {
                "move a row": self._press(terminal, (b"j", b"k"), keys),
                "switch screen": self._press(terminal, (b"4", b"1"), keys),
            }
            cpu, written, start = terminal.cpu_seconds(), terminal.written, time.perf_counter()
            time.sleep(seconds)
            took = time.perf_counter() - start
            after, memory = terminal.cpu_seconds(), terminal.resident_bytes()
            painted = (terminal.written - written) / took
        found = [
            summarised(
                f"key to paint while work flows: {what}, p{share * 100:.0f}",
                "ms",
                [percentile(samples, share)],
                bound=Bound(must=must, aim=aim, lower=True),
            )
            for what, samples in latencies.items()
            for share, must, aim in ((0.5, 10, 5), (0.99, 25, 16))
        ]
        if cpu is not None and after is not None and memory is not None:
            share = (after - cpu) / took * 100
            found += [
                summarised("CPU of one core at 1 Hz", "%", [share], bound=Bound(must=5, aim=3, lower=True)),
                summarised("memory", "MB", [memory / 1e6], bound=Bound(must=130, aim=100, lower=True)),
            ]
        return [
            *found,
            summarised(
                "bytes to the terminal at 1 Hz", "KB/s", [painted / 1e3], bound=Bound(must=30, aim=10, lower=True)
            ),
        ]

    def _press(self, terminal: Terminal, pair: tuple[bytes, bytes], count: int) -> list[float]:
        samples = []
        for number in range(count):
            samples.append(terminal.press(pair[number % 2]) * 1000)
            terminal.settle(0.02)
        return samples

    def _start(self, command: tuple[str, ...], text: str) -> float:
        with Terminal(command, self._environ) as terminal:
            return terminal.wait_for(text) * 1000

    def _run(self, command: tuple[str, ...]) -> float:
        start = time.perf_counter()
        subprocess.run(command, env=self._environ, check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - start) * 1000


def _environ(url: str, home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OBSERVATORY_", "XDG_"))}
    return {**kept, "OBSERVATORY_URL": url, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}


async def _seed(bus: Bus) -> None:
    """Fill the bus with work, agents and dead letters."""
    await bus.publish_many(
        NewTask("seed", b"{}", f"seed-{number}", queue="backlog", priority=Priority.LOW) for number in range(5_000)
    )
    async with _working(bus):
        await bus.publish_many(NewTask("nobody-handles-this", b"{}", f"dead-{number}") for number in range(LETTERS))
        died = 0
        async for event in bus.tail("0-1"):
            died += event.kind == EventKind.DEAD_LETTERED
            if died == LETTERS:
                return


@contextlib.asynccontextmanager
async def _working(bus: Bus) -> AsyncIterator[None]:
    async def handle(_task: Task, _context: TaskContext) -> None:
        await asyncio.sleep(0.01)

    workers = [bus.worker(f"agent-{number}", {"flow": handle}, concurrency=4) for number in range(AGENTS)]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*running)


@contextlib.asynccontextmanager
async def _flowing(bus: Bus) -> AsyncIterator[None]:
    """Keep tasks flowing through the swarm."""

    async def produce() -> None:
        while True:
            await bus.publish("flow", {"repo": "api", "branch": "main"})
            await asyncio.sleep(1 / RATE)

    async with _working(bus):
        producing = asyncio.create_task(produce())
        try:
            yield
        finally:
            producing.cancel()
            await asyncio.wait({producing})
