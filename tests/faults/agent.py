"""An agent as a process of its own, to be killed: works as its settings say and writes down what it did.

Run as `python -m tests.faults.agent '<json>'`. The type of a task says what its handler does to the process.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observatory.bus import Bus, scripts
from observatory.bus.tasks import lease

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.bus import TaskContext, Worker
    from observatory.model.task import Task


async def _work(order: dict[str, Any]) -> None:
    await asyncio.sleep(order.get("s", 0.0))


async def _fail(order: dict[str, Any]) -> None:
    raise RuntimeError(order.get("why", "no luck"))


async def _crash(_order: dict[str, Any]) -> None:
    os._exit(1)


async def _block(order: dict[str, Any]) -> None:
    until = time.monotonic() + order["s"]
    while time.monotonic() < until:
        pass


DEEDS: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
    "work": _work,
    "fail": _fail,
    "crash": _crash,
    "block": _block,
}


class Journal:
    """A file of JSON lines, each written at once, so that a killed writer leaves only whole ones."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, **facts: object) -> None:
        """Append one line."""
        os.write(self._file, json.dumps({"what": what, "pid": os.getpid(), **facts}).encode() + b"\n")


def other_version() -> None:
    """Make every script of this process another text with another digest, as another release would send."""
    original = scripts._read
    scripts._read = lambda name: original(name) + "\n-- another release\n"


async def main(settings: dict[str, Any]) -> None:
    """Work until SIGTERM."""
    journal = Journal(Path(settings["journal"]))
    if settings.get("other_version"):
        other_version()
    if "loop_grace_s" in settings:
        lease.LOOP_GRACE_S = settings["loop_grace_s"]  # type: ignore[misc]

    async def handle(task: Task, context: TaskContext) -> None:
        journal.write("began", task=task.id, attempt=task.attempt, deliveries=context.deliveries)
        try:
            await DEEDS[task.type](json.loads(task.payload or b"{}"))
        except asyncio.CancelledError:
            journal.write("cancelled", task=task.id)
            raise
        journal.write("ended", task=task.id)

    async with Bus.connect(os.environ["FAULTS_URL"], name=settings["agent"]) as bus:
        worker = bus.worker(settings["agent"], {"*": handle}, **settings["options"])
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        journal.write("up", consumer=worker.consumer)
        watching = asyncio.create_task(_note_stats(worker, journal))
        await worker.run()
        watching.cancel()
    journal.write("left", **dataclasses.asdict(worker.stats))


async def _note_stats(worker: Worker, journal: Journal) -> None:
    """Write down the worker's own count of settlements whenever it changes."""
    told: dict[str, int] = {}
    while True:
        stats = dataclasses.asdict(worker.stats)
        if stats != told:
            journal.write("stats", **stats)
            told = stats
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
