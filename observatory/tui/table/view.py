"""What of a list is shown, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class View(Generic[RowT]):
    """Which rows a table shows, and in which order.

    Attributes:
        filter: The filter as it was typed; empty for none.
        shows: Whether a row passes it; None lets all pass.
        column: Title of the column it is sorted by; empty for the order of the list itself.
        descending: Sorted from the largest to the smallest.
    """

    filter: str = ""
    shows: Callable[[RowT], bool] | None = None
    column: str = ""
    descending: bool = False

    @property
    def plain(self) -> bool:
        """Everything, in the order of the list itself."""
        return self.shows is None and not self.column
