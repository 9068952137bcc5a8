"""The link as the watcher lives it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from observatory.live.link import LONGEST_RETRY_S, LinkTracker, retry_delay
from observatory.model.clock import ManualClock
from observatory.model.snapshot import LinkState


def test_a_lost_link_says_since_when_and_how_old_the_data_is() -> None:
    """`since` is the first failure, the reason is the newest, the data is what was last read."""
    clock = ManualClock(1_000_000)
    link = LinkTracker("redis://h", clock)
    assert (link.view.state, link.view.data_ms) == (LinkState.CONNECTING, None)
    link.succeeded(999_000)
    clock.advance(5)
    link.failed("refused")
    clock.advance(5)
    lost = link.failed("timed out")
    assert (lost.state, lost.since_ms, lost.reason, lost.data_ms) == (LinkState.LOST, 1_005_000, "timed out", 999_000)
    assert link.failures == 2
    clock.advance(5)
    ready = link.succeeded(1_015_000)
    assert (ready.state, ready.since_ms, ready.reason, ready.data_ms) == (LinkState.READY, 1_015_000, "", 1_015_000)
    assert link.failures == 0


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_the_wait_between_attempts_grows_and_is_bounded(failures: int, spread: float) -> None:
    """However long the engine is away, its return is seen soon, and attempts never come back to back."""
    assert 0.04 < retry_delay(failures, spread) <= LONGEST_RETRY_S
    assert retry_delay(failures, spread) <= retry_delay(failures + 1, spread)
