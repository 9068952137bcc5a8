"""`observatory bench history`: a day of ten million events, sealed, and everything that looking back at it costs."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis

from observatory.bench.day import HOUR_MS, Day
from observatory.bench.frame import Bound, Figure, percentile
from observatory.bus import Bus
from observatory.bus.keys import day_of
from observatory.engine import Engine
from observatory.history.archive import Archive
from observatory.history.chronicle import Chronicle
from observatory.history.recording import About, write_recording
from observatory.history.seal import Sealer
from observatory.history.stretch import Cache

if TYPE_CHECKING:
    from observatory.history.archive import Manifest

EVENTS: Final = 10_000_000
QUICK_EVENTS: Final = 1_000_000
HOURS: Final = 24
SEEKS: Final = 300


async def figures(*, quick: bool) -> list[Figure]:
    """Measure the past.

    Args:
        quick: A million events, and fewer seeks.
    """
    events, seeks = (QUICK_EVENTS, SEEKS // 3) if quick else (EVENTS, SEEKS)
    folder = Path(tempfile.mkdtemp(prefix="observatory-bench-"))
    try:
        manifest, seconds = await _sealed(folder / "archive", events)
        recording = folder / "day.obs"
        _exported(folder / "archive", manifest, recording)
        said = await asyncio.to_thread(_scrubbed, folder / "archive", recording, seeks)
        return _told(manifest, seconds, said)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _sealed(folder: Path, events: int) -> tuple[Manifest, float]:
    """Make a day and seal it, an hour at a time; returns what was sealed, and how many seconds that took."""
    archive, took = Archive(folder), 0.0
    manifest = archive.load()
    with Engine.temporary() as engine:
        engine.start()
        async with Bus.connect(engine.url, name="bench") as bus:
            with redis.Redis.from_url(engine.url) as client:
                today = int(time.time() * 1000) // (HOURS * HOUR_MS) * HOURS * HOUR_MS
                start = today - HOURS * HOUR_MS
                day, key = Day(7, start, events // HOURS), f"cortex:events:{day_of(start)}"
                for hour in range(1, HOURS + 1):
                    day.write(client, key, start + hour * HOUR_MS)
                    begun = time.perf_counter()
                    manifest = await Sealer(bus.partitions, archive).seal()
                    took += time.perf_counter() - begun
                    client.unlink(key)
    return manifest, took


def _exported(folder: Path, manifest: Manifest, path: Path) -> None:
    chronicle = Chronicle(Archive(folder).segments(manifest, Cache()))
    write_recording(path, chronicle, About("cortex", chronicle.first_ms or 0, chronicle.last_ms or 0))


def _scrubbed(folder: Path, recording: Path, seeks: int) -> dict[str, Any]:
    words = [sys.executable, "-m", "observatory.bench.scrub", str(folder), str(recording), str(seeks)]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _told(manifest: Manifest, seconds: float, said: dict[str, Any]) -> list[Figure]:
    events = sum(one.rows for one in manifest.segments)
    many = f"{events / 1e6:.1f} M events"

    def ms(name: str, key: str, share: float, must: float, aim: float) -> Figure:
        return Figure(
            name, percentile(said[key], share), "ms", None, Bound(must, aim, lower=True), rounds=len(said[key])
        )

    return [
        ms(f"seek to a random time in {many}, cold, p99", "cold", 0.99, 80, 40),
        ms("the same, warm, p99", "warm", 0.99, 25, 10),
        ms("step one event, median", "step", 0.5, 5, 2),
        ms("density of the whole day at 200 buckets, median", "density", 0.5, 50, 15),
        ms("density of any range, p99", "density of a range", 0.99, 50, 15),
        ms("trace of one task, p99", "trace", 0.99, 300, 100),
        ms("open a recording of all to the first frame", "open", 0.5, 1000, 500),
        ms("slowest ready SQL question over the day", "sql", 1.0, 1000, 300),
        Figure(
            "sealed, from the engine to a verified segment", events / seconds, "events/s", None, Bound(200_000, 500_000)
        ),
        Figure(
            "on disk, with keyframes and index", manifest.bytes / events, "B/event", None, Bound(20, 14, lower=True)
        ),
        Figure("memory while scrubbing", said["rss_mb"], "MB", None, Bound(250, 150, lower=True)),
    ]
