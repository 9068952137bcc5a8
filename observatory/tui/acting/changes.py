"""What was changed from this terminal, in order, so that the last change can be taken back, and done again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observatory.model.plan import Reversal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.model.plan import Report


@dataclass(slots=True)
class Changes:
    """Jobs that can be taken back, and undos that can be taken back, each the newest last."""

    _done: list[str] = field(default_factory=list)
    _undone: list[str] = field(default_factory=list)
    _under_way: int = 0

    @contextmanager
    def making(self) -> Iterator[None]:
        """Take note that a change is being made meanwhile."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    @property
    def is_making(self) -> bool:
        """A change is being made, so that nobody knows yet which was the last."""
        return self._under_way > 0

    def did(self, report: Report) -> None:
        """Take note of what was done: a change, an undo, or an undo of an undo."""
        plan = report.plan
        if plan.undoes in self._done:
            self._done.remove(plan.undoes)
            if report.done:
                self._undone.append(plan.id)
        elif plan.undoes in self._undone:
            self._undone.remove(plan.undoes)
            if report.done:
                self._done.append(plan.id)
        elif report.done and plan.reversal is not Reversal.NONE:
            self._done.append(plan.id)
            self._undone.clear()

    @property
    def last(self) -> str:
        """The newest change; empty if there is none."""
        return self._done[-1] if self._done else ""

    @property
    def last_undone(self) -> str:
        """The newest undo; empty if there is none."""
        return self._undone[-1] if self._undone else ""
