"""Sealing: what was in the engine is in the archive, whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.bus.keys import Keys, day_of
from observatory.bus.partitions import Partition
from observatory.history.archive import Archive, Manifest
from observatory.history.chronicle import Chronicle
from observatory.history.index_file import DamagedError
from observatory.history.seal import Sealer
from observatory.history.stretch import Cache
from observatory.model.event import event_order
from observatory.model.reduce import Books, fold
from tests.history.conftest import chronicle_of
from tests.history.logs import HOUR_MS, entries, facts, put, run, yesterday

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from observatory.bus import Bus

STEPS = ("page", "finish", "rename", "manifest", "kept", "unlink")


class KilledError(Exception):
    """What a test ends a seal with."""


def shown(manifest: Manifest) -> list[tuple[str, int, object]]:
    """What two runs must have in common."""
    return [(one.name, one.rows, one.sha256) for one in manifest.segments]


async def test_hours_that_are_over_are_sealed_and_nothing_is_lost(
    bus: Bus, plain: redis.Redis, archive: Archive
) -> None:
    """Every fact of every closed hour is in a segment, in order, and what is written is what is read."""
    log = entries(9000, per_s=0.2)
    put(plain, log)
    manifest = await Sealer(bus.partitions, archive).seal()
    assert len(manifest.segments) >= 3
    sealed = Chronicle(archive.segments(manifest, Cache()))
    assert sealed.events(0, sealed.rows) == facts(log)
    assert (await Sealer(bus.partitions, archive).seal()) == manifest, "a second time there is nothing to do"
    assert (archive.folder / "manifest.json").stat().st_mode & 0o777 == 0o600


async def test_a_seal_that_is_killed_at_any_step_is_made_good(bus: Bus, plain: redis.Redis, tmp_path: Path) -> None:
    """KilledError at each step in turn, it ends with the same files, and nothing is left lying about."""
    put(plain, entries(1500, per_s=0.05))
    undisturbed = await Sealer(bus.partitions, Archive(tmp_path / "undisturbed")).seal()
    for step in STEPS[:-1]:
        for nth in range(2):
            archive, seen = Archive(tmp_path / f"{step}-{nth}"), 0

            def reached(name: str, step: str = step, nth: int = nth) -> None:
                nonlocal seen
                if name == step:
                    seen += 1
                    if seen > nth:
                        raise KilledError

            with pytest.raises(KilledError):
                await Sealer(bus.partitions, archive, reached).seal()
            manifest = await Sealer(bus.partitions, archive).seal()
            assert shown(manifest) == shown(undisturbed)
            files = {path.name for path in archive.folder.iterdir()}
            assert len(files) == 1 + 2 * len(manifest.segments), files


async def test_the_engine_forgets_only_what_is_sealed_to_the_last_fact(
    bus: Bus, plain: redis.Redis, archive: Archive
) -> None:
    """A day leaves the engine when all of it is in the archive and the archive can be read; else it stays."""
    log = entries(300)
    put(plain, log)
    key = f"cortex:events:{day_of(yesterday())}"
    sealer = Sealer(bus.partitions, archive)
    manifest = await sealer.seal()
    assert await sealer.unlink(manifest) == [], "it is kept for a while"
    late = f"{int(log[-1][0].split(b'-')[0]) + 1}-0"
    plain.xadd(key, {"ts": late[:-2], "paused": "\x1f\x1fcortex:tasks:high" + "\x1f" * 5}, id=late)
    assert await sealer.unlink(manifest, keep_days=0) == [], "one fact is not sealed"
    manifest = await sealer.seal()
    segment = archive.folder / f"{manifest.segments[0].name}.index"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    with pytest.raises(DamagedError):
        await sealer.unlink(manifest, keep_days=0)
    assert plain.exists(key)
    segment.write_bytes(whole)
    assert await sealer.unlink(manifest, keep_days=0) == [day_of(yesterday())]
    assert not plain.exists(key)
    again = await chronicle_of(bus, archive)
    assert again.rows == len(facts(log)) + 1


async def test_what_left_the_log_before_it_was_sealed_is_a_known_gap(
    bus: Bus, plain: redis.Redis, archive: Archive
) -> None:
    """History that was trimmed away is not drawn as a time in which nothing happened."""
    log = entries(400, per_s=0.1)
    put(plain, log)
    key = f"cortex:events:{day_of(yesterday())}"
    plain.xtrim(key, maxlen=300, approximate=False)
    manifest = await Sealer(bus.partitions, archive).seal()
    (gap,) = manifest.gaps
    assert gap.to_ms == int(log[100][0].split(b"-")[0])
    assert "100 entries" in gap.why
    assert (await Sealer(bus.partitions, archive).seal()).gaps == (gap,)
    plain.xtrim(key, maxlen=100, approximate=False)
    assert (await Sealer(bus.partitions, archive).seal()).gaps == (gap,), "that much was sealed before it went"


async def test_an_entry_that_comes_into_a_sealed_hour_is_sealed_too(
    bus: Bus, plain: redis.Redis, archive: Archive
) -> None:
    """A clock that is set back adds to an hour that seemed over; ids go on where they were."""
    log = entries(100)
    put(plain, log)
    await Sealer(bus.partitions, archive).seal()
    ms = int(log[-1][0].split(b"-")[0])
    late = [
        (f"{ms}-900".encode(), [b"ts", str(ms - 50_000).encode(), *run("published", "late", "deploy", "l", "h", "1")])
    ]
    put(plain, late)
    manifest = await Sealer(bus.partitions, archive).seal()
    sealed = Chronicle(archive.segments(manifest, Cache()))
    assert sealed.events(0, sealed.rows) == facts([*log, *late])


async def test_the_archive_keeps_to_its_age_and_size(bus: Bus, plain: redis.Redis, archive: Archive) -> None:
    """The oldest segments go first, their files with them, and the newest always stays."""
    put(plain, entries(1500, per_s=0.03))
    manifest = await Sealer(bus.partitions, archive).seal()
    before = manifest.segments
    assert len(before) >= 4
    kept = archive.retain(manifest, before_ms=before[1].first_ms + 1)
    assert kept.segments == before[1:] == archive.load().segments
    kept = archive.retain(kept, most_bytes=kept.bytes - 1)
    assert kept.segments == before[2:]
    kept = archive.retain(kept, most_bytes=1)
    assert kept.segments == before[-1:]
    assert len(list(archive.folder.iterdir())) == 3


async def test_partitions_are_sealed_as_one_in_order(bus: Bus, plain: redis.Redis, archive: Archive) -> None:
    """On a cluster each partition has a log of its own; the archive has all of them in the order of the ids."""

    class Two(list[Partition]):
        @property
        def seat(self) -> Partition:
            return self[0]

    parts = Two(Partition(Keys("cortex", number), bus.connection) for number in (3, 8))
    logs = [entries(6000, seed=part.number or 0, per_s=2.0) for part in parts]
    for part, log in zip(parts, logs, strict=True):
        put(plain, log, part.keys.prefix)
    manifest = await Sealer(parts, archive).seal()  # type: ignore[arg-type]
    sealed = Chronicle(archive.segments(manifest, Cache()))
    expected = sorted(facts(logs[0], 3) + facts(logs[1], 8), key=lambda event: event_order(event.id))
    assert sealed.events(0, sealed.rows) == expected
    assert sealed.state(sealed.rows) == fold(Books(), expected)


@pytest.mark.parametrize("name", ["manifest.json", ".parquet", ".index"])
async def test_a_damaged_archive_says_so(bus: Bus, plain: redis.Redis, archive: Archive, name: str) -> None:
    """A file that is not what it was is a clear error, not a wrong picture of the past."""
    put(plain, entries(200))
    manifest = await Sealer(bus.partitions, archive).seal()
    path = next(path for path in archive.folder.iterdir() if path.name.endswith(name))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def read() -> None:
        for segment in archive.segments(archive.load(), Cache()):
            segment.verify()

    with pytest.raises(DamagedError):
        read()
    assert manifest.segments


async def test_an_hour_that_is_not_over_can_be_sealed_up_to_a_time(
    bus: Bus, plain: redis.Redis, archive: Archive
) -> None:
    """Who exports what happened just now need not wait for the hour."""
    await bus.publish("deploy", b"1")
    now = int(plain.time()[0]) * 1000 + 60_000
    assert not (await Sealer(bus.partitions, archive).seal()).segments
    manifest = await Sealer(bus.partitions, archive).seal(upto_ms=now)
    assert [one.rows for one in manifest.segments] == [1]
    assert HOUR_MS > 0
