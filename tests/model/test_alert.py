"""Alerts: told once, when it is true, for as long as it is true, and never because something is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.agent import AgentState
from observatory.model.alert import (
    DEFAULT_RULES,
    Alerts,
    AlertState,
    Change,
    ChangeKind,
    Level,
    Rule,
)
from observatory.model.alert.machine import MOST, SAME_FOR_S
from observatory.model.health import Severity
from observatory.model.measure import MEASURES, Unit, limit_of, written
from observatory.model.snapshot import (
    AgentView,
    DeadLetterSummary,
    EngineView,
    LaneState,
    LaneView,
    LinkState,
    LinkView,
    Origin,
    Snapshot,
)
from observatory.model.task import Priority

START = 1_770_000_000_000
CALM = Snapshot(START, Origin.LIVE, LinkView(LinkState.READY, START), engine=EngineView(memory=1, memory_limit=100))
MEMORY = Rule(
    "memory",
    "engine.memory",
    (Level(0.7, Severity.WARN, clear=0.6), Level(0.9, Severity.CRIT, clear=0.8)),
    for_s=5,
    clear_for_s=5,
)


def filled(percent: int | None) -> Snapshot:
    """Return a calm swarm on an engine whose memory is that full."""
    return replace(CALM, engine=EngineView(memory=percent, memory_limit=100))


def run(alerts: Alerts, story: list[tuple[int, int | None]]) -> list[tuple[int, str, bool]]:
    """Show a story of (second, percent) and return what happened: (second, what, whether it is told)."""
    return [
        (second, str(change.kind), change.tell)
        for second, percent in story
        for change in alerts.observe(filled(percent), START + second * 1000)
    ]


STORIES: dict[str, tuple[list[tuple[int, int | None]], list[tuple[int, str, bool]]]] = {
    "it fires once it has lasted": ([(0, 75), (4, 75), (5, 75), (60, 75)], [(5, "fired", True)]),
    "a moment is nothing": ([(0, 75), (4, 75), (5, 50), (6, 75), (10, 75)], []),
    "exactly the threshold counts": ([(0, 70), (5, 70)], [(5, "fired", True)]),
    "it is resolved once it has been over": (
        [(0, 75), (5, 75), (6, 59), (10, 59), (11, 59)],
        [(5, "fired", True), (11, "resolved", True)],
    ),
    "between clear and threshold nothing changes": (
        [(0, 75), (5, 75), *((second, 65) for second in range(6, 60))],
        [(5, "fired", True)],
    ),
    "between them it does not begin either": ([(second, 65) for second in range(60)], []),
    "flapping around the threshold is one alert": (
        [(0, 75), (5, 75), *((second, 50 if second % 3 else 75) for second in range(6, 300))],
        [(5, "fired", True)],
    ),
    "it gets worse and better": (
        [(0, 75), (5, 75), (6, 95), (11, 95), (12, 75), (17, 75), (18, 10), (23, 10)],
        [(5, "fired", True), (11, "worse", True), (17, "better", False), (23, "resolved", True)],
    ),
    "it begins at its worst": ([(0, 95), (5, 95)], [(5, "fired", True)]),
    "unknown does not fire": ([(0, 75), *((second, None) for second in range(1, 60))], []),
    "unknown time does not count": (
        [(0, 75), (3, 75), (4, None), (9, None), (10, 75), (11, 75), (12, 75)], [(12, "fired", True)]
    ),
    "unknown does not clear": ([(0, 75), (5, 75), *((second, None) for second in range(6, 60))], [(5, "fired", True)]),
    "unknown never begins": ([(second, None) for second in range(60)], []),
    "what comes back soon is the same, and that is told once": (
        [(0, 75), (5, 75), (10, 1), (15, 1), (20, 75), (25, 75), (30, 1), (35, 1), (40, 75), (45, 75), (50, 1), (55, 1),
         (56 + SAME_FOR_S, 1)],
        [
            (5, "fired", True), (15, "resolved", True), (25, "again", True), (35, "resolved", False),
            (45, "again", False), (55, "resolved", False), (56 + SAME_FOR_S, "settled", True),
        ],
    ),
    "what comes back late is another one": (
        [(0, 75), (5, 75), (10, 1), (15, 1), (15 + SAME_FOR_S, 1), (1000, 75), (1005, 75)],
        [(5, "fired", True), (15, "resolved", True), (1005, "fired", True)],
    ),
    "a machine that slept has not watched": ([(0, 75), (3600, 50), (3601, 75)], []),
    "a clock that goes back stands still": ([(10, 75), (0, 75), (4, 75), (5, 75)], [(5, "fired", True)]),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_a_story(name: str) -> None:
    """What happens to the memory, and what is said of it."""
    story, expected = STORIES[name]
    assert run(Alerts([MEMORY]), story) == expected


def test_what_stands_on_the_screen() -> None:
    """Pending first, then firing with its worst severity and its value, then resolved, then gone."""
    alerts = Alerts([MEMORY])
    run(alerts, [(0, 75)])
    (alert,) = alerts.alerts
    assert (alert.id, alert.state, alert.times, alert.since_ms) == ("memory", AlertState.PENDING, 0, START)
    run(alerts, [(5, 92), (10, 93)])
    (alert,) = alerts.alerts
    assert (alert.state, alert.severity, alert.value) == (AlertState.FIRING, Severity.CRIT, 0.93)
    assert alert.text == "memory in use 93% (limit 90%)"
    run(alerts, [(11, 2), (16, 2)])
    (alert,) = alerts.alerts
    assert (alert.state, alert.resolved_ms) == (AlertState.RESOLVED, START + 16_000)
    run(alerts, [(17 + SAME_FOR_S, 2)])
    assert alerts.alerts == ()


def test_the_worst_stands_first() -> None:
    """Critical before warning, firing before pending, the older first."""
    rules = [
        Rule("slow", "engine.memory", (Level(0.1, Severity.CRIT),), for_s=60),
        Rule("warned", "engine.memory", (Level(0.1, Severity.WARN),)),
        Rule("worse", "engine.memory", (Level(0.1, Severity.CRIT),)),
    ]
    alerts = Alerts(rules)
    alerts.observe(filled(50), START)
    assert [alert.id for alert in alerts.alerts] == ["worse", "warned", "slow"]


# -- acknowledging and muting ------------------------------------------------------------------------------------


def test_what_is_acknowledged_is_quiet_until_it_gets_worse() -> None:
    """Nothing more is told of it, but its rise to critical is."""
    alerts = Alerts([MEMORY])
    assert not alerts.acknowledge("memory", by="ann")
    run(alerts, [(0, 75), (5, 75)])
    assert alerts.acknowledge("memory", by="ann", reason="seen")
    assert alerts.alerts[0].quiet
    assert run(alerts, [(6, 75), (100, 75), (101, 95), (106, 95)]) == [(106, "worse", True)]
    assert not alerts.alerts[0].quiet


def test_an_acknowledged_alert_that_ends_and_comes_back_says_nothing() -> None:
    """Who has seen it need not hear that it flaps."""
    alerts = Alerts([MEMORY])
    run(alerts, [(0, 75), (5, 75)])
    alerts.acknowledge("memory", by="ann")
    told = run(alerts, [(10, 1), (15, 1), (20, 75), (25, 75)])
    assert told == [(15, "resolved", False), (25, "again", False)]


def test_an_acknowledgement_ends() -> None:
    """After its time the alert is told again, if it still fires."""
    alerts = Alerts([MEMORY])
    run(alerts, [(0, 75), (5, 75)])
    alerts.acknowledge("memory", by="ann", until_ms=START + 60_000)
    assert run(alerts, [(30, 75), (59, 75), (60, 75), (61, 75)]) == [(60, "reminded", True)]


def test_a_mute_covers_what_it_names_and_returns_by_itself() -> None:
    """What fires meanwhile is kept and shown as muted; at the end of the mute it is told."""
    alerts = Alerts([MEMORY])
    quiet = alerts.mute("mem*", "*", by="ann", until_ms=START + 60_000, reason="known")
    assert run(alerts, [(0, 75), (5, 75)]) == [(5, "fired", False)]
    assert alerts.alerts[0].muted == quiet
    assert run(alerts, [(59, 75), (60, 75), (61, 75)]) == [(60, "reminded", True)]
    assert alerts.mutes == ()


def test_a_mute_can_be_taken_back_and_kept() -> None:
    """`unmute` ends it at the next look; mutes that were kept hold after a restart."""
    alerts = Alerts([MEMORY])
    quiet = alerts.mute("memory", "", by="ann", until_ms=START + 3_600_000)
    again = Alerts([MEMORY], mutes=alerts.mutes)
    assert run(again, [(0, 75), (5, 75)]) == [(5, "fired", False)]
    again.unmute(quiet)
    assert run(again, [(6, 75)]) == [(6, "reminded", True)]


def test_a_mute_of_another_subject_changes_nothing() -> None:
    """Muting one lane leaves the others loud."""
    alerts = Alerts([Rule("full", "lane.full", (Level(1),))])
    alerts.mute("full", "low", by="ann", until_ms=START + 60_000)
    lanes = tuple(
        LaneView("shared", priority, "s", 5, 5, 0, state=LaneState.FULL) for priority in (Priority.HIGH, Priority.LOW)
    )
    changes = alerts.observe(replace(CALM, lanes=lanes), START)
    assert [(change.alert.subject, change.tell) for change in changes] == [("high", True), ("low", False)]


# -- the default rules --------------------------------------------------------------------------------------------


def lane(**changes: Any) -> Snapshot:
    return replace(
        CALM,
        lanes=(LaneView("shared", Priority.CRITICAL, "s", **{"length": 3, "backlog": 3, "pending": 0, **changes}),),
    )


def agent(state: AgentState | None) -> Snapshot:
    return replace(CALM, agents=(AgentView("pink", state, 60.0),))


def link(state: LinkState) -> Snapshot:
    return replace(CALM, link=LinkView(state, START))


@pytest.mark.parametrize(
    ("shown", "ident", "severity", "words"),
    [
        (lane(oldest_waiting_s=12.4), "critical-waiting/critical", "crit",
         "lane critical: the oldest task waits 12 s (limit 5.0 s)"),
        (lane(state=LaneState.NO_CONSUMERS), "no-consumers/critical", "crit",
         "lane critical: work waits and nobody is there"),
        (lane(state=LaneState.FULL), "lane-full/critical", "crit", "lane critical: full"),
        (agent(AgentState.STALE), "agent-silent/pink", "warn", "agent pink: its heartbeat is stale"),
        (agent(AgentState.DEAD), "agent-silent/pink", "crit", "agent pink: its heartbeat is dead"),
        (replace(CALM, dead_letters=DeadLetterSummary(rate=0.5)), "dead-letter-burst", "warn",
         "dead letters, last minute: 30/min (limit 10/min)"),
        (replace(CALM, dead_letters=DeadLetterSummary(rate=2.0)), "dead-letter-burst", "crit",
         "dead letters, last minute: 120/min"),
        (filled(71), "memory", "warn", "memory in use 71% (limit 70%)"),
        (filled(81), "memory", "warn", "memory in use 81% (limit 80%)"),
        (filled(91), "memory", "crit", "memory in use 91% (limit 90%)"),
        (link(LinkState.LOST), "link-lost", "crit", "the bus has not answered for"),
        (link(LinkState.DEGRADED), "link-degraded", "warn", "the link is degraded for"),
        (replace(CALM, at_ms=START - 90_000), "clock-skew", "warn", "this clock and the engine's are apart"),
    ],
)  # fmt: skip
def test_the_default_rules(shown: Snapshot, ident: str, severity: str, words: str) -> None:
    """Each danger that an operator must not miss fires by itself within a minute, in words."""
    alerts, changes = Alerts(), list[Change]()
    for second in range(61):
        at_ms = shown.at_ms + second * 1000
        changes += alerts.observe(replace(shown, at_ms=at_ms), START + second * 1000)
    (fired,) = [change for change in changes if change.kind is ChangeKind.FIRED]
    assert (fired.alert.id, fired.alert.severity, fired.tell) == (ident, severity, True)
    assert alerts.alerts[0].text.startswith(words)


@pytest.mark.parametrize(
    "shown",
    [
        CALM,
        lane(oldest_waiting_s=None, length=0, backlog=0, state=LaneState.IDLE),
        lane(length=None, backlog=None, state=LaneState.BROKEN),
        agent(AgentState.ALIVE),
        agent(AgentState.LATE),
        agent(AgentState.LEFT),
        agent(None),
        filled(None),
        replace(CALM, engine=EngineView(memory=10**12, memory_limit=0)),
        link(LinkState.CONNECTING),
        replace(CALM, at_ms=0),
    ],
)
def test_what_is_well_or_unknown_says_nothing(shown: Snapshot) -> None:
    """An idle lane, an agent that left, a limit that does not exist, and whatever is unknown raise nothing."""
    alerts = Alerts()
    for second in range(0, 61, 5):
        assert (
            alerts.observe(replace(shown, at_ms=shown.at_ms and shown.at_ms + second * 1000), START + second * 1000)
            == ()
        )
    assert alerts.alerts == ()


def test_an_agent_that_is_gone_is_no_alert() -> None:
    """When nobody speaks of it any more, its alert is resolved."""
    alerts = Alerts()
    alerts.observe(agent(AgentState.DEAD), START)
    assert [alert.state for alert in alerts.alerts] == [AlertState.FIRING]
    for at_ms in range(START, START + 20_000, 1000):
        alerts.observe(replace(CALM, at_ms=at_ms), at_ms)
    assert [alert.state for alert in alerts.alerts] == [AlertState.RESOLVED]


def test_an_alert_that_is_about_to_end_still_says_what_it_was() -> None:
    """While it waits to be resolved, the agent that is alive again is not said to be dead of being alive."""
    alerts = Alerts()
    alerts.observe(agent(AgentState.DEAD), START)
    alerts.observe(agent(AgentState.ALIVE), START + 1000)
    assert [(alert.state, alert.text) for alert in alerts.alerts] == [
        (AlertState.FIRING, "agent pink: its heartbeat is dead")
    ]


def test_time_in_which_nobody_looked_hardly_counts() -> None:
    """After an hour of sleep a value that must last for a minute has not been seen to last."""
    alerts = Alerts([replace(MEMORY, for_s=60)])
    assert run(alerts, [(0, 75), (3600, 75), (3610, 75), (3635, 75)]) == [(3635, "fired", True)]


def test_while_the_link_is_lost_nothing_else_changes() -> None:
    """Old data neither raises nor clears; only the link itself is told."""
    alerts = Alerts()
    alerts.observe(agent(AgentState.DEAD), START)
    changes = [
        change
        for second in range(1, 90)
        for change in alerts.observe(replace(filled(99), link=LinkView(LinkState.LOST, START)), START + second * 1000)
    ]
    assert [change.alert.id for change in changes] == ["link-lost"]
    assert {alert.id: alert.state for alert in alerts.alerts}["agent-silent/pink"] is AlertState.FIRING


def test_replay_raises_nothing() -> None:
    """Looking at yesterday's incident is no incident."""
    assert Alerts().observe(replace(agent(AgentState.DEAD), origin=Origin.REPLAY), START) == ()


def test_a_foreign_name_cannot_write_on_the_terminal() -> None:
    """An agent with an escape sequence in its name is shown by it, made visible."""
    alerts = Alerts()
    alerts.observe(replace(CALM, agents=(AgentView("\x1b[31mred\n", AgentState.DEAD, 1.0),)), START)
    assert alerts.alerts[0].text.isprintable()


def test_a_thousand_agents_that_die_at_once_are_bounded() -> None:
    """However many fall silent, what is kept has an end."""
    alerts = Alerts()
    alerts.observe(
        replace(CALM, agents=tuple(AgentView(f"a{n}", AgentState.DEAD, 1.0) for n in range(MOST + 50))), START
    )
    assert len(alerts.alerts) == MOST


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "No Id"}, "id: must be"),
        ({"watch": "lane.wating"}, "watch: 'lane.wating' is none of lane.backlog"),
        ({"levels": ()}, "levels: must be at least one"),
        ({"levels": (Level(2), Level(1))}, "levels: must be"),
        ({"levels": (Level(1, clear=2),)}, "clear: must not be above"),
        ({"levels": (Level(1, Severity.OK),)}, "severity: must be warn or crit"),
        ({"for_s": -1}, "for: must be"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    """The reason names what is wrong with it."""
    with pytest.raises(ValueError, match=said):
        replace(MEMORY, **changes)


def test_two_rules_of_one_name_are_refused() -> None:
    """Mutes and acknowledgements speak of rules by name."""
    with pytest.raises(ValueError, match="same id"):
        Alerts([MEMORY, MEMORY])


def test_a_rule_that_is_switched_off_is_not_looked_at() -> None:
    """It neither fires nor shows."""
    assert run(Alerts([replace(MEMORY, enabled=False)]), [(0, 99), (60, 99)]) == []


@pytest.mark.parametrize(
    ("unit", "text", "value"),
    [(Unit.SECONDS, "1m30s", 90), (Unit.SHARE, "85%", 0.85), (Unit.SILENCE, "Dead", 3), (Unit.PER_MINUTE, "10", 10)],
)
def test_thresholds_are_read_as_people_write_them(unit: Unit, text: str, value: float) -> None:
    """Each unit has its own way, and what is none of it is refused."""
    assert limit_of(unit, text) == pytest.approx(value)
    with pytest.raises(ValueError, match="is n"):
        limit_of(unit, "much")
    assert written(unit, value)


def test_every_default_rule_watches_something_that_there_is() -> None:
    """And no two of them share a name."""
    assert {rule.watch for rule in DEFAULT_RULES} <= set(MEASURES)
    Alerts(DEFAULT_RULES)


# -- properties -------------------------------------------------------------------------------------------------

percents = st.one_of(st.none(), st.integers(0, 100))


@given(st.lists(st.tuples(st.integers(1, 20), percents), max_size=60))
def test_an_alert_tells_a_consistent_story(steps: list[tuple[int, int | None]]) -> None:
    """It fires only above the threshold and ends only below the clear one, in turns, and never at an unknown value."""
    alerts, second, firing = Alerts([MEMORY]), 0, False
    for gap, percent in steps:
        second += gap
        for change in alerts.observe(filled(percent), START + second * 1000):
            if change.kind in {ChangeKind.FIRED, ChangeKind.AGAIN}:
                assert not firing
                assert percent is not None
                assert percent >= 70
                firing = True
            elif change.kind is ChangeKind.RESOLVED:
                assert firing
                assert percent is not None
                assert percent < 60
                firing = False
        assert any(alert.state is AlertState.FIRING for alert in alerts.alerts) == firing


@given(st.lists(percents, max_size=200))
def test_swinging_faster_than_it_clears_is_told_at_most_once_a_level(values: list[int | None]) -> None:
    """However the memory swings, with less than five seconds below at a time there is at most one alert."""
    alerts, told = Alerts([MEMORY]), 0
    for second, percent in enumerate(values):
        shown = 75 if second % 4 == 0 else percent
        told += sum(change.tell for change in alerts.observe(filled(shown), START + second * 1000))
    assert told <= len(MEMORY.levels)
