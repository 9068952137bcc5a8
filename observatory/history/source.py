"""The `Source` of the past: the same questions as live, answered for the time where the playhead stands."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from observatory.history import lists
from observatory.history.marks import marks_of
from observatory.history.render import Moment
from observatory.model.difference import difference
from observatory.model.engine import EngineReport
from observatory.model.listing import MOST_SEARCHED
from observatory.model.timeline import Density
from observatory.model.trace import Clues, trace_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from observatory.bus.keys import Keys
    from observatory.history.chronicle import Chronicle
    from observatory.history.sql import Answer
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.difference import Changed
    from observatory.model.event import Event
    from observatory.model.listing import (
        AgentDetail,
        Ask,
        EntryRow,
        GroupRow,
        Page,
        PendingRow,
        PendingScope,
        TaskRow,
    )  # fmt: skip
    from observatory.model.snapshot import Snapshot
    from observatory.model.timeline import Bookmark, Gap, Mark
    from observatory.model.trace import Trace

Found = TypeVar("Found")


NEAR_ROWS: Final = 200
"""Events up to which a step forwards goes on from the books at hand."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the playhead stands: a time, and how many events had happened by then."""

    at_ms: int
    row: int


class PastSource:
    """Snapshots of a time that the playhead chooses. It never asks the bus for anything but the end of its log.

    Args:
        chronicle: The past.
        keys: Key names of the bus that it is of.
        origin: Where it comes from, for people: a file, or the bus.
        at_ms: Where the playhead stands first; at the end if None.
        read_on: Returns the past with what has come since; None where nothing can come.
        bookmarks: Times that somebody wanted to find again, as far as they came with it.
    """

    def __init__(
        self,
        chronicle: Chronicle,
        keys: Keys,
        *,
        origin: str,
        at_ms: int | None = None,
        read_on: Callable[[], Awaitable[Chronicle]] | None = None,
        bookmarks: tuple[Bookmark, ...] = (),
    ) -> None:
        self.bookmarks = bookmarks
        self._read_on = read_on
        self._chronicle = chronicle
        self._keys = keys
        self._origin = origin
        self._sequence = 0
        self._moved = asyncio.Event()
        # One thread reads: caches have one user, and the loop stays free.
        self._reader = ThreadPoolExecutor(1, "observatory-past")
        self._tasks: tuple[list[TaskRow], int] = ([], 0)
        self._wanted = at_ms if at_ms is not None else (chronicle.last_ms or 0)
        self._row: int | None = None
        self._moment: Moment | None = None

    @property
    def alerts(self) -> None:
        """Nobody watches the past."""
        return

    @property
    def origin(self) -> str:
        """Where the past comes from, for people."""
        return self._origin

    @property
    def span(self) -> tuple[int, int] | None:
        """Server time of the first and of the last event, in ms; None without events."""
        first, last = self._chronicle.first_ms, self._chronicle.last_ms
        return None if first is None or last is None else (first, last)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What is known to be missing."""
        return self._chronicle.gaps

    @property
    def at_ms(self) -> int:
        """The time where the playhead stands."""
        return self._wanted

    async def refresh(self) -> None:
        """Take in what has come since; the playhead stays at its time.

        Raises:
            BusError: The log cannot be read.
            DamagedError: The archive is damaged.
        """
        if self._read_on is not None:
            chronicle = await self._read_on()
            if chronicle is not self._chronicle:
                self._chronicle = chronicle
                self._moment, self._row = None, None

    def close(self) -> None:
        """Stop the reading thread."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    # -- the playhead -----------------------------------------------------------------------------------------------

    def seek(self, at_ms: int, row: int | None = None) -> None:
        """Put the playhead to a time; the last one wins, whatever is being drawn.

        Args:
            at_ms: The time, ms of server time.
            row: How many events have happened, where the time alone does not say it.
        """
        self._wanted, self._row = at_ms, row
        self._moved.set()

    async def step(self, kinds: Collection[str] = (), *, backwards: bool = False) -> bool:
        """Put the playhead behind the next event of *kinds* (all if empty), or before the last one.

        Returns:
            Whether there is one.
        """
        moment = await self._now()

        def find() -> Place | None:
            chronicle = self._chronicle
            at = moment.row - 1 if backwards else moment.row
            if at < 0:
                return None
            row = chronicle.next_row(at, kinds, backwards=backwards)
            if row is None:
                return None
            return Place(chronicle.events(row, row + 1)[0].ts_ms, row + 1)

        place = await self._ask(find)
        if place is not None:
            self.seek(place.at_ms, place.row)
        return place is not None

    async def next_ms(self) -> int | None:
        """Return the time of the next event behind the playhead; None if there is none."""
        moment = await self._now()

        def find() -> int | None:
            chronicle = self._chronicle
            return chronicle.events(moment.row, moment.row + 1)[0].ts_ms if moment.row < chronicle.rows else None

        return await self._ask(find)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield a snapshot at once, and then one whenever the playhead has moved; it ends only when it is closed."""
        while True:
            self._moved.clear()
            yield await self.snapshot()
            await self._moved.wait()

    async def snapshot(self, at_ms: int | None = None) -> Snapshot:
        """Return the snapshot of a time; where the playhead stands if None. A damaged part of the past says so."""
        moment = await (self._now() if at_ms is None else self._at(at_ms, None))
        self._sequence += 1
        sequence = self._sequence
        return await self._ask(lambda: moment.snapshot(origin=self._origin, sequence=sequence))

    # -- lists ------------------------------------------------------------------------------------------

    async def dead_letters(self, ask: Ask) -> Page[DeadLetter]:
        """Return a piece of the dead letters of then."""
        moment = await self._now()
        rows = await self._ask(lambda: lists.dead_letters(moment))
        return await lists.page_of(rows, ask, lambda row: row.entry_id, time="died")

    async def events(self, ask: Ask) -> Page[Event]:
        """Return a piece of the log up to then, newest first."""
        return await lists.events(await self._now(), ask)

    async def entries(self, stream: str, ask: Ask) -> Page[EntryRow]:
        """Return a piece of what stood in *stream*."""
        moment = await self._now()
        rows = await self._ask(lambda: lists.entries(moment, stream))
        return await lists.page_of(rows, ask, lambda row: row.key)

    async def entry(self, stream: str, key: str) -> EntryRow | None:
        """Return one entry as far as the log tells it; None if it was not there."""
        moment = await self._now()
        rows = await self._ask(lambda: lists.entries(moment, stream))
        return next((row for row in rows if row.key == key), None)

    async def pending(self, ask: Ask, scope: PendingScope) -> Page[PendingRow]:
        """Return a piece of what was given to consumers and not settled."""
        moment = await self._now()
        rows = await self._ask(lambda: lists.pending(moment, scope))
        return await lists.page_of(rows, ask, lambda row: row.key)

    async def groups(self, stream: str) -> tuple[GroupRow, ...]:
        """Return the group whose workers write events, as it stood."""
        moment = await self._now()
        return await self._ask(lambda: lists.groups(moment, stream))

    async def agent(self, name: str) -> AgentDetail | None:
        """Return what was known of one agent."""
        moment = await self._now()
        return await self._ask(lambda: lists.agent(moment, name))

    async def tasks(self, ask: Ask) -> Page[TaskRow]:
        """Return a piece of the tasks last heard of then."""
        moment = await self._now()
        if not ask.cursor:
            most = max(ask.most, MOST_SEARCHED)
            self._tasks = await self._ask(lambda: lists.tasks(moment, most=most))
        return lists.piece_of_tasks(*self._tasks, ask)

    async def trace(self, task_id: str) -> Trace:
        """Return the life of one task up to then, from its first fact on."""
        moment = await self._now()
        facts = await self._ask(lambda: self._chronicle.trace(task_id))
        known = tuple(fact for fact in facts if fact.ts_ms <= moment.at_ms)
        return trace_of(Clues(task_id, moment.at_ms, known, searched=moment.row))

    async def engine(self) -> EngineReport:
        """Return what little is known of the server of then."""
        return EngineReport(at_ms=(await self._now()).at_ms)

    # -- two moments, and SQL --------------------------------------------------------------------------------

    async def difference(self, before_ms: int, after_ms: int) -> tuple[Changed, ...]:
        """Return what changed from one time to another."""
        one, two = await self._at(before_ms, None), await self._at(after_ms, None)

        def compare() -> tuple[Changed, ...]:
            before, after = (moment.snapshot(origin=self._origin) for moment in (one, two))
            return difference(before, after, lists.dead_letters(one), lists.dead_letters(two))

        return await self._ask(compare)

    async def ask_sql(self, question: str, *, seconds: float) -> Answer:
        """Answer a question in SQL over all events; see `sql.ask`."""
        from observatory.history import sql  # noqa: PLC0415 - DuckDB is loaded by whoever asks

        def answer() -> Answer:
            files, rest = self._chronicle.files()
            return sql.ask(question, files=files, rest=rest, seconds=seconds)

        return await self._ask(answer)

    # -- the timeline ------------------------------------------------------------------------------------------

    async def density(self, from_ms: int, to_ms: int, buckets: int) -> Density:
        """Return how often each kind happened in each of *buckets* parts of a range."""

        def count() -> Density:
            edges, kinds = self._chronicle.density(from_ms, to_ms, buckets)
            told = {kind: tuple(numbers.tolist()) for kind, numbers in kinds.items() if numbers.any()}
            gaps = tuple(gap for gap in self._chronicle.gaps if gap.to_ms > from_ms and gap.from_ms < to_ms)
            return Density(tuple(edges.tolist()), told, gaps)

        return await self._ask(count)

    async def marks(self, from_ms: int, to_ms: int) -> tuple[Mark, ...]:
        """Return the markers of a range, in order."""
        return await self._ask(lambda: marks_of(self._chronicle, from_ms, to_ms))

    # -- reading ------------------------------------------------------------------------------------------

    async def _now(self) -> Moment:
        """Return the moment where the playhead stands."""
        moment = self._moment
        if moment is None or (moment.at_ms, self._row) not in {(self._wanted, None), (self._wanted, moment.row)}:
            moment = self._moment = await self._at(self._wanted, self._row)
        return moment

    async def _at(self, at_ms: int, row: int | None) -> Moment:
        chronicle, before = self._chronicle, self._moment

        def read() -> Moment:
            at = chronicle.row_at(at_ms) if row is None else row
            if before is not None and before.chronicle is chronicle and 0 <= at - before.row <= NEAR_ROWS:
                books = chronicle.advance(before.books, before.row, at)
            else:
                books = chronicle.state(at)
            return Moment(chronicle, at, at_ms, books, self._keys)

        return await self._ask(read)

    async def _ask(self, question: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._reader, question)
