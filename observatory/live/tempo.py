"""How fast agents are: what they complete per second, and whether one is stuck or only slow."""

from __future__ import annotations

import functools
from collections import OrderedDict, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.live.latency import percentile
from observatory.live.rates import RateMeter, Sample
from observatory.model.agent import AgentState
from observatory.model.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from observatory.model.event import Event
    from observatory.model.snapshot import AgentView

ENOUGH = 50
"""Runs of one type without which nobody knows how long it usually takes."""

KEPT_RUNS = 500
"""Newest runs of each type that are kept."""

KEPT_TYPES = 500
"""Types that are kept; those not seen longest go first."""

KEPT_TASKS = 20_000
"""Tasks whose type is remembered; the oldest go first."""

WINDOW_S = 60.0
"""Seconds that the rate of an agent speaks of: agents take their time."""

_HERE = frozenset({AgentState.ALIVE, AgentState.LATE})


class Tempo:
    """What the events tell of how long work takes, held against what each agent says it is doing."""

    def __init__(self) -> None:
        self._types: OrderedDict[str, str] = OrderedDict()
        self._runs: OrderedDict[str, deque[int]] = OrderedDict()
        self.restart()

    def restart(self) -> None:
        """Compute no rate from earlier looks: their times mean nothing any more. Durations stay true."""
        self._meters: dict[str, tuple[RateMeter, RateMeter]] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Take in the events of one look."""
        for event in events:
            if not event.type:
                continue
            if event.kind in {EventKind.TAKEN, EventKind.REDELIVERED}:
                self._types[event.task] = event.type
            elif event.kind == EventKind.COMPLETED and event.ms is not None:
                self._runs.setdefault(event.type, deque(maxlen=KEPT_RUNS)).append(event.ms)
                self._runs.move_to_end(event.type)
        while len(self._types) > KEPT_TASKS:
            self._types.popitem(last=False)
        while len(self._runs) > KEPT_TYPES:
            self._runs.popitem(last=False)

    def judged(self, agents: Iterable[AgentView], at_ms: int) -> tuple[AgentView, ...]:
        """Return *agents* with rates, with the type of their task, and whether they are stuck."""
        meters, self._meters = self._meters, {}
        typical = functools.cache(self._typical_s)
        return tuple([self._judge(agent, at_ms, meters, typical) for agent in agents])

    def _judge(
        self,
        agent: AgentView,
        at_ms: int,
        meters: Mapping[str, tuple[RateMeter, RateMeter]],
        typical: Callable[[str], float | None],
    ) -> AgentView:
        """Return one agent with what is known besides; an agent that tells of nothing as it is."""
        kind = self._types.get(agent.task, "") if agent.task else ""
        if not kind and agent.done is None and agent.failed is None:
            return agent
        done, failed = self._meters[agent.name] = meters.get(agent.name) or (RateMeter(WINDOW_S), RateMeter(WINDOW_S))
        done.add(None if agent.done is None else Sample(at_ms, agent.done))
        failed.add(None if agent.failed is None else Sample(at_ms, agent.failed))
        usual = typical(kind)
        stuck = None
        if usual is not None and agent.task_age_s is not None and agent.state in _HERE:
            stuck = agent.task_age_s > usual
        return replace(
            agent, task_type=kind, typical_s=usual, stuck=stuck, rate=done.in_rate, error_rate=failed.in_rate
        )

    def _typical_s(self, kind: str) -> float | None:
        runs = self._runs.get(kind, ())
        return percentile(sorted(runs), 0.99) / 1000 if len(runs) >= ENOUGH else None
