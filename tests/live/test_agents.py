"""The roster of agents."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from observatory.live.agents import FORGET_AFTER_S, MAX_PROCESSES, SWEEP_S, Roster
from observatory.model.agent import AgentState, Heartbeat
from tests.live.observations import T0

HOUR_MS = 3_600_000


def beat(agent: str = "pink", after_s: float = 0.0, boot: str = "1", **said: object) -> Heartbeat:
    seen_ms = T0 + round(after_s * 1000)
    return replace(Heartbeat(agent, seen_ms, consumer=f"{agent}@host:1:{boot}"), **said)  # type: ignore[arg-type]


def test_an_agent_ages_from_alive_to_dead() -> None:
    """Silence is judged against its own interval."""
    roster = Roster()
    roster.add([beat(interval_s=5.0)], T0)
    states = [roster.views(T0 + seconds * 1000, {})[0].state for seconds in (5, 20, 40, 90)]
    assert states == [AgentState.ALIVE, AgentState.LATE, AgentState.STALE, AgentState.DEAD]


def test_processes_of_one_agent_are_one_agent() -> None:
    """Its numbers add up, its state is the best, its task is the newest that is named."""
    roster = Roster()
    roster.add(
        [
            beat(boot="1", status="busy", task="t-1", task_since_ms=T0 - 4000, load=1.0, done=10, capabilities=("a",)),
            beat(boot="2", after_s=1, status="idle", load=0.5, done=5, failed=2, capabilities=("b",), version="2"),
        ],
        T0,
    )
    (view,) = roster.views(T0 + 2000, {})
    assert (view.name, view.state, view.processes) == ("pink", AgentState.ALIVE, 2)
    assert (view.status, view.task, view.task_age_s, view.last_seen_s) == ("busy", "t-1", 6.0, 1.0)
    assert (view.load, view.done, view.failed, view.version) == (0.75, 15, 2, "2")
    assert view.capabilities == ("a", "b")


def test_a_crashed_process_does_not_haunt_the_one_that_replaced_it() -> None:
    """After a restart the agent is what its living process says."""
    roster = Roster()
    roster.add([beat(boot="1", done=100, task="t-1"), beat(boot="2", after_s=300, done=1)], T0)
    (view,) = roster.views(T0 + 300_000, {})
    assert (view.state, view.done, view.task, view.processes) == (AgentState.ALIVE, 1, "", 1)


def test_an_agent_that_said_goodbye_has_left() -> None:
    """Leaving is not dying, however long ago within the hour."""
    roster = Roster()
    roster.add([beat(status="stopped")], T0)
    assert roster.views(T0 + 600_000, {})[0].state is AgentState.LEFT


def test_work_in_hand_is_counted_by_agent_over_its_processes() -> None:
    """Pending entries of every consumer of an agent are its own."""
    roster = Roster()
    roster.add([beat()], T0)
    (view,) = roster.views(T0, {"pink@host:1:1": 2, "pink@host:9:0": 3})
    assert view.pending == 5


def test_a_consumer_that_never_beat_is_there_and_unknown() -> None:
    """A foreign reader that holds work is shown without a made-up state; one that holds nothing is not."""
    (view,) = Roster().views(T0, {"go-reader": 3, "idle-reader": 0})
    assert (view.name, view.state, view.last_seen_s, view.pending) == ("go-reader", None, None, 3)


def test_the_dead_are_forgotten_after_an_hour_unless_they_hold_work() -> None:
    """A silent agent stays for an hour, and as long as something is pending in its name."""
    roster = Roster()
    roster.add([beat("pink"), beat("harold")], T0)
    sweep_ms = round(SWEEP_S * 1000)
    later = T0 + round(FORGET_AFTER_S * 1000) + sweep_ms
    assert [view.name for view in roster.views(T0 + HOUR_MS, {})] == ["harold", "pink"]
    assert [view.name for view in roster.views(later, {"pink@host:1:1": 1})] == ["pink"]
    assert roster.views(later + sweep_ms, {}) == ()


def test_a_clock_that_was_set_back_does_not_keep_the_dead_alive() -> None:
    """Beats of the new time replace those that seem to come from the future."""
    roster = Roster()
    roster.add([beat(after_s=3600, status="old")], T0 + HOUR_MS)
    roster.add([beat(after_s=0, status="new")], T0)
    (view,) = roster.views(T0 + 100_000, {})
    assert (view.status, view.state) == ("new", AgentState.DEAD)


def test_no_flood_of_names_grows_without_bound() -> None:
    """Somebody who invents a consumer per beat costs a bounded memory, and the newest stay."""
    roster = Roster()
    roster.add([beat(f"a{number}", number / 1000) for number in range(MAX_PROCESSES + 50)], T0)
    views = roster.views(T0 + 6000, {})
    assert len(views) == MAX_PROCESSES
    assert f"a{MAX_PROCESSES + 49}" in {view.name for view in views}


@given(st.permutations([beat(boot="1", after_s=s, status=str(s)) for s in range(6)]))
def test_the_newest_beat_wins_in_whatever_order_they_come(beats: list[Heartbeat]) -> None:
    """What an agent last said is by time of arrival, not by order of reading."""
    roster = Roster()
    roster.add(beats, T0 + 6000)
    assert roster.views(T0 + 6000, {})[0].status == "5"
