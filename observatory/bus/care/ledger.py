"""The ledger: the event log, read from its first fact on, folded into the books page by page."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from observatory.bus.keys import day_of, shifted
from observatory.bus.reads.log import DAYS_KEPT, read_events
from observatory.model.event import EventKind
from observatory.model.reduce import Books, fold
from observatory.model.task import EntryId

if TYPE_CHECKING:
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.model.event import Event
    from observatory.model.reduce import LiveTask

_PAGE: Final = 256
_FOLD_AT: Final = 20_000
"""Facts that are folded at once: each fold copies the books."""

_ARRIVALS = frozenset({EventKind.PUBLISHED, EventKind.SCHEDULED, EventKind.OBSERVED})


class Ledger:
    """The books by the event log, and what can be said of the log itself.

    Attributes:
        books: Every task that is somewhere, after the facts that were read.
        first_ms: When the first fact of the log happened, ms of server time; None before there is one.
        days: Days of which the log holds something, in order.
        counted: How many facts of each kind the bus client wrote, by day.
        repeated: Ids that came again while they lived, so that the log does not tell which of the two it speaks of.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self.books = Books()
        self.first_ms: int | None = None
        self.counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.repeated: set[str] = set()
        self._link = link
        self._keys = keys
        self._day = ""
        self._last = ""
        self._unfolded: list[Event] = []
        self._news: dict[str, list[Event]] = {}
        self._states: dict[str, LiveTask | None] = {}

    @property
    def days(self) -> tuple[str, ...]:
        """Days of which the log holds something, in order."""
        return tuple(sorted(self.counted))

    @property
    def span(self) -> tuple[str, ...]:
        """Days of which the log could hold something, up to the newest that was read."""
        return tuple(shifted(self._day, -back) for back in range(DAYS_KEPT + 1, -1, -1))

    async def catch_up(self) -> set[str]:
        """Read on to the end of the log.

        Returns:
            Ids of the tasks that the facts read now speak of; empty for the first call, which reads everything.

        Raises:
            BusError: The log cannot be read.
        """
        now = await self._link.command("TIME")
        today = day_of(int(now[0]) * 1000)
        first = not self._day
        self._day = self._day or shifted(today, -DAYS_KEPT - 1)
        moved: set[str] = set()
        while True:
            after = f"({self._last}" if self._last else "-"
            rows = await self._link.command("XRANGE", self._keys.events(self._day), after, "+", "COUNT", _PAGE)
            for ident, flat in rows:
                self._last = ident.decode()
                events = read_events(ident, flat)
                self._enter(ident, events, ours=b"kind" not in flat[::2])
                if not first:
                    moved.update(event.task for event in events if event.task)
            if len(rows) < _PAGE:
                if self._day >= today:
                    break
                self._day, self._last = shifted(self._day, 1), ""
        self._fold()
        return moved

    def _enter(self, ident: bytes, events: list[Event], *, ours: bool) -> None:
        if self.first_ms is None:
            self.first_ms = EntryId.parse(ident).ms
        for event in events:
            # Facts that foreign agents add are believed, but nobody counted them.
            self.counted[self._day][event.kind] += ours
            if event.task:
                if event.kind in _ARRIVALS and event.task not in self.repeated and self._lives(event.task):
                    self.repeated.add(event.task)
                self._news.setdefault(event.task, []).append(event)
            self._unfolded.append(event)
        if len(self._unfolded) >= _FOLD_AT:
            self._fold()

    def _lives(self, task: str) -> bool:
        """Say whether a task is somewhere, facts that are not folded yet included."""
        before = self._states.get(task, self.books.tasks.get(task))
        books = fold(Books({} if before is None else {task: before}), self._news.pop(task, ()))
        self._states[task] = books.tasks.get(task)
        return self._states[task] is not None

    def _fold(self) -> None:
        self.books = fold(self.books, self._unfolded)
        self._unfolded.clear()
        self._news.clear()
        self._states.clear()
