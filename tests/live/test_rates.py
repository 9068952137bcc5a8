"""Rates of one lane, from counters that restart and clocks that jump."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.live.rates import WINDOW_S, RateMeter, Sample

steps = st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=30)


def test_a_rate_is_unknown_until_two_looks() -> None:
    """One look gives no rate, the second does."""
    meter = RateMeter()
    assert (meter.in_rate, meter.out_rate) == (None, None)
    meter.add(Sample(1000, 5, 5))
    assert (meter.in_rate, meter.out_rate) == (None, None)
    meter.add(Sample(3000, 25, 15))
    assert (meter.in_rate, meter.out_rate) == (10.0, 5.0)


@given(steps)
def test_rates_are_what_truly_came_and_went(history: list[tuple[int, int, int]]) -> None:
    """For any history of arrivals and settlements, both rates are exact means over the window."""
    at_ms, added, settled = 0, 0, 0
    truth = [(at_ms, added, settled)]
    meter = RateMeter()
    meter.add(Sample(0, 0, 0))
    for step_ms, came, left in history:
        at_ms += step_ms
        added += came
        settled += min(left, added - settled)
        truth.append((at_ms, added, settled))
        meter.add(Sample(at_ms, added, added - settled))
    inside = [point for point in truth if at_ms - point[0] <= WINDOW_S * 1000]
    first = inside[0] if len(inside) > 1 else truth[-2]
    seconds = (at_ms - first[0]) / 1000
    assert meter.in_rate == pytest.approx((added - first[1]) / seconds)
    assert meter.out_rate == pytest.approx((settled - first[2]) / seconds)


@given(st.lists(st.tuples(st.integers(-5000, 5000), st.none() | st.integers(0, 99), st.none() | st.integers(0, 99))))
def test_no_history_however_odd_gives_a_negative_rate(history: list[tuple[int, int | None, int | None]]) -> None:
    """Restarts, unknown counters and clocks that go back end in an unknown rate, never in a wrong sign or an error."""
    meter, at_ms = RateMeter(), 100_000
    for step_ms, added, backlog in history:
        at_ms += step_ms
        meter.add(None if added is None else Sample(at_ms, added, backlog))
        assert meter.in_rate is None or meter.in_rate >= 0
        assert meter.out_rate is None or meter.out_rate >= 0


def test_an_engine_that_lost_its_data_starts_the_rate_anew() -> None:
    """A counter that fell says nothing about arrivals; the next look does again."""
    meter = RateMeter()
    for sample in (Sample(0, 1000, 0), Sample(1000, 1010, 0), Sample(2000, 3, 3)):
        meter.add(sample)
    assert meter.in_rate is None
    meter.add(Sample(3000, 7, 7))
    assert meter.in_rate == 4.0


def test_a_missed_look_widens_the_span_and_is_then_forgotten() -> None:
    """After a gap the rate is the mean over the gap, and with the next look it is of now again."""
    meter = RateMeter()
    for sample in (Sample(0, 0, 0), Sample(1000, 10, 0), Sample(61_000, 610, 0)):
        meter.add(sample)
    assert meter.in_rate == 10.0
    meter.add(Sample(62_000, 610, 0))
    assert meter.in_rate == 0.0


def test_a_counter_that_the_engine_does_not_keep_stays_unknown() -> None:
    """Redis 6 does not count what was added, so neither rate is made up."""
    meter = RateMeter()
    meter.add(None)
    meter.add(None)
    assert (meter.in_rate, meter.out_rate) == (None, None)


def test_a_new_group_does_not_look_like_settled_work() -> None:
    """When a group appears, the backlog is judged by other eyes; that jump is no throughput."""
    meter = RateMeter()
    meter.add(Sample(0, 1000, 1000))
    meter.add(Sample(1000, 1000, 0, ("agents",)))
    assert meter.out_rate is None
    meter.add(Sample(2000, 1004, 0, ("agents",)))
    assert meter.out_rate == 4.0
