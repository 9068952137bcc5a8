"""Events: the immutable facts that the bus's scripts append in the same atom as each change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """Every kind of fact there is; each name is a past participle or a state that was entered."""

    PUBLISHED = "published"
    """A task arrived in a lane through the bus client."""
    SCHEDULED = "scheduled"
    """A task arrived to become due later."""
    OBSERVED = "observed"
    """A task that a foreign agent added by plain XADD was taken for the first time."""
    PROMOTED = "promoted"
    """A delayed task became due and entered its lane."""
    TAKEN = "taken"
    """A worker began with a task; `ms` is how long it waited."""
    REDELIVERED = "redelivered"
    """Work of a dead or silent consumer passed to another."""
    COMPLETED = "completed"
    """A handler finished; `ms` is how long it ran."""
    RETRIED = "retried"
    """An attempt failed and the task waits for the next; `ms` is how long it ran."""
    SNOOZED = "snoozed"
    """A handler asked for the task again later, without an attempt having failed."""
    GIVEN_BACK = "given_back"
    """A worker that stops put work back that it had not finished."""
    DEAD_LETTERED = "dead_lettered"
    """A task will not run again by itself; `reason` says why."""
    CANCELLED = "cancelled"
    """A task was taken back by whoever was entitled to."""
    REQUEUED = "requeued"
    """A dead letter went back to a lane with fresh attempts."""
    TRASHED = "trashed"
    """An operator put a dead letter into the trash."""
    RESTORED = "restored"
    """What was in the trash, or was requeued and taken by nobody, is a dead letter again; `reason` says why."""
    PURGED = "purged"
    """An operator deleted what was in the trash for good."""
    REVIVED = "revived"
    """A task that was cancelled while it waited in its lane is wanted after all."""
    RESCHEDULED = "rescheduled"
    """A task that was cancelled while it waited for its time is wanted after all."""
    CLAIMED = "claimed"
    """An operator gave work that somebody held to the consumer `agent`; `detail` is who held it."""
    DROPPED = "dropped"
    """A dead letter was let go of, because it was too old or there were too many; see `retention`."""
    LOST_PAYLOAD = "lost_payload"
    """A pending entry whose body somebody deleted or trimmed away."""
    MESSAGE_SENT = "message_sent"
    """A message was put into an agent's mailbox."""
    MESSAGE_ACKNOWLEDGED = "message_acknowledged"
    """An agent has handled a message."""
    MESSAGE_EXPIRED = "message_expired"
    """A message was dropped unread, because its time to live had run out."""
    BROADCAST = "broadcast"
    """All agents were told something."""
    PAUSED = "paused"
    """Somebody paused a lane, or without a lane what `detail` names; `ms` is for how long, if an end was given."""
    DRAINED = "drained"
    """An operator closed a lane to new work; `ms` is for how long, if an end was given."""
    REOPENED = "reopened"
    """A lane takes new work again."""
    RESUMED = "resumed"
    """A paused lane goes on."""
    GROUP_MOVED = "group_moved"
    """An operator moved the position of a group; `detail` is the group, its position before and after."""
    CONSUMER_REMOVED = "consumer_removed"
    """An operator removed a consumer that held nothing; `detail` is its name."""
    DATA_LOSS_SUSPECTED = "data_loss_suspected"
    """A group that had been there was gone: somebody deleted the lane, or the engine lost it."""
    AGENT_UP = "agent_up"
    """An agent beat for the first time, or again after it was gone."""
    AGENT_DOWN = "agent_down"
    """An agent said that it stops."""
    AGENT_LOST = "agent_lost"
    """An agent was silent for too long; found by a sweep."""
    IMPORTED = "imported"
    """Lines of files were moved into a stream; `detail` says into which journal, and how many."""
    SESSION_RESUMED = "session_resumed"
    """A deliverer found the terminal of an agent, and types its messages there from now on; `detail` says where."""
    ALERT_FIRED = "alert_fired"
    """A watcher's alert rule fired, or got worse; `reason` is its severity."""
    ALERT_RESOLVED = "alert_resolved"
    """What an alert was about is over."""
    SAMPLED = "sampled"
    """A recorder counted what no event tells: a lane that foreign agents use, an agent's beat, the engine."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of the log.

    Attributes:
        id: Entry id in the day's stream, `<ms>-<seq>`, with `.<place>` behind it from the second fact of an entry on,
            and `@<partition>` behind that on a cluster.
        kind: What happened; text of a later version's kinds is kept as it is.
        ts_ms: Server time in ms since the epoch; the id's ms can run ahead after a clock jump.
        task: Task id, or empty.
        type: Task type, or empty.
        lane: Stream key, or empty.
        agent: Consumer or agent that did it, or empty.
        attempt: Attempt, from 1; 0 where it has no meaning.
        reason: Reason of a dead letter, or empty.
        ms: Duration that belongs to the kind, in milliseconds; None where there is none.
        detail: One line of anything else, such as the error; foreign text.
    """

    id: str
    kind: str
    ts_ms: int
    task: str = ""
    type: str = ""
    lane: str = ""
    agent: str = ""
    attempt: int = 0
    reason: str = ""
    ms: int | None = None
    detail: str = ""


def event_id(entry_id: str, place: int) -> str:
    """Return the id of the fact at *place* (from 0) in a log entry: all facts of one change are one entry."""
    return f"{entry_id}.{place}" if place else entry_id


def event_entry(ident: str) -> str:
    """Return the log entry that the fact *ident* stands in."""
    return ident.partition("@")[0].partition(".")[0]


def event_order(ident: str) -> tuple[int, int, int, int]:
    """Return what puts fact ids in the order in which the facts happened: milliseconds, sequence, partition, place.

    Raises:
        ValueError: *ident* is not the id of a fact.
    """
    fact, at, partition = ident.partition("@")
    entry, _, place = fact.partition(".")
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq or 0), int(partition) if at else -1, int(place or 0)
