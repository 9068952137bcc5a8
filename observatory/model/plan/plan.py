"""Plans and reports: what an operator's change will do, frozen, and what it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from observatory.model.plan.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNPACED: Final = Pace()


class Reversal(StrEnum):
    """What undo can do about a change, said before it is made."""

    FULL = "can be undone"
    WHILE_UNTOUCHED = "can be undone for what nobody has taken by then"
    NONE = "cannot be undone"


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One thing that a plan will touch.

    Attributes:
        id: Its frozen identity: a task id, an entry id, the name of a place.
        source: Stream key it leaves; empty for a new task.
        target: Stream key it goes to; empty where it goes nowhere.
        label: One line that says what it is, ready to show.
        seen: What it looked like; the step that changes it checks this again.
        at_ms: When it began to be what it is, ms of server time; None where nothing says.
    """

    id: str
    source: str
    target: str
    label: str
    seen: Mapping[str, str] = field(default_factory=dict)
    at_ms: int | None = None


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
        id: Identity of the plan, and of the job that executes it.
        verb: What is done, as a word for people: `send`, `requeue`.
        asked: What was asked for, in words.
        items: What will be touched.
        skipped: What was asked for and will not be touched, with why.
        created_ms: When it was made, ms since the epoch.
        options: What holds for all items, by name.
        reversal: What undo will be able to do.
        before: How many entries there are in the places that change.
        pace: How fast it runs.
        undoes: Id of the job that this takes back; empty for none.
        warnings: What somebody should know before agreeing, in words.
    """

    id: str
    verb: str
    asked: str
    items: tuple[PlannedItem, ...]
    skipped: tuple[SkippedItem, ...]
    created_ms: int
    options: Mapping[str, str] = field(default_factory=dict)
    reversal: Reversal = Reversal.FULL
    before: Mapping[str, int] = field(default_factory=dict)
    pace: Pace = UNPACED
    undoes: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[tuple[str, int], ...]:
        """Stream keys that items leave, with how many, most first."""
        return _counted(item.source for item in self.items)

    @property
    def targets(self) -> tuple[tuple[str, int], ...]:
        """Stream keys that items go to, with how many, most first."""
        return _counted(item.target for item in self.items)

    @property
    def after(self) -> Mapping[str, int]:
        """How many entries there will be in the places that change, if nothing else happens."""
        gone, come = dict(self.sources), dict(self.targets)
        return {place: max(count - gone.get(place, 0), 0) + come.get(place, 0) for place, count in self.before.items()}

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """When the oldest and the newest item began to be what they are, ms of server time; None if nothing says."""
        times = [item.at_ms for item in self.items if item.at_ms is not None]
        return (min(times), max(times)) if times else None

    @property
    def is_bulk(self) -> bool:
        """It touches several things, so that no other such plan may touch the same places meanwhile."""
        return len(self.items) > 1

    @property
    def summary(self) -> str:
        """One line for people: verb, number, where to."""
        targets = sorted(target for target, _ in self.targets)
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
        entries: Entry id that each done item now has, in the same order; empty where it has none.
        took_ms: Milliseconds from its start to its end; None where nobody measured.
        stopped: Why it ended before its last item, in words; empty if it did not.
    """

    plan: Plan
    done: tuple[str, ...]
    skipped: tuple[SkippedItem, ...]
    entries: tuple[str, ...]
    took_ms: int | None = None
    stopped: str = ""

    @property
    def untouched(self) -> int:
        """Items that the plan names and that nobody came to."""
        return len(self.plan.items) - len(self.done) - len(self.skipped)

    @property
    def summary(self) -> str:
        """One line for people: what was done and what was not."""
        text = f"{self.plan.verb}: {len(self.done)} of {len(self.plan.items)} done"
        text += "".join(f"; {item.id} skipped: {item.why}" for item in self.skipped[:3])
        if len(self.skipped) > 3:
            text += f"; {len(self.skipped) - 3} more skipped"
        return f"{text}; stopped: {self.stopped}" if self.stopped else text


def _counted(places: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(place for place in places if place).most_common())
