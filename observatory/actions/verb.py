"""What every verb is made of: how it plans, and how it does what was planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.bus import Bus
    from observatory.model.plan import PlannedItem, SkippedItem

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a request comes down to when it is looked at.

    Attributes:
        items: What will be touched, in order.
        skipped: What was asked for and will not be touched, with why.
    """

    items: tuple[PlannedItem, ...]
    skipped: tuple[SkippedItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the items of a plan.

    Attributes:
        done: Ids of the items that were changed, in order.
        entries: Entry id that each done item now has, in the same order; empty for one that waits for its time.
        skipped: Items that had changed since the plan and were left alone, with why.
    """

    done: tuple[str, ...]
    entries: tuple[str, ...]
    skipped: tuple[SkippedItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Verb(Generic[R]):
    """One kind of change.

    Attributes:
        name: What it is called in plans and reports.
        request: Type of request that asks for it.
        plan: Finds out what a request would touch, changing nothing; raises `UsageError` where it makes no sense.
        execute: Does it to exactly the given items, each re-checked inside the bus's atomic step.
    """

    name: str
    request: type[R]
    plan: Callable[[Bus, R], Awaitable[Selection]]
    execute: Callable[[Bus, R, tuple[PlannedItem, ...]], Awaitable[Outcome]]
