"""One snapshot as plain data: what `observatory status --json` prints. Unknown is null, never zero and never NaN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from observatory.model.wire import rfc3339

if TYPE_CHECKING:
    from observatory.model.snapshot import (
        AgentView,
        DeadLetterSummary,
        EngineView,
        Flow,
        GroupView,
        LaneView,
        LinkView,
        Quantiles,
        Snapshot,
    )

Document = dict[str, Any]
"""A JSON object."""


def snapshot_document(snapshot: Snapshot) -> Document:
    """Return *snapshot* as a JSON object: times in RFC 3339 UTC, ages in seconds, rates per second."""
    document: Document = _plain(
        {
            "at": rfc3339(snapshot.at_ms) if snapshot.at_ms else None,
            "link": _link(snapshot.link),
            "lanes": [_lane(lane) for lane in snapshot.lanes],
            "agents": [_agent(agent, snapshot.at_ms) for agent in snapshot.agents],
            "dead_letters": _dead_letters(snapshot.dead_letters),
            "delayed": snapshot.delayed,
            "flow": _flow(snapshot.flow),
            "engine": _engine(snapshot.engine),
        }
    )
    return document


def _link(link: LinkView) -> Document:
    return {
        "state": str(link.state),
        "since": rfc3339(link.since_ms),
        "reason": link.reason,
        "url": link.url,
    }


def _lane(lane: LaneView) -> Document:
    return {
        "queue": lane.queue,
        "priority": str(lane.priority),
        "stream": lane.stream,
        "length": lane.length,
        "backlog": lane.backlog,
        "pending": lane.pending,
        "parked": lane.parked,
        "groups": [_group(group) for group in lane.groups],
        "oldest_waiting_s": lane.oldest_waiting_s,
        "oldest_pending_s": lane.oldest_pending_s,
        "in_rate": lane.in_rate,
        "out_rate": lane.out_rate,
        "rate_window_s": lane.rate_window_s,
        "drain_eta_s": lane.drain_eta_s,
        "drain_eta_s_with_one_more": lane.drain_eta_with(1),
        "working": lane.working,
        "paused_until_ms": lane.paused_until_ms,
        "state": str(lane.state),
        "problem": lane.problem,
    }


def _group(group: GroupView) -> Document:
    return {
        "name": group.name,
        "lag": group.lag,
        "pending": group.pending,
        "consumers": group.consumers,
    }


def _agent(agent: AgentView, at_ms: int) -> Document:
    seen_s = agent.last_seen_s
    return {
        "name": agent.name,
        "state": None if agent.state is None else str(agent.state),
        "last_seen": None if seen_s is None else rfc3339(at_ms - round(seen_s * 1000)),
        "last_seen_s": seen_s,
        "status": agent.status,
        "task": agent.task,
        "task_type": agent.task_type,
        "task_age_s": agent.task_age_s,
        "typical_s": agent.typical_s,
        "stuck": agent.stuck,
        "rate": agent.rate,
        "error_rate": agent.error_rate,
        "load": agent.load,
        "pending": agent.pending,
        "done": agent.done,
        "failed": agent.failed,
        "capabilities": list(agent.capabilities),
        "version": agent.version,
        "processes": agent.processes,
    }


def _dead_letters(summary: DeadLetterSummary) -> Document:
    return {
        "total": summary.total,
        "reasons": dict(summary.reasons),
        "counted": summary.counted,
        "oldest_s": summary.oldest_s,
        "rate": summary.rate,
        "problem": summary.problem,
    }


def _flow(flow: Flow) -> Document:
    return {
        "published": flow.published[-1] if flow.published else None,
        "completed": flow.completed[-1] if flow.completed else None,
        "failed": flow.failed[-1] if flow.failed else None,
        "foreign_in": flow.foreign_in,
        "foreign_out": flow.foreign_out,
        "window_s": flow.window_s,
        "wait_ms": _quantiles(flow.wait),
        "run_ms": _quantiles(flow.run),
    }


def _quantiles(found: Quantiles) -> Document:
    return {
        "p50": found.p50,
        "p95": found.p95,
        "p99": found.p99,
        "samples": found.samples,
        "low_confidence": found.low_confidence,
    }


def _engine(engine: EngineView) -> Document:
    return {
        "product": engine.product,
        "version": engine.version,
        "memory": engine.memory,
        "memory_limit": engine.memory_limit,
        "clients": engine.clients,
        "ops_per_s": engine.ops_per_s,
        "warnings": list(engine.warnings),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value, and back
    """Make *value* one that every JSON reader takes: no NaN, no half characters, no digits that mean nothing."""
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_plain(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
