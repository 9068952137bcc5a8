"""Requests: everything that an operator can ask to change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.model.retention import Retention
    from observatory.model.task import NewTask


@dataclass(frozen=True, slots=True)
class Selector:
    """Which things are meant: those that are named, all that match a filter, or those of one root cause.

    Attributes:
        ids: Their ids; what an id is, the request says.
        filter: A filter over the rows of their list; with *ids*, of these only those that match.
        cause: Id of a root cause, for dead letters.
        key: Parts of the key by which causes are told apart, between commas; the usual key if empty.
    """

    ids: tuple[str, ...] = ()
    filter: str = ""
    cause: str = ""
    key: str = ""

    @property
    def is_empty(self) -> bool:
        """Nothing says what is meant."""
        return not (self.ids or self.filter.strip() or self.cause)

    @property
    def words(self) -> str:
        """The selection in one printable line, for plans and for the audit."""
        parts = [f"filter {line(self.filter, 200)}"] if self.filter.strip() else []
        parts += [f"cause {line(self.cause, 40)}"] if self.cause else []
        if self.ids:
            parts.append(line(self.ids[0], 80) if len(self.ids) == 1 else f"{len(self.ids):,} ids")
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True, slots=True)
class SendTask:
    """Publish one task.

    Attributes:
        task: The task, complete with its id.
    """

    task: NewTask


@dataclass(frozen=True, slots=True)
class RequeueDeadLetters:
    """Put dead letters back to work, with fresh attempts.

    Attributes:
        select: Dead letters, by entry id.
        queue: Queue to go to; that of the lane they came from if empty.
        priority: Priority to go to; that of the lane they came from if empty.
    """

    select: Selector
    queue: str = ""
    priority: str = ""


@dataclass(frozen=True, slots=True)
class ResendLetter:
    """Send an edited copy of a dead letter, and put the original into the trash once the copy is on its way.

    Attributes:
        entry_id: The dead letter.
        changes: What the copy says otherwise: `type`, `queue`, `priority`, `payload`. All else is locked.
        id: Id of the copy, made before the first send.
    """

    entry_id: str
    changes: Mapping[str, str]
    id: str


@dataclass(frozen=True, slots=True)
class TrashLetters:
    """Put dead letters into the trash, from where they can be restored until it is emptied.

    Attributes:
        select: Dead letters, by entry id.
    """

    select: Selector


@dataclass(frozen=True, slots=True)
class RestoreLetters:
    """Make what is in the trash dead letters again.

    Attributes:
        select: Entries of the trash, by id.
    """

    select: Selector


@dataclass(frozen=True, slots=True)
class PurgeTrash:
    """Delete what is in the trash for good.

    Attributes:
        select: Entries of the trash, by id.
    """

    select: Selector


@dataclass(frozen=True, slots=True)
class CancelTasks:
    """Take tasks back, wherever they are.

    Attributes:
        select: Tasks, by task id.
    """

    select: Selector


class Counts(StrEnum):
    """What becomes of the delivery count of work that is claimed."""

    KEEP = "keep"
    RAISE = "raise"


@dataclass(frozen=True, slots=True)
class ClaimPending:
    """Take work away from whoever holds it, and give it to another agent or back to its lane.

    Attributes:
        select: Pending entries, by the key of their row.
        agent: Agent that gets it; empty for back to the lane.
        counts: What becomes of delivery counts.
        override: Why it is taken from an owner who is alive; empty refuses that.
    """

    select: Selector
    agent: str = ""
    counts: Counts = Counts.KEEP
    override: str = ""


@dataclass(frozen=True, slots=True)
class BuryPending:
    """Make dead letters of work that somebody holds.

    Attributes:
        select: Pending entries, by the key of their row.
        error: What the dead letters say was wrong.
        override: Why it is taken from an owner who is alive; empty refuses that.
    """

    select: Selector
    error: str
    override: str = ""


@dataclass(frozen=True, slots=True)
class PauseLanes:
    """Stop work from being taken; what runs goes on.

    Attributes:
        places: Lanes (`coding:high`), a group of a lane (`high/workers`), or agents that are to be left in peace
            (`@pink`).
        seconds: Until they go on by themselves; None for until somebody says so.
    """

    places: tuple[str, ...]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ResumeLanes:
    """Let paused places go on.

    Attributes:
        places: As for `PauseLanes`.
    """

    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrainLanes:
    """Close lanes to new work, so that what is in them is worked off; retries still come back.

    Attributes:
        places: Lanes (`coding:high`).
        seconds: Until they open by themselves; None for until somebody says so.
    """

    places: tuple[str, ...]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ReopenLanes:
    """Let drained lanes take new work again.

    Attributes:
        places: Lanes.
    """

    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TellAgents:
    """Put a message into an agent's mailbox, or tell all agents.

    Attributes:
        agent: The agent; empty for all.
        text: What it says.
        id: Identity of the message, so that a repeated send is recognised.
    """

    agent: str
    text: str
    id: str


@dataclass(frozen=True, slots=True)
class ResetGroup:
    """Move the position up to which a group was given the entries of a lane.

    Attributes:
        lane: The lane, as `coding:high` or by its key.
        group: The group.
        to: `start`, `end`, an entry id, or ms since the epoch: what stands behind it is delivered from then on.
    """

    lane: str
    group: str
    to: str


@dataclass(frozen=True, slots=True)
class RemoveConsumers:
    """Remove consumers that hold nothing from the groups of lanes.

    Attributes:
        names: Names of consumers.
        lane: Only from the groups of this lane; all if empty.
        override: Why consumers are removed that asked for work a moment ago; empty refuses that.
    """

    names: tuple[str, ...]
    lane: str = ""
    override: str = ""


@dataclass(frozen=True, slots=True)
class SetBounds:
    """Say what the bus keeps.

    Attributes:
        bounds: All bounds, as they are to be.
    """

    bounds: Retention


@dataclass(frozen=True, slots=True)
class UndoJob:
    """Take back what a job did, as far as that is still possible. Undoing an undo does it again.

    Attributes:
        job: Id of the job, which is that of its plan.
    """

    job: str


Request = (
    SendTask
    | RequeueDeadLetters
    | ResendLetter
    | TrashLetters
    | RestoreLetters
    | PurgeTrash
    | CancelTasks
    | ClaimPending
    | BuryPending
    | PauseLanes
    | ResumeLanes
    | DrainLanes
    | ReopenLanes
    | TellAgents
    | ResetGroup
    | RemoveConsumers
    | SetBounds
    | UndoJob
)
"""Everything an operator can ask to change."""
