"""From looks to snapshots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from observatory.bus.reads.observe import Cursor, DeadLetterReading, LaneReading, ServerReading
from observatory.live.assemble import Assembler
from observatory.model.agent import Heartbeat
from observatory.model.snapshot import TREND_LENGTH, LaneState, LinkState, LinkView
from observatory.model.task import SHARED, Lane, Priority
from tests.live.observations import T0, fact, group, lane, look

if TYPE_CHECKING:
    from observatory.bus.reads.observe import Observation
    from observatory.model.snapshot import Snapshot

READY = LinkView(LinkState.READY, T0)


class Watch:
    """An assembler whose own clock runs as the server's does, unless told otherwise."""

    def __init__(self) -> None:
        self.assembler = Assembler()
        self._sequence = 0

    def see(self, observation: Observation, *, seen: float | None = None) -> Snapshot:
        """Take in one look."""
        self._sequence += 1
        own = (observation.at_ms - T0) / 1000 if seen is None else seen
        return self.assembler.add(observation, READY, seen=own, sequence=self._sequence)


def test_a_lane_is_told_as_the_engine_tells_it() -> None:
    """Length, groups, pending, ages and backlog of one look stand in the snapshot."""
    reading = lane(9, 20, groups=(group(3, 2), group(1, 6, name="audit")), waiting_ms=T0 - 2500)
    (view,) = Watch().see(look(lanes=(reading,))).lanes
    assert (view.length, view.pending, view.backlog, view.lag, view.consumers) == (9, 8, 7, 3, 2)
    assert (view.oldest_waiting_s, view.oldest_pending_s) == (2.5, None)
    assert (view.in_rate, view.out_rate, view.state) == (None, None, LaneState.OK)


def test_rates_and_trend_come_with_the_second_look() -> None:
    """Ten arrivals and a backlog that shrank by two in two seconds are 5/s in and 6/s out."""
    watch = Watch()
    watch.see(look(0, lanes=(lane(10, 100, groups=(group(8),), waiting_ms=T0),)))
    (view,) = watch.see(look(2, lanes=(lane(10, 110, groups=(group(6),), waiting_ms=T0),))).lanes
    assert (view.in_rate, view.out_rate, view.trend) == (5.0, 6.0, (8.0, 6.0))
    assert view.drain_eta_s == 6.0


def test_a_key_of_the_wrong_type_breaks_its_own_lane_only() -> None:
    """A broken lane knows nothing and says why; its neighbour lives."""
    broken = LaneReading(Lane(SHARED, Priority.CRITICAL), "cortex:tasks:critical", problem="WRONGTYPE no stream")
    sick, well = Watch().see(look(lanes=(broken, lane(1, 1)))).lanes
    assert (sick.state, sick.problem) == (LaneState.BROKEN, "WRONGTYPE no stream")
    assert (sick.length, sick.backlog, sick.pending, sick.in_rate) == (None, None, None, None)
    assert math.isnan(sick.trend[0])
    assert (well.length, well.state) == (1, LaneState.NO_CONSUMERS)


def test_what_did_not_change_is_the_very_same_object() -> None:
    """On a quiet bus two successive snapshots share lanes, agents, events and engine once the trend is full."""
    watch = Watch()
    quiet = (lane(0, 0, groups=(group(),)), lane(priority=Priority.LOW))
    shots = [
        watch.see(look(tick, lanes=quiet, events=(fact("taken", 0),), server=ServerReading("valkey")))
        for tick in range(TREND_LENGTH + 8)
    ]
    before, after = shots[-2:]
    assert after.lanes is before.lanes
    assert after.agents is before.agents
    assert after.events is before.events
    assert after.engine is before.engine
    assert after.sequence == before.sequence + 1


def test_only_the_lane_that_changed_is_new() -> None:
    """A change in one lane leaves the others the objects they were."""
    watch = Watch()
    low = lane(priority=Priority.LOW)
    before = [watch.see(look(tick, lanes=(lane(), low))) for tick in range(TREND_LENGTH + 8)][-1]
    after = watch.see(look(TREND_LENGTH + 8, lanes=(lane(1, 1), low)))
    assert after.lanes[0] != before.lanes[0]
    assert after.lanes[1] is before.lanes[1]


def test_reasons_stay_when_the_look_says_nothing_changed() -> None:
    """A look leaves the reasons out when they are as before; the total is always of now."""
    watch = Watch()
    first = DeadLetterReading(3, T0 - 9000, (("error", 2), ("stale", 1)), 3)
    assert watch.see(look(0, dead_letters=first)).dead_letters.rate is None
    summary = watch.see(look(1, dead_letters=DeadLetterReading(3, T0 - 9000))).dead_letters
    assert (summary.total, summary.reasons, summary.counted) == (3, (("error", 2), ("stale", 1)), 3)
    assert (summary.oldest_s, summary.rate) == (10.0, 0.0)


def test_dead_letters_that_leave_while_others_come_are_not_lost_to_the_rate() -> None:
    """Two die while two are requeued: the total stays, the rate says two."""
    watch = Watch()
    minute = T0 // 60_000
    watch.see(look(0, dead_letters=DeadLetterReading(2)))
    summary = watch.see(look(1, dead_letters=DeadLetterReading(2), counts={(minute, "dead_lettered"): 2})).dead_letters
    assert summary.rate == 2.0


def test_dead_letters_that_foreign_agents_add_count_too() -> None:
    """A plain XADD to the dead-letter stream leaves no event and is still in the rate."""
    watch = Watch()
    watch.see(look(0, dead_letters=DeadLetterReading(0)))
    assert watch.see(look(2, dead_letters=DeadLetterReading(6))).dead_letters.rate == 3.0


def test_an_unreadable_dead_letter_stream_is_unknown() -> None:
    """A wrong type there is told in words, and the total is not zero."""
    summary = Watch().see(look(dead_letters=DeadLetterReading(None, problem="WRONGTYPE"))).dead_letters
    assert (summary.total, summary.rate, summary.problem) == (None, None, "WRONGTYPE")


def test_work_in_hand_is_added_up_over_lanes() -> None:
    """An agent's pending entries of all lanes are one number."""
    lanes = (lane(owners=(("pink@h:1:1", 2),)), lane(priority=Priority.LOW, owners=(("pink@h:1:1", 3),)))
    (agent,) = Watch().see(look(lanes=lanes, beats=(Heartbeat("pink", T0),))).agents
    assert agent.pending == 5


def test_a_server_clock_set_back_starts_measuring_over() -> None:
    """No rate is made from times that mean nothing, and the next look asks for everything again."""
    watch = Watch()
    watch.see(look(100, lanes=(lane(0, 0),)))
    shot = watch.see(look(40, lanes=(lane(5, 5),)), seen=101)
    assert shot.lanes[0].in_rate is None
    assert watch.assembler.cursor == Cursor()
    assert watch.see(look(41, lanes=(lane(7, 7),)), seen=102).lanes[0].in_rate == 2.0


def test_a_server_clock_set_forward_starts_measuring_over() -> None:
    """Ten arrivals in one true second are not ten in an hour."""
    watch = Watch()
    watch.see(look(0, lanes=(lane(0, 0),)), seen=0)
    shot = watch.see(look(3600, lanes=(lane(10, 10),)), seen=1)
    assert shot.lanes[0].in_rate is None
    assert shot.lanes[0].trend == (0.0, 10.0)
    assert watch.see(look(3601, lanes=(lane(13, 13),)), seen=2).lanes[0].in_rate == 3.0


def test_dangers_of_the_server_are_in_the_snapshot() -> None:
    """Settings that can lose work are named."""
    shot = Watch().see(look(server=ServerReading("redis", "7.4", policy="allkeys-lru", aof=True, memory_limit=1)))
    assert len(shot.engine.warnings) == 1
