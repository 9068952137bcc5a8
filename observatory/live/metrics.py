"""One snapshot as metrics in the Prometheus text format. What is not known is left out, never zero."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.model.agent import AgentState
from observatory.model.snapshot import LaneState, LinkState
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from observatory.model.snapshot import LaneView, Quantiles, Snapshot

    Labels = tuple[tuple[str, str], ...]
    Samples = Iterator[tuple[Labels, float | None]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; all are gauges.

    Attributes:
        name: Its name, with the unit at its end.
        help: What it is.
        read: Its samples: labels and value, None where it is not known.
    """

    name: str
    help: str
    read: Callable[[Snapshot], Samples]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one metric."""

    metric: Metric
    labels: Labels
    value: float


def samples(snapshot: Snapshot) -> list[Sample]:
    """Return everything that *snapshot* knows, in the order of `METRICS`."""
    return [
        Sample(metric, labels, value)
        for metric in METRICS
        for labels, value in metric.read(snapshot)
        if value is not None
    ]


def exposition(snapshot: Snapshot) -> str:
    """Return *snapshot* in the Prometheus text format, version 0.0.4."""
    lines: list[str] = []
    last: Metric | None = None
    for sample in samples(snapshot):
        name = sample.metric.name
        if sample.metric is not last:
            lines += (f"# HELP {name} {sample.metric.help}", f"# TYPE {name} gauge")
            last = sample.metric
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels)
        lines.append(f"{name}{{{labels}}} {sample.value:.15g}" if labels else f"{name} {sample.value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    # Names come from whoever sends, and the output may go to a terminal.
    return line(value).replace("\\", r"\\").replace('"', r"\"")


def _lane(read: Callable[[LaneView], float | None]) -> Callable[[Snapshot], Samples]:
    def told(snapshot: Snapshot) -> Samples:
        for lane in snapshot.lanes:
            yield (("queue", lane.queue), ("priority", str(lane.priority))), read(lane)

    return told


def _groups(snapshot: Snapshot) -> Samples:
    for lane in snapshot.lanes:
        for group in lane.groups:
            yield (("queue", lane.queue), ("priority", str(lane.priority)), ("group", group.name)), group.lag


def _one(read: Callable[[Snapshot], float | None]) -> Callable[[Snapshot], Samples]:
    return lambda snapshot: iter([((), read(snapshot))])


def _states(snapshot: Snapshot) -> Samples:
    count = Counter(agent.state for agent in snapshot.agents)
    for state in AgentState:
        yield (("state", str(state)),), float(count[state])


def _reasons(snapshot: Snapshot) -> Samples:
    for reason, count in snapshot.dead_letters.reasons:
        yield (("reason", reason),), float(count)


def _agent_pending(snapshot: Snapshot) -> Samples:
    for agent in snapshot.agents:
        yield (("agent", agent.name),), float(agent.pending)


def _silence(snapshot: Snapshot) -> Samples:
    for agent in snapshot.agents:
        yield (("agent", agent.name),), agent.last_seen_s


def _quantiles(read: Callable[[Snapshot], Quantiles]) -> Callable[[Snapshot], Samples]:
    def told(snapshot: Snapshot) -> Samples:
        found = read(snapshot)
        for share, ms in (("0.5", found.p50), ("0.95", found.p95), ("0.99", found.p99)):
            yield (("quantile", share),), None if ms is None else ms / 1000

    return told


METRICS: Final[tuple[Metric, ...]] = (
    Metric("observatory_up", "1 if the bus answered.", _one(lambda shot: float(shot.link.state is not LinkState.LOST))),
    Metric("observatory_lane_backlog", "Tasks not settled by the group furthest behind.", _lane(lambda o: o.backlog)),
    Metric("observatory_lane_length", "Entries in the stream.", _lane(lambda o: o.length)),
    Metric("observatory_lane_pending", "Tasks delivered and not acknowledged.", _lane(lambda o: o.pending)),
    Metric("observatory_lane_lag", "Tasks not yet delivered to a group.", _groups),
    Metric(
        "observatory_lane_oldest_waiting_seconds",
        "Age of the oldest task that waits; absent if none does.",
        _lane(lambda o: o.oldest_waiting_s),
    ),
    Metric(
        "observatory_lane_oldest_pending_seconds",
        "Age of the oldest task that is held; absent if none is.",
        _lane(lambda o: o.oldest_pending_s),
    ),
    Metric("observatory_lane_in_per_second", "Tasks arriving per second.", _lane(lambda o: o.in_rate)),
    Metric("observatory_lane_out_per_second", "Tasks settled per second.", _lane(lambda o: o.out_rate)),
    Metric("observatory_lane_consumers", "Consumers over all groups.", _lane(lambda o: float(o.consumers))),
    Metric(
        "observatory_lane_unserved",
        "1 if work waits and nobody is there to take it.",
        _lane(lambda o: float(o.state is LaneState.NO_CONSUMERS)),
    ),
    Metric("observatory_lane_paused", "1 if it is paused.", _lane(lambda o: float(o.paused_until_ms is not None))),
    Metric("observatory_agents", "Agents by state.", _states),
    Metric("observatory_agent_pending", "Tasks that an agent holds.", _agent_pending),
    Metric("observatory_agent_silent_seconds", "Time since the last heartbeat of an agent.", _silence),
    Metric("observatory_dead_letters", "Dead letters.", _one(lambda shot: shot.dead_letters.total)),
    Metric("observatory_dead_letters_by_reason", "The newest dead letters, at most 1000, by reason.", _reasons),
    Metric("observatory_delayed", "Tasks that wait for their time.", _one(lambda shot: shot.delayed)),
    Metric(
        "observatory_task_wait_seconds",
        "How long tasks waited for their first start, lately.",
        _quantiles(lambda shot: shot.flow.wait),
    ),
    Metric("observatory_task_run_seconds", "How long tasks ran, lately.", _quantiles(lambda shot: shot.flow.run)),
    Metric("observatory_engine_memory_bytes", "Memory in use.", _one(lambda shot: shot.engine.memory)),
    Metric(
        "observatory_engine_memory_limit_bytes",
        "Memory that it may use; 0 for no limit.",
        _one(lambda shot: shot.engine.memory_limit),
    ),
    Metric("observatory_engine_clients", "Connected clients.", _one(lambda shot: shot.engine.clients)),
    Metric("observatory_engine_commands_per_second", "Commands per second.", _one(lambda shot: shot.engine.ops_per_s)),
)
"""Every metric there is."""


def names(metrics: Iterable[Metric] = METRICS) -> list[str]:
    """Return the names of *metrics*."""
    return [metric.name for metric in metrics]
