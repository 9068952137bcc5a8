"""What every verb is made of: how a request becomes a draft of a plan, and how what was done can be taken back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from observatory.model.plan import Reversal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from observatory.bus import Bus
    from observatory.bus.moves import Moved, Stamp
    from observatory.model.plan import Plan, PlannedItem, SkippedItem

R = TypeVar("R")

DONE: Final = frozenset({"done", "requested"})
"""Outcomes of a step that changed its item."""

FENCED: Final = "fenced"
"""Outcome of a step that was too late: another executor took the job over."""

WHY: Final[Mapping[str, str]] = {
    "gone": "it is no longer there",
    "no lane": "it cannot go there: something else stands in the lane's place",
    "taken": "it was taken meanwhile",
    "settled": "it was settled meanwhile",
    "unknown": "the bus remembers no such task",
    "moved": "somebody else has it by now",
    "alive": "its owner has shown life meanwhile",
    "changed": "somebody changed it meanwhile",
    "holds": "it holds work by now",
    "duplicate": "a task with this id is already on the bus",
}
"""Why a step left its item alone."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a request comes down to when it is looked at; the engine makes a plan of it.

    Attributes:
        verb: What is done.
        items: What will be touched, in order.
        skipped: What was asked for and will not be touched, with why.
        asked: What was asked for, in words.
        options: What holds for all items.
        reversal: What undo will be able to do.
        place: What is worked on, which no other job of several items may touch meanwhile; empty for none.
        streams: Streams whose length is told before and after.
        warnings: What somebody should know before agreeing.
    """

    verb: str
    items: tuple[PlannedItem, ...]
    skipped: tuple[SkippedItem, ...] = ()
    asked: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    reversal: Reversal = Reversal.FULL
    place: str = ""
    streams: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verb(Generic[R]):
    """One kind of request.

    Attributes:
        request: Its type.
        draft: Finds out what a request would touch, changing nothing; raises `UsageError` where it makes no sense.
    """

    request: type[R]
    draft: Callable[[Bus, R], Awaitable[Draft]]


if TYPE_CHECKING:
    ByHand = Callable[[Bus, Stamp, Mapping[str, str], list[PlannedItem]], Awaitable[list[Moved]]]
    """A step that is no single script. Repeating it with the same items changes nothing twice."""

    Inverse = Callable[[Bus, Plan, Mapping[str, Moved]], Awaitable[Draft]]
    """Drafts what takes a plan back, given what became of its items."""
