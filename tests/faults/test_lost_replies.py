"""Rows 1 to 3: what the engine did and nobody heard of, and what it never heard of itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.model.event import EventKind
from observatory.model.task import TaskState
from tests.conftest import eventually
from tests.faults.rig import Notes
from tests.faults.verdict import books

if TYPE_CHECKING:
    from tests.faults.proxy import Proxy
    from tests.faults.rig import Rig


@pytest.mark.parametrize("times", [1, 3])
async def test_a_publish_whose_reply_is_lost_is_one_task(any_rig: Rig, proxy: Proxy, times: int) -> None:
    """However often the answer to a publish is lost, there is one entry, one ticket and one execution."""
    notes = Notes()
    async with Bus.connect(proxy.url) as bus:
        lost = proxy.drop_reply("publish", times=times)
        await any_rig.publish(bus, "x", id="ticket")
        assert lost.hits == times
        assert any_rig.raw.xlen("cortex:tasks:normal") == 1
        async with any_rig.working(bus, "pink", notes):
            await eventually(lambda: notes.begun == {"ticket": 1})
    await any_rig.judge()


async def test_a_batch_whose_reply_is_lost_is_published_once(any_rig: Rig, proxy: Proxy) -> None:
    """A hundred publishes that share their round trips share the loss, and each is still one task."""
    notes = Notes()
    async with Bus.connect(proxy.url) as bus:
        proxy.drop_reply("publish", times=2)
        proxy.drop_request("publish", times=1)
        await asyncio.gather(*(any_rig.publish(bus, "x") for _ in range(100)))
        assert any_rig.raw.xlen("cortex:tasks:normal") == 100
        async with any_rig.working(bus, "pink", notes, concurrency=10):
            await eventually(lambda: len(notes.tasks) == 100)
    await any_rig.judge()


async def test_what_an_unheard_take_took_is_found_again(any_rig: Rig, proxy: Proxy) -> None:
    """Entries whose delivery was lost on the way run all the same, once, by their consumer's own check."""
    notes = Notes()
    async with Bus.connect(proxy.url) as bus:
        for number in range(3):
            await any_rig.publish(bus, "x", id=f"t-{number}")
        lost = proxy.drop_reply("take")
        async with any_rig.working(bus, "pink", notes, concurrency=3, lease_s=8.0):
            await eventually(lambda: notes.begun == {"t-0": 1, "t-1": 1, "t-2": 1}, timeout=15)
        assert lost.hits == 1
        assert EventKind.REDELIVERED not in (await books(bus)).totals
    await any_rig.judge()


async def test_what_an_unheard_blocked_read_brought_is_found_again(any_rig: Rig, proxy: Proxy) -> None:
    """An entry that woke a blocked read, and was lost on the way, runs all the same, once."""
    notes = Notes()
    async with (
        Bus.connect(any_rig.url) as producer,
        Bus.connect(proxy.url) as bus,
        any_rig.working(bus, "pink", notes, lease_s=8.0),
    ):
        await eventually(lambda: proxy.seen["xreadgroup"] > 0)
        proxy.drop_reply("xreadgroup", times=2)
        await any_rig.publish(producer, "x", id="woke")
        await eventually(lambda: notes.begun == {"woke": 1}, timeout=15)
    await any_rig.judge()


async def fail(_task: Any) -> None:
    """A handler that has no luck."""
    raise RuntimeError("no luck")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("outcome", [TaskState.DONE, TaskState.DEAD])
async def test_a_settlement_whose_reply_is_lost_stands_once(
    any_rig: Rig, proxy: Proxy, outcome: TaskState, times: int
) -> None:
    """A worker that does not hear that its settlement stands asks again, is told so, and counts it as its own."""
    notes = Notes(fail if outcome is TaskState.DEAD else None)
    async with Bus.connect(proxy.url) as bus:
        lost = proxy.drop_reply("settle", times=times)
        await any_rig.publish(bus, "x", id="once")
        async with any_rig.working(bus, "pink", notes, retry_delays=(0.5,)) as worker:
            await eventually(lambda: worker.stats.done == 1 or worker.stats.failed == 2)
        assert lost.hits == times
        record = await bus.record("once")
        assert record is not None
        assert (record.state, worker.stats.lost) == (outcome, 0)
    await any_rig.judge()


async def test_slow_chopped_and_silent_lines_only_delay(any_rig: Rig, proxy: Proxy, soak: bool) -> None:
    """Late replies, one byte at a time, and dead connections mix up no answers: each call hears of its own task."""
    notes = Notes()
    count = 300 if soak else 40
    async with Bus.connect(proxy.url) as bus:
        proxy.slice()
        proxy.delay(seconds=0.02, times=10)
        proxy.drop_request("publish", silent=True)
        answers = await asyncio.gather(*(bus.publish("x", id=f"t-{number}") for number in range(count)))
        assert [answer.id for answer in answers] == [f"t-{number}" for number in range(count)]
        for answer in answers:
            any_rig.history.acknowledged.add(answer.id)
            record = await bus.record(answer.id)
            assert record is not None
            assert record.entry_id == answer.entry_id
        async with any_rig.working(bus, "pink", notes, concurrency=8):
            await eventually(lambda: len(notes.tasks) == count, timeout=30)
    proxy.heal()
    await any_rig.judge()
