"""Throughput from counts per minute, of which each look sees two."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from observatory.live.flow import FlowMeter, increments
from observatory.model.snapshot import TREND_LENGTH
from tests.live.observations import T0, fact, look

MINUTE = T0 // 60_000


@given(st.lists(st.tuples(st.integers(0, 60_000), st.sampled_from(["published", "completed", "taken"])), max_size=60))
def test_what_happened_between_looks_is_counted_across_the_minute(history: list[tuple[int, str]]) -> None:
    """However events fall around the turn of the minute, the looks together count each exactly once."""
    start_ms = T0
    moments = sorted((start_ms + offset, kind) for offset, kind in history)
    looks = [start_ms - 1, start_ms + 15_000, start_ms + 31_000, start_ms + 60_000]

    def counts(at_ms: int) -> dict[tuple[int, str], int]:
        cells = Counter((when // 60_000, kind) for when, kind in moments if when <= at_ms)
        return {cell: count for cell, count in cells.items() if cell[0] >= at_ms // 60_000 - 1}

    total: Counter[str] = Counter()
    for before_ms, at_ms in pairwise(looks):
        happened = increments(before_ms, counts(before_ms), at_ms, counts(at_ms))
        assert happened is not None
        total += happened
    assert total == Counter(kind for _, kind in moments)


def test_what_cannot_be_known_is_not_counted() -> None:
    """A minute that passed unseen, a clock that went back and an engine that lost its counts give no number."""
    before = {(MINUTE, "published"): 5}
    assert increments(T0, before, T0 + 130_000, {(MINUTE + 2, "published"): 3}) is None
    assert increments(T0, before, T0 - 1, before) is None
    assert increments(T0, before, T0 + 1000, {(MINUTE, "published"): 3}) is None
    assert increments(T0, before, T0 + 1000, {}) is None


def test_throughput_is_per_second_and_begins_with_the_second_look() -> None:
    """Two looks two seconds apart give one point of each series."""
    meter = FlowMeter()
    assert meter.add(look(0, counts={(MINUTE, "published"): 100})) is None
    assert not meter.flow.published
    meter.add(
        look(
            2,
            counts={(MINUTE, "published"): 104, (MINUTE, "observed"): 2, (MINUTE, "retried"): 1},
            events=(fact("completed", 1, ms=30),),
        )
    )
    assert meter.flow.published == (3.0,)
    assert meter.flow.completed == (0.0,)
    assert meter.flow.failed == (0.5,)
    assert meter.flow.run_p95 == (30.0,)
    assert math.isnan(meter.flow.wait_p95[0])
    assert (meter.flow.run.samples, meter.flow.window_s) == (1, 60.0)


def test_a_tick_that_is_not_known_is_a_gap_in_the_series() -> None:
    """An engine that returns without its data leaves a gap, not a zero and not a fall."""
    meter = FlowMeter()
    meter.add(look(0, counts={(MINUTE, "published"): 100}))
    meter.add(look(1, counts={}))
    assert math.isnan(meter.flow.published[0])


def test_series_are_bounded_and_equal_ones_stay_equal() -> None:
    """A long quiet watch holds a fixed number of points, and two equal ticks give equal flows."""
    meter = FlowMeter()
    flows = []
    for tick in range(TREND_LENGTH + 3):
        meter.add(look(tick))
        flows.append(meter.flow)
    assert len(flows[-1].wait_p95) == TREND_LENGTH
    assert flows[-1] == flows[-2]
