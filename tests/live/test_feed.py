"""The feed of newest facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from observatory.live.feed import FEED_LENGTH, merged
from observatory.model.task import EntryId
from tests.live.observations import fact

if TYPE_CHECKING:
    from observatory.model.event import Event

seconds = st.lists(st.integers(0, 2000), max_size=300)


def newest_first(when: list[int]) -> tuple[Event, ...]:
    return tuple(fact("taken", second) for second in sorted(set(when), reverse=True))


@given(seconds, seconds)
def test_the_feed_holds_the_newest_facts_once(first: list[int], second: list[int]) -> None:
    """Looks that overlap, in any order, give each fact once, newest first, and never more than the bound."""
    feed = merged(merged((), newest_first(first)), newest_first(second))
    assert feed == newest_first(first + second)[:FEED_LENGTH]


def test_order_is_by_number_and_not_by_text() -> None:
    """`…-10` is newer than `…-9`."""
    feed = merged((), (fact("taken", 0, seq=9), fact("taken", 0, seq=10)))
    assert [EntryId.parse(event.id).seq for event in feed] == [10, 9]


def test_a_feed_without_news_is_the_same_object() -> None:
    """Who holds the feed sees at once that nothing is new."""
    feed = merged((), newest_first([1, 2]))
    assert merged(feed, newest_first([2])) is feed
