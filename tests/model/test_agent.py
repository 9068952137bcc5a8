"""How alive an agent is, and what its beats say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.agent import (
    AgentState,
    Heartbeat,
    agent_of,
    agent_state,
    read_heartbeat,
    write_heartbeat,
)


@pytest.mark.parametrize(
    ("silent_s", "state"),
    [
        (0, AgentState.ALIVE),
        (12, AgentState.ALIVE),
        (13, AgentState.LATE),
        (26, AgentState.STALE),
        (61, AgentState.DEAD),
        (-3600, AgentState.ALIVE),
    ],
)
def test_silence_is_judged_against_the_agents_own_interval(silent_s: float, state: AgentState) -> None:
    """An agent that beats each five seconds is late after two and a half intervals; a clock set back kills nobody."""
    assert agent_state(Heartbeat("pink", 1_000_000), 1_000_000 + round(silent_s * 1000)) is state
    slow = Heartbeat("pink", 1_000_000, interval_s=60)
    assert agent_state(slow, 1_000_000 + 61_000) is AgentState.ALIVE


def test_an_agent_that_said_goodbye_is_not_dead() -> None:
    """Stopping on purpose raises no alarm."""
    assert agent_state(Heartbeat("pink", 0, status="stopped"), 10**12) is AgentState.LEFT


def test_our_own_beat_is_read_back() -> None:
    """What a worker says of itself arrives."""
    beat = Heartbeat("pink", 7, "pink@h:1:b", "busy", "t-1", 5, 0.5, 2.0, ("coding", "shared"), "1.2", 3, 4)
    flat = [part.encode() for part in write_heartbeat(beat)]
    assert read_heartbeat(7, list(zip(flat[::2], flat[1::2], strict=True))) == beat


def test_a_foreign_beat_is_read() -> None:
    """A Go or JS agent beats with a plain XADD under the names it likes."""
    beat = read_heartbeat(7, [(b"State", b"busy"), (b"from", b"goat"), (b"current_task", b"t"), (b"extra", b"\xff")])
    assert beat == Heartbeat("goat", 7, status="busy", task="t")
    assert read_heartbeat(7, [(b"state", b"busy")]) is None


@given(
    st.lists(st.tuples(st.sampled_from([b"from", b"load", b"interval", b"done", b"queues"]), st.binary(max_size=20)))
)
def test_reading_a_beat_never_raises(fields: list[tuple[bytes, bytes]]) -> None:
    """A malformed beat is at worst nobody's."""
    read_heartbeat(7, fields)


def test_a_consumer_belongs_to_its_agent() -> None:
    """Work held by a process is work held by its agent."""
    assert agent_of("pink@host:1:b") == "pink"
    assert agent_of("plain") == "plain"
    assert agent_of("@odd") == "@odd"


def test_what_is_no_number_of_tasks_or_share_of_slots_is_unknown() -> None:
    """A foreign beat may say anything; nonsense is not shown as a fact."""
    beat = read_heartbeat(1, ((b"agent", b"red"), (b"load", b"99"), (b"done", b"-5"), (b"failed", b"3")))
    assert beat is not None
    assert (beat.load, beat.done, beat.failed) == (None, None, 3)
