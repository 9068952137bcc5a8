"""What changed between two moments, and nothing else: lanes, causes of death, agents, settings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.model.cause import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from observatory.model.dead_letter import DeadLetter
    from observatory.model.snapshot import Snapshot

    Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that is not as it was.

    Attributes:
        group: `lane`, `cause`, `agent` or `setting`.
        name: Which one.
        what: What about it.
        before: As it was; None where it was not there, or unknown.
        after: As it is then.
    """

    group: str
    name: str
    what: str
    before: Value
    after: Value


def difference(
    before: Snapshot, after: Snapshot, dead_before: Iterable[DeadLetter] = (), dead_after: Iterable[DeadLetter] = ()
) -> tuple[Changed, ...]:
    """Return what changed from one moment to another.

    Args:
        before: The first.
        after: The second.
        dead_before: The dead letters of the first.
        dead_after: The dead letters of the second.
    """
    return tuple(
        Changed(group, name, what, old, new)
        for group, one, two in (
            ("lane", _lanes(before), _lanes(after)),
            ("cause", _causes(dead_before), _causes(dead_after)),
            ("agent", _agents(before), _agents(after)),
            ("setting", _settings(before), _settings(after)),
        )
        for name, what, old, new in _changes(one, two)
    )


Facts = dict[tuple[str, str], "Value"]
"""Values by name and what they are about."""


def _changes(one: Facts, two: Facts) -> Iterator[tuple[str, str, Value, Value]]:
    for name, what in sorted(one.keys() | two.keys()):
        old, new = one.get((name, what)), two.get((name, what))
        if old != new:
            yield name, what, old, new


def _lanes(snapshot: Snapshot) -> Facts:
    found: Facts = {}
    for lane in snapshot.lanes:
        name = lane.stream
        found |= {(name, "backlog"): lane.backlog, (name, "pending"): lane.pending, (name, "state"): str(lane.state)}
    found["delayed", "tasks"] = snapshot.delayed
    found["dead letters", "total"] = snapshot.dead_letters.total
    return found


def _causes(letters: Iterable[DeadLetter]) -> Facts:
    counted = Counter(" · ".join(filter(None, key_of(letter))) for letter in letters)
    return {(name, "dead letters"): count for name, count in counted.items()}


def _agents(snapshot: Snapshot) -> Facts:
    found: Facts = {}
    for agent in snapshot.agents:
        found[agent.name, "state"] = None if agent.state is None else str(agent.state)
        found[agent.name, "pending"] = agent.pending
        found[agent.name, "processes"] = agent.processes
        found[agent.name, "version"] = agent.version
    return found


def _settings(snapshot: Snapshot) -> Facts:
    engine = snapshot.engine
    paused: Mapping[tuple[str, str], Value] = {
        (lane.stream, "paused until"): lane.paused_until_ms
        for lane in snapshot.lanes
        if lane.paused_until_ms is not None
    }
    return {
        ("engine", "product"): engine.product,
        ("engine", "version"): engine.version,
        ("engine", "memory limit"): engine.memory_limit,
        **paused,
    }
