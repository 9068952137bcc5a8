"""Looking back, measured in a process of its own: `python -m observatory.bench.scrub FOLDER RECORDING SEEKS`.

Prints one JSON object: samples in milliseconds, and the memory that the process took.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import random
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observatory.bus.keys import Keys
from observatory.history.archive import Archive
from observatory.history.chronicle import Chronicle
from observatory.history.recording import open_recording
from observatory.history.source import PastSource
from observatory.history.stretch import Cache
from observatory.model.errors import ObservatoryError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def measure(folder: Path, recording: Path, seeks: int) -> dict[str, Any]:
    """Return samples of everything that somebody who looks back waits for.

    Args:
        folder: An archive.
        recording: A recording of the same time.
        seeks: Random times to seek.
    """
    rnd = random.Random(5)
    cold, warm, figures = [], [], {}
    source = _opened(folder)
    first, last = source.span or (0, 0)
    times = [rnd.randrange(first, last) for _ in range(seeks)]
    await source.snapshot(times[0])
    for at_ms in times:
        # Cold: nothing of this archive is in the memory of the process; the files are in that of the machine.
        fresh = _opened(folder)
        cold.append(await _ms(partial(fresh.snapshot, at_ms)))
        fresh.close()
        del fresh
        gc.collect()
    for at_ms in times:
        await source.snapshot(at_ms)
        near = at_ms + rnd.randrange(-30_000, 30_000)
        warm.append(await _ms(lambda at=near: source.snapshot(at)))  # type: ignore[misc]
    source.seek(times[0])
    await source.snapshot()
    figures["step"] = [await _ms(lambda: _step(source)) for _ in range(200)]
    figures["density"] = [await _ms(lambda: source.density(first, last, 200)) for _ in range(10)]
    figures["density of a range"] = [
        await _ms(lambda a=a, b=b: source.density(min(a, b), max(a, b) + 1, 200))  # type: ignore[misc]
        for a, b in (rnd.sample(times, 2) for _ in range(50))
    ]
    tasks = [(await source.snapshot(at_ms)).events[0].task for at_ms in times[:20]]
    source.seek(last)
    figures["trace"] = [await _ms(lambda task=task: source.trace(task)) for task in tasks if task]  # type: ignore[misc]
    scrubbed_mb = _most_memory_mb()
    source.close()
    start = time.perf_counter()
    opened = open_recording(recording)
    await PastSource(opened.chronicle, opened.keys, origin=recording.name).snapshot()
    figures["open"] = [(time.perf_counter() - start) * 1000]
    from observatory.history.sql import READY  # noqa: PLC0415 - DuckDB takes memory of its own

    asked = _opened(folder)
    figures["sql"] = [await _answered(asked, one.sql) for one in READY]
    return {"cold": cold, "warm": warm, **figures, "rss_mb": scrubbed_mb}


def _most_memory_mb() -> float:
    """Return the most memory that this process ever had; what getrusage says begins with that of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _answered(source: PastSource, question: str) -> float:
    """Return the ms that an answer took; infinity where there was none within the bounds of time and memory."""
    try:
        return await _ms(partial(source.ask_sql, question, seconds=60))
    except ObservatoryError:
        return math.inf


async def _step(source: PastSource) -> None:
    await source.step()
    await source.snapshot()


def _opened(folder: Path) -> PastSource:
    archive, cache = Archive(folder), Cache()
    manifest = archive.load()
    return PastSource(Chronicle(archive.segments(manifest, cache), manifest.gaps), Keys(), origin="bench")


async def _ms(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))))
