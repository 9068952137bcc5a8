"""Long lists in pages: how a piece is asked for, what is answered, and the rows of every list.

A list has one order, newest first or oldest first, and every row a `key` that stays the same for as long as the row
exists. A key is also a cursor: a table may drop what it scrolled past and go on from any row that it kept, up or down.
`None` in a row means that nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.model.agent import AgentState
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.message import Note
    from observatory.model.snapshot import GroupView
    from observatory.model.task import DelayedTask, Task, TaskState
    from observatory.model.wire import Malformed

    Item = Task | Malformed | DeadLetter | DelayedTask | Note
    """What an entry of a stream can be."""

    Test = Callable[[Any], bool]
    """Says whether a row is wanted. It is given whole rows of the list that is asked, and never raises."""

T_co = TypeVar("T_co", covariant=True)

MOST_SEARCHED = 10_000
"""Rows that one ask looks at when it has a test, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Which piece of a list is wanted.

    Attributes:
        cursor: Where to begin: the `key` of a row, the `before` or `after` of a page, or a place from `at_time`. If
            empty, the piece begins at the top of the list, or at its bottom if *backwards*.
        inclusive: The row at the cursor, if it is still there, belongs to the piece.
        backwards: What stands in front of the cursor is wanted, not what follows it. Rows come in list order anyway.
        limit: Rows at most, at least 1. Fewer may come, also where more follow: only `Page.after` and `Page.before`
            say whether the list goes on.
        newest_first: The order of the list; else oldest first.
        where: Only rows that pass it; None for all. A `Filter` is better than any other test: what it says of lanes
            and times is used to look only where there can be such rows.
        most: Rows that are looked at while searching; the page says how many were.
    """

    cursor: str = ""
    inclusive: bool = False
    backwards: bool = False
    limit: int = 100
    newest_first: bool = True
    where: Test | None = None
    most: int = MOST_SEARCHED

    @property
    def ascending(self) -> bool:
        """The piece is read from older to newer rows."""
        return self.newest_first == self.backwards


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """A bounded piece of a long list.

    Attributes:
        items: The piece, in list order.
        after: Ask with it as cursor for what follows; None at the end of the list.
        total: Length of the whole list, without any test; None where it is not cheap to know.
        before: Ask *backwards* with it for what stands in front; None at the beginning of the list as it was then.
        searched: Rows that were looked at where there was a test; None where there was none.
        broken: What belongs to the list and could not be read, each with its key and why.
    """

    items: tuple[T_co, ...]
    after: str | None
    total: int | None
    before: str | None = None
    searched: int | None = None
    broken: tuple[str, ...] = ()


def at_time(ms: int, *, newest_first: bool = True) -> str:
    """Return the cursor at which a list that is ordered by time stands at *ms* of server time.

    What follows it is everything from that millisecond on, in the direction of the list.
    """
    return f"{ms if newest_first else ms - 1}-18446744073709551615"


class EntryState(StrEnum):
    """What has become of an entry so far, judged over all groups that read its stream."""

    WAITING = "waiting"
    """Some group was not given it yet, or nobody reads the stream."""
    HELD = "held"
    """Every group was given it, and some consumer has not acknowledged it."""
    SETTLED = "settled"
    """Every group has acknowledged it; it only stands there still."""
    DELAYED = "delayed"
    """It enters its lane later."""
    DEAD = "dead"
    """It is a dead letter."""


@dataclass(frozen=True, slots=True)
class Hold:
    """That a consumer was given an entry and has not acknowledged it.

    Attributes:
        group: Its group.
        consumer: The consumer.
        agent: The agent that the consumer belongs to; empty where it is nobody's, because it waits for its turn
            behind others of its ordering key.
        idle_ms: Milliseconds since it was delivered last, or its lease renewed.
        deliveries: How often it was delivered.
    """

    group: str
    consumer: str
    agent: str
    idle_ms: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of a stream, whichever stream it is.

    Attributes:
        key: Its entry id; of delayed work, due time and member.
        stream: Key of the stream.
        at_ms: When the engine took it in, ms of server time; of delayed work, when it is due.
        item: The entry as read. Values longer than a few KB are cut where `cut` says so; `Source.entry` has it whole.
        state: What has become of it.
        holds: Who holds it, by group.
        waits_for: Groups that were not given it yet.
        size: Bytes of its names and values.
        cut: A value of `item` is not complete.
    """

    key: str
    stream: str
    at_ms: int
    item: Item
    state: EntryState
    holds: tuple[Hold, ...] = ()
    waits_for: tuple[str, ...] = ()
    size: int = 0
    cut: bool = False

    @property
    def task_id(self) -> str:
        """Id of the task or message; empty if it carries none."""
        return str(getattr(self.item, "task_id", "") or getattr(self.item, "id", ""))

    @property
    def type(self) -> str:
        """Kind of work; empty if nothing says."""
        return str(getattr(self.item, "type", ""))

    @property
    def problem(self) -> str:
        """Why it cannot be a task, in words; empty otherwise."""
        return str(getattr(self.item, "why", ""))


@dataclass(frozen=True, slots=True)
class PendingScope:
    """Whose pending entries are meant; what is left empty stands for all.

    Attributes:
        streams: Keys of lanes.
        group: Name of a group.
        consumer: Name of a consumer: its own list is read, not that of its group.
        bodies: Whether the entries themselves are read as well; without them `task_id` and `type` stay empty, `gone`
            is not known, and thousands of rows cost the engine little.
    """

    streams: tuple[str, ...] = ()
    group: str = ""
    consumer: str = ""
    bodies: bool = True


@dataclass(frozen=True, slots=True)
class PendingRow:
    """One entry that one group was given and has not acknowledged. Lists of them are ordered by entry id.

    Attributes:
        key: Entry id, stream and group.
        stream: Key of the lane.
        lane: The lane in words, as `coding:high`.
        entry_id: The entry.
        hold: Who holds it, for how long, how often delivered.
        task_id: Id of the task; empty where the body is gone.
        type: Kind of work; empty where nothing says.
        gone: Somebody deleted the body while it was pending.
    """

    key: str
    stream: str
    lane: str
    entry_id: str
    hold: Hold
    task_id: str = ""
    type: str = ""
    gone: bool = False

    @property
    def arrived_ms(self) -> int:
        """When the engine took the entry in, ms of server time."""
        return int(self.entry_id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class ConsumerRow:
    """A consumer of a group, as XINFO CONSUMERS tells it.

    Attributes:
        name: The consumer.
        agent: The agent that it belongs to.
        pending: Entries that it holds.
        idle_ms: Milliseconds since it last asked for anything.
        inactive_ms: Milliseconds since it last got anything; None where the engine does not say (before Redis 7.2),
            -1 if it never did.
    """

    name: str
    agent: str
    pending: int
    idle_ms: int
    inactive_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of a lane, with its consumers.

    Attributes:
        view: Lag, pending and last delivered entry.
        consumers: By name, at most a few thousand.
        oldest_pending_ms: Arrival of its oldest pending entry, ms of server time; None if it has none.
        next_waiting_ms: Arrival of the next entry it will be given, ms of server time; None if none waits.
    """

    view: GroupView
    consumers: tuple[ConsumerRow, ...] = ()
    oldest_pending_ms: int | None = None
    next_waiting_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process of an agent, by its last beat.

    Attributes:
        consumer: Its consumer name; the agent's name where the beat names none.
        state: How alive it is.
        last_seen_s: Seconds since its last beat.
        status: Its own word.
        task: Id of its current task; empty if none or not said.
        task_age_s: Seconds it has been at that task; None if not said.
        load: Share of its slots in use, 0 to 1; None if not said.
        interval_s: Seconds between its beats.
        version: Its version.
        done: Tasks completed since it started; None if not said.
        failed: Attempts failed since it started; None if not said.
        capabilities: Queues and types it serves.
    """

    consumer: str
    state: AgentState
    last_seen_s: float
    status: str = ""
    task: str = ""
    task_age_s: float | None = None
    load: float | None = None
    interval_s: float = 0.0
    version: str = ""
    done: int | None = None
    failed: int | None = None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """How much one consumer holds in one lane, over all groups."""

    stream: str
    consumer: str
    pending: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The mailbox of an agent.

    Attributes:
        length: Messages in it.
        pending: Of them, read and not acknowledged; None where nobody has read it by a group yet.
        oldest_ms: Arrival of the oldest, ms of server time; None if it is empty.
    """

    length: int
    pending: int | None
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class AgentDetail:
    """Everything about one agent that a snapshot has no room for.

    Attributes:
        name: The agent.
        processes: Those that beat, the one heard last first.
        held: What its consumers hold, the most first.
        mailbox: Its mailbox; None if there is none.
        tasks: Its current tasks and what the bus remembers of them.
    """

    name: str
    processes: tuple[ProcessRow, ...] = ()
    held: tuple[Held, ...] = ()
    mailbox: Mailbox | None = None
    tasks: tuple[TaskRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task, by the newest that is known of it.

    Attributes:
        key: Its id.
        type: Kind of work; empty if nothing says.
        state: Where it is in its life; None where nobody wrote it down and it cannot be told.
        stream: Key of the stream that it is or was in; empty if unknown.
        agent: Who ran it last, or runs it; empty if none did or nobody knows.
        attempt: Attempt it is at, from 1; None if unknown.
        at_ms: When the newest that is known of it happened, ms of server time.
        what: That newest thing, in one word: the kind of an event, or the state of its entry.
        reason: Why it failed, died or was cancelled; empty otherwise.
        observed: Only its entry is known: no event was ever written about it.
    """

    key: str
    type: str
    state: TaskState | None
    stream: str
    agent: str
    attempt: int | None
    at_ms: int
    what: str
    reason: str = ""
    observed: bool = False
