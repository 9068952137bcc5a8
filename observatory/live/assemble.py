"""From looks to snapshots: everything that is remembered between two looks has its one owner here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from observatory.bus.reads.observe import Cursor
from observatory.live.agents import Roster
from observatory.live.dead_letters import DeadLetterBoard
from observatory.live.detail import agent_detail
from observatory.live.feed import merged
from observatory.live.flow import FlowMeter
from observatory.live.lanes import LaneBoard
from observatory.live.tempo import Tempo
from observatory.model import health
from observatory.model.snapshot import EngineView, Origin, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observatory.bus.reads.observe import LaneReading, Observation, ServerReading
    from observatory.model.event import Event
    from observatory.model.listing import AgentDetail
    from observatory.model.snapshot import LinkView

CLOCK_TOLERANCE_S = 5.0
"""Seconds by which the server's and our own idea of the time between two looks may differ (a slow answer does that)."""

T = TypeVar("T")


class Assembler:
    """Folds looks, one after the other, into snapshots that share every part that did not change."""

    def __init__(self) -> None:
        self._roster = Roster()
        self._feed: tuple[Event, ...] = ()
        self._last: Snapshot | None = None
        self._seen = 0.0
        self._readings: tuple[LaneReading, ...] = ()
        self._cursor = Cursor()
        self._lanes = LaneBoard()
        self._flow = FlowMeter()
        self._dead_letters = DeadLetterBoard()
        self._tempo = Tempo()

    @property
    def cursor(self) -> Cursor:
        """What the next look need not tell again."""
        return self._cursor

    def add(self, observation: Observation, link: LinkView, *, seen: float, sequence: int) -> Snapshot:
        """Take in one look.

        Args:
            observation: What it told.
            link: The link as it stands.
            seen: The watcher's monotonic clock when it was told, in seconds.
            sequence: Number of the snapshot.

        Returns:
            The swarm at the time of the look.
        """
        before = self._last
        self._cursor = observation.cursor
        if before is not None and self._clock_jumped(before.at_ms, observation.at_ms, seen):
            for part in (self._lanes, self._flow, self._dead_letters, self._tempo):
                part.restart()
            if observation.at_ms < before.at_ms:
                self._cursor = Cursor()
        happened = self._flow.add(observation)
        self._feed = merged(self._feed, observation.events)
        self._roster.add(observation.beats, observation.at_ms)
        self._tempo.add(observation.events)
        views = self._roster.views(observation.at_ms, _owners(observation.lanes))
        agents = self._tempo.judged(views, observation.at_ms)
        engine = _engine(observation.server)
        snapshot = Snapshot(
            at_ms=observation.at_ms,
            origin=Origin.LIVE,
            link=link,
            lanes=self._lanes.add(observation.lanes, observation.at_ms, self._roster),
            agents=_shared(before.agents if before else (), agents),
            dead_letters=self._dead_letters.add(observation.dead_letters, happened, observation.at_ms),
            delayed=observation.delayed,
            flow=self._flow.flow,
            events=self._feed,
            engine=_shared(before.engine if before else EngineView(), engine),
            sequence=sequence,
        )
        self._last, self._seen, self._readings = snapshot, seen, observation.lanes
        return snapshot

    def agent(self, name: str) -> AgentDetail | None:
        """Return what the last look knew of one agent; None if nothing."""
        return agent_detail(name, self._roster.beats_of(name), self._readings, self._last.at_ms if self._last else 0)

    def _clock_jumped(self, before_ms: int, at_ms: int, seen: float) -> bool:
        """Say whether the server's clock was set, or one of the two sides slept, since the last look."""
        here_s = seen - self._seen
        there_s = (at_ms - before_ms) / 1000
        return there_s < 0 or abs(there_s - here_s) > CLOCK_TOLERANCE_S + here_s / 10


def _owners(lanes: Iterable[LaneReading]) -> Counter[str]:
    """Pending entries by consumer, over all lanes."""
    held: Counter[str] = Counter()
    for lane in lanes:
        for consumer, count in lane.owners:
            held[consumer] += count
    return held


def _engine(server: ServerReading) -> EngineView:
    return EngineView(
        product=server.product,
        version=server.version,
        memory=server.memory,
        memory_limit=server.memory_limit,
        clients=server.clients,
        ops_per_s=server.ops_per_s,
        warnings=health.engine_warnings(server.policy, aof=server.aof, memory_limit=server.memory_limit),
    )


def _shared(before: T, after: T) -> T:
    """Return *before* where *after* is equal to it, so that whoever holds it sees at once that nothing changed."""
    return before if before == after else after
