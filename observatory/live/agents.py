"""The roster of agents: what each last said of itself, and what is pending in its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.agent import AgentState, agent_of, agent_state
from observatory.model.snapshot import AgentView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from observatory.model.agent import Heartbeat

FORGET_AFTER_S = 3600.0
"""Seconds of silence after which a process that is dead or has left is forgotten, unless its agent holds work."""

MAX_PROCESSES = 5000
"""Processes that are remembered at most; those silent longest go first."""

_HERE = (AgentState.ALIVE, AgentState.LATE, AgentState.STALE)
"""States of a process that may still be there, best first."""


class Roster:
    """Last beats by process, folded into one view per agent."""

    def __init__(self) -> None:
        self._beats: dict[tuple[str, str], Heartbeat] = {}

    def add(self, beats: Iterable[Heartbeat], now_ms: int) -> None:
        """Take in *beats*, oldest first, at *now_ms* of server time.

        A beat older than what is known of its process changes nothing, unless what is known is from the future:
        then the server's clock was set back.
        """
        for beat in beats:
            process = (beat.agent, beat.consumer)
            known = self._beats.get(process)
            if known is None or known.seen_ms <= beat.seen_ms or known.seen_ms > now_ms:
                self._beats[process] = beat

    def beats_of(self, agent: str) -> list[Heartbeat]:
        """Return the last beat of each process of *agent*."""
        return [beat for (name, _), beat in self._beats.items() if name == agent]

    def is_gone(self, consumer: str, now_ms: int) -> bool | None:
        """Say whether the process *consumer* is known to be dead or to have left; None if it never beat."""
        agent = agent_of(consumer)
        beat = self._beats.get((agent, consumer)) or self._beats.get((agent, ""))
        return None if beat is None else agent_state(beat, now_ms) not in _HERE

    def views(self, now_ms: int, owners: Mapping[str, int]) -> tuple[AgentView, ...]:
        """Return every agent by name, and forget those that are long gone.

        Args:
            now_ms: Server time.
            owners: Pending entries by consumer, over all lanes.

        Returns:
            One view per agent that beat, and one per agent that only holds work, whose state is unknown.
        """
        pending: dict[str, int] = {}
        for consumer, count in owners.items():
            if count:
                pending[agent_of(consumer)] = pending.get(agent_of(consumer), 0) + count
        self._forget(now_ms, pending)
        by_agent: dict[str, list[Heartbeat]] = {}
        for beat in self._beats.values():
            by_agent.setdefault(beat.agent, []).append(beat)
        return tuple(
            _view(name, by_agent[name], now_ms, pending.get(name, 0))
            if name in by_agent
            else AgentView(name, None, None, pending=pending[name], processes=0)
            for name in sorted(by_agent.keys() | pending.keys())
        )

    def _forget(self, now_ms: int, pending: Mapping[str, int]) -> None:
        newest: dict[str, int] = {}
        for beat in self._beats.values():
            newest[beat.agent] = max(beat.seen_ms, newest.get(beat.agent, 0))
        for process, beat in list(self._beats.items()):
            gone = agent_state(beat, now_ms) not in _HERE and now_ms - beat.seen_ms > FORGET_AFTER_S * 1000
            if gone and not (beat.agent in pending and beat.seen_ms == newest[beat.agent]):
                del self._beats[process]
        if len(self._beats) > MAX_PROCESSES:
            by_age = sorted(self._beats.items(), key=lambda item: item[1].seen_ms)
            self._beats = dict(by_age[-MAX_PROCESSES:])


def _view(name: str, beats: Sequence[Heartbeat], now_ms: int, pending: int) -> AgentView:
    """Merge the processes of one agent: those that may still be there, or else the one that spoke last."""
    newest_first = sorted(beats, key=lambda beat: beat.seen_ms, reverse=True)
    here = [beat for beat in newest_first if agent_state(beat, now_ms) in _HERE]
    said = here or newest_first[:1]
    busy = next((beat for beat in said if beat.task), said[0])
    return AgentView(
        name=name,
        state=min((agent_state(beat, now_ms) for beat in here), key=_HERE.index, default=agent_state(said[0], now_ms)),
        last_seen_s=_seconds(now_ms - said[0].seen_ms),
        status=busy.status,
        task=busy.task,
        task_age_s=None if busy.task_since_ms is None else _seconds(now_ms - busy.task_since_ms),
        load=_mean([beat.load for beat in said if beat.load is not None]),
        pending=pending,
        done=_sum([beat.done for beat in said if beat.done is not None]),
        failed=_sum([beat.failed for beat in said if beat.failed is not None]),
        capabilities=tuple(sorted({capability for beat in said for capability in beat.capabilities})),
        version=said[0].version,
        processes=len(said),
    )


def _seconds(ms: int) -> float:
    """An age in seconds; what seems to come from the future is of now."""
    return max(ms, 0) / 1000


def _mean(known: Sequence[float]) -> float | None:
    return sum(known) / len(known) if known else None


def _sum(known: Sequence[int]) -> int | None:
    return sum(known) if known else None
