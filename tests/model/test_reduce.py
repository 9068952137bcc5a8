"""The books: rebuilding state from events."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce as fold_left
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.event import Event, EventKind
from observatory.model.keyframe import KeyframeError, decode, encode
from observatory.model.reduce import FORGET_AFTER_MS, Books, Folding, fold, reduce, row_of
from observatory.model.task import TaskState

_DETAILS = [
    "", "lag/high: 5 wait", '[9, 4, 2, 3, 2, 1000, null, [["workers", 4, 2, 1]]]', "[[[", "\udcff\x1f", '{"memory": 5}',
]  # fmt: skip
_FACTS = st.builds(
    Event,
    id=st.just(""),
    kind=st.sampled_from([*map(str, EventKind), "from_a_later_version"]),
    ts_ms=st.integers(1_000, 9_000_000),
    task=st.sampled_from(["a", "b", "c", ""]),
    type=st.sampled_from(["", "deploy"]),
    lane=st.sampled_from(["", "cortex:tasks:high", "cortex:tasks:low"]),
    agent=st.sampled_from(["", "pink@host:1:a", "harold@host:2:b"]),
    attempt=st.integers(0, 3),
    reason=st.sampled_from(["", "error", "stale"]),
    ms=st.none() | st.integers(0, 10_000),
    detail=st.sampled_from(_DETAILS),
)


def in_order(facts: list[Event]) -> list[Event]:
    """Give facts ids as an engine does, three to an entry, whatever their own idea of the time is."""
    return [
        replace(fact, id=f"1770378300000-{at // 3}{f'.{at % 3}' if at % 3 else ''}") for at, fact in enumerate(facts)
    ]


EVENTS = st.lists(_FACTS, max_size=30).map(in_order)

_ids = count(1)


def event(kind: EventKind, task: str = "a", reason: str = "", **more: Any) -> Event:
    """One fact, the newest so far."""
    return Event(f"1-{next(_ids)}", kind, more.pop("ts_ms", 1), task=task, reason=reason, **more)


def test_a_task_that_is_done_leaves_the_books() -> None:
    """Live entities bound the books, however long the swarm lives."""
    books = fold(Books(), [event(EventKind.PUBLISHED), event(EventKind.TAKEN), event(EventKind.COMPLETED)])
    assert books.tasks == {}
    assert books.totals == {"published": 1, "taken": 1, "completed": 1}


def test_dead_letters_are_counted_by_whether_they_are_stale() -> None:
    """Stale is counted apart from every other reason."""
    books = fold(
        Books(),
        [event(EventKind.DEAD_LETTERED, "a", reason="stale"), event(EventKind.DEAD_LETTERED, "b", reason="error")],
    )
    assert (books.dead(stale=True), books.dead(stale=False), books.count(TaskState.DEAD)) == (1, 1, 2)
    assert fold(books, [event(EventKind.REQUEUED, "b")]).dead(stale=False) == 0


@given(EVENTS, st.integers(0, 30))
def test_folding_in_pieces_is_folding_at_once(events: list[Event], cut: int) -> None:
    """State at any time is a keyframe and what came after it."""
    whole = fold(Books(), events)
    assert fold(fold(Books(), events[:cut]), events[cut:]) == whole
    assert fold_left(reduce, events, Books()) == whole


@given(EVENTS)
def test_a_fold_changes_nothing_that_it_was_given(events: list[Event]) -> None:
    """Books are values."""
    before = fold(Books(), events)
    tasks, totals = dict(before.tasks), dict(before.totals)
    fold(before, events)
    assert (before.tasks, before.totals) == (tasks, totals)


@given(EVENTS, st.integers(0, 30))
def test_a_keyframe_and_what_came_after_it_is_the_state(events: list[Event], cut: int) -> None:
    """A keyframe may be written anywhere, whole or as a step after a whole one, and nothing is lost in it."""
    whole = fold(Books(), events)
    begun = fold(Books(), events[: cut // 2])
    folding = Folding(begun)
    folding.run(map(row_of, events[cut // 2 : cut]))
    folding.last_id = events[:cut][-1].id if events[:cut] else ""
    between = folding.books()
    assert fold(decode(encode(between)), events[cut:]) == whole
    step = encode(between, since=begun, touched=folding.touched)
    assert fold(decode(step, since=decode(encode(begun))), events[cut:]) == whole


@given(EVENTS, st.data())
def test_a_fact_that_comes_twice_counts_once(events: list[Event], data: st.DataObject) -> None:
    """Whoever reads an archive and the engine may meet the same fact in both, at once or much later."""
    twice = [*events]
    for fact in data.draw(st.lists(st.sampled_from(events), max_size=5)) if events else []:
        behind = twice.index(fact) + 1
        twice.insert(data.draw(st.integers(behind, len(twice))), fact)
    assert fold(Books(), twice) == fold(Books(), events)


def test_a_clock_that_jumped_ahead_puts_nothing_out_of_order() -> None:
    """Ids stay in the future after a jump; the order of the ids is the order of the facts all the same."""
    facts = [
        Event("1000-0", EventKind.PUBLISHED, 1000, task="a", lane="high"),
        Event("9000000-0", EventKind.TAKEN, 9_000_000, task="a", lane="high", agent="pink"),
        Event("9000000-1", EventKind.COMPLETED, 1100, task="a", lane="high", agent="pink"),
    ]
    books = fold(Books(), facts)
    assert (books.tasks, books.at_ms, books.last_id) == ({}, 1100, "9000000-1")


def test_a_task_remembers_what_an_operator_asks_about_it() -> None:
    """Since when it waits, who runs it, why it died: the last fact about it tells."""
    start = event(EventKind.TAKEN, ts_ms=5000, ms=2000, lane="high", agent="pink", type="deploy", attempt=2)
    running = fold(Books(), [start]).tasks["a"]
    assert (running.agent, running.since_ms, running.arrived_ms, running.attempt) == ("pink", 5000, 3000, 2)
    dead = fold(Books(), [event(EventKind.DEAD_LETTERED, reason="error", detail="boom", ts_ms=7000)]).tasks["a"]
    assert (dead.reason, dead.error, dead.since_ms) == ("error", "boom", 7000)


def test_who_left_long_ago_is_forgotten() -> None:
    """Processes come and go for ever; the books stay small."""
    books = fold(
        Books(),
        [
            event(EventKind.AGENT_UP, "", agent="pink", ts_ms=0),
            event(EventKind.AGENT_DOWN, "", agent="pink", ts_ms=1000),
            event(EventKind.AGENT_UP, "", agent="harold", ts_ms=2000),
        ],
    )
    assert {name: one.state for name, one in books.processes.items()} == {"pink": "down", "harold": "up"}
    later = fold(books, [event(EventKind.AGENT_UP, "", agent="olive", ts_ms=1001 + FORGET_AFTER_MS)])
    assert set(later.processes) == {"harold", "olive"}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"v": 99, "whole": true}', b'{"v": 1, "whole": true}'])
def test_what_is_no_keyframe_is_refused_in_words(data: bytes) -> None:
    """Damage, and a later version, are a clear error."""
    with pytest.raises(KeyframeError):
        decode(data)
