"""The audit: equal after whatever the bus does, and every kind of damage by its name."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus, DoNotRetry, Snooze
from observatory.bus.care.audit import Audit, audit
from observatory.bus.care.audits import audit_bus
from observatory.bus.care.compare import UNKNOWABLE, Kind
from observatory.bus.keys import day_of, shifted
from observatory.bus.tasks.delivery import Outcome, Settlement, settle_arguments
from observatory.model.errors import BusError
from observatory.model.task import Lane, Priority, TaskState
from tests.bus.conftest import held, lane_of, lanes_of, together, working
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.everywhere(soak=True)

SWARM = 6


class Home:
    """The first partition: its keys, and how to put a task of any id there."""

    def __init__(self, bus: Bus) -> None:
        self.keys = bus.partitions.seat.keys
        self.low, self.normal, self.high = (
            self.keys.lane(Lane("shared", priority)) for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)
        )
        self.delayed, self.dead = self.keys.delayed, self.keys.dead_letters
        self._bus = bus
        self._deciding = iter(together(bus, 20))

    async def publish(self, task_id: str, kind: str = "x", **options: Any) -> None:
        """Publish a task there: its dedupe key decides."""
        await self._bus.publish(kind, id=task_id, dedupe=next(self._deciding), **options)


@pytest.fixture
def home(bus: Bus) -> Home:
    """The partition that a test looks into."""
    return Home(bus)


async def audited(bus: Bus, **options: Any) -> Audit:
    """Audit the bus."""
    return await audit_bus(bus.partitions, **options)


async def counted(bus: Bus) -> Audit:
    """Audit the first partition by its numbers alone, as if it held too much to compare task by task."""
    return await audit(bus.connection, bus.keys, most=0)


def found(told: Audit) -> dict[tuple[Kind, str], int]:
    """Return what differs: how much of which kind is where."""
    return {(one.kind, one.where): one.count for one in told.differences}


def unknown(told: Audit) -> dict[tuple[Kind, str], int]:
    """Return what cannot be known: how much of which kind is where."""
    return {(one.kind, one.where): one.count for one in told.unknown}


def examples(told: Audit) -> list[str]:
    """Return every example of a difference."""
    return [example for one in told.differences for example in one.examples]


async def erratic(task: Any, context: Any) -> None:
    """A handler that does everything a handler can do."""
    fate = random.Random(f"{task.id} {task.attempt} {context.deliveries}").random()
    if fate < 0.1:
        await asyncio.sleep(0.2)
    if fate < 0.2:
        raise ValueError("tried again")
    if fate < 0.25:
        raise DoNotRetry("never")
    if fate < 0.3:
        raise Snooze(0.05)
    await asyncio.sleep(fate / 100)


@contextlib.asynccontextmanager
async def swarm(bus: Bus) -> AsyncIterator[None]:
    """Run some workers that fail, and leave with work in hand."""
    async with contextlib.AsyncExitStack() as stack:
        for n in range(SWARM):
            await stack.enter_async_context(
                working(
                    bus,
                    f"agent-{n}",
                    {"*": erratic},
                    queues=("shared", "coding"),
                    concurrency=3,
                    retry_delays=(0.05, 0.1),
                    lease_s=1.0,
                )
            )
        yield


async def produce(bus: Bus, raw: Any, seconds: float, seed: int) -> None:
    """Publish, schedule, cancel and requeue as operators and foreign agents do, for some time."""
    dice = random.Random(seed)
    ids: list[str] = []
    for n in range(round(seconds * 200)):
        inside = f'{{"id": "in-{seed}-{n}"}}'
        match dice.randrange(8):
            case 0:
                lane = dice.choice((*lanes_of(bus, "low"), *lanes_of(bus, "high")))
                raw.xadd(lane, {"kind": "note", "task_id": f"foreign-{seed}-{n}", "body": "{}"})
            case 1:
                raw.xadd(
                    dice.choice(lanes_of(bus)),
                    dice.choice(({"type": "nameless"}, {"nothing": "of use"}, {"data": inside})),
                )
            case 2 if ids:
                await bus.cancel(dice.choice(ids))
            case 3:
                letters = (await bus.dead_letters(limit=5)).items
                await bus.requeue([letter.entry_id for letter in letters])
            case _:
                ident = f"{seed}-{n}"
                ids.append(ident)
                await bus.publish(
                    "x",
                    id=ident,
                    queue=dice.choice(("shared", "coding", "@agent-1")),
                    priority=dice.choice(list(Priority)),
                    delay=dice.choice((0, 0, 0.1, 60)),
                    ttl=dice.choice((0.001, 60)),
                )
        await asyncio.sleep(dice.random() / 100)


@pytest.mark.everywhere
async def test_a_swarm_that_fails_retries_cancels_and_requeues_adds_up(bus: Bus, raw: Any, soak: bool) -> None:
    """While it runs, when it has stopped with work left over, and when everything is drained: no difference."""
    async with swarm(bus):
        producing = asyncio.gather(*(produce(bus, raw, 1.5 if soak else 0.5, seed) for seed in range(3)))
        while not producing.done():
            told = await audited(bus)
            assert told.equal, told.differences
        await producing
    await produce(bus, raw, 0.3, 99)
    left = await audited(bus)
    assert left.equal, left.differences
    assert left.moving == 0
    assert left.by_task
    assert left.delayed[0] == left.delayed[1] > 0
    assert left.dead[0] == left.dead[1] > 0
    assert sum(lane.waiting or 0 for lane in left.lanes) > 0
    async with swarm(bus):
        lanes = [lane for priority in Priority for lane in lanes_of(bus, priority)]
        await eventually(lambda: held(raw, lanes) == 0)
    drained = await audited(bus)
    assert drained.equal, drained.differences
    assert not {Kind.UNTAKEN, Kind.UNBEGUN, Kind.FOREIGN} & {one.kind for one in drained.unknown}
    for partition in bus.partitions:
        numbers = await audit(partition.link, partition.keys, most=0)
        assert numbers.equal, numbers.differences
        assert not numbers.by_task


async def _runs(bus: Bus, task: str) -> bool:
    record = await bus.record(task)
    return record is not None and record.state is TaskState.RUNNING


@pytest.mark.everywhere
async def test_work_in_hand_of_the_living_and_the_dead_adds_up(bus: Bus, raw: Any) -> None:
    """Running, delivered to one that died before it began, and taken over: by the log and in the engine alike."""
    gate = asyncio.Event()
    low, normal = lane_of(bus, "dropped", "low"), lane_of(bus, "held")

    async def waiting(_task: Any) -> None:
        await gate.wait()

    await bus.publish("x", id="held")
    async with working(bus, "pink", {"x": waiting}):
        await eventually(lambda: _runs(bus, "held"))
        raw.xgroup_create(low, "workers", id="0", mkstream=True)
        await bus.publish("x", id="dropped", priority="low")
        raw.xreadgroup("workers", "red@there:1:0123abcd", {low: ">"})
        told = await audited(bus)
        assert told.equal, told.differences
        (counts,) = [lane for lane in told.lanes if lane.count.stream == normal]
        assert (counts.queued, counts.running, counts.waiting, counts.pending) == (0, 1, 0, 1)
        gate.set()
    assert (await audited(bus)).equal


async def test_a_bus_that_nobody_ever_used_is_equal(bus: Bus) -> None:
    """No log, no lanes: nothing differs, and nothing is claimed."""
    told = await audited(bus)
    assert told.equal
    assert (told.since_ms, told.days, told.facts, told.unknown) == (None, (), 0, ())


@pytest.fixture
async def furnished(bus: Bus, raw: Any, home: Home) -> Bus:
    """A bus with three tasks in a lane, one running, one delayed and two dead."""
    for n in range(3):
        await home.publish(f"low-{n}", priority="low")
    await home.publish("later", delay=600)
    await home.publish("coded", "bad", queue="coding")
    async with working(bus, "pink", {}, queues=("coding",)):
        await eventually(lambda: raw.xlen(home.dead) == 1)
    for ident in ("dead", "running"):
        await home.publish(ident)
    me = ("workers", "me@here:1:0123abcd")
    rows = (await bus.connection.call("take", (*me, 2), (home.normal,)))[0]
    dead = Settlement(home.normal, rows[0][1].decode(), 1, Outcome.DEAD, "dead", "x", 1, reason="error")
    await bus.connection.call("settle", settle_arguments(*me, [dead]))
    told = await audited(bus)
    assert told.equal, told.differences
    assert (told.delayed, told.dead) == ((1, 1), (2, 2))
    return bus


async def test_an_entry_that_somebody_deleted_is_missed(furnished: Bus, raw: Any, home: Home) -> None:
    """XDEL of what waits, and of what runs: each by the lane it should be in."""
    (entry, *_) = [ident for ident, _ in raw.xrange(home.low)]
    raw.xdel(home.low, entry)
    (running,) = [ident for ident, fields in raw.xrange(home.normal) if fields["id"] == "running"]
    raw.xdel(home.normal, running)
    told = await audited(furnished)
    assert found(told) == {(Kind.MISSING, home.low): 1, (Kind.MISSING, home.normal): 1}
    assert sorted(examples(told)) == ["low-0", "running"]
    assert found(await counted(furnished)) == {(Kind.FEWER, home.low): 1}, "a ghost is still pending"


async def test_a_lane_that_somebody_deleted_is_named(furnished: Bus, raw: Any, home: Home) -> None:
    """DEL of a lane, or something else in its place: all that was in it, with as many examples as asked for."""
    raw.delete(home.low)
    told = await audited(furnished, examples=2)
    assert found(told) == {(Kind.LANE_GONE, home.low): 3}
    assert examples(told) == ["low-0", "low-1"]
    raw.set(home.low, "x")
    assert found(await audited(furnished)) == {(Kind.LANE_GONE, home.low): 3}
    assert found(await counted(furnished)) == {(Kind.LANE_GONE, home.low): 3}


async def test_a_dead_letter_that_the_bus_did_not_write_is_named(furnished: Bus, raw: Any, home: Home) -> None:
    """Made up, or a copy of a real one under its id."""
    raw.xadd(home.dead, {"id": "fake", "type": "x", "reason": "error", "source": home.low})
    (_, real), *_ = raw.xrange(home.dead)
    raw.xadd(home.dead, real)
    told = await audited(furnished)
    assert found(told) == {(Kind.UNLOGGED, home.dead): 2}
    assert sorted(examples(told)) == sorted(["fake", real["id"]])
    assert found(await counted(furnished)) == {(Kind.MORE, home.dead): 2}


async def test_dead_letters_and_delayed_tasks_that_are_gone_are_missed(furnished: Bus, raw: Any, home: Home) -> None:
    """Deleted by hand, they are somewhere by the log and nowhere in the engine."""
    raw.delete(home.dead, home.delayed)
    assert found(await audited(furnished)) == {(Kind.MISSING, home.dead): 2, (Kind.MISSING, home.delayed): 1}
    assert found(await counted(furnished)) == {(Kind.FEWER, home.dead): 2, (Kind.FEWER, home.delayed): 1}


async def test_what_was_moved_by_hand_is_elsewhere(furnished: Bus, raw: Any, home: Home) -> None:
    """An entry carried from one lane to another, and a group made anew under a running task."""
    ((entry, fields), *_) = raw.xrange(home.low)
    raw.xdel(home.low, entry)
    raw.xadd(home.high, fields)
    raw.xgroup_destroy(home.normal, "workers")
    told = await audited(furnished)
    assert found(told) == {(Kind.ELSEWHERE, home.low): 1, (Kind.ELSEWHERE, home.normal): 1}
    assert sorted(examples(told)) == [
        f"low-0 (queued by the log, waiting in {home.high})",
        f"running (running by the log, waiting in {home.normal})",
    ]


async def test_an_acknowledgement_by_hand_is_named_unless_a_foreign_consumer_can_have_done_it(
    furnished: Bus, raw: Any, home: Home
) -> None:
    """Foreign consumers write no events, so where they take from a lane nobody can tell."""
    (running,) = [ident for ident, fields in raw.xrange(home.normal) if fields["id"] == "running"]
    raw.xack(home.normal, "workers", running)
    assert found(await audited(furnished)) == {(Kind.ACKNOWLEDGED, home.normal): 1}
    raw.xgroup_createconsumer(home.normal, "workers", "go-agent")
    told = await audited(furnished)
    assert told.equal
    assert unknown(told) == {(Kind.FOREIGN, home.normal): 1}


@pytest.mark.everywhere
async def test_a_plain_swarm_beside_the_bus_is_no_difference(bus: Bus, raw: Any) -> None:
    """Foreign producers and consumers on our lanes: counted, and said to be beyond knowing."""
    names = together(bus, 3)
    low, normal = lane_of(bus, names[0], "low"), lane_of(bus, names[0])
    for stream in (low, normal):
        raw.xgroup_create(stream, "agents", id="0", mkstream=True)
    raw.xadd(low, {"id": "theirs", "type": "x"})
    raw.xadd(low, {"id": "theirs too", "type": "x"})
    for name in names:
        await bus.publish("x", id=name)
    ((_, rows),) = raw.xreadgroup("agents", "go-agent", {normal: ">"}, count=2)
    raw.xack(normal, "agents", *[ident for ident, _ in rows])
    raw.xreadgroup("agents", "go-agent", {low: ">"}, count=1)
    told = await audited(bus)
    assert told.equal, told.differences
    assert unknown(told) == {(Kind.UNTAKEN, low): 1, (Kind.UNBEGUN, low): 1, (Kind.FOREIGN, normal): 2}


async def test_other_groups_of_a_lane_do_not_count_twice(bus: Bus, raw: Any, home: Home) -> None:
    """A second group keeps what ours has settled; ours decides, and where none is known to, every entry is there."""
    raw.xgroup_create(home.normal, "auditors", id="0", mkstream=True)
    raw.xgroup_create(home.low, "auditors", id="0", mkstream=True)
    raw.xgroup_create(home.low, "readers", id="0", mkstream=True)
    await home.publish("there", priority="low")

    async def nothing(_task: Any) -> None:
        return None

    async with working(bus, "pink", {"x": nothing}, queues=("coding", "shared"), group="workers"):
        await bus.pause([Lane("shared", Priority.LOW)])
        for n in range(5):
            await home.publish(f"done-{n}")
        await eventually(lambda: raw.hget(home.keys.record("done-4"), "state") == "done")
    raw.xgroup_destroy(home.low, "workers")
    told = await audited(bus)
    assert told.equal, told.differences
    assert raw.xlen(home.normal) == 5


async def test_ids_that_come_again_while_they_live_are_not_judged(bus: Bus, raw: Any, home: Home) -> None:
    """Foreign senders repeat ids; the log does not tell one entry from the other, and the audit does not pretend."""
    gate = asyncio.Event()

    async def waiting(_task: Any) -> None:
        await gate.wait()

    for _ in range(2):
        raw.xadd(home.normal, {"id": "same", "type": "x"})
    async with working(bus, "pink", {"x": waiting}, concurrency=2):
        await eventually(lambda: _kinds(bus, "observed", 2))
        told = await audited(bus)
        assert told.equal, told.differences
        assert unknown(told) == {(Kind.REPEATED, ""): 1}
        gate.set()
    assert unknown(await audited(bus)) == {}


async def _kinds(bus: Bus, kind: str, times: int) -> bool:
    return [event.kind for event in (await bus.events()).items].count(kind) == times


async def test_a_log_whose_beginning_is_gone_is_said_to_be_so(furnished: Bus, raw: Any, home: Home) -> None:
    """What is older than it is not judged, and the day that lost facts is named; there is no difference."""
    (day,) = (await audited(furnished)).days
    raw.xtrim(home.keys.events(day), maxlen=1, approximate=False)
    told = await audited(furnished)
    assert told.equal, told.differences
    assert unknown(told)[Kind.TRIMMED, day] > 5
    assert unknown(told)[Kind.OLDER, home.dead] == 1
    assert unknown(told)[Kind.OLDER, home.delayed] == 1
    assert unknown(told)[Kind.UNTAKEN, home.low] == 3
    for partition in furnished.partitions:
        raw.delete(partition.keys.events(day))
    gone = await audited(furnished)
    assert gone.equal
    assert gone.since_ms is None
    assert unknown(gone)[Kind.OLDER, home.dead] == 2


async def test_counters_that_do_not_fit_the_log_are_named(furnished: Bus, raw: Any, home: Home) -> None:
    """A counter that was set by hand, and facts that were taken out of the middle of the log."""
    (day,) = (await audited(furnished)).days
    yesterday = shifted(day, -1)
    raw.xadd(home.keys.events(yesterday), {"kind": "told_by_a_foreign_agent", "task": ""}, id="1-1")
    assert (await audited(furnished)).equal, "nobody counts what foreign agents add"
    ident = raw.xrange(home.keys.events(day))[1][0]
    raw.xdel(home.keys.events(day), ident)
    told = await audited(furnished)
    assert found(told)[Kind.COUNTERS, day] == 1
    assert "published: " in examples(told)[-1]
    raw.delete(home.keys.density(day))
    assert found(await audited(furnished))[Kind.COUNTERS, day] > 5


async def test_a_false_fact_in_the_log_is_found(furnished: Bus, raw: Any, home: Home) -> None:
    """A foreign agent may add facts; one that is not true shows."""
    (day,) = (await audited(furnished)).days
    raw.xadd(home.keys.events(day), {"kind": "published", "task": "invented", "lane": home.low})
    raw.xadd(home.keys.events(day), {"kind": "scheduled", "task": "low-1", "lane": home.low})
    told = await audited(furnished)
    assert found(told) == {(Kind.MISSING, home.low): 1}
    assert unknown(told) == {(Kind.REPEATED, ""): 1}


async def test_the_log_is_read_over_midnight(bus: Bus, raw: Any, home: Home) -> None:
    """Facts of an earlier day come first, whatever their ids are."""
    await home.publish("new")
    today = day_of(int(raw.time()[0]) * 1000)
    lane = {"lane": home.normal}
    for back, kind, task in ((2, "published", "old"), (1, "completed", "old"), (3, "published", "new")):
        raw.xadd(home.keys.events(shifted(today, -back)), {"kind": kind, "task": task, **lane})
    told = await audited(bus)
    assert told.days == tuple(shifted(today, -back) for back in (3, 2, 1, 0))
    assert told.equal, told.differences


@pytest.mark.everywhere
async def test_hostile_ids_and_entries_add_up(bus: Bus, raw: Any) -> None:
    """Separators, bytes that are no text, ids that stand for none, fields without number: taken, dead, and equal."""
    lanes = itertools.cycle(lanes_of(bus))
    raw.xadd(next(lanes), {"id": "a\x1fb\x1ec", "type": "x"})
    raw.xadd(next(lanes), {b"id": b"\xff\xfe", b"type": b"x"})
    raw.xadd(next(lanes), {"id": "n" * 600, "type": "x"})
    raw.xadd(next(lanes), {"id": "null", "type": "x"})
    raw.xadd(next(lanes), {"ID": "upper", "TYPE": "x"})
    raw.xadd(next(lanes), {"junk": "y"})
    raw.xadd(next(lanes), {f"f{n}": "" for n in range(4000)} | {"type": "x"})
    assert (await audited(bus)).equal
    async with working(bus, "pink", {}):
        await eventually(lambda: held(raw, [part.keys.dead_letters for part in bus.partitions]) == 7)
    told = await audited(bus)
    assert told.equal, (told.differences, told.unknown)
    assert told.dead == (7, 7)


async def test_what_cannot_be_read_is_an_error_and_not_a_verdict(bus: Bus, raw: Any, home: Home) -> None:
    """A foreign key in the place of the log or of the dead letters."""
    raw.set(home.dead, "x")
    with pytest.raises(BusError, match="WRONGTYPE"):
        await audited(bus)


def test_every_kind_is_either_a_difference_or_beyond_knowing() -> None:
    """The two do not overlap, and the enumeration lists differences first."""
    kinds = list(Kind)
    assert [kind in UNKNOWABLE for kind in kinds] == sorted(kind in UNKNOWABLE for kind in kinds)
