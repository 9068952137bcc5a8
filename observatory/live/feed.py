"""The feed of newest facts: bounded, newest first, each fact once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.event import event_order

if TYPE_CHECKING:
    from observatory.model.event import Event

FEED_LENGTH = 200
"""Facts that a snapshot holds at most."""


def merged(feed: tuple[Event, ...], fresh: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return the newest facts of *feed* and *fresh*, newest first; *feed* itself if nothing is new."""
    known = {event.id: event for event in feed}
    new = {event.id: event for event in fresh if event.id not in known}
    if not new:
        return feed
    ordered = sorted((known | new).values(), key=lambda event: event_order(event.id), reverse=True)
    return tuple(ordered[:FEED_LENGTH])
