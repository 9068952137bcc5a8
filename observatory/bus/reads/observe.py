"""What one look at the bus returns: plain readings of the engine at one instant, before anyone interprets them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.model.agent import Heartbeat
    from observatory.model.event import Event
    from observatory.model.task import Lane


PARKED = "~parked"
"""In whose name an entry is pending that waits for others of its ordering key, as in order.lua."""


@dataclass(frozen=True, slots=True)
class ConsumerReading:
    """A consumer as XINFO CONSUMERS tells it: entries it holds, and ms since it last asked for anything."""

    name: str
    pending: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class GroupReading:
    """A group as XINFO GROUPS tells it; `lag` and `entries_read` are None where the engine does not know.

    `members` are its consumers, looked at only while work has waited for some seconds and where they are few; None
    where they were not.
    """

    name: str
    lag: int | None
    pending: int
    consumers: int
    last_delivered: str
    entries_read: int | None
    members: tuple[ConsumerReading, ...] | None = None


@dataclass(frozen=True, slots=True)
class LaneReading:
    """One lane at the instant of the look.

    Attributes:
        lane: Queue and priority.
        stream: Key of the stream.
        problem: Why it cannot be read (`WRONGTYPE …`); everything else is then None or empty.
        length: XLEN; 0 for a key that does not exist.
        entries_added: Entries ever added; None where the engine does not know (Redis 6).
        groups: Its groups, by name.
        oldest_waiting_ms: Arrival (ms of server time) of the oldest entry that some group was not given yet, or of
            the oldest there is where no group reads.
        oldest_pending_ms: Arrival (ms of server time) of the oldest entry that is pending in some group.
        owners: Pending entries by consumer, over all groups; without the parked ones.
        parked: Entries that wait for others of their ordering key; they count as pending in the groups.
        paused_until_ms: End of its pause, ms of server time, 0 where it has none; None if it is not paused.
    """

    lane: Lane
    stream: str
    problem: str = ""
    length: int | None = None
    entries_added: int | None = None
    groups: tuple[GroupReading, ...] = ()
    oldest_waiting_ms: int | None = None
    oldest_pending_ms: int | None = None
    owners: tuple[tuple[str, int], ...] = ()
    parked: int = 0
    paused_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterReading:
    """The dead-letter stream; `reasons` is None when nothing changed since the last look with the same cursor.

    Attributes:
        total: XLEN; None where it cannot be read.
        oldest_ms: Arrival of the oldest dead letter (ms of server time); None if there is none.
        reasons: Count by reason over the newest `counted` entries, most frequent first.
        counted: Entries that `reasons` speaks of.
        problem: Why it cannot be read; empty otherwise.
    """

    total: int | None = 0
    oldest_ms: int | None = None
    reasons: tuple[tuple[str, int], ...] | None = None
    counted: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ServerReading:
    """What INFO says; None where it says nothing.

    On a cluster memory is that of the fullest node, clients and commands are those of all nodes together.
    """

    product: str = ""
    version: str = ""
    memory: int | None = None
    memory_limit: int | None = None
    policy: str = ""
    aof: bool | None = None
    clients: int | None = None
    ops_per_s: int | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """What the last look already told, so that the next one only asks for what is new. Opaque to callers.

    On a cluster it holds the cursor and the dead letters of every partition, and nothing else.
    """

    beats: str = "-"
    events: str = ""
    dlq: tuple[int, str] = (-1, "")
    scan: int = 0
    queues: tuple[str, ...] = ()
    parts: tuple[Cursor, ...] = ()
    letters: tuple[DeadLetterReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """The bus at one instant of server time.

    Attributes:
        at_ms: Server time of the look, ms since the epoch.
        lanes: Shared queue first, then named queues by name, each most urgent first.
        dead_letters: The dead-letter stream.
        delayed: Tasks that wait for their time; None where that cannot be read.
        beats: Heartbeats that are new since the cursor, oldest first; on the first look the last state of every agent.
        events: Facts that are new since the cursor, newest first, at most a few hundred.
        events_skipped: There were more new facts than `events` holds.
        counts: How often each kind happened, by (minute since the epoch, kind), for this minute and the one before.
        server: What INFO says.
        cursor: Pass it to the next look.
    """

    at_ms: int
    lanes: tuple[LaneReading, ...]
    dead_letters: DeadLetterReading
    delayed: int | None
    beats: tuple[Heartbeat, ...]
    events: tuple[Event, ...]
    events_skipped: bool
    counts: Mapping[tuple[int, str], int]
    server: ServerReading
    cursor: Cursor = field(default_factory=Cursor)
