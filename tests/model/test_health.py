"""What a lane's readings mean for an operator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.health import backlog, engine_warnings, lane_state
from observatory.model.snapshot import GroupView, LaneState

counts = st.integers(0, 10_000)


def group(lag: int | None, pending: int = 0, *, name: str = "agents", consumers: int = 1) -> GroupView:
    return GroupView(name, lag, pending, consumers, "0-0")


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=5), counts)
def test_backlog_is_that_of_the_group_furthest_behind(sizes: list[tuple[int, int]], length: int) -> None:
    """With every lag known, the backlog is the greatest lag + pending, whatever the length."""
    groups = [group(lag, pending) for lag, pending in sizes]
    assert backlog(length, groups, waits=True) == max(lag + pending for lag, pending in sizes)


def test_backlog_without_a_group_is_everything_there() -> None:
    """Nobody has taken anything from a lane that nobody reads."""
    assert backlog(7, (), waits=True) == 7


def test_backlog_is_unknown_where_a_lag_is() -> None:
    """A foreign group whose lag the engine lost gives no number, not zero and not the length."""
    assert backlog(7, [group(None, 2)], waits=True) is None
    assert backlog(7, [group(3, 2, name="workers"), group(None)], waits=True) is None


def test_backlog_is_the_length_where_our_workers_are_alone() -> None:
    """Our workers delete what they settle, so with them alone all that is left is unsettled."""
    assert backlog(7, [group(None, 2, name="workers")], waits=True) == 7


def test_backlog_is_what_is_pending_where_nothing_waits() -> None:
    """An unknown lag does not matter when the newest entry was given out already."""
    assert backlog(7, [group(None, 2), group(None, 3)], waits=False) == 3


@pytest.mark.parametrize(
    ("length", "groups", "waits", "expected"),
    [
        (None, [], False, LaneState.BROKEN),
        (0, [], False, LaneState.IDLE),
        (3, [], True, LaneState.NO_CONSUMERS),
        (10, [], True, LaneState.FULL),
        (11, [group(0, 11)], False, LaneState.FULL),
        (3, [group(3, consumers=0)], True, LaneState.NO_CONSUMERS),
        (3, [group(None, consumers=0)], True, LaneState.NO_CONSUMERS),
        (3, [group(3)], True, LaneState.OK),
        (3, [group(3, consumers=0), group(3)], True, LaneState.OK),
        (3, [group(0, consumers=0)], False, LaneState.IDLE),
        (3, [group(0, 2)], False, LaneState.OK),
        (3, [group(None)], True, LaneState.OK),
    ],
)
def test_a_lane_gets_one_word(
    length: int | None,
    groups: list[GroupView],
    waits: bool,
    expected: LaneState,
) -> None:
    """A lane says "no consumers" only when work waits and nobody is registered to take it."""
    behind = None if length is None else backlog(length, groups, waits=waits)
    assert lane_state(length, behind, groups, waits=waits, bound=10) is expected


def test_dangerous_settings_are_named_with_their_fix() -> None:
    """Each danger is one line that holds the command which ends it."""
    lines = engine_warnings("allkeys-lru", aof=False, memory_limit=0)
    assert len(lines) == 3
    assert all("CONFIG SET" in line for line in lines)
    assert "allkeys-lru" in lines[0]


def test_nothing_is_said_of_settings_that_are_safe_or_unknown() -> None:
    """No warning is made up where the server does not tell."""
    assert engine_warnings("noeviction", aof=True, memory_limit=1 << 30) == ()
    assert engine_warnings("", aof=None, memory_limit=None) == ()
