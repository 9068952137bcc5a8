"""The chronicle: sealed and hot history as one, against reading everything and counting by hand."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observatory.bus.reads.log import read_events
from observatory.history.chronicle import Chronicle
from observatory.history.columns import behind, events_of, in_order, read_page, rows_of, table_of, unified
from observatory.history.index import FRAME_EVERY, GROUP_ROWS
from observatory.history.seal import Sealer
from observatory.history.stretch import Cache
from observatory.model.event import EventKind, event_order
from observatory.model.reduce import Books, fold, row_of
from tests.history.conftest import chronicle_of
from tests.history.logs import entries, facts, put, run, yesterday

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus
    from observatory.history.archive import Archive
    from observatory.model.event import Event

COUNT = 12_000
"""Entries of the log that most tests ask about: three hours, two of them sealed."""

_TEXT = st.binary(max_size=12).map(lambda text: text.translate(None, b"\x1e\x1f"))
_RUNS = st.lists(
    st.tuples(st.sampled_from([b"taken", b"completed", b"note", b"?"]), _TEXT.map(lambda text: text + b"\x1f" * 7)),
    max_size=3,
).map(lambda runs: [part for run in runs for part in run])
_PLAIN = st.lists(st.sampled_from([b"kind", b"task", b"lane", b"ms", b"attempt"]), max_size=3, unique=True).flatmap(
    lambda names: st.tuples(*[_TEXT for _ in names]).map(
        lambda values: [part for pair in zip(names, values, strict=True) for part in pair]
    )
)
_FLAT = st.tuples(st.sampled_from([b"1770378300000", b"", b"x"]), st.one_of(_RUNS, _PLAIN)).map(
    lambda said: [b"ts", said[0], *said[1]]
)


@pytest.fixture
async def log(bus: Bus, plain: redis.Redis, archive: Archive) -> list[Event]:
    """Return the facts of a log of which the first part is sealed and the rest is hot."""
    written = entries(COUNT, per_s=1.2)
    put(plain, written[: COUNT // 2])
    await Sealer(bus.partitions, archive).seal()
    put(plain, written[COUNT // 2 :])
    return facts(written)


@pytest.fixture
async def chronicle(bus: Bus, log: list[Event], archive: Archive) -> Chronicle:
    """Return sealed and hot history together."""
    found = await chronicle_of(bus, archive)
    assert len(found.stretches) > 1
    assert found.stretches[-1].rows > 0
    return found


def clean(event: Event) -> Event:
    """Return *event* with U+FFFD where columns cannot hold what it says."""
    return events_of(table_of([event]))[0]


@settings(max_examples=40)
@given(st.lists(_FLAT, max_size=6))
def test_a_page_of_the_log_reads_as_its_entries_do_one_by_one(flats: list[list[bytes]]) -> None:
    """Reading by columns is a short cut, and never another opinion: foreign, broken and empty entries included."""
    rows = [(f"1770378300000-{at}".encode(), flat) for at, flat in enumerate(flats)]
    expected = [clean(event) for ident, flat in rows for event in read_events(ident, flat)]
    table = read_page(rows)
    assert events_of(table) == expected
    assert list(rows_of(table)) == [row_of(event) for event in expected]


def test_columns_are_put_in_order_and_each_fact_counts_once() -> None:
    """Several partitions, and a page that was read twice, are one log."""
    said = facts(entries(300))
    table = table_of(said)
    shuffled = [table.slice(100, 150), table.slice(0, 120), table.slice(240)]
    assert events_of(in_order(unified(shuffled))) == said
    assert events_of(behind(table, event_order(said[41].id))) == said[42:]


async def test_everything_is_there_once_and_in_order(chronicle: Chronicle, log: list[Event]) -> None:
    """Nobody sees where the archive ends and the engine begins."""
    assert chronicle.rows == len(log)
    assert chronicle.events(0, chronicle.rows) == log
    seam = chronicle.stretches[0].rows
    assert chronicle.events(seam - 5, seam + 5) == log[seam - 5 : seam + 5]


async def test_the_state_at_any_time_is_the_fold_of_everything_before(chronicle: Chronicle, log: list[Event]) -> None:
    """Keyframes and steps are a short cut: at 200 random times, and at each edge, the books are those of all facts."""
    rnd = random.Random(3)
    times = [rnd.randrange(log[0].ts_ms - 10, log[-1].ts_ms + 10) for _ in range(200)]
    rows = {chronicle.row_at(time) for time in times} | {0, 1, FRAME_EVERY, GROUP_ROWS, len(log)}
    rows |= {chronicle.stretches[0].rows + step for step in (-1, 0, 1)}
    books, done = Books(), 0
    for row in sorted(rows):
        books, done = fold(books, log[done:row]), row
        assert chronicle.state(row) == books, row


async def test_a_time_is_where_the_facts_before_it_end(chronicle: Chronicle, log: list[Event]) -> None:
    """As many facts have happened at a time as were stamped up to it."""
    stamps = [event.ts_ms for event in log]
    rnd = random.Random(4)
    for time in [stamps[0] - 1, stamps[0], stamps[-1], *rnd.choices(range(stamps[0], stamps[-1]), k=100)]:
        assert chronicle.row_at(time) == sum(stamp <= time for stamp in stamps)


async def test_density_is_what_counting_finds(chronicle: Chronicle, log: list[Event]) -> None:
    """At any width of the range and of the buckets, and for ranges that reach beyond what there is."""
    rnd = random.Random(5)
    stamps: dict[str, list[int]] = {}
    for event in log:
        stamps.setdefault(event.kind, []).append(event.ts_ms)
    first, span = log[0].ts_ms, log[-1].ts_ms - log[0].ts_ms
    for width in (700, 5_000, 59_999, 600_000, 600_001, span // 2, span + 5_000_000):
        start = first + rnd.randrange(-width // 2, max(span - width // 2, 1))
        for buckets in (1, 7, 200):
            edges, found = chronicle.density(start, start + width, buckets)
            assert len(edges) == buckets + 1
            assert abs(edges[0] - start) < 1000
            for kind, times in stamps.items():
                expected = [bisect_left(times, high) - bisect_left(times, low) for low, high in pairwise(edges)]
                assert list(found.get(kind, np.zeros(buckets, int))) == expected


async def test_a_task_is_traced_from_its_first_fact(chronicle: Chronicle, log: list[Event]) -> None:
    """Its whole life, wherever its parts are; of an unknown one nothing."""
    rnd = random.Random(6)
    seam = log[chronicle.stretches[0].rows].task
    for task in {seam, *(event.task for event in rnd.sample(log, 40) if event.task)}:
        assert chronicle.trace(task) == [event for event in log if event.task == task]
    assert chronicle.trace("nobody") == chronicle.trace("") == []


async def test_the_next_and_the_last_of_a_kind_are_found(chronicle: Chronicle, log: list[Event]) -> None:
    """Forwards and backwards, over the seam, rare kinds and all kinds, and none where there is none."""
    rnd = random.Random(7)
    for kinds in ((), (EventKind.PAUSED,), (EventKind.DEAD_LETTERED, EventKind.RETRIED), (EventKind.BROADCAST,)):
        at = [row for row, event in enumerate(log) if not kinds or event.kind in kinds]
        for row in [0, len(log), *rnd.choices(range(len(log)), k=40)]:
            assert chronicle.next_row(row, kinds) == next((one for one in at if one >= row), None)
            assert chronicle.next_row(row, kinds, backwards=True) == next((one for one in at[::-1] if one < row), None)


async def test_facts_of_some_kinds_in_a_range(chronicle: Chronicle, log: list[Event]) -> None:
    """What marks a timeline is found without reading everything."""
    kinds = (EventKind.PAUSED, EventKind.RESUMED, EventKind.AGENT_LOST)
    low, high = log[len(log) // 4].ts_ms, log[len(log) * 3 // 4].ts_ms
    expected = [event for event in log if event.kind in kinds and low <= event.ts_ms < high]
    assert chronicle.of_kinds(kinds, low, high) == expected
    assert chronicle.of_kinds(kinds, low, high, most=5) == expected[:5]


async def test_what_comes_is_read_on(bus: Bus, plain: redis.Redis, archive: Archive) -> None:
    """The hot part grows as the log does, and each fact is counted once."""
    written = entries(5000, start_ms=yesterday(24))
    put(plain, written[:100])
    chronicle = await chronicle_of(bus, archive)
    hot = chronicle.stretches[-1]
    assert chronicle.events(0, chronicle.rows) == facts(written[:100])
    for start, stop in ((100, 101), (101, 4000), (4000, 5000)):
        put(plain, written[start:stop])
        await hot.catch_up()  # type: ignore[attr-defined]
        chronicle = Chronicle([hot])
        assert chronicle.events(0, chronicle.rows) == facts(written[:stop])
        assert chronicle.state(chronicle.rows) == fold(Books(), facts(written[:stop]))
        counted = {kind: int(sum(numbers)) for kind, numbers in chronicle.density(0, 2**42, 3)[1].items()}
        assert counted == Counter(event.kind for event in facts(written[:stop]))


async def test_a_clock_that_jumps_ahead_and_back_hides_nothing(bus: Bus, plain: redis.Redis, archive: Archive) -> None:
    """Ids stay in the future, times do not: at a time after the jump, all that happened by then has happened."""
    start = yesterday()
    stamps = [start, start + 900_000, start + 1000, start + 2000, start + 900_001]
    ids = [f"{start}-0", f"{start + 900_000}-0", f"{start + 900_000}-1", f"{start + 900_000}-2", f"{start + 900_001}-0"]
    log = [
        (ident.encode(), [b"ts", str(stamp).encode(), *run("published", f"t{at}", "deploy", "high", "harold", "1")])
        for at, (ident, stamp) in enumerate(zip(ids, stamps, strict=True))
    ]
    put(plain, log)
    hot = await chronicle_of(bus, archive)
    sealed = Chronicle(archive.segments(await Sealer(bus.partitions, archive).seal(), Cache()))
    for chronicle in (hot, sealed):
        rows = [chronicle.row_at(start + ms) for ms in (-1, 0, 999, 1000, 2000, 899_999, 900_001)]
        assert rows == [0, 1, 1, 3, 4, 4, 5]
        assert chronicle.events(0, 5) == facts(log)
        assert set(chronicle.state(chronicle.row_at(start + 1500)).tasks) == {"t0", "t1", "t2"}
