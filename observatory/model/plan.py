"""Plans and reports: what an operator's change will do, frozen, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observatory.model.task import NewTask


@dataclass(frozen=True, slots=True)
class SendTask:
    """Request: publish one task.

    Attributes:
        task: The task, complete with its id.
    """

    task: NewTask


@dataclass(frozen=True, slots=True)
class RequeueDeadLetters:
    """Request: put dead letters back into the lanes they came from, with fresh attempts.

    Attributes:
        entry_ids: Their ids in the dead-letter stream.
    """

    entry_ids: tuple[str, ...]


Request = SendTask | RequeueDeadLetters
"""Everything an operator can ask to change."""


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One thing that a plan will touch.

    Attributes:
        id: Its frozen identity: a task id, or an entry id of the dead-letter stream.
        source: Stream key it leaves; empty for a new task.
        target: Stream key it goes to.
        label: One line that says what it is, ready to show.
    """

    id: str
    source: str
    target: str
    label: str


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """One thing that a plan or its execution left alone.

    Attributes:
        id: Its identity.
        why: The reason, in words.
    """

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change will do: exactly these items, nothing that arrives later.

    Attributes:
        id: Identity of the plan.
        verb: What is done, as a word for people: `send`, `requeue`.
        request: What was asked.
        items: What will be touched.
        skipped: What was asked for and will not be touched, with why.
        created_ms: When it was made, ms since the epoch.
    """

    id: str
    verb: str
    request: Request
    items: tuple[PlannedItem, ...]
    skipped: tuple[SkippedItem, ...]
    created_ms: int

    @property
    def summary(self) -> str:
        """One line for people: verb, number, where to."""
        targets = sorted({item.target for item in self.items})
        noun = "item" if len(self.items) == 1 else "items"
        where = f" → {', '.join(targets[:3])}{' …' if len(targets) > 3 else ''}" if targets else ""
        left = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{self.verb} {len(self.items)} {noun}{where}{left}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a plan did.

    Attributes:
        plan: The plan that ran.
        done: Ids of the items that were changed, in order.
        skipped: Items that had changed meanwhile and were left alone, with why.
        entries: Entry id that each done item now has, in the same order.
    """

    plan: Plan
    done: tuple[str, ...]
    skipped: tuple[SkippedItem, ...]
    entries: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for people: what was done and what was not."""
        text = f"{self.plan.verb}: {len(self.done)} of {len(self.plan.items)} done"
        return text + "".join(f"; {item.id} skipped: {item.why}" for item in self.skipped[:3])
