"""The recorder: one at a time, resumes where it was, and makes history true for foreign agents too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from observatory.bus.talk.history import add_bookmark, bookmarks, hold_lease, remove_bookmark
from observatory.history.archive import Archive
from observatory.history.chronicle import Chronicle
from observatory.history.opening import BusPast
from observatory.history.recorder import Keep, Recorder, folder_of
from observatory.history.stretch import Cache
from tests.conftest import eventually
from tests.history.logs import entries, facts, put

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from observatory.bus import Bus


async def test_only_one_records_and_the_next_takes_over(bus: Bus, tmp_path: Path) -> None:
    """The lease has one holder; when it is given back or runs out, another takes it."""
    one, two = Recorder(bus, tmp_path), Recorder(bus, tmp_path)
    assert await one.once()
    assert not await two.once()
    assert await one.once(), "whoever has it keeps it"
    await one.stop()
    assert await two.once()
    assert not await one.once()
    assert await hold_lease(bus.partitions, two._token, ms=1)
    await eventually(one.once)


async def test_it_goes_on_where_it_was_killed(bus: Bus, plain: redis.Redis, tmp_path: Path) -> None:
    """A recorder that dies leaves what it sealed; the next seals the rest, and nothing is there twice."""
    log = entries(4000, per_s=0.2)
    put(plain, log[:2000])
    first = Recorder(bus, tmp_path)
    await first.once()
    await first.stop()
    put(plain, log[2000:])
    told: list[str] = []
    second = Recorder(bus, tmp_path, tell=told.append, keep=Keep(hot_days=0))
    await second.once()
    archive = Archive(await folder_of(bus, tmp_path))
    manifest = archive.load()
    sealed = Chronicle(archive.segments(manifest, Cache()))
    assert sealed.events(0, sealed.rows) == facts(log)
    assert any("left the engine" in words for words in told)
    past = await BusPast(bus, tmp_path).chronicle()
    assert past.events(0, sealed.rows) == facts(log)


async def test_it_records_until_it_is_stopped(bus: Bus, tmp_path: Path) -> None:
    """Running it samples again and again, and gives the lease back at its end."""
    recorder = Recorder(bus, tmp_path, sample_s=0.01)
    running = asyncio.create_task(recorder.run())
    await eventually(lambda: recorder.leads)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await Recorder(bus, tmp_path).once()


async def test_work_of_foreign_agents_is_in_the_past_too(bus: Bus, plain: redis.Redis, tmp_path: Path) -> None:
    """Plain XADD, XREADGROUP and XACK write no events; the lane of the past says what the engine counted."""
    recorder = Recorder(bus, tmp_path)
    lane = "cortex:tasks:high"
    plain.xgroup_create(lane, "foreign", id="0", mkstream=True)
    past = BusPast(bus, tmp_path)
    expected = []

    async def sample(waiting: int, pending: int) -> None:
        await recorder.once()
        now = plain.time()
        expected.append((now[0] * 1000 + now[1] // 1000 + 1, waiting, pending))
        await asyncio.sleep(0.005)

    for _ in range(7):
        plain.xadd(lane, {"id": "x", "type": "deploy"})
    await sample(7, 0)
    taken: Any = plain.xreadgroup("foreign", "gopher", {lane: ">"}, count=3)
    await sample(4, 3)
    await bus.publish("deploy", priority="high")
    await sample(5, 3)
    plain.xack(lane, "foreign", *[entry for entry, _ in taken[0][1]])
    await sample(5, 0)
    source = await past.source()
    for at_ms, waiting, pending in expected:
        high = next(one for one in (await source.snapshot(at_ms)).lanes if one.stream == lane)
        assert ((high.backlog or 0) - (high.pending or 0), high.pending) == (waiting, pending)
    source.close()


async def test_nothing_is_written_while_the_books_are_right(bus: Bus, plain: redis.Redis, tmp_path: Path) -> None:
    """Where all agents write events there is nothing to correct, however often the recorder looks."""
    recorder = Recorder(bus, tmp_path)
    for at in range(5):
        await bus.publish("deploy", id=f"t{at}")
        await recorder.once()
    sampled = [event for event in (await bus.events(limit=100)).items if event.kind == "sampled"]
    assert [event.reason for event in sampled] == ["engine"]


async def test_the_past_of_a_bus_is_read_on(bus: Bus, tmp_path: Path) -> None:
    """What happens while somebody looks back is there when they look again, and the playhead stays."""
    await bus.publish("deploy", id="one")
    past = BusPast(bus, tmp_path)
    source = await past.source()
    first, last = source.span or (0, 0)
    source.seek(first)
    await asyncio.sleep(0.01)
    await bus.publish("deploy", id="two")
    await source.refresh()
    assert (source.span or (0, 0))[1] > last
    assert source.at_ms == first
    assert (await source.trace("two")).events == ()
    source.seek((source.span or (0, 0))[1])
    assert len((await source.trace("two")).events) == 1
    source.close()


async def test_bookmarks_are_kept_in_the_bus(bus: Bus) -> None:
    """Everybody who looks at the bus finds them, in the order of their times."""
    late = await add_bookmark(bus.partitions, 2000, "it was fixed", "harold")
    early = await add_bookmark(bus.partitions, 1000, "pink went wrong", "olive")
    await bus.connection.command("HSET", bus.keys.bookmarks, "broken", "{")
    assert await bookmarks(bus.partitions) == (early, late)
    assert await remove_bookmark(bus.partitions, early.id)
    assert not await remove_bookmark(bus.partitions, early.id)
    assert await bookmarks(bus.partitions) == (late,)
