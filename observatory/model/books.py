"""The books of the swarm: what its events add up to, at one moment. Values only; `reduce` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from observatory.model.dead_letter import Reason
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping


class LiveTask(NamedTuple):
    """A task that is not settled, or that lies in the dead letters. All of it follows from the last fact about it.

    Attributes:
        state: Where it is.
        lane: Stream key it is in or came from.
        agent: Consumer that runs it, or gave up on it; empty otherwise.
        reason: Why it is dead; empty otherwise.
        type: Kind of work; empty if nothing says.
        attempt: Attempt it is at, from 1; 0 where nothing says.
        since_ms: When it came to be in this state, ms of server time.
        arrived_ms: When the bus first received it, as far as its last fact tells; otherwise `since_ms`.
        error: The last error of one that waits for its next attempt or is dead; empty otherwise.
    """

    state: TaskState
    lane: str
    agent: str = ""
    reason: str = ""
    type: str = ""
    attempt: int = 0
    since_ms: int = 0
    arrived_ms: int = 0
    error: str = ""


class Process(NamedTuple):
    """One consumer, by what it did.

    Attributes:
        state: `up`, `down` (it said so) or `lost` (it fell silent).
        since_ms: When it came to be in that state, ms of server time.
        seen_ms: The last fact of it.
        done: Tasks it completed since its first fact.
        failed: Attempts of it that failed.
    """

    state: str
    since_ms: int
    seen_ms: int
    done: int = 0
    failed: int = 0


class Firing(NamedTuple):
    """An alert that fires: its severity, since when, and in words."""

    severity: str
    since_ms: int
    text: str


class LaneSample(NamedTuple):
    """A lane as the engine counted it, to hold the books against: foreign agents leave no other trace.

    Attributes:
        at_ms: When it was counted, ms of server time.
        length: Entries in it.
        waiting: Entries not delivered to the group furthest behind; None where the engine did not know.
        pending: Entries delivered and not acknowledged.
        queued: Tasks that waited in it by the books at that moment.
        running: Tasks that ran from it by the books.
        oldest_waiting_ms: Arrival of the oldest entry that waited; None if none did.
        oldest_pending_ms: Arrival of the oldest entry that was pending; None if none was.
        groups: Its groups: name, lag or None, pending, consumers.
    """

    at_ms: int
    length: int
    waiting: int | None
    pending: int
    queued: int
    running: int
    oldest_waiting_ms: int | None = None
    oldest_pending_ms: int | None = None
    groups: tuple[tuple[str, int | None, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Books:
    """Every task that is somewhere, who works on it, and totals of what happened.

    Attributes:
        tasks: Live tasks and dead letters, by task id.
        totals: How often each kind of event happened.
        arrivals: How many tasks ever came into each lane.
        last_id: Id of the newest event that is in the books; empty before the first.
        at_ms: Server time of that event.
        processes: Consumers that were heard of; those that left long ago are forgotten.
        paused: End of the pause of each paused lane, ms of server time, 0 where it has none.
        alerts: What fires, by alert id.
        lanes: The last sample of each lane that was sampled.
        vitals: The last sample of each subject that is no lane: `engine`, or a consumer; JSON as it was written.
    """

    tasks: Mapping[str, LiveTask] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    arrivals: Mapping[str, int] = field(default_factory=dict)
    last_id: str = ""
    at_ms: int = 0
    processes: Mapping[str, Process] = field(default_factory=dict)
    paused: Mapping[str, int] = field(default_factory=dict)
    alerts: Mapping[str, Firing] = field(default_factory=dict)
    lanes: Mapping[str, LaneSample] = field(default_factory=dict)
    vitals: Mapping[str, str] = field(default_factory=dict)

    def count(self, state: TaskState) -> int:
        """Return how many tasks are in *state* (never more than zero for done and cancelled: they leave the books)."""
        return sum(task.state is state for task in self.tasks.values())

    def dead(self, *, stale: bool) -> int:
        """Return how many dead letters there are that are stale, or that are anything but stale."""
        return sum(
            task.state is TaskState.DEAD and (task.reason == Reason.STALE) is stale for task in self.tasks.values()
        )
