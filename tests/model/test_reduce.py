"""The books: rebuilding state from events."""

from __future__ import annotations

from functools import reduce as fold_left

from hypothesis import given
from hypothesis import strategies as st

from observatory.model.event import Event, EventKind
from observatory.model.reduce import Books, fold, reduce
from observatory.model.task import TaskState

EVENTS = st.lists(
    st.builds(
        Event,
        id=st.just("1-1"),
        kind=st.sampled_from([*map(str, EventKind), "from_a_later_version"]),
        ts_ms=st.just(1),
        task=st.sampled_from(["a", "b", "c", ""]),
        reason=st.sampled_from(["", "error", "stale"]),
    ),
    max_size=30,
)


def event(kind: EventKind, task: str = "a", reason: str = "") -> Event:
    """One fact about one task."""
    return Event("1-1", kind, 1, task=task, reason=reason)


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
