"""Rows 21, 23 and 24: dead lines, other releases and flushed scripts, clocks that are wrong."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from observatory.bus import Bus, CancelOutcome
from observatory.model.clock import SystemClock
from observatory.model.event import EventKind
from observatory.model.snapshot import LinkState
from tests.conftest import eventually
from tests.faults.rig import Notes
from tests.faults.verdict import events_of

if TYPE_CHECKING:
    from observatory.model.task import Task
    from tests.faults.proxy import Proxy
    from tests.faults.rig import Rig

HOUR_MS = 3_600_000


async def test_a_line_that_goes_dead_without_a_word_is_noticed(any_rig: Rig, proxy: Proxy) -> None:
    """An agent whose every connection is half open hangs up by itself and works on over new ones."""
    notes = Notes()
    any_rig.history.disturbed.add("pink@")
    async with (
        Bus.connect(any_rig.url) as producer,
        Bus.connect(proxy.url) as bus,
        any_rig.working(bus, "pink", notes, concurrency=2, lease_s=4.0),
    ):
        await any_rig.publish(producer, "x", id="before")
        await eventually(lambda: notes.begun["before"] == 1 and proxy.seen["xreadgroup"] > 1)
        assert proxy.half_open().hits > 0
        await any_rig.publish(producer, "x", id="after")
        await eventually(lambda: notes.begun["after"] == 1, timeout=20)
        await eventually(lambda: bus.link.state is LinkState.READY)
    proxy.heal()
    await any_rig.judge()


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_lines_that_break_all_the_time_break_nothing(any_rig: Rig, proxy: Proxy, soak: bool, fault: str) -> None:
    """Connections that end in the middle of everything cost time, and no task."""
    notes = Notes()
    count = 2000 if soak else 100
    any_rig.history.disturbed.add("@")
    async with Bus.connect(proxy.url) as bus, any_rig.working(bus, "pink", notes, concurrency=4, lease_s=2.0):
        breaking = asyncio.create_task(_break_again_and_again(proxy, fault))
        await asyncio.gather(*(any_rig.publish(bus, "x", id=f"t-{number}") for number in range(count)))
        await eventually(lambda: len(notes.begun) == count, timeout=40)
        breaking.cancel()
        await asyncio.wait({breaking})
    await any_rig.judge()


async def _break_again_and_again(proxy: Proxy, fault: str) -> None:
    while True:
        getattr(proxy, fault)()
        await asyncio.sleep(0.05)


async def test_two_releases_share_a_bus_whose_scripts_are_flushed(any_rig: Rig, soak: bool) -> None:
    """Agents that send other texts of every script, while the cache is emptied in a loop, see no error."""
    count = 2000 if soak else 200
    async with Bus.connect(any_rig.url) as bus:
        ours = any_rig.spawn("ours", concurrency=4)
        theirs = any_rig.spawn("theirs", settings={"other_version": True}, concurrency=4)
        await ours.up()
        await theirs.up()
        for number in range(count):
            await any_rig.publish(bus, "work", {"s": 0.002}, id=f"t-{number}")
            if number % 5 == 0:
                any_rig.raw.script_flush()
        await eventually(lambda: ours.stats["done"] + theirs.stats["done"] == count, timeout=60)
        assert ours.stats["done"] > 0
        assert theirs.stats["done"] > 0
    await any_rig.dismiss(ours, theirs)
    await any_rig.judge()


class Askew(SystemClock):
    """A wall clock that is wrong by a constant."""

    def __init__(self, off_ms: int) -> None:
        self._off_ms = off_ms

    def now_ms(self) -> int:
        """The wrong time."""
        return super().now_ms() + self._off_ms


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS])
async def test_a_client_whose_clock_is_an_hour_off_changes_nothing(any_rig: Rig, off_ms: int) -> None:
    """Time to live, delays, retries and cancels go by the engine's clock, whatever the client believes."""

    async def fail_once(task: Task) -> None:
        if task.id == "unlucky" and task.attempt == 1:
            raise RuntimeError("once")

    notes = Notes(fail_once)
    async with Bus.connect(any_rig.url, clock=Askew(off_ms)) as bus:
        await any_rig.publish(bus, "x", id="late", ttl=0.05)
        await any_rig.publish(bus, "x", id="fresh", ttl=60)
        await any_rig.publish(bus, "x", id="unlucky")
        await any_rig.publish(bus, "x", id="soon", delay=0.3)
        await any_rig.publish(bus, "x", id="never", delay=600)
        await asyncio.sleep(0.1)
        async with any_rig.working(bus, "pink", notes, retry_delays=(0.3,)):
            await eventually(lambda: notes.begun == {"fresh": 1, "unlucky": 2, "soon": 1})
            assert await bus.cancel("never") is CancelOutcome.CANCELLED
        (letter,) = (await bus.dead_letters()).items
        assert (letter.task_id, letter.reason) == ("late", "stale")
        now = time.time() * 1000
        assert all(abs(event.ts_ms - now) < 60_000 for event in await events_of(bus))
    await any_rig.judge()


async def test_ids_that_ran_ahead_of_the_clock_do_not_stop_a_lane(any_rig: Rig) -> None:
    """After an entry from an hour ahead the order stays, delays and retries hold, and all of it is worked off."""

    async def fail_once(task: Task) -> None:
        if task.id == "unlucky" and task.attempt == 1:
            raise RuntimeError("once")

    notes = Notes(fail_once)
    raw = any_rig.raw
    ahead = f"{int(time.time() * 1000) + HOUR_MS}-0"
    raw.xadd("cortex:tasks:normal", {"id": "ahead", "type": "x", "payload": ""}, id=ahead)
    any_rig.history.acknowledged.add("ahead")
    async with Bus.connect(any_rig.url) as bus:
        await any_rig.publish(bus, "x", id="unlucky")
        await any_rig.publish(bus, "x", id="soon", delay=0.3)
        async with any_rig.working(bus, "pink", notes, retry_delays=(0.3,)):
            await eventually(lambda: notes.begun == {"ahead": 1, "unlucky": 2, "soon": 1})
        assert [task.id for task in notes.tasks][:2] == ["ahead", "unlucky"]
        waits = [event.ms for event in await events_of(bus) if event.kind == EventKind.TAKEN]
        assert all(wait is not None and 0 <= wait < 60_000 for wait in waits)
    await any_rig.judge()
