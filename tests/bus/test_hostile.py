"""What foreign keys, entries and ids cannot do: stop a worker, lose a task, or unbalance the books."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus, CancelOutcome, TaskContext
from observatory.model.errors import UsageError
from observatory.model.event import EventKind
from observatory.model.task import Task, TaskState
from observatory.model.wire import duration_s
from tests.bus.conftest import working
from tests.bus.test_faults import all_events, hanging_worker
from tests.bus.test_worker import Notebook, _is, _letters, failing
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping


async def test_a_retry_for_a_broken_lane_does_not_stop_the_others(bus: Bus, raw: Any) -> None:
    """A delayed task whose lane became something else, and a body that is not ours, wait; everything else goes on."""
    notebook = Notebook()
    await bus.publish("x", priority="high", delay=0.05)
    raw.hset("cortex:tasks:delayed:bodies", "junk", "{}")
    raw.zadd("cortex:tasks:delayed", {"junk": 1})
    raw.set("cortex:tasks:high", "mine")
    async with working(bus, "pink", {"x": notebook}):
        await bus.publish("x", id="goes-on")
        await eventually(lambda: [task.id for task in notebook.tasks] == ["goes-on"])
        raw.delete("cortex:tasks:high")
    assert raw.zcard("cortex:tasks:delayed") == 2
    assert raw.zscore("cortex:tasks:delayed", "junk") > 1


@pytest.mark.parametrize(
    "fields",
    [
        {"data": "[" * 100_000},
        {"data": '{"type": "x", "\\ud800": 1}'},
        {"data": '{"type": "x", "payload": ' + "[" * 50_000 + "}"},
        {"type": "x\x1f\x1ey", "payload": "\x1f\x1e"},
        {"type": "x", "ttl": "1" * 20_000 + "x"},
        {"type": "x" * 100_000},
        {f"field{number}": "v" for number in range(5_000)},
        {"id": "a" * 5_000, "type": "gone"},
        {"id": "with spaces : and \x1f\x1e", "type": "gone"},
    ],
    ids=lambda fields: str(fields)[:30],
)
async def test_no_entry_stops_a_worker(bus: Bus, raw: Any, fields: Mapping[str, str]) -> None:
    """Whatever stands in a lane is run or becomes a dead letter, and what comes after it is served."""
    notebook = Notebook()
    raw.xadd("cortex:tasks:high", fields)
    async with working(bus, "pink", {"after": notebook}):
        await bus.publish("after")
        await eventually(lambda: len(notebook.tasks) == 1)
        await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 1)
    assert not (await all_events(bus)).count(TaskState.RUNNING)


async def test_a_foreign_key_in_a_records_place_does_not_keep_a_task_from_running(bus: Bus, raw: Any) -> None:
    """The key stays as it is, without an expiry of ours, and the task runs."""
    notebook = Notebook()
    raw.set("cortex:task:7", "mine")
    raw.xadd("cortex:tasks:high", {"id": "7", "type": "x"})
    raw.xadd("cortex:tasks:high", {"id": "8", "type": "bad"})
    raw.set("cortex:task:8", "mine")
    async with working(bus, "pink", {"x": notebook, "bad": failing}, retry_delays=()):
        await eventually(lambda: len(notebook.tasks) == 1)
        await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 1)
        await eventually(lambda: raw.xlen("cortex:tasks:high") == 0)
    assert (raw.get("cortex:task:7"), raw.ttl("cortex:task:7")) == ("mine", -1)


async def test_a_beat_that_is_none_does_not_blind_the_screens(bus: Bus, raw: Any) -> None:
    """A foreign last beat and a hostile list of capabilities leave the rest to be seen."""
    await bus.heartbeat("pink")
    raw.hset("cortex:agents", "red", '{"status": "idle"}')
    raw.xadd("cortex:heartbeats", {"from": "blue", "capabilities": "[" * 100_000})
    seen = {beat.agent for beat in (await bus.observe()).beats}
    assert seen == {"pink", "blue"}


async def test_a_dead_letter_stream_of_the_wrong_type_loses_nothing(bus: Bus, raw: Any) -> None:
    """What is to be buried stays pending until there is a place for it."""
    raw.set("cortex:tasks:dlq", "mine")
    await bus.publish("bad", id="b")
    async with working(bus, "pink", {"bad": failing}, retry_delays=()):
        await eventually(lambda: _is(bus, "b", TaskState.RUNNING))
        assert raw.get("cortex:tasks:dlq") == "mine"
        raw.delete("cortex:tasks:dlq")
        (letter,) = await eventually(lambda: _letters(bus))
    assert letter.task_id == "b"


async def test_thousands_of_stale_tasks_are_diverted_bit_by_bit(bus: Bus, raw: Any) -> None:
    """However many are stale, no single call keeps the engine from everybody else."""
    notebook = Notebook()
    pipe = raw.pipeline(transaction=False)
    for number in range(3_000):
        pipe.xadd("cortex:tasks:high", {"id": f"s{number}", "type": "x", "ttl": "1", "v": "1"}, id=f"1000-{number + 1}")
    pipe.execute()
    raw.config_set("slowlog-log-slower-than", 100_000)
    raw.slowlog_reset()
    async with working(bus, "pink", {"x": notebook}, concurrency=4):
        await bus.publish("x")
        await eventually(lambda: len(notebook.tasks) == 1, timeout=20)
        await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 3_000, timeout=20)
    assert raw.slowlog_len() == 0


async def test_a_foreign_task_keeps_its_identity_through_its_retries(bus: Bus, raw: Any) -> None:
    """Without an id, or wrapped in JSON, it is the same task in every attempt and in its dead letter."""
    seen: list[tuple[str, str, bytes]] = []

    async def note_and_fail(task: Task, _context: TaskContext) -> None:
        seen.append((task.id, task.type, task.payload))
        raise RuntimeError("again")

    raw.xadd("cortex:tasks:high", {"type": "nameless", "payload": "p"})
    raw.xadd("cortex:tasks:high", {"data": json.dumps({"task_id": "J1", "kind": "build", "body": "b"})})
    async with working(bus, "pink", {"*": note_and_fail}, retry_delays=(0.01, 0.01)):
        await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 2)
    assert len(set(seen)) == 2
    assert len(seen) == 6
    letters = {letter.task_id for letter in (await bus.dead_letters()).items}
    assert letters == {ident for ident, _, _ in seen}
    books = await all_events(bus)
    assert (len(books.tasks), books.totals[EventKind.OBSERVED]) == (2, 2)


async def test_cancelling_work_of_another_group_is_only_a_request(bus: Bus) -> None:
    """Whoever runs it, in whatever group, a running task has one outcome."""
    started, release = asyncio.Event(), asyncio.Event()

    async def hold(_task: Task) -> None:
        started.set()
        await release.wait()

    await bus.publish("x", id="held")
    async with working(bus, "pink", {"x": hold}, group="agents") as worker:
        await started.wait()
        assert await bus.cancel("held") is CancelOutcome.REQUESTED
        await eventually(lambda: worker.stats.cancelled == 1)
    books = await all_events(bus)
    assert (books.totals.get(EventKind.COMPLETED, 0), books.totals[EventKind.CANCELLED]) == (0, 1)


async def test_a_replayed_id_can_be_cancelled_and_counts_again(bus: Bus, raw: Any) -> None:
    """A dead or done task that somebody adds again by hand is observed, and is where its record says."""
    notebook, started = Notebook(), asyncio.Event()

    async def hold(_task: Task) -> None:
        started.set()
        await asyncio.sleep(3600)

    await bus.publish("x", id="again")
    async with working(bus, "pink", {"x": notebook, "hold": hold}) as worker:
        await eventually(lambda: _is(bus, "again", TaskState.DONE))
        raw.xadd("cortex:tasks:low", {"id": "again", "type": "hold"})
        await started.wait()
        assert await bus.cancel("again") is CancelOutcome.REQUESTED
        await eventually(lambda: worker.stats.cancelled == 1)
    totals = (await all_events(bus)).totals
    assert (totals[EventKind.PUBLISHED], totals[EventKind.OBSERVED]) == (1, 1)
    assert (totals[EventKind.COMPLETED], totals[EventKind.CANCELLED]) == (1, 1)


async def test_ids_of_any_length_settle_together(bus: Bus, raw: Any) -> None:
    """Entries with explicit ids of different lengths are all settled by those who hold them."""
    notebook = Notebook()
    for ident in ("9-10", "10-9", "10-10", "11-1"):
        raw.xadd("cortex:tasks:normal", {"id": f"t{ident}", "type": "x", "ttl": "10y"}, id=ident)
    async with working(bus, "pink", {"x": notebook}, concurrency=8) as worker:
        await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 4)
        assert worker.stats.lost == 0


async def test_an_entry_too_wide_to_be_moved_keeps_all_its_fields(bus: Bus, raw: Any) -> None:
    """Through a retry and into the dead letters, thousands of fields stay what they were."""
    fields = {"id": "wide", "type": "bad", **{f"f{number}": f"v{number}" for number in range(4_000)}}
    raw.xadd("cortex:tasks:normal", fields)
    async with working(bus, "pink", {"bad": failing}, retry_delays=(0.01,)):
        (letter,) = await eventually(lambda: _letters(bus))
    assert (letter.task_id, letter.type, letter.attempts) == ("wide", "bad", 2)
    assert (b"f3999", b"v3999") in letter.fields


async def test_work_of_the_dead_waits_its_turn_without_becoming_poison(bus: Bus, bus_url: str) -> None:
    """Busy workers that cannot run it yet keep it for as long as it takes, and it runs once."""
    notebook, release = Notebook(), asyncio.Event()

    async def hold(_task: Task) -> None:
        await release.wait()

    await bus.publish("precious", id="precious")
    process = hanging_worker(bus_url)
    await eventually(lambda: _is(bus, "precious", TaskState.RUNNING))
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()
    handlers = {"precious": notebook, "hold": hold}
    async with (
        working(bus, "a", handlers, lease_s=0.4) as first,
        working(bus, "b", handlers, lease_s=0.4) as second,
    ):
        for _ in range(2):
            await bus.publish("hold", priority="critical")
        await eventually(lambda: first.running + second.running >= 2)
        await eventually(lambda: first.recovering + second.recovering >= 1)
        held_since = asyncio.get_running_loop().time()
        await eventually(lambda: asyncio.get_running_loop().time() - held_since > 2.0)
        release.set()
        await eventually(lambda: len(notebook.tasks) >= 1)
    totals = (await all_events(bus)).totals
    assert (len(notebook.tasks), totals.get(EventKind.DEAD_LETTERED, 0)) == (1, 0)


async def test_recovery_goes_on_past_a_lane_without_a_group(bus: Bus, bus_url: str, raw: Any) -> None:
    """A lane that is missing, or no stream, does not keep the dead worker's other lanes from being recovered."""
    notebook = Notebook()
    await bus.publish("x", id="low", priority="low")
    process = hanging_worker(bus_url)
    await eventually(lambda: _is(bus, "low", TaskState.RUNNING))
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()
    raw.delete("cortex:tasks:critical")
    raw.set("cortex:tasks:high", "mine")
    async with working(bus, "heir", {"x": notebook}, lease_s=1.0):
        await eventually(lambda: len(notebook.tasks) == 1)


async def test_old_entries_behind_many_fresh_ones_are_reached(bus: Bus, raw: Any) -> None:
    """A dead consumer's entry is recovered though thousands that are alive stand before it."""
    notebook = Notebook()
    stream = "cortex:tasks:normal"
    for number in range(1500):
        raw.xadd(stream, {"id": f"t{number}", "type": "x"})
    raw.xgroup_create(stream, "workers", id="0")
    raw.xreadgroup("workers", "alive", {stream: ">"}, count=1499)
    ((_, ((old, _),)),) = raw.xreadgroup("workers", "dead", {stream: ">"}, count=1)
    raw.execute_command("XCLAIM", stream, "workers", "dead", 0, old, "IDLE", 3_600_000)
    async with working(bus, "heir", {"x": notebook}, lease_s=30.0) as worker:
        found = await worker.intake.recover(1, set())
    assert [delivery.task.id for delivery in found] == ["t1499"]


def test_a_duration_cannot_cost_more_than_it_is_worth() -> None:
    """A hostile text is refused by its length."""
    with pytest.raises(ValueError, match="not a duration"):
        duration_s("1" * 1_000_000 + "x")


async def test_reading_at_an_id_that_is_none_names_it(bus: Bus) -> None:
    """A cursor that cannot be one is an error in words."""
    with pytest.raises(UsageError, match="not the id of an event"):
        await bus.events(after="zzz")
