"""The snapshot: everything the screens show, at one time, immutable and cheap to compare.

`None` always means *unknown* and is shown as `?`; it is never the same as zero. Live sampling and replay both
produce this type, and nothing on a screen comes from anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observatory.model.agent import AgentState
    from observatory.model.alert import Alert, Change
    from observatory.model.event import Event
    from observatory.model.task import Priority

TREND_LENGTH = 120
"""Points that a trend or a series holds at most, newest last; one point a tick."""


class Origin(StrEnum):
    """Where a snapshot comes from."""

    LIVE = "live"
    REPLAY = "replay"


class LinkState(StrEnum):
    """The link to the bus: connecting, then ready, degraded (it answers, but not everything) or lost."""

    CONNECTING = "connecting"
    READY = "ready"
    DEGRADED = "degraded"
    LOST = "lost"


class LaneState(StrEnum):
    """The one word an operator needs about a lane."""

    OK = "ok"
    IDLE = "idle"
    NO_CONSUMERS = "no consumers"
    PAUSED = "paused"
    FULL = "full"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class LinkView:
    """The link as it stands.

    Attributes:
        state: One of the four states.
        since_ms: When it entered that state, ms since the epoch of the watcher's clock.
        reason: Why it is degraded or lost; empty otherwise.
        url: Address with its secret masked.
        data_ms: Server time of the newest data held; None before the first.
    """

    state: LinkState
    since_ms: int
    reason: str = ""
    url: str = ""
    data_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GroupView:
    """A consumer group of a lane, as XINFO GROUPS tells it.

    Attributes:
        name: Group name.
        lag: Entries not yet delivered to it; None where the engine does not know.
        pending: Entries delivered and not acknowledged.
        consumers: Consumers it has, idle ones included.
        last_delivered: Id of the newest entry it was given.
    """

    name: str
    lag: int | None
    pending: int
    consumers: int
    last_delivered: str


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane.

    Attributes:
        queue: Queue name.
        priority: Priority within it.
        stream: Key of its stream.
        length: XLEN.
        backlog: Entries not yet settled by the group that is furthest behind; None where unknown.
        pending: Delivered and not acknowledged, over all its groups.
        groups: Its groups, by name.
        oldest_waiting_s: Age of the oldest entry that some group was not given yet, in seconds; None if none waits.
        oldest_pending_s: Age of the oldest entry that was given and not acknowledged, in seconds; None if none.
        in_rate: Entries that arrived per second over `rate_window_s`; None until there are two samples.
        out_rate: Entries settled per second over the same window.
        rate_window_s: Seconds that the rates speak of; None while there are none.
        working: Agents that lately held work of it; what `drain_eta_with` reckons with.
        paused_until_ms: End of its pause, ms of server time, 0 where it has none; None if it is not paused.
        trend: Backlog of the last ticks, oldest first.
        state: The one word.
        problem: What is broken, in words; empty otherwise.
        parked: Those of the pending that nobody works on yet, because one of their ordering key is before them.
    """

    queue: str
    priority: Priority
    stream: str
    length: int | None
    backlog: int | None
    pending: int | None
    groups: tuple[GroupView, ...] = ()
    oldest_waiting_s: float | None = None
    oldest_pending_s: float | None = None
    in_rate: float | None = None
    out_rate: float | None = None
    trend: tuple[float, ...] = ()
    state: LaneState = LaneState.OK
    problem: str = ""
    parked: int = 0
    rate_window_s: float | None = None
    working: int = 0
    paused_until_ms: int | None = None

    @property
    def lag(self) -> int | None:
        """Lag of the group that is furthest behind; None if no group's is known."""
        known = [group.lag for group in self.groups if group.lag is not None]
        return max(known) if known and len(known) == len(self.groups) else None

    @property
    def consumers(self) -> int:
        """Consumers over all groups."""
        return sum(group.consumers for group in self.groups)

    @property
    def drain_eta_s(self) -> float | None:
        """Seconds until the backlog is gone at the present rates; None if it is not shrinking or unknown."""
        return self.drain_eta_with(0)

    def drain_eta_with(self, more: int) -> float | None:
        """Seconds until the backlog is gone if *more* agents helped, each as fast as those that work on it now.

        None if it would not shrink, if a rate or the backlog is unknown, or if nobody works on it to go by.
        """
        if not self.backlog or self.in_rate is None or self.out_rate is None or (more and not self.working):
            return None
        settled = self.out_rate * (1 + more / self.working) if more else self.out_rate
        return self.backlog / (settled - self.in_rate) if settled > self.in_rate else None


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent.

    Attributes:
        name: Agent name.
        state: How alive it is.
        last_seen_s: Seconds since its last beat; None if it never beat (a consumer that only reads).
        status: Its own word for what it does.
        task: Id of its current task; empty if none.
        task_age_s: Seconds it has been at that task; None if unknown.
        load: Share of its slots in use, 0 to 1; None if unknown.
        pending: Entries it holds unacknowledged, over all lanes.
        done: Tasks completed since it started; None if unknown.
        failed: Attempts failed since it started; None if unknown.
        capabilities: Queues and types it serves.
        version: Its version.
        processes: Consumers that beat under its name.
        task_type: Kind of its current task; empty if unknown.
        typical_s: 99th percentile of how long tasks of that kind ran lately, in seconds; None with too few samples.
        stuck: It beats, and its task has run for longer than `typical_s`; None where that cannot be told.
        rate: Tasks completed per second over the last minute, by its own count; None if it does not count.
        error_rate: Attempts that failed per second, likewise.
    """

    name: str
    state: AgentState | None
    last_seen_s: float | None
    status: str = ""
    task: str = ""
    task_age_s: float | None = None
    load: float | None = None
    pending: int = 0
    done: int | None = None
    failed: int | None = None
    capabilities: tuple[str, ...] = ()
    version: str = ""
    processes: int = 1
    task_type: str = ""
    typical_s: float | None = None
    stuck: bool | None = None
    rate: float | None = None
    error_rate: float | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """The dead-letter stream in one look.

    Attributes:
        total: XLEN; None where the stream cannot be read.
        reasons: Count by reason over the newest `counted` entries, most frequent first.
        counted: How many entries the reasons speak of; less than `total` means a partial answer.
        oldest_s: Age of the oldest dead letter, in seconds; None if there is none.
        rate: Dead letters per second over the last ticks; None until there are two samples.
        problem: What is broken, in words; empty otherwise.
    """

    total: int | None = 0
    reasons: tuple[tuple[str, int], ...] = ()
    counted: int = 0
    oldest_s: float | None = None
    rate: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A latency distribution.

    Attributes:
        p50: Median in milliseconds; None without samples.
        p95: 95th percentile in milliseconds.
        p99: 99th percentile in milliseconds.
        samples: How many samples it speaks of.
    """

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    samples: int = 0

    def confident(self, share: float) -> bool:
        """Say whether the quantile at *share* (0.5, 0.95, 0.99) rests on enough samples.

        At least three samples must be expected above it, which takes 6, 60 and 300 of them.
        """
        return self.samples * (1 - share) >= 3 - 1e-9

    @property
    def low_confidence(self) -> bool:
        """There are samples, and too few of them for the 95th percentile to mean much."""
        return self.samples > 0 and not self.confident(0.95)


@dataclass(frozen=True, slots=True)
class Flow:
    """Throughput and latency now, and over the last ticks.

    Attributes:
        published: Tasks that arrived per second, those of foreign agents included, series, oldest first.
        completed: Tasks completed per second, those that foreign agents acknowledged included, series.
        failed: Attempts that failed (retried or dead-lettered) per second, series.
        wait: Arrival to first start, over the sampled window.
        run: Start to settle, over the sampled window.
        wait_p95: 95th percentile of waiting in ms, series; NaN where a tick had no sample.
        run_p95: 95th percentile of running in ms, series; NaN where a tick had no sample.
        window_s: Seconds that `wait` and `run` speak of.
        foreign_in: Of the tasks that arrived since the last look, those per second that no event tells of; None where
            that cannot be known.
        foreign_out: Of the tasks that were settled since the last look, likewise.
    """

    published: tuple[float, ...] = ()
    completed: tuple[float, ...] = ()
    failed: tuple[float, ...] = ()
    wait: Quantiles = field(default_factory=Quantiles)
    run: Quantiles = field(default_factory=Quantiles)
    wait_p95: tuple[float, ...] = ()
    run_p95: tuple[float, ...] = ()
    window_s: float = 0.0
    foreign_in: float | None = None
    foreign_out: float | None = None


@dataclass(frozen=True, slots=True)
class EngineView:
    """The server behind the bus.

    Attributes:
        product: `valkey`, `redis` or what it calls itself.
        version: Its version.
        memory: Bytes in use; None where unknown.
        memory_limit: maxmemory in bytes; 0 means none; None where unknown.
        clients: Connected clients; None where unknown.
        ops_per_s: Commands per second; None where unknown.
        warnings: Dangerous settings, each named with its fix.
    """

    product: str = ""
    version: str = ""
    memory: int | None = None
    memory_limit: int | None = None
    clients: int | None = None
    ops_per_s: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The swarm at one time.

    Attributes:
        at_ms: The time it shows, ms of server time; 0 before anything is known.
        origin: Live or replay.
        link: The link to the bus.
        lanes: Shared queue first, then named queues, each most urgent first.
        agents: By name.
        dead_letters: The dead-letter stream.
        delayed: Retries and scheduled work; None where unknown.
        flow: Throughput and latency.
        events: The newest facts, newest first.
        engine: The server.
        alerts: What fires, worst first, then what is about to and what was over lately; none where nobody watches.
        alert_changes: What happened to alerts since the snapshot before; those with `tell` are to be told.
        alert_problems: What keeps alerts from being told or remembered, in words.
        sequence: Grows by one with each new snapshot of a source.
    """

    at_ms: int
    origin: Origin
    link: LinkView
    lanes: tuple[LaneView, ...] = ()
    agents: tuple[AgentView, ...] = ()
    dead_letters: DeadLetterSummary = field(default_factory=DeadLetterSummary)
    delayed: int | None = None
    flow: Flow = field(default_factory=Flow)
    events: tuple[Event, ...] = ()
    engine: EngineView = field(default_factory=EngineView)
    sequence: int = 0
    alerts: tuple[Alert, ...] = ()
    alert_changes: tuple[Change, ...] = ()
    alert_problems: tuple[str, ...] = ()

    @property
    def backlog(self) -> int | None:
        """Entries not yet settled over all lanes; None if any lane's is unknown."""
        parts = [lane.backlog for lane in self.lanes]
        return None if None in parts else sum(part for part in parts if part is not None)
