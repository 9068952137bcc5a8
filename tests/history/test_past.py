"""The `Source` of the past: what it says of a time is what was true then, by a witness of its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.keys import Keys
from observatory.bus.reads.observe import Cursor
from observatory.history.seal import Sealer
from observatory.history.source import PastSource
from observatory.model.event import EventKind
from observatory.model.listing import Ask, EntryState, PendingScope
from observatory.model.snapshot import LaneState, LinkState, Origin
from observatory.model.task import TaskState
from observatory.model.timeline import FAILURES, MarkKind
from tests.bus.conftest import working
from tests.history.conftest import chronicle_of
from tests.history.logs import AGENTS, entries, facts, put, run, yesterday

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis

    from observatory.bus import Bus
    from observatory.bus.reads.observe import Observation
    from observatory.history.archive import Archive
    from observatory.model.event import Event
    from observatory.model.snapshot import LaneView, Snapshot

WORKERS = "workers"


@contextlib.asynccontextmanager
async def swarm(bus: Bus, seed: int) -> AsyncIterator[None]:
    """A small swarm that fails, is paused and is cancelled at random, until the block ends."""
    rnd = random.Random(seed)

    async def handle(_task: Any, _context: Any) -> None:
        await asyncio.sleep(rnd.random() * 0.02)
        if rnd.random() < 0.6:
            raise ValueError(f"repo {rnd.randrange(9)} is gone")

    async def publish() -> None:
        for at in range(10_000):
            name, delay = f"t{at}", rnd.choice((0, 0, 0, 0.3))
            await bus.publish(
                rnd.choice(("deploy", "review")), id=name, priority=rnd.choice(("critical", "high", "low")),
                queue=rnd.choice(("shared", "coding")), delay=delay,
            )  # fmt: skip
            if delay and rnd.random() < 0.5:
                # What is cancelled in a lane stands there until it would be taken, which no event tells.
                await bus.cancel(name)
            await asyncio.sleep(rnd.random() * 0.008)

    options = {"retry_delays": (0.05, 0.1), "queues": ("coding", "shared"), "concurrency": 3}
    handlers = {"deploy": handle, "review": handle}
    async with working(bus, "pink", handlers, **options), working(bus, "olive", handlers, **options):
        publishing = asyncio.create_task(publish())
        yield
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


def counted(look: Observation) -> dict[str, tuple[int, int]] | None:
    """What the engine says of each lane that holds something: what waits, what is pending; None if it does not know."""
    found = {}
    for lane in look.lanes:
        group = next((group for group in lane.groups if group.name == WORKERS), None)
        waits, holds = (group.lag, group.pending) if group else (lane.length, 0)
        if waits is None:
            return None
        if waits or holds:
            found[str(lane.lane)] = (waits, holds)
    return found


def told(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """The same by a snapshot of the past."""
    return {
        (lane.priority if lane.queue == "shared" else f"{lane.queue}:{lane.priority}"): (
            (lane.backlog or 0) - (lane.pending or 0),
            lane.pending or 0,
        )
        for lane in snapshot.lanes
        if lane.backlog
    }


async def test_a_snapshot_of_the_past_is_what_the_engine_said_then(bus: Bus, archive: Archive, soak: bool) -> None:
    """At random times of a run with failures, backlog, pending, delayed and dead are those that the engine counted."""
    looks: list[Observation] = []
    wanted = 400 if soak else 120
    async with swarm(bus, 11):
        cursor = Cursor()
        for _ in range(wanted):
            look = await bus.observe(cursor)
            cursor = look.cursor
            looks.append(look)
            await asyncio.sleep(0.015)
    middle = looks[wanted // 2].at_ms
    await Sealer(bus.partitions, archive).seal(upto_ms=middle)
    chronicle = await chronicle_of(bus, archive)
    assert len(chronicle.stretches) == 2
    stamps = {event.ts_ms for event in chronicle.events(0, chronicle.rows)}
    source = PastSource(chronicle, bus.keys, origin="test")
    compared = equal = 0
    for look in looks:
        if look.at_ms in stamps or counted(look) is None:
            continue  # the engine was looked at in the middle of a millisecond in which things happened
        past = await source.snapshot(look.at_ms)
        by_log, by_engine = told(past), counted(look) or {}
        assert {lane: sum(held) for lane, held in by_log.items()} == {
            lane: sum(held) for lane, held in by_engine.items()
        }
        equal += by_log == by_engine
        assert past.delayed == look.delayed
        assert past.dead_letters.total == look.dead_letters.total
        compared += 1
    assert compared > wanted // 3, "most looks fall between two facts"
    # A blocked read has an entry for the instant before its worker can write that it begins.
    assert equal > compared * 0.9
    assert max((one.dead_letters.total or 0) for one in looks) > 3


@pytest.fixture
async def log(plain: redis.Redis) -> list[Event]:
    """Return the facts of a made-up day, which are in the engine."""
    written = entries(3000, per_s=2.0)
    put(plain, written)
    return facts(written)


@pytest.fixture
async def source(bus: Bus, log: list[Event], archive: Archive) -> AsyncIterator[PastSource]:
    """Return the past of that day."""
    found = PastSource(await chronicle_of(bus, archive), bus.keys, origin="yesterday")
    yield found
    found.close()


async def test_it_shows_the_past_and_says_so(source: PastSource, log: list[Event]) -> None:
    """Its snapshots are replays, of the time that was asked for, with the facts before it."""
    at_ms = log[1000].ts_ms
    source.seek(at_ms)
    snapshot = await source.snapshot()
    assert (snapshot.origin, snapshot.at_ms, snapshot.link.url) == (Origin.REPLAY, at_ms, "yesterday")
    assert snapshot.events[0] == [event for event in log if event.ts_ms <= at_ms][-1]
    assert [lane.priority for lane in snapshot.lanes[:4]] == ["critical", "high", "normal", "low"]
    assert source.span == (log[0].ts_ms, log[-1].ts_ms)
    assert source.alerts is None


async def test_the_latest_place_of_the_playhead_wins(source: PastSource, log: list[Event]) -> None:
    """Whoever drags sees where the hand is, not where it was."""
    stream = source.snapshots()
    await anext(stream)
    for event in log[500:600]:
        source.seek(event.ts_ms)
    assert (await anext(stream)).at_ms == log[599].ts_ms


async def test_rates_latencies_and_trends_are_those_of_then(source: PastSource, log: list[Event]) -> None:
    """Counted from the facts before the time, over the windows that live uses."""
    at_ms = log[len(log) // 2].ts_ms
    source.seek(at_ms)
    snapshot = await source.snapshot()
    before = [event for event in log if event.ts_ms <= at_ms]

    def lately(span_ms: int, *kinds: str) -> list[Event]:
        return [event for event in before if event.kind in kinds and event.ts_ms > at_ms - span_ms]

    lane = next(lane for lane in snapshot.lanes if lane.queue == "coding")
    came = [event for event in lately(5000, "published", "promoted", "requeued") if event.lane == lane.stream]
    assert lane.in_rate == pytest.approx(len(came) / 5)
    waited = [event.ms for event in lately(60_000, "taken") if event.ms is not None and event.attempt == 1]
    assert snapshot.flow.wait.samples == len(waited)
    second = at_ms // 1000 - 1
    assert snapshot.flow.completed[-1] == sum(
        event.kind == "completed" and event.ts_ms // 1000 == second for event in before
    )
    backlog = {lane.stream: lane.backlog for lane in snapshot.lanes}
    source.seek(at_ms - 30_000)
    then = await source.snapshot()
    for lane in then.lanes:
        now: LaneView = next(one for one in snapshot.lanes if one.stream == lane.stream)
        assert now.trend[-1] == backlog[lane.stream]
        assert now.trend[-31] == pytest.approx(lane.backlog, abs=1), "a cancelled retry leaves no lane"


async def test_every_list_answers_as_of_its_time(source: PastSource, log: list[Event]) -> None:
    """Lanes, pending work, dead letters, delayed work, agents and tasks agree with the snapshot."""
    source.seek(log[len(log) * 2 // 3].ts_ms)
    snapshot = await source.snapshot()
    for lane in snapshot.lanes:
        page = await source.entries(lane.stream, Ask(limit=1000))
        assert page.total == lane.backlog
        assert sum(row.state is EntryState.HELD for row in page.items) == lane.pending
        if page.items:
            assert await source.entry(lane.stream, page.items[0].key) == page.items[0]
        (group,) = await source.groups(lane.stream)
        assert (group.view.lag, group.view.pending) == ((lane.backlog or 0) - (lane.pending or 0), lane.pending)
    held = await source.pending(Ask(limit=1000), PendingScope())
    assert len(held.items) == sum(lane.pending or 0 for lane in snapshot.lanes)
    letters = await source.dead_letters(Ask(limit=1000))
    assert len(letters.items) == snapshot.dead_letters.total
    assert letters.items[0].error.startswith("ValueError")
    delayed = await source.entries("cortex:tasks:delayed", Ask(limit=1000))
    assert len(delayed.items) == snapshot.delayed
    for agent in snapshot.agents:
        detail = await source.agent(agent.name)
        assert detail is not None
        assert sum(one.pending for one in detail.held) == agent.pending
    rows = (await source.tasks(Ask(limit=5000))).items
    running = [row for row in rows if row.state is TaskState.RUNNING]
    assert len(running) == len(held.items)
    assert (await source.agent("nobody")) is None


@pytest.mark.parametrize("newest_first", [True, False])
async def test_lists_are_paged_both_ways(source: PastSource, newest_first: bool, log: list[Event]) -> None:
    """Page after page is the whole list, from either end, and a filter finds what it finds in all of it."""
    source.seek(log[-1].ts_ms)
    whole = (await source.dead_letters(Ask(limit=10_000, newest_first=newest_first))).items
    assert len(whole) > 40
    for backwards in (False, True):
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await source.dead_letters(Ask(cursor, limit=17, newest_first=newest_first, backwards=backwards))
            ids = [one.entry_id for one in page.items]
            found = ids + found if backwards else found + ids
            cursor = page.before if backwards else page.after
        assert found == [one.entry_id for one in whole]
    middle = whole[20].entry_id
    page = await source.dead_letters(Ask(middle, inclusive=True, limit=3, newest_first=newest_first))
    assert [one.entry_id for one in page.items] == [one.entry_id for one in whole[20:23]]


async def test_the_event_log_is_read_back_from_the_playhead(source: PastSource, log: list[Event]) -> None:
    """Nothing of what came later is among it, and a search goes on where it was."""
    at_ms = log[700].ts_ms
    source.seek(at_ms)
    before = [event for event in log if event.ts_ms <= at_ms][::-1]
    page = await source.events(Ask(limit=50))
    assert list(page.items) == before[:50]
    assert list((await source.events(Ask(page.after or "", limit=50))).items) == before[50:100]
    fails = await source.events(Ask(limit=5, where=lambda event: event.kind == "retried"))
    assert list(fails.items) == [event for event in before if event.kind == "retried"][:5]


async def test_a_task_is_traced_up_to_the_playhead(source: PastSource, log: list[Event]) -> None:
    """What had not happened yet is not told."""
    task = next(event.task for event in log if event.kind == "requeued")
    about = [event for event in log if event.task == task]
    for cut, event in enumerate(about):
        source.seek(event.ts_ms)
        trace = await source.trace(task)
        assert len(trace.events) >= cut + 1
        assert trace.events[: cut + 1] == tuple(about[: cut + 1])
        assert trace.complete


async def test_stepping_goes_from_event_to_event_and_from_failure_to_failure(
    source: PastSource, log: list[Event]
) -> None:
    """Forwards to just behind the next one, backwards to just before the last; the ends say that there is no more."""
    source.seek(log[0].ts_ms - 1)
    for event in log[:20]:
        assert await source.step()
        assert (await source.snapshot()).events[0] == event
    for event in reversed(log[:19]):
        assert await source.step(backwards=True)
        assert (await source.snapshot()).events[0] == event
    failures = [event for event in log if event.kind in FAILURES]
    for event in failures[:5]:
        assert await source.step(FAILURES)
        assert (await source.snapshot()).events[0] == event
    source.seek(log[-1].ts_ms)
    assert not await source.step()


async def test_marks_stand_where_something_happened(source: PastSource, log: list[Event]) -> None:
    """Agents that were lost and came back, pauses, what an operator did, and nothing twice."""
    marks = await source.marks(log[0].ts_ms, log[-1].ts_ms + 1)
    assert [mark.at_ms for mark in marks] == sorted(mark.at_ms for mark in marks)
    lost = [event for event in log if event.kind == EventKind.AGENT_LOST]
    assert sum(mark.kind is MarkKind.LOST for mark in marks) == len({event.ts_ms // 1000 for event in lost})
    assert {MarkKind.LOST, MarkKind.BACK, MarkKind.PAUSE, MarkKind.OPERATOR} <= {mark.kind for mark in marks}


async def test_density_comes_with_what_is_missing(bus: Bus, plain: redis.Redis, archive: Archive) -> None:
    """A gap is no time in which nothing happened: it is told, and so is the link of a moment in it."""
    written = entries(400, per_s=0.1)
    put(plain, written)
    key = next(iter(plain.scan_iter("cortex:events:*")))
    plain.xtrim(key, maxlen=300, approximate=False)
    await Sealer(bus.partitions, archive).seal()
    source = PastSource(await chronicle_of(bus, archive), bus.keys, origin="x")
    start = yesterday(0)
    density = await source.density(start, start + 24 * 3_600_000, 48)
    assert density.missing(0)
    assert not density.missing(20)
    assert sum(map(sum, density.kinds.values())) == len(facts(written[100:]))
    snapshot = await source.snapshot(start + 1000)
    assert snapshot.link.state is LinkState.LOST
    assert "left the log" in snapshot.link.reason


async def test_pauses_and_lost_agents_are_shown(bus: Bus, plain: redis.Redis, archive: Archive) -> None:
    """A lane that was paused is shown as paused, an agent that was lost as dead, and one that left as left."""
    start = yesterday()
    said = [
        run("agent_up", "", "", "", AGENTS[0], "0"),
        run("agent_up", "", "", "", AGENTS[1], "0"),
        run("published", "a", "deploy", "cortex:tasks:high", "harold", "1"),
        run("taken", "a", "deploy", "cortex:tasks:high", AGENTS[0], "1", "", "10"),
        run("paused", "", "", "cortex:tasks:high", "operator", "0", "", "2500"),
        run("agent_lost", "", "", "", AGENTS[0], "0"),
        run("agent_down", "", "", "", AGENTS[1], "0"),
    ]
    put(
        plain,
        [
            (f"{start + at * 1000}-0".encode(), [b"ts", str(start + at * 1000).encode(), *one])
            for at, one in enumerate(said)
        ],
    )
    source = PastSource(await chronicle_of(bus, archive), Keys(), origin="x")
    snapshot = await source.snapshot(start + 6000)
    high = snapshot.lanes[1]
    assert (high.state, high.pending, high.oldest_pending_s) == (LaneState.PAUSED, 1, 3.01)
    assert {agent.name: (agent.state, agent.task) for agent in snapshot.agents} == {
        "pink": ("dead", "a"),
        "harold": ("left", ""),
    }
    assert (await source.snapshot(start + 7000)).lanes[1].state is not LaneState.PAUSED
