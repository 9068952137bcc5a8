"""The roster of agents: what each last said of itself, and what is pending in its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.agent import AgentState, agent_of, agent_state
from observatory.model.snapshot import AgentView

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from observatory.model.agent import Heartbeat

FORGET_AFTER_S = 3600.0
"""Seconds of silence after which a process that is dead or has left is forgotten, unless its agent holds work."""

MAX_PROCESSES = 5000
"""Processes that are remembered at most; those silent longest go first."""

SWEEP_S = 10.0
"""Seconds between two looks for processes to forget."""

_HERE = (AgentState.ALIVE, AgentState.LATE, AgentState.STALE)
"""States of a process that may still be there, best first."""


class Roster:
    """Last beats by agent and process, folded into one view per agent.

    A thousand agents are looked at once a second, between two keys of an operator: a view is made anew only for who
    beats, and what is long gone is looked for now and then.
    """

    def __init__(self) -> None:
        self._beats: dict[str, dict[str, Heartbeat]] = {}
        self._mute: dict[str, AgentView] = {}
        self._swept_ms = 0

    def add(self, beats: Iterable[Heartbeat], now_ms: int) -> None:
        """Take in *beats*, oldest first, at *now_ms* of server time.

        A beat older than what is known of its process changes nothing, unless what is known is from the future:
        then the server's clock was set back.
        """
        for beat in beats:
            processes = self._beats.setdefault(beat.agent, {})
            known = processes.get(beat.consumer)
            if known is None or known.seen_ms <= beat.seen_ms or known.seen_ms > now_ms:
                processes[beat.consumer] = beat

    def beats_of(self, agent: str) -> list[Heartbeat]:
        """Return the last beat of each process of *agent*."""
        return list(self._beats.get(agent, {}).values())

    def is_gone(self, consumer: str, now_ms: int) -> bool | None:
        """Say whether the process *consumer* is known to be dead or to have left; None if it never beat."""
        processes = self._beats.get(agent_of(consumer), {})
        beat = processes.get(consumer) or processes.get("")
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
                agent = agent_of(consumer)
                pending[agent] = pending.get(agent, 0) + count
        if abs(now_ms - self._swept_ms) >= SWEEP_S * 1000:
            self._sweep(now_ms, pending)
        beats = self._beats
        self._mute = {name: self._silent(name, held) for name, held in pending.items() if name not in beats}
        return tuple(
            self._mute[name] if name in self._mute else _view(name, beats[name].values(), now_ms, pending.get(name, 0))
            for name in sorted(beats.keys() | pending.keys())
        )

    def _silent(self, name: str, held: int) -> AgentView:
        """Return the view of an agent that never beat, the one from before if nothing changed."""
        before = self._mute.get(name)
        if before is not None and before.pending == held:
            return before
        return AgentView(name, None, None, pending=held, processes=0)

    def _sweep(self, now_ms: int, pending: Mapping[str, int]) -> None:
        """Forget processes that are long gone; of an agent that holds work, its last word is kept."""
        self._swept_ms = now_ms
        for name, processes in list(self._beats.items()):
            newest = max(beat.seen_ms for beat in processes.values())
            kept = {
                consumer: beat
                for consumer, beat in processes.items()
                if agent_state(beat, now_ms) in _HERE
                or now_ms - beat.seen_ms <= FORGET_AFTER_S * 1000
                or (name in pending and beat.seen_ms == newest)
            }
            self._keep(name, kept)
        excess = sum(map(len, self._beats.values())) - MAX_PROCESSES
        if excess > 0:
            by_age = sorted(
                (beat.seen_ms, name, beat.consumer) for name, of in self._beats.items() for beat in of.values()
            )
            for _, name, consumer in by_age[:excess]:
                self._keep(name, {other: beat for other, beat in self._beats[name].items() if other != consumer})

    def _keep(self, name: str, processes: dict[str, Heartbeat]) -> None:
        if processes:
            self._beats[name] = processes
        else:
            del self._beats[name]


def _view(name: str, beats: Collection[Heartbeat], now_ms: int, pending: int) -> AgentView:
    """Merge the processes of one agent: those that may still be there, or else the one that spoke last."""
    if len(beats) == 1:
        (only,) = beats
        return _merged(name, (only,), agent_state(only, now_ms), now_ms, pending)
    newest_first = sorted(beats, key=lambda beat: beat.seen_ms, reverse=True)
    here = [beat for beat in newest_first if agent_state(beat, now_ms) in _HERE]
    said = here or newest_first[:1]
    state = min((agent_state(beat, now_ms) for beat in here), key=_HERE.index, default=agent_state(said[0], now_ms))
    return _merged(name, said, state, now_ms, pending)


def _merged(name: str, said: Sequence[Heartbeat], state: AgentState, now_ms: int, pending: int) -> AgentView:
    newest = said[0]
    busy = newest if newest.task else next((beat for beat in said if beat.task), newest)
    return AgentView(
        name,
        state,
        _seconds(now_ms - newest.seen_ms),
        status=busy.status,
        task=busy.task,
        task_age_s=None if busy.task_since_ms is None else _seconds(now_ms - busy.task_since_ms),
        load=_mean([beat.load for beat in said if beat.load is not None]),
        pending=pending,
        done=_sum([beat.done for beat in said if beat.done is not None]),
        failed=_sum([beat.failed for beat in said if beat.failed is not None]),
        capabilities=tuple(sorted({each for beat in said for each in beat.capabilities})),
        version=newest.version,
        processes=len(said),
    )


def _seconds(ms: int) -> float:
    """An age in seconds; what seems to come from the future is of now."""
    return max(ms, 0) / 1000


def _mean(known: Sequence[float]) -> float | None:
    return sum(known) / len(known) if known else None


def _sum(known: Sequence[int]) -> int | None:
    return sum(known) if known else None
