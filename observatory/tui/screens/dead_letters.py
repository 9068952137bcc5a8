"""Screen 4: what will not run again by itself, why, and what was in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from observatory.model.cause import Cause, Causes, key_of
from observatory.model.dead_letter import DeadLetter
from observatory.model.errors import ObservatoryError
from observatory.model.listing import Ask, Page
from observatory.model.plan import RequeueDeadLetters, Selector
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.dialogs.confirm import Confirm, Question
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.causes import CauseList
from observatory.tui.rows.dead_letters import DeadLetterList
from observatory.tui.screens.base import Step
from observatory.tui.screens.lanes import fit_height
from observatory.tui.screens.listing import ListScreen
from observatory.tui.sheets import Sheet, letter_sheet
from observatory.tui.table import Feed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.plan import Report
    from observatory.model.snapshot import Snapshot
    from observatory.tui.widgets.list_panel import ListPanel


COUNTED = 10_000
"""Dead letters that the causes speak of, the newest first."""

COUNT_PAGE = 500
"""Letters that are read at once while they are counted."""

RENEW_MS = 3_000
"""Milliseconds of server time after which changed letters are counted anew."""

_TARGETS = 6
"""Lanes that the question before a requeue names, the ones that get the most first."""


class DeadLetters(ListScreen[DeadLetter]):
    """Causes above, the letters of one or of all below, and everything about the one under the cursor."""

    heading: ClassVar[str] = "Dead letters"
    about: ClassVar[str] = "the payload of the selected dead letter"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "tracing", "dead-letters")]

    def body(self) -> ComposeResult:
        """Causes above list and pane; a small terminal shows one or the other."""
        yield CauseList(self.desk.clock, id="causes")
        yield from super().body()

    def make_table(self) -> DeadLetterList:
        """The dead letters."""
        return DeadLetterList(self.desk.clock, id="list")

    def sheet(self, row: DeadLetter) -> Sheet:
        """A dead letter with its payload."""
        return letter_sheet(row)

    def begin(self) -> None:
        """Read the newest."""
        self._seen: object = None
        self._cause: Cause | None = None
        self._counted_ms = 0
        self.loader = self.load(Feed(self._read))

    def traced(self) -> str:
        """The task that died."""
        row = self.table.selected
        return row.task_id if row is not None else ""

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Read the list again when the summary says that it changed; let ages move on."""
        return (Step(partial(self._follow, snapshot)), Step(self.table.look), Step(self.query_one(CauseList).look))

    def has_selection(self) -> bool:
        """There is a dead letter to work on; with the focus on the causes there is a cause under the cursor."""
        causes = self.query_one(CauseList) if self.is_mounted else None
        return causes.selected is not None if causes and self.focused is causes else super().has_selection()

    def on_list_panel_opened(self, event: ListPanel.Opened) -> None:
        """From a cause to its letters, from a letter into its payload."""
        causes = self.query_one(CauseList)
        if event.panel is causes:
            self._show_cause(causes.selected)
        else:
            super().on_list_panel_opened(event)

    def step_out(self) -> bool:
        """Show the letters of all causes again, or leave the causes."""
        if self._cause is not None:
            self._show_cause(None)
        elif self.has_class("-causes"):
            self.action_causes()
        else:
            return False
        return True

    def action_causes(self) -> None:
        """Go to the causes, or back to the letters."""
        causes = self.query_one(CauseList)
        there = self.focused is causes
        self.set_class(not there, "-causes")
        (self.table if there else causes).focus()

    def _show_cause(self, cause: Cause | None) -> None:
        """Show the letters of *cause*, or all of them."""
        self._cause = cause
        self.remove_class("-causes")
        self.table.tell(f"of {cause.title}" if cause is not None else "")
        self.say_where(line(cause.title, 40) if cause is not None else "")
        self.loader.open(Feed(self._read))
        self.table.focus()

    async def _read(self, ask: Ask) -> Page[DeadLetter]:
        """Read those letters that belong to the opened cause, and of them those that the filter wants."""
        if self._cause is None:
            return await self.desk.source.dead_letters(ask)
        wanted, values = ask.where, tuple(value for _, value in self._cause.key)

        def where(letter: DeadLetter) -> bool:
            return key_of(letter) == values and (wanted is None or wanted(letter))

        return await self.desk.source.dead_letters(replace(ask, where=where))

    async def _count(self) -> None:
        """Count the newest letters by cause."""
        found, cursor, read = Causes(), "", 0
        total: int | None = None
        table = self.query_one(CauseList)
        while read < COUNTED:
            try:
                page = await self.desk.source.dead_letters(Ask(cursor, limit=COUNT_PAGE))
            except ObservatoryError as error:
                table.say(f"✖ {line(str(error), 200)}", "error")
                return
            found.add(page.items)
            read, total = read + len(page.items), page.total
            if page.after is None:
                break
            cursor = page.after
        partial_words = f"▲ newest {fmt.count(read)} of {fmt.count(total)} counted" if total and read < total else ""
        table.say(partial_words, "warning")
        table.set_all(found.table().causes)
        if not self.has_class("-causes") or not self.has_class("-short"):
            fit_height(table, max(self.size.height // 5, 2))

    def action_requeue(self) -> None:
        """Requeue the marked dead letters, or the selected one; one needs no dialog, several are asked about."""
        marked, selected = self.table.marks.rows, self.table.selected
        letters = marked or ((selected,) if selected is not None else ())
        if len(letters) > 1:
            self._ask(letters)
        elif letters:
            self._requeue_aside(letters)

    def _ask(self, letters: Sequence[DeadLetter]) -> None:
        def answered(agreed: bool | None) -> None:
            if agreed:
                self._requeue_aside(letters)

        self.app.push_screen(Confirm(question(letters, self.table.hidden_marks, self.desk.context)), answered)

    def _requeue_aside(self, letters: Sequence[DeadLetter]) -> None:
        ids = tuple(letter.entry_id for letter in letters)
        what = ids[0] if len(ids) == 1 else f"{fmt.count(len(ids))} dead letters from {ids[0]} on"
        self.aside(f"requeue of {what}", partial(self._requeue, ids), writes=True)

    def _follow(self, snapshot: Snapshot) -> None:
        letters = snapshot.dead_letters
        seen = (letters.total, letters.reasons, letters.oldest_s is None)
        if snapshot.at_ms and seen != self._seen and not self.desk.is_old:
            self._seen = seen
            self.loader.renew()
            if snapshot.at_ms - self._counted_ms >= RENEW_MS:
                self._counted_ms = snapshot.at_ms
                self.aside("count dead letters by cause", self._count)

    async def _requeue(self, entry_ids: tuple[str, ...]) -> None:
        plan = await self.desk.actions.plan(RequeueDeadLetters(Selector(entry_ids)))
        report = await self.desk.actions.execute(plan)
        self.notify(words_of(report), severity="information" if report.done else "warning", markup=False)
        self.table.unmark(entry_ids)
        self.loader.renew()


def question(letters: Sequence[DeadLetter], hidden: int, context: str) -> Question:
    """Return what is asked before several dead letters are requeued.

    Args:
        letters: The dead letters.
        hidden: How many of them the filter hides.
        context: Name of the bus.
    """
    targets = Counter(line(letter.source, 80) or fmt.UNKNOWN for letter in letters)
    facts = [f"{fmt.count(number):>6} → {target}" for target, number in targets.most_common(_TARGETS)]
    if (others := len(targets) - _TARGETS) > 0:
        facts.append(f"       and to {fmt.count(others)} other lanes")
    if hidden:
        facts.append(f"{fmt.count(hidden)} of them are hidden by the filter")
    title = f"Requeue {fmt.count(len(letters))} dead letters on {line(context, 60)}?"
    return Question("requeue", title, facts)


def words_of(report: Report) -> str:
    """Return the report as a toast: what was done, and where it is now."""
    where = {line(item.target, 80) for item in report.plan.items if item.id in report.done}
    return line(report.summary, 300) + (f" → {', '.join(sorted(where))}" if where else "")
