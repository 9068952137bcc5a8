"""The audit: the books that the event log adds up to, against what the engine holds.

Every change that the bus client makes is one atom with its event, so the two must be equal. They cannot be read in
one atom, though: what the log speaks of while the engine is being read is not judged, and said to be so. Nor is
what leaves no event by its nature: foreign agents' work before it is taken, what foreign consumers acknowledge,
and whatever is older than the log.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.bus.care.census import Place, places, take_census
from observatory.bus.care.compare import (
    UNKNOWABLE,
    Findings,
    Kind,
    compare_counters,
    compare_numbers,
    compare_tasks,
    in_lanes,
)
from observatory.bus.care.ledger import Ledger
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus.care.census import Census, LaneCount
    from observatory.bus.care.compare import Discrepancy
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link

GROUP: Final = "workers"
"""Group by which the bus client's workers read unless they are told otherwise."""

MOST: Final = 200_000
"""Entries above which the engine's holdings are only counted."""

EXAMPLES: Final = 5
ROUNDS: Final = 3
_PAGE: Final = 2000

PAUSE_S: Final = 0.2
"""Seconds between two rounds, in which a moving bus may come to rest."""


@dataclass(frozen=True, slots=True)
class LaneAudit:
    """One lane by the log and in the engine.

    Attributes:
        count: As the engine counts it.
        queued: Tasks that wait in it by the log.
        running: Tasks that run from it by the log.
        waiting: Entries that the group that works on it was not given yet; None where nobody knows.
        pending: Entries that it was given, and has not acknowledged; None where nobody knows.
    """

    count: LaneCount
    queued: int
    running: int
    waiting: int | None
    pending: int | None

    @property
    def held(self) -> int | None:
        """Entries that are not settled; None where nobody knows."""
        return None if self.waiting is None or self.pending is None else self.waiting + self.pending


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        since_ms: When the first fact of the log happened, ms of server time; None if there is none.
        days: Days of which the log holds something.
        facts: How many facts were read.
        by_task: Tasks were compared one by one; otherwise there were too many, and only numbers were.
        lanes: The lanes, by stream.
        delayed: Delayed tasks by the log, and in the engine.
        dead: Dead letters by the log, and in the engine.
        differences: Where log and engine differ; empty if they are equal in all that can be known.
        unknown: What cannot be known.
    """

    since_ms: int | None
    days: tuple[str, ...]
    facts: int
    by_task: bool
    lanes: tuple[LaneAudit, ...]
    delayed: tuple[int, int]
    dead: tuple[int, int]
    differences: tuple[Discrepancy, ...]
    unknown: tuple[Discrepancy, ...]

    @property
    def equal(self) -> bool:
        """Log and engine agree in all that can be known."""
        return not self.differences

    @property
    def moving(self) -> int:
        """How many tasks moved while they were being counted, and were not judged."""
        return sum(one.count for one in self.unknown if one.kind is Kind.MOVING)


async def audit(
    link: Link, keys: Keys, *, group: str = GROUP, examples: int = EXAMPLES, most: int = MOST, rounds: int = ROUNDS
) -> Audit:
    """Rebuild the books from the event log, and compare them with what the engine holds; changes nothing.

    Args:
        link: The link to the engine.
        keys: Key names.
        group: Group whose workers write the events; on a lane that has only another, that one is taken.
        examples: Most ids to name for each discrepancy.
        most: Entries in the engine above which numbers are compared, and not tasks.
        rounds: How often to try to find the bus at rest; if it never is, what moved is not judged.

    Raises:
        BusError: Log or engine cannot be read; `BusUnreachableError` if nothing answers.
    """
    ledger = Ledger(link, keys)
    await ledger.catch_up()
    before: Findings | None = None
    while True:
        counted = {day: Counter(kinds) for day, kinds in ledger.counted.items()}
        lanes = {task.lane for task in ledger.books.tasks.values() if task.lane}
        census = await take_census(link, keys, group=group, lanes=lanes, most=most)
        counters = {day: await _counters(link, keys, day) for day in ledger.span}
        moved = await ledger.catch_up()
        findings = Findings()
        if census.by_task is not None:
            compare_tasks(findings, ledger, census, keys, moved)
        elif moved:
            findings.number(Kind.MOVING, "", len(moved))
        else:
            compare_numbers(findings, ledger, census, keys)
        compare_counters(findings, ledger, counted, counters)
        rounds -= 1
        if not moved or rounds <= 0:
            if moved and before is not None:
                findings.keep_what_stayed(before)
            return _told(ledger, census, findings, examples)
        before = findings
        await asyncio.sleep(PAUSE_S)


async def _counters(link: Link, keys: Keys, day: str) -> Counter[str]:
    """Return how many facts of each kind the bus counted on *day*."""
    fields: dict[bytes, bytes] = {}
    cursor = b"0"
    while True:
        cursor, flat = await link.command("HSCAN", keys.density(day), cursor, "COUNT", _PAGE)
        fields.update(zip(flat[::2], flat[1::2], strict=True))
        if int(cursor) == 0:
            break
    counted: Counter[str] = Counter()
    for name, value in fields.items():
        minute, _, kind = name.decode("utf-8", "surrogateescape").partition(":")
        if minute.isdecimal() and kind and value.isdigit():
            counted[kind] += int(value)
    return counted


def _told(ledger: Ledger, census: Census, findings: Findings, examples: int) -> Audit:
    found = findings.told(examples)
    logged, held = in_lanes(ledger), places(census)
    books = ledger.books
    return Audit(
        since_ms=ledger.first_ms,
        days=ledger.days,
        facts=sum(books.totals.values()),
        by_task=census.by_task is not None,
        lanes=tuple(
            _lane(lane, logged[lane.stream], held[lane.stream] if census.by_task is not None else None)
            for lane in census.lanes.values()
        ),
        delayed=(books.count(TaskState.DELAYED), census.delayed),
        dead=(books.count(TaskState.DEAD), census.dead),
        differences=tuple(one for one in found if one.kind not in UNKNOWABLE),
        unknown=tuple(one for one in found if one.kind in UNKNOWABLE),
    )


def _lane(lane: LaneCount, logged: Mapping[TaskState, int], held: Counter[Place] | None) -> LaneAudit:
    waiting: int | None
    pending: int | None
    if lane.problem or (lane.groups and lane.working is None):
        waiting = pending = None
    elif held is not None:
        waiting, pending = held[Place.WAITING], held[Place.PENDING]
    elif lane.working is not None:
        waiting, pending = lane.working.waiting, lane.working.pending
    else:
        waiting, pending = lane.length, 0
    return LaneAudit(lane, logged.get(TaskState.QUEUED, 0), logged.get(TaskState.RUNNING, 0), waiting, pending)
