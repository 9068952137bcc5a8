"""Comparing the books with a census: what differs, and what nobody can tell. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from observatory.bus.care.census import Place
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus.care.census import Census, Holding, LaneCount
    from observatory.bus.care.ledger import Ledger
    from observatory.bus.keys import Keys
    from observatory.model.reduce import LiveTask


class Kind(StrEnum):
    """What an audit can find; its value says it in words."""

    LANE_GONE = "in a lane by the log, and that lane is gone"
    MISSING = "somewhere by the log, and nowhere in the engine"
    ELSEWHERE = "not where the log has it"
    ACKNOWLEDGED = "acknowledged in the engine, and unfinished by the log"
    UNLOGGED = "in the engine, and not in the log"
    FEWER = "fewer than by the log"
    MORE = "more than by the log"
    COUNTERS = "facts in the log and counters of facts differ"

    UNTAKEN = "never taken: a foreign agent's tasks have no events until then"
    UNBEGUN = "delivered, and not begun by anyone who writes events"
    FOREIGN = "may have been settled by foreign consumers, which write no events"
    REPEATED = "ids that came again while they lived, so that the log cannot tell one from the other"
    OLDER = "older than the log, or of unknown age"
    TRIMMED = "facts that were counted, and that the beginning of the log has lost"
    MOVING = "moved while they were being counted"
    UNCOUNTED = "the engine does not know how many wait"


UNKNOWABLE = frozenset(
    {
        Kind.UNTAKEN,
        Kind.UNBEGUN,
        Kind.FOREIGN,
        Kind.REPEATED,
        Kind.OLDER,
        Kind.TRIMMED,
        Kind.MOVING,
        Kind.UNCOUNTED,
    }
)
"""Kinds that are no differences: log and engine may agree or not, nobody can tell."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that is not equal, or of which nobody can tell.

    Attributes:
        kind: What it is.
        where: The key it concerns; a day for what concerns the log; empty where there is no one place.
        count: How many tasks, or facts.
        examples: Ids of some of them, or what is known instead.
    """

    kind: Kind
    where: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where or 'bus'}: {self.count:,} {self.kind}"


_OVER = frozenset({Place.SETTLED, Place.CANCELLED})
"""Places of entries that nobody will work on."""


class Findings:
    """What was found so far, by kind and place."""

    def __init__(self) -> None:
        self.tasks: defaultdict[tuple[Kind, str], set[str]] = defaultdict(set)
        self.numbers: dict[tuple[Kind, str], tuple[int, tuple[str, ...]]] = {}

    def task(self, kind: Kind, where: str, task: str) -> None:
        """Note a task."""
        self.tasks[kind, where].add(task)

    def number(self, kind: Kind, where: str, count: int, *examples: str) -> None:
        """Note a number, where no tasks can be named."""
        self.numbers[kind, where] = (count, examples)

    def keep_what_stayed(self, before: Findings) -> None:
        """Forget differences that the round before did not find: on a moving bus two must agree."""
        for (kind, where), tasks in self.tasks.items():
            if kind not in UNKNOWABLE:
                tasks.intersection_update(before.tasks.get((kind, where), ()))

    def told(self, examples: int) -> list[Discrepancy]:
        """Return everything, kind by kind."""
        found = [
            Discrepancy(kind, where, len(tasks), tuple(sorted(tasks)[:examples]))
            for (kind, where), tasks in self.tasks.items()
            if tasks
        ]
        found += [Discrepancy(kind, where, n, some[:examples]) for (kind, where), (n, some) in self.numbers.items()]
        order = list(Kind)
        return sorted(found, key=lambda one: (order.index(one.kind), one.where))


def compare_tasks(findings: Findings, ledger: Ledger, census: Census, keys: Keys, moved: set[str]) -> None:
    """Compare task by task. What no fact speaks of between two reads of the log has not changed between them."""
    assert census.by_task is not None  # noqa: S101 - the caller has looked
    tasks = ledger.books.tasks
    for task in tasks.keys() | census.by_task.keys():
        if task in moved:
            findings.task(Kind.MOVING, "", task)
        elif task in ledger.repeated:
            findings.task(Kind.REPEATED, "", task)
        else:
            rest = list(census.by_task.get(task, ()))
            live = tasks.get(task)
            if live is not None and (wrong := _missed(task, live, rest, census, keys)) is not None:
                findings.task(*wrong)
            for holding in rest:
                if holding.place not in _OVER:
                    findings.task(*_unexpected(holding, ledger), task)


def compare_numbers(findings: Findings, ledger: Ledger, census: Census, keys: Keys) -> None:
    """Compare numbers only; what the engine has more than the log can have come without an event."""
    logged = in_lanes(ledger)
    for lane in census.lanes.values():
        _compare_lane(findings, lane, logged[lane.stream].total())
    for key, state, held in (
        (keys.delayed, TaskState.DELAYED, census.delayed),
        (keys.dead_letters, TaskState.DEAD, census.dead),
    ):
        wanted = ledger.books.count(state)
        if held < wanted:
            findings.number(Kind.FEWER, key, wanted - held, _both(wanted, held))
        elif held > wanted:
            oldest = census.oldest_dead.ms if census.oldest_dead else 0
            old = state is TaskState.DELAYED or ledger.first_ms is None or oldest < ledger.first_ms
            kind = Kind.REPEATED if ledger.repeated else Kind.OLDER if old else Kind.MORE
            findings.number(kind, key, held - wanted, _both(wanted, held))


def compare_counters(
    findings: Findings, ledger: Ledger, before: Mapping[str, Counter[str]], counters: Mapping[str, Counter[str]]
) -> None:
    """Compare the facts of each day with the counters that the bus keeps of them.

    Args:
        findings: Where to note what differs.
        ledger: The log as it was read after the counters.
        before: Its facts by day and kind before the counters were read.
        counters: What the counters say, by day and kind.
    """
    first = min(ledger.days, default="~")
    for day, said in counters.items():
        least, most = before.get(day, Counter[str]()), ledger.counted.get(day, Counter[str]())
        wrong = {kind for kind in said.keys() | most.keys() if not least[kind] <= said[kind] <= most[kind]}
        if not wrong:
            continue
        # The beginning of a log is let go of by whoever needs the room; in its middle nothing may be missing.
        lost = all(said[kind] > most[kind] for kind in wrong) and day <= first
        words = [f"{kind}: {most[kind]} in the log, {said[kind]} counted" for kind in sorted(wrong)]
        count = sum(abs(said[kind] - most[kind]) for kind in wrong)
        findings.number(Kind.TRIMMED if lost else Kind.COUNTERS, day, count, *words)


def in_lanes(ledger: Ledger) -> defaultdict[str, Counter[TaskState]]:
    """Return how many tasks are queued in, and running from, each lane by the log."""
    logged: defaultdict[str, Counter[TaskState]] = defaultdict(Counter)
    for task in ledger.books.tasks.values():
        if task.state in (TaskState.QUEUED, TaskState.RUNNING):
            logged[task.lane][task.state] += 1
    return logged


def _missed(task: str, live: LiveTask, rest: list[Holding], census: Census, keys: Keys) -> tuple[Kind, str, str] | None:
    """Look for a task where the log has it, and take what is its own out of *rest*; say what is wrong if it fails."""
    found = next((holding for holding in rest if _fits(live, holding)), None)
    if found is not None:
        rest.remove(found)
        return None
    home = {TaskState.DELAYED: keys.delayed, TaskState.DEAD: keys.dead_letters}.get(live.state, live.lane)
    astray = next((one for one in rest if one.place not in _OVER), None)
    if astray is not None:
        rest.remove(astray)
        return Kind.ELSEWHERE, home, f"{task} ({live.state} by the log, {astray.place} in {astray.key})"
    lane = census.lanes.get(home)
    if lane is not None and lane.problem:
        return Kind.LANE_GONE, home, task
    if lane is not None and lane.foreign:
        return Kind.FOREIGN, home, task
    settled = any(one.place is Place.SETTLED and one.key == home for one in rest)
    return Kind.ACKNOWLEDGED if settled else Kind.MISSING, home, task


def _fits(live: LiveTask, holding: Holding) -> bool:
    """Say whether *holding* is where the log has the task."""
    if live.state is TaskState.DELAYED:
        return holding.place is Place.DELAYED
    if live.state is TaskState.DEAD:
        return holding.place is Place.DEAD
    # Delivered, but not begun: a blocked read got it a moment ago, or its reader died.
    wanted = (Place.PENDING, Place.SOMEWHERE, *((Place.WAITING,) if live.state is TaskState.QUEUED else ()))
    return holding.key == live.lane and holding.place in wanted


def _unexpected(holding: Holding, ledger: Ledger) -> tuple[Kind, str]:
    if holding.place in (Place.WAITING, Place.SOMEWHERE):
        return Kind.UNTAKEN, holding.key
    if holding.place is Place.PENDING:
        return Kind.UNBEGUN, holding.key
    old = ledger.first_ms is None or holding.since_ms is None or holding.since_ms < ledger.first_ms
    return Kind.OLDER if old else Kind.UNLOGGED, holding.key


def _compare_lane(findings: Findings, lane: LaneCount, logged: int) -> None:
    if lane.problem:
        if logged:
            findings.number(Kind.LANE_GONE, lane.stream, logged, lane.problem)
        return
    working = lane.working
    waiting = working.waiting if working else lane.length
    if waiting is None:
        findings.number(Kind.UNCOUNTED, lane.stream, logged)
        return
    held = waiting + (working.pending if working else 0)
    if held < logged:
        findings.number(Kind.FOREIGN if lane.foreign else Kind.FEWER, lane.stream, logged - held, _both(logged, held))
    elif held > logged:
        findings.number(Kind.UNTAKEN, lane.stream, held - logged, _both(logged, held))


def _both(logged: int, held: int) -> str:
    return f"{logged} by the log, {held} in the engine"
