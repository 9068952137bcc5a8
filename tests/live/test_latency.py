"""How long tasks waited and ran, over the last minute."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.live.latency import MAX_SAMPLES, RAN, WAITED, LatencyWindow, percentile
from observatory.model.snapshot import Quantiles
from tests.live.observations import T0, fact

durations = st.lists(st.integers(0, 100_000), min_size=2, max_size=200)


@given(durations)
def test_quantiles_are_those_of_the_textbook(values: list[int]) -> None:
    """p50, p95 and p99 agree with the statistics module's inclusive method."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    window = LatencyWindow(WAITED)
    tick = window.add([fact("taken", 0, seq=seq, ms=ms) for seq, ms in enumerate(values)], T0)
    found = window.quantiles
    assert found.samples == len(values)
    assert (found.p50, found.p95, found.p99) == pytest.approx((cuts[49], cuts[94], cuts[98]))
    assert tick == pytest.approx(cuts[94])


@given(durations, st.floats(0, 1))
def test_a_percentile_lies_among_the_values(values: list[int], share: float) -> None:
    """No interpolation leaves the range of what was measured."""
    assert min(values) <= percentile(sorted(values), share) <= max(values)


def test_no_sample_is_unknown_and_not_zero() -> None:
    """Without events of its kinds a window knows nothing."""
    window = LatencyWindow(RAN)
    assert math.isnan(window.add([fact("taken", 0, ms=5), fact("completed", 0, ms=None)], T0))
    assert window.quantiles == Quantiles()


def test_an_old_sample_leaves_after_a_minute() -> None:
    """What happened more than a minute ago is not counted, also when the first look tells of it."""
    window = LatencyWindow(RAN)
    window.add([fact("completed", 0, ms=10), fact("completed", -61, ms=9000)], T0)
    assert window.quantiles == Quantiles(10, 10, 10, 1)
    window.add([], T0 + 61_000)
    assert window.quantiles.samples == 0


def test_a_flood_is_bounded_and_says_how_far_it_reaches() -> None:
    """With more events than are held, the window gets shorter and says so."""
    window = LatencyWindow(RAN)
    assert window.window_s(T0) == 60.0
    newest_first = [fact("completed", -i / 200, seq=i, ms=i) for i in range(MAX_SAMPLES + 400)]
    window.add(newest_first, T0)
    assert window.quantiles.samples == MAX_SAMPLES
    assert window.window_s(T0) == pytest.approx((MAX_SAMPLES - 1) / 200)
