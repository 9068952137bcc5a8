"""Screen 4: what will not run again by itself, why, and what was in it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from observatory.model.dead_letter import DeadLetter
from observatory.model.plan import RequeueDeadLetters
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.screens.base import Step
from observatory.tui.screens.listing import ListScreen
from observatory.tui.sheets import Sheet, letter_sheet
from observatory.tui.table import Feed
from observatory.tui.widgets.dead_letter_list import DeadLetterList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from observatory.model.plan import Report
    from observatory.model.snapshot import Snapshot


class DeadLetters(ListScreen[DeadLetter]):
    """The list, and the pane with everything about the one under the cursor."""

    heading: ClassVar[str] = "Dead letters"
    about: ClassVar[str] = "the payload of the selected dead letter"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "tracing", "dead-letters")]

    def make_table(self) -> DeadLetterList:
        """The dead letters."""
        return DeadLetterList(self.desk.clock, id="list")

    def sheet(self, row: DeadLetter) -> Sheet:
        """A dead letter with its payload."""
        return letter_sheet(row)

    def on_mount(self) -> None:
        """Read the newest."""
        self._seen: object = None
        self.loader = self.load(Feed(self.desk.source.dead_letters))

    def traced(self) -> str:
        """The task that died."""
        row = self.table.selected
        return row.task_id if row is not None else ""

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Read the list again when the summary says that it changed; let ages move on."""
        return (Step(partial(self._follow, snapshot)), Step(self.table.look))

    def action_requeue(self) -> None:
        """Plan and run the requeue of the selected dead letter: one reversible item needs no dialog."""
        letter = self.table.selected
        if letter is not None:
            self.aside("requeue", partial(self._requeue, letter.entry_id))

    def _follow(self, snapshot: Snapshot) -> None:
        letters = snapshot.dead_letters
        seen = (letters.total, letters.reasons, letters.oldest_s is None)
        if snapshot.at_ms and seen != self._seen and not self.desk.is_old:
            self._seen = seen
            self.loader.renew()

    async def _requeue(self, entry_id: str) -> None:
        plan = await self.desk.actions.plan(RequeueDeadLetters((entry_id,)))
        report = await self.desk.actions.execute(plan)
        self.notify(words_of(report), severity="information" if report.done else "warning", markup=False)
        self.loader.renew()


def words_of(report: Report) -> str:
    """Return the report as a toast: what was done, and where it is now."""
    where = {line(item.target, 80) for item in report.plan.items if item.id in report.done}
    return line(report.summary, 300) + (f" → {', '.join(sorted(where))}" if where else "")
