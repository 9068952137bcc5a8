"""The player: a playhead on a timeline, moved by keys and by time. Playing is repeated seeking, on an injected clock.

It knows the range that is looked at, speed, loop, selection and bookmarks; it reads the past only through its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from observatory.model.quantity import moment
from observatory.model.timeline import FAILURES, Bookmark, Density, Mark, MarkKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from datetime import tzinfo

    from observatory.model.clock import Clock
    from observatory.model.difference import Changed

SPEEDS: Final = (-64.0, -16.0, -8.0, -4.0, -2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
"""How much faster than life it plays; below zero, backwards."""

NARROWEST_MS: Final = 1_000
"""Ms that the view shows at least."""

IDLE_MS: Final = 5_000
"""Ms without any event that are skipped while idle time is folded."""


class Timeline(Protocol):
    """What the player needs of the past."""

    bookmarks: tuple[Bookmark, ...]

    @property
    def span(self) -> tuple[int, int] | None:
        """Server time of the first and of the last event, in ms; None without events."""

    @property
    def at_ms(self) -> int:
        """The time where the playhead stands."""

    def seek(self, at_ms: int, row: int | None = None) -> None:
        """Put the playhead to a time; the last one wins."""

    async def step(self, kinds: Collection[str] = (), *, backwards: bool = False) -> bool:
        """Go to the next event of *kinds*, or to the last one; says whether there is one."""

    async def next_ms(self) -> int | None:
        """Return the time of the next event behind the playhead; None if there is none."""

    async def density(self, from_ms: int, to_ms: int, buckets: int) -> Density:
        """Return how often things happened in a range."""

    async def marks(self, from_ms: int, to_ms: int) -> tuple[Mark, ...]:
        """Return the markers of a range."""

    async def difference(self, before_ms: int, after_ms: int) -> tuple[Changed, ...]:
        """Return what changed from one time to another."""

    async def refresh(self) -> None:
        """Take in what has come since."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a timeline is drawn from: the range, how often things happened in it, its markers."""

    view: tuple[int, int]
    density: Density
    marks: tuple[Mark, ...]


class Player:
    """Moves the playhead of a timeline.

    Args:
        timeline: The past.
        clock: By which it plays.
        keep: Keeps a bookmark for everybody; None keeps it here only.
    """

    def __init__(
        self, timeline: Timeline, clock: Clock, keep: Callable[[int, str], Awaitable[Bookmark]] | None = None
    ) -> None:
        self.timeline = timeline
        self._clock = clock
        self._keep = keep
        self.view = self._all()
        self.trail: list[tuple[int, int]] = []
        self.playing = False
        self.folds_idle = False
        self.loops = False
        self.selection: tuple[int, int] | None = None
        self.selecting = False
        self._speed = SPEEDS.index(1.0)
        self._before: float | None = None
        self._fraction = 0.0
        self.picture: Picture | None = None

    @property
    def at_ms(self) -> int:
        """Where the playhead stands, ms of server time."""
        return self.timeline.at_ms

    @property
    def speed(self) -> float:
        """How much faster than life it plays; below zero, backwards."""
        return SPEEDS[self._speed]

    # -- moving -------------------------------------------------------------------------------------------------

    def seek(self, at_ms: int) -> None:
        """Put the playhead to a time within what there is; the view follows it."""
        first, last = self._all()
        at = min(max(at_ms, first), last)
        self.timeline.seek(at)
        if self.selecting and self.selection is not None:
            self.selection = (self.selection[0], at)
        low, high = self.view
        if not low <= at <= high:
            self._show(at - (high - low) // 2, high - low)

    def move(self, share: float) -> None:
        """Move by a share of the view, and pause."""
        self.playing = False
        low, high = self.view
        step = round((high - low) * share)
        self.seek(self.at_ms + (step or (1 if share > 0 else -1)))

    def percent(self, tenths: int) -> None:
        """Go to so many tenths of the view, and pause."""
        self.playing = False
        low, high = self.view
        self.seek(low + (high - low) * tenths // 10)

    async def step(self, direction: int, kinds: Collection[str] = ()) -> bool:
        """Go to the next event, or to the last one, and pause; says whether there is one."""
        self.playing = False
        moved = await self.timeline.step(kinds, backwards=direction < 0)
        if moved:
            low, high = self.view
            if not low <= self.at_ms <= high:
                self._show(self.at_ms - (high - low) // 2, high - low)
        return moved

    async def failure(self, direction: int) -> bool:
        """Go to the next failure, or to the last one."""
        return await self.step(direction, FAILURES)

    async def marker(self, direction: int) -> Mark | None:
        """Go to the next marker or bookmark, or to the last one; returns it, None if there is none."""
        first, last = self._all()
        marks = await self.timeline.marks(first, last + 1)
        times = [(mark.at_ms, mark) for mark in marks]
        times += [(one.at_ms, bookmark_mark(one)) for one in self.timeline.bookmarks]
        times.sort(key=lambda item: item[0])
        found = (
            next((mark for at, mark in times if at > self.at_ms), None)
            if direction > 0
            else next((mark for at, mark in reversed(times) if at < self.at_ms), None)
        )
        if found is not None:
            self.playing = False
            self.seek(found.at_ms)
        return found

    def goto(self, text: str, zone: tzinfo) -> None:
        """Go to a time that somebody typed: `14:03`, `-5m` from the playhead, a date.

        Raises:
            ValueError: It is no time.
        """
        self.playing = False
        relative = text.strip()[:1] in {"+", "-"}
        _, last = self._all()
        self.seek(int(moment(text, now_ms=self.at_ms if relative else last, zone=zone).low))

    # -- the view -----------------------------------------------------------------------------------------------

    def zoom(self, factor: float) -> None:
        """Show less, or more, around the playhead."""
        low, high = self.view
        width = max(round((high - low) * factor), NARROWEST_MS)
        share = (self.at_ms - low) / max(high - low, 1)
        self._remember()
        self._show(round(self.at_ms - width * share), width)

    def pan(self, share: float) -> None:
        """Move the view, and leave the playhead where it is."""
        low, high = self.view
        self._show(low + round((high - low) * share), high - low)

    def fit(self) -> None:
        """Show all there is."""
        self._remember()
        self.view = self._all()

    def focus(self) -> None:
        """Put the playhead into the middle of the view."""
        low, high = self.view
        self._show(self.at_ms - (high - low) // 2, high - low)

    def back(self) -> bool:
        """Show what was shown before the last zoom; says whether there was one."""
        if not self.trail:
            return False
        self.view = self.trail.pop()
        return True

    def select(self) -> None:
        """Begin a range at the playhead; again ends it there, a third time drops it."""
        if self.selection is None:
            self.selection, self.selecting = (self.at_ms, self.at_ms), True
        elif self.selecting:
            self.selecting = False
        else:
            self.selection = None

    def zoom_to_selection(self) -> bool:
        """Show just the range that is selected; says whether there is one."""
        if self.selection is None or self.selection[0] == self.selection[1]:
            return False
        low, high = sorted(self.selection)
        self._remember()
        self._show(low, max(high - low, NARROWEST_MS))
        self.selecting = False
        return True

    # -- playing --------------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Play, or pause."""
        self.playing = not self.playing
        self._before, self._fraction = None, 0.0

    def faster(self, steps: int) -> None:
        """Play faster, or slower and then backwards."""
        self._speed = min(max(self._speed + steps, 0), len(SPEEDS) - 1)

    async def tick(self) -> bool:
        """Move the playhead by the time that has passed; says whether it moved."""
        now = self._clock.monotonic()
        before, self._before = self._before, now
        if not self.playing or before is None:
            return False
        moved = (now - before) * 1000 * self.speed + self._fraction
        self._fraction = moved - int(moved)
        if not int(moved):
            return False
        low, high = sorted(self.selection) if self.loops and self.selection else self._all()
        at = self.at_ms + int(moved)
        if self.folds_idle and self.speed > 0:
            following = await self.timeline.next_ms()
            if following is not None and following - at > IDLE_MS:
                at = following
        if not low <= at <= high:
            if self.loops:
                at = low if self.speed > 0 else high
            else:
                at, self.playing = (high if self.speed > 0 else low), False
        self.seek(at)
        return True

    # -- bookmarks ------------------------------------------------------------------------------------------------

    async def bookmark(self, text: str) -> Bookmark:
        """Keep the time of the playhead, with a text.

        Raises:
            BusError: The bus does not take it.
        """
        mark = await self._keep(self.at_ms, text) if self._keep else Bookmark(f"{self.at_ms}", self.at_ms, text)
        marks = (*self.timeline.bookmarks, mark)
        self.timeline.bookmarks = tuple(sorted(marks, key=lambda one: (one.at_ms, one.id)))
        return mark

    def next_bookmark(self) -> Bookmark | None:
        """Go to the next bookmark, behind the last one to the first; returns it, None if there is none."""
        marks = self.timeline.bookmarks
        if not marks:
            return None
        found = next((one for one in marks if one.at_ms > self.at_ms), marks[0])
        self.playing = False
        self.seek(found.at_ms)
        return found

    async def compare(self) -> tuple[tuple[int, int], tuple[Changed, ...]] | None:
        """Return what changed between the last two bookmarks, or between the last one and the playhead.

        Returns:
            The two times, and what changed; None without a bookmark.
        """
        marks = self.timeline.bookmarks
        if not marks:
            return None
        one, two = (marks[-2].at_ms, marks[-1].at_ms) if len(marks) > 1 else sorted((marks[-1].at_ms, self.at_ms))
        return (one, two), await self.timeline.difference(one, two)

    # -- drawing --------------------------------------------------------------------------------------------------

    async def look(self, buckets: int) -> Picture:
        """Read what the view is drawn from, unless it is at hand."""
        known = self.picture
        if known is None or known.view != self.view or len(known.density.edges) != buckets + 1:
            low, high = self.view
            density = await self.timeline.density(low, max(high, low + 1), buckets)
            known = self.picture = Picture((low, high), density, await self.timeline.marks(low, high + 1))
        return known

    def _all(self) -> tuple[int, int]:
        first, last = self.timeline.span or (0, 0)
        return first, max(last, first + NARROWEST_MS)

    def _show(self, low: int, width: int) -> None:
        first, last = self._all()
        width = min(width, last - first)
        low = min(max(low, first), last - width)
        self.view = (low, low + width)

    def _remember(self) -> None:
        self.trail = [*self.trail[-9:], self.view]


def bookmark_mark(bookmark: Bookmark) -> Mark:
    """Return a bookmark as a marker."""
    return Mark(bookmark.at_ms, MarkKind.BOOKMARK, bookmark.text)
