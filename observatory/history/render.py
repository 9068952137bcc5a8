"""From the books at a time to the snapshot that screens show: the same shapes as live, drawn from what is written."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from observatory.bus.tasks.publisher import LANE_BOUND
from observatory.history.columns import coded, events_of, times_of
from observatory.model import health
from observatory.model.agent import AgentState, agent_of
from observatory.model.event import EventKind
from observatory.model.snapshot import (
    TREND_LENGTH,
    AgentView,
    DeadLetterSummary,
    EngineView,
    Flow,
    GroupView,
    LaneView,
    LinkState,
    LinkView,
    Origin,
    Quantiles,
    Snapshot,
)
from observatory.model.task import SHARED, Lane, Priority, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

    import pyarrow as pa

    from observatory.bus.keys import Keys
    from observatory.history.chronicle import Chronicle
    from observatory.model.books import Books, LaneSample, LiveTask

GROUP: Final = "workers"
"""Group whose workers write events; what the books know of a lane is what it knows."""

FEED: Final = 200
"""Facts that a snapshot holds."""

WINDOW_MS: Final = 60_000
"""Ms before a time that latencies and rates of agents speak of, as live."""

RATE_MS: Final = 5_000
"""Ms before a time that rates of lanes speak of, as live."""

WINDOW_ROWS: Final = 20_000
"""Facts before a time that are looked at most for latencies, rates and trends."""

_CAME: Final = (EventKind.PUBLISHED, EventKind.OBSERVED, EventKind.PROMOTED, EventKind.REQUEUED)
_WENT: Final = (
    *(EventKind.COMPLETED, EventKind.RETRIED, EventKind.SNOOZED, EventKind.DEAD_LETTERED),
    *(EventKind.CANCELLED, EventKind.LOST_PAYLOAD),
)
_RAN: Final = (EventKind.COMPLETED, EventKind.RETRIED, EventKind.DEAD_LETTERED)
_FAILED: Final = (EventKind.RETRIED, EventKind.DEAD_LETTERED)
_STATES: Final = {"up": AgentState.ALIVE, "down": AgentState.LEFT, "lost": AgentState.DEAD}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of a chronicle, and what is known of it.

    Attributes:
        chronicle: The past.
        row: How many events had happened.
        at_ms: The time, ms of server time.
        books: The books then.
        keys: Key names of the bus.
    """

    chronicle: Chronicle
    row: int
    at_ms: int
    books: Books
    keys: Keys

    def snapshot(self, *, origin: str, sequence: int = 0) -> Snapshot:
        """Return what every screen shows of this moment.

        Args:
            origin: Where the past comes from, for people.
            sequence: Number of the snapshot.
        """
        window = _Window.before(self)
        feed = self.chronicle.between(max(self.row - FEED, 0), self.row)
        gap = next((one for one in self.chronicle.gaps if one.from_ms <= self.at_ms < one.to_ms), None)
        state, why = (LinkState.LOST, gap.why) if gap else (LinkState.READY, "")
        return Snapshot(
            at_ms=self.at_ms,
            origin=Origin.REPLAY,
            link=LinkView(state, gap.from_ms if gap else self.at_ms, why, url=origin, data_ms=self.at_ms),
            lanes=tuple(self._lanes(window)),
            agents=tuple(self._agents(window)),
            dead_letters=self._dead_letters(),
            delayed=self.books.count(TaskState.DELAYED),
            flow=self._flow(window),
            events=tuple(reversed(events_of(feed))),
            engine=_engine(self.books.vitals.get("engine", "")),
            sequence=sequence,
        )

    def lane_of(self, stream: str) -> Lane | None:
        """Return the lane whose stream is *stream*, in any partition; None if that is no lane of this bus."""
        return self.keys.lane_of(stream)

    def _lanes(self, window: _Window) -> Iterable[LaneView]:
        tasks: dict[Lane, list[LiveTask]] = {Lane(SHARED, priority): [] for priority in Priority}
        streams: dict[Lane, str] = {}
        for stream in sorted({*self.books.arrivals, *self.books.lanes, *self.books.paused}):
            if (lane := self.lane_of(stream)) is not None:
                tasks.setdefault(lane, [])
                streams.setdefault(lane, stream)
        samples: dict[Lane, list[LaneSample]] = {}
        for stream, sample in self.books.lanes.items():
            if (lane := self.lane_of(stream)) is not None:
                samples.setdefault(lane, []).append(sample)
        known = {stream: self.lane_of(stream) for stream in {task.lane for task in self.books.tasks.values()}}
        for task in self.books.tasks.values():
            lane = known[task.lane]
            if lane is not None and task.state in {TaskState.QUEUED, TaskState.RUNNING}:
                tasks.setdefault(lane, []).append(task)
                streams.setdefault(lane, task.lane)
        ranks = {priority: rank for rank, priority in enumerate(Priority)}
        for lane in sorted(tasks, key=lambda one: (one.queue != SHARED, one.queue, ranks[one.priority])):
            stream = streams.get(lane, self.keys.lane(lane))
            yield self._lane(lane, stream, tasks[lane], samples.get(lane, []), window)

    def _lane(
        self, lane: Lane, stream: str, tasks: list[LiveTask], samples: list[LaneSample], window: _Window
    ) -> LaneView:
        queued = [task for task in tasks if task.state is TaskState.QUEUED]
        running = [task for task in tasks if task.state is TaskState.RUNNING]
        waiting, pending = _corrected(len(queued), len(running), samples)
        oldest = min((task.since_ms for task in queued), default=None)
        held = min((task.arrived_ms for task in running), default=None)
        for sample in samples:
            oldest = _least(oldest, sample.oldest_waiting_ms) if waiting else None
            held = _least(held, sample.oldest_pending_ms) if pending else None
        agents = {agent_of(task.agent) for task in running}
        # Which lanes a process serves is not written; any that is up may come for what waits.
        up = sum(one.state == "up" for one in self.books.processes.values())
        groups: tuple[GroupView, ...] = (GroupView(GROUP, waiting, pending, max(up, len(agents)), ""),)
        if samples and samples[-1].groups:
            groups = tuple(
                GroupView(name, waiting if len(samples[-1].groups) == 1 else lag, held_by, consumers, "")
                for name, lag, held_by, consumers in samples[-1].groups
            )
        length = waiting + pending
        until = next((end for key, end in self.books.paused.items() if self.lane_of(key) == lane), None)
        paused = until is not None and (until == 0 or until > self.at_ms)
        came, went = window.lane_rates(lane)
        return LaneView(
            queue=lane.queue,
            priority=lane.priority,
            stream=stream,
            length=length,
            backlog=length,
            pending=pending,
            groups=groups,
            oldest_waiting_s=None if oldest is None else max(self.at_ms - oldest, 0) / 1000,
            oldest_pending_s=None if held is None else max(self.at_ms - held, 0) / 1000,
            in_rate=came,
            out_rate=went,
            rate_window_s=RATE_MS / 1000,
            working=len(agents),
            paused_until_ms=until if paused else None,
            trend=window.trend(lane, length),
            state=health.lane_state(length, length, groups, waits=waiting > 0, bound=LANE_BOUND, paused=paused),
        )

    def _agents(self, window: _Window) -> Iterable[AgentView]:
        running: dict[str, list[tuple[str, LiveTask]]] = {}
        for ident, task in self.books.tasks.items():
            if task.state is TaskState.RUNNING:
                running.setdefault(agent_of(task.agent), []).append((ident, task))
        processes: dict[str, list[str]] = {}
        for name in self.books.processes:
            processes.setdefault(agent_of(name), []).append(name)
        for agent in sorted(processes.keys() | running.keys()):
            known = [self.books.processes[name] for name in processes.get(agent, ())]
            here = [one for one in known if one.state == "up"]
            said = here or sorted(known, key=lambda one: one.since_ms)[-1:]
            at_work = sorted(running.get(agent, ()), key=lambda one: (one[1].since_ms, one[0]))[-1:]
            ident = at_work[0][0] if at_work else ""
            current = at_work[0][1] if at_work else None
            vitals = next((_json(self.books.vitals.get(name, "")) for name in processes.get(agent, ())), {})
            gone = said and said[0].state != "up"
            done, failed = window.agent_rates(agent)
            yield AgentView(
                name=agent,
                state=_STATES[said[0].state] if said else None,
                last_seen_s=max(self.at_ms - said[0].seen_ms, 0) / 1000 if gone else None,
                status=str(vitals.get("status", "")) or ("running" if current else "" if gone else "idle"),
                task=ident,
                task_age_s=max(self.at_ms - current.since_ms, 0) / 1000 if current else None,
                task_type=current.type if current else "",
                pending=len(running.get(agent, ())),
                done=sum(one.done for one in said),
                failed=sum(one.failed for one in said),
                capabilities=tuple(map(str, vitals.get("capabilities", ()))),
                version=str(vitals.get("version", "")),
                processes=len(said),
                rate=done,
                error_rate=failed,
            )

    def _dead_letters(self) -> DeadLetterSummary:
        dead = [task for task in self.books.tasks.values() if task.state is TaskState.DEAD]
        reasons = Counter(task.reason or "?" for task in dead)
        lately = sum(task.since_ms > self.at_ms - RATE_MS for task in dead)
        return DeadLetterSummary(
            total=len(dead),
            reasons=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
            counted=len(dead),
            oldest_s=max(self.at_ms - min(task.since_ms for task in dead), 0) / 1000 if dead else None,
            rate=lately * 1000 / RATE_MS,
        )

    def _flow(self, window: _Window) -> Flow:
        end = self.at_ms // 1000
        edges = np.arange(end - TREND_LENGTH, end + 1)
        counted: dict[str, Any] = {}
        for stretch in self.chronicle.stretches:
            if stretch.last_ms >= int(edges[0]) * 1000 and stretch.first_ms < (end + 1) * 1000:
                for kind, numbers in stretch.index.counts(edges).items():
                    counted[kind] = counted.get(kind, 0) + numbers

        def series(*kinds: str) -> tuple[float, ...]:
            total = sum((counted[kind] for kind in kinds if kind in counted), np.zeros(len(edges) - 1))
            return tuple(total.astype(float).tolist())

        wait, run = window.durations((EventKind.TAKEN,), first=True), window.durations(_RAN)
        return Flow(
            published=series(EventKind.PUBLISHED, EventKind.SCHEDULED, EventKind.OBSERVED),
            completed=series(EventKind.COMPLETED),
            failed=series(*_FAILED),
            wait=_quantiles(wait[1]),
            run=_quantiles(run[1]),
            wait_p95=_by_second(*wait, end),
            run_p95=_by_second(*run, end),
            window_s=window.span_ms / 1000,
        )


class _Window:
    """The last facts before a moment, as arrays of codes: what is asked of each lane and agent is counted once for all.

    Args:
        moment: The moment.
        table: The facts.
        span_ms: Ms that the latencies speak of.
    """

    def __init__(self, moment: Moment, table: pa.Table, span_ms: int) -> None:
        self.span_ms = span_ms
        self._at_ms = moment.at_ms
        self._times = times_of(table)
        self._lasted = table.column("took_ms")
        self._first = table.column("attempt").to_numpy() <= 1
        self._kinds = coded(table, "kind")
        self._lately = self._times > moment.at_ms - min(span_ms, WINDOW_MS)
        came, went = self._of(_CAME), self._of(_WENT)
        self._lanes, lane = _grouped(coded(table, "lane"), moment.lane_of)
        soon = self._times > moment.at_ms - RATE_MS
        size = len(self._lanes) + 1
        self._rates = [np.bincount(lane[part & soon], minlength=size) * 1000 / RATE_MS for part in (came, went)]
        ago = np.minimum((moment.at_ms - self._times) // 1000, TREND_LENGTH)
        place, cells = lane * (TREND_LENGTH + 1) + ago, size * (TREND_LENGTH + 1)
        change = np.bincount(place[came], minlength=cells) - np.bincount(place[went], minlength=cells)
        self._grown = np.cumsum(change.reshape(size, -1), axis=1)[:, : TREND_LENGTH - 1]
        self._agents, agent = _grouped(coded(table, "agent"), lambda name: agent_of(name) if name else None)
        size = len(self._agents) + 1
        done, failed = (
            np.bincount(agent[self._lately & self._of(kinds)], minlength=size)
            for kinds in ((EventKind.COMPLETED,), _FAILED)
        )
        self._done, self._failed = done, failed

    @classmethod
    def before(cls, moment: Moment) -> _Window:
        """Return what there is before *moment*: two minutes, or so many facts."""
        chronicle, at_ms = moment.chronicle, moment.at_ms
        low = max(chronicle.row_at(at_ms - TREND_LENGTH * 1000), moment.row - WINDOW_ROWS, 0)
        table = chronicle.between(low, moment.row, ("ts", "kind", "lane", "agent", "attempt", "took_ms"))
        crowded = low == moment.row - WINDOW_ROWS and table.num_rows
        span = max(at_ms - int(times_of(table)[0]), 1) if crowded else WINDOW_MS
        return cls(moment, table, min(span, WINDOW_MS))

    def lane_rates(self, lane: Lane) -> tuple[float, float]:
        """Return how many tasks came into a lane per second, and how many were settled."""
        at = self._lanes.get(lane)
        return (0.0, 0.0) if at is None else (float(self._rates[0][at]), float(self._rates[1][at]))

    def trend(self, lane: Lane, backlog: int) -> tuple[float, ...]:
        """Return the backlog of a lane at the end of each of the last seconds, reckoned back from now."""
        at = self._lanes.get(lane)
        if at is None:
            return (float(backlog),) * TREND_LENGTH
        before = backlog - self._grown[at]
        return tuple(np.maximum(np.concatenate((before[::-1], [backlog])), 0).astype(float).tolist())

    def agent_rates(self, agent: str) -> tuple[float, float]:
        """Return how many tasks an agent completed per second, and how many of its attempts failed."""
        at, seconds = self._agents.get(agent), self.span_ms / 1000
        return (0.0, 0.0) if at is None else (float(self._done[at]) / seconds, float(self._failed[at]) / seconds)

    def durations(self, kinds: Collection[str], *, first: bool = False) -> tuple[Any, Any]:
        """Return times and durations, in ms, of facts of *kinds*; only of first attempts if *first*."""
        known = self._lasted.is_valid().to_numpy() & self._of(kinds) & self._lately
        if first:
            known &= self._first
        return self._times[known], self._lasted.fill_null(0).to_numpy()[known]

    def _of(self, kinds: Collection[str]) -> Any:  # noqa: ANN401 - an array of numpy
        wanted = np.array([word in kinds for word in self._kinds.dictionary.to_pylist()] or [False])
        return wanted[self._kinds.indices.to_numpy(zero_copy_only=False)]


def _grouped(column: pa.DictionaryArray, name: Callable[[str], Hashable]) -> tuple[dict[Any, int], Any]:
    """Return numbers for what the words of a column name, from 1, and that number for each row; 0 names nothing."""
    numbers: dict[Any, int] = {}
    known = []
    for word in column.dictionary.to_pylist():
        named = name(word)
        known.append(0 if named is None else numbers.setdefault(named, len(numbers) + 1))
    return numbers, np.array(known or [0])[column.indices.to_numpy(zero_copy_only=False)]


def _corrected(queued: int, running: int, samples: Iterable[LaneSample]) -> tuple[int, int]:
    """Return what waits and what is pending in a lane: as sampled, and what the books have added since."""
    for sample in samples:
        if sample.waiting is not None:
            queued += sample.waiting - sample.queued
        running += sample.pending - sample.running
    return max(queued, 0), max(running, 0)


def _least(one: int | None, two: int | None) -> int | None:
    return min((value for value in (one, two) if value is not None), default=None)


def _quantiles(durations: Any) -> Quantiles:  # noqa: ANN401 - an array of numpy
    if not len(durations):
        return Quantiles()
    p50, p95, p99 = np.percentile(durations, (50, 95, 99)).tolist()
    return Quantiles(p50, p95, p99, len(durations))


def _by_second(times: Any, durations: Any, end: int) -> tuple[float, ...]:  # noqa: ANN401 - arrays of numpy
    """Return the 95th percentile of each of the last seconds; NaN where there was none."""
    points = [math.nan] * TREND_LENGTH
    if not len(times):
        return tuple(points)
    order = np.lexsort((durations, times // 1000))
    ordered = durations[order]
    seconds, start, count = np.unique((times // 1000)[order], return_index=True, return_counts=True)
    place = start + 0.95 * (count - 1)
    below, above = ordered[np.floor(place).astype(int)], ordered[np.ceil(place).astype(int)]
    found = below + (above - below) * (place % 1)
    for second, value in zip(seconds.tolist(), found.tolist(), strict=True):
        at = TREND_LENGTH - (end - second)
        if 0 <= at < TREND_LENGTH:
            points[at] = value
    return tuple(points)


def _engine(text: str) -> EngineView:
    said = _json(text)
    memory, limit, clients, ops = (
        value if isinstance(value := said.get(name), int) else None
        for name in ("memory", "memory_limit", "clients", "ops_per_s")
    )
    return EngineView(str(said.get("product", "")), str(said.get("version", "")), memory, limit, clients, ops)


def _json(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
