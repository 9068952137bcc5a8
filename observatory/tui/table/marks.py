"""What was marked: rows by what they are called, whether they are on the screen or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RowT = TypeVar("RowT")


class Marks(Generic[RowT]):
    """Marked rows by identity, and a range that is being drawn.

    A range belongs to the marks while it is drawn: its rows are marked as the cursor passes them, and unmarked again
    when it comes back, unless they were marked before.
    """

    def __init__(self) -> None:
        self._rows: dict[str, RowT] = {}
        self._anchor = ""
        self._before: dict[str, RowT] = {}

    def __len__(self) -> int:
        """Count the marked rows."""
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        """Say whether the row called *name* is marked."""
        return name in self._rows

    @property
    def rows(self) -> tuple[RowT, ...]:
        """The marked rows as they were when they were marked, in that order."""
        return tuple(self._rows.values())

    @property
    def names(self) -> frozenset[str]:
        """What the marked rows are called."""
        return frozenset(self._rows)

    @property
    def anchor(self) -> str:
        """What the row is called where a range began; empty without one."""
        return self._anchor

    def toggle(self, name: str, row: RowT) -> None:
        """Mark the row, or take its mark away."""
        if self._rows.pop(name, None) is None:
            self._rows[name] = row

    def add(self, rows: Iterable[tuple[str, RowT]]) -> None:
        """Mark all of *rows*."""
        self._rows.update(rows)

    def begin_range(self, name: str, row: RowT) -> None:
        """Begin a range at a row, which is marked."""
        self._anchor, self._before = name, dict(self._rows)
        self._rows[name] = row

    def stretch_range(self, rows: Iterable[tuple[str, RowT]]) -> None:
        """Let the range be exactly *rows*, beside what was marked before it began."""
        self._rows = {**self._before, **dict(rows)}

    def end_range(self) -> None:
        """Keep what the range marked."""
        self._anchor, self._before = "", {}

    def clear(self) -> None:
        """Unmark everything."""
        self.end_range()
        self._rows = {}

    def discard(self, names: Iterable[str]) -> None:
        """Unmark the rows called *names*, as far as they are marked; a range that is being drawn ends."""
        self.end_range()
        for name in names:
            self._rows.pop(name, None)

    def hidden(self, shows: Callable[[RowT], bool]) -> int:
        """Count the marked rows that a filter does not show."""
        return sum(not shows(row) for row in self._rows.values())

    def renew(self, rows: Iterable[tuple[str, RowT]]) -> None:
        """Replace what is kept of marked rows by their newest state."""
        for name, row in rows:
            if name in self._rows:
                self._rows[name] = row
