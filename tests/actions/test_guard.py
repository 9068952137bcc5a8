"""The guard: what may be changed, by whom it is allowed, and how much it takes to agree."""

from __future__ import annotations

import pytest

from observatory.actions import Guard
from observatory.model.clock import ManualClock
from observatory.model.errors import RefusedError, UsageError
from observatory.model.plan import Consent, Level, Plan, PlannedItem, Reversal


def plan(count: int, *, verb: str = "trash", reversal: Reversal = Reversal.FULL) -> Plan:
    """A plan of *count* things."""
    items = tuple(PlannedItem(str(number), "a", "b", "") for number in range(count))
    return Plan("p", verb, "", items, (), 0, reversal=reversal)


def test_writing_is_allowed_for_a_while_and_not_longer() -> None:
    """An allowance counts down, ends by itself, and can be taken away."""
    clock = ManualClock()
    guard = Guard(read_only="read-only by its settings", clock=clock)
    with pytest.raises(RefusedError, match="settings"):
        guard.check(plan(1), Consent())
    guard.arm(900)
    guard.check(plan(1), Consent())
    clock.advance(899)
    assert guard.armed_s == pytest.approx(1)
    clock.advance(1)
    assert guard.armed_s is None
    assert guard.refusal == "read-only by its settings"
    guard.arm(60)
    guard.disarm()
    assert guard.refusal


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 9 * 3600])
def test_an_allowance_needs_a_time_that_makes_sense(seconds: float) -> None:
    """Neither no time nor a working day."""
    with pytest.raises(UsageError):
        Guard(read_only="x").arm(seconds)


def test_what_a_flag_or_the_engine_forbids_cannot_be_allowed() -> None:
    """A session that is locked stays locked, and so does a user without rights."""
    locked, forbidden = Guard(locked="--read-only"), Guard(read_only="settings")
    forbidden.forbid("the engine's access rules forbid it")
    for guard in (locked, forbidden):
        with pytest.raises(RefusedError):
            guard.arm(60)
        with pytest.raises(RefusedError):
            guard.check(plan(1), Consent("1", "because"))


@pytest.mark.parametrize(
    ("made", "level", "word"),
    [
        (plan(0), Level.NONE, ""),
        (plan(1), Level.NONE, ""),
        (plan(2), Level.ASK, ""),
        (plan(100), Level.ASK, ""),
        (plan(101), Level.TYPE, "101"),
        (plan(1, verb="purge", reversal=Reversal.NONE), Level.TYPE, "purge"),
        (plan(7, verb="purge", reversal=Reversal.NONE), Level.TYPE, "7"),
        (plan(1, verb="claim"), Level.ASK, ""),
        (plan(1, verb="tell", reversal=Reversal.NONE), Level.NONE, ""),
    ],
)
def test_what_is_asked_is_in_proportion(made: Plan, level: Level, word: str) -> None:
    """One reversible thing takes nothing, several a yes, many or the irreversible a word and a reason."""
    need = Guard().demand(made)
    assert (need.level, need.word) == (level, word)


def test_a_protected_bus_takes_its_name_for_every_change() -> None:
    """Not the count, not yes: its name, typed, and a reason."""
    guard = Guard(protected="prod")
    for consent in (Consent(), Consent("1", "x"), Consent("prod"), Consent("PROD", "x"), Consent("prod", "  ")):
        with pytest.raises(RefusedError):
            guard.check(plan(1), consent)
    guard.check(plan(1), Consent("prod", "agreed with ann"))
