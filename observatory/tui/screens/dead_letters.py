"""Screen 4: what will not run again by itself, why, and what was in it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Container
from textual.worker import Worker, WorkerState

from observatory.model.errors import ObservatoryError
from observatory.model.listing import Ask
from observatory.model.plan import RequeueDeadLetters
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.screens.base import DataScreen, Step
from observatory.tui.widgets.dead_letter_list import DeadLetterList
from observatory.tui.widgets.payload import PayloadPane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.dead_letter import DeadLetter
    from observatory.model.listing import Page
    from observatory.model.plan import Report
    from observatory.model.snapshot import Snapshot
    from observatory.tui.widgets.list_panel import ListPanel

PAGE = 200
"""Dead letters that are read at once."""

MOST = 20_000
"""Dead letters that the list holds; below that the oldest are not read."""


class DeadLetters(DataScreen):
    """The list, and the pane with everything about the one under the cursor."""

    heading: ClassVar[str] = "Dead letters"
    AUTO_FOCUS: ClassVar[str | None] = "#letters"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dead-letters")]

    def body(self) -> ComposeResult:
        """List and pane, beside or above each other as the width allows."""
        with Container(id="split"):
            yield DeadLetterList(self.desk.clock, id="letters")
            yield PayloadPane(id="payload")

    def on_mount(self) -> None:
        """Start with nothing known."""
        self._after: str | None = None
        self._seen: object = None
        self.letters.say("loading …")

    @property
    def letters(self) -> DeadLetterList:
        """The list."""
        return self.query_one("#letters", DeadLetterList)

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Read the list again when the summary says that it changed; let ages move on."""
        return (Step(partial(self._follow, snapshot)), Step(self.letters.look))

    def has_selection(self) -> bool:
        """A dead letter is under the cursor."""
        return bool(self.is_mounted and self.letters.selected is not None)

    def action_reload(self) -> None:
        """Read the list again."""
        self.letters.say("loading …")
        self._read(None)

    def action_requeue(self) -> None:
        """Plan and run the requeue of the selected dead letter: one reversible item needs no dialog."""
        letter = self.letters.selected
        if letter is not None:
            self.run_worker(
                self._requeue(letter.entry_id), name="requeue", group="requeue", exit_on_error=False,
                description="requeue one dead letter",
            )  # fmt: skip

    def on_list_panel_moved(self, event: ListPanel.Moved) -> None:
        """Show the payload of the row, and read on before the end is reached."""
        if isinstance(event.panel, DeadLetterList):
            self._show_selected()
            if self._after is not None and self.letters.cursor > len(self.letters.rows) - PAGE // 4:
                self._read(self._after)

    def on_list_panel_opened(self, event: ListPanel.Opened) -> None:
        """Go into the payload."""
        if isinstance(event.panel, DeadLetterList):
            self.query_one(PayloadPane).focus()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """The one path for everything that goes wrong in a worker of this screen."""
        if event.state is not WorkerState.ERROR:
            return
        error = event.worker.error
        words = line(str(error), 200) if isinstance(error, ObservatoryError) else f"{type(error).__name__}"
        if event.worker.name == "requeue":
            self.notify(words, title="requeue failed", severity="error", markup=False)
        else:
            self.letters.say(f"✖ {words} — r reads again", "error")

    def _follow(self, snapshot: Snapshot) -> None:
        letters = snapshot.dead_letters
        seen = (letters.total, letters.reasons, letters.oldest_s is None)
        if snapshot.at_ms and seen != self._seen and not self.desk.is_old:
            self._seen = seen
            self._read(None)

    def _read(self, after: str | None) -> None:
        """Read a page in a worker; a newer reading takes the place of an older one."""
        self.run_worker(
            self._load(after), name="read", group="read", exclusive=True, exit_on_error=False,
            description="read a page of dead letters",
        )  # fmt: skip

    async def _load(self, after: str | None) -> None:
        page = await self.desk.source.dead_letters(Ask(cursor=after or "", limit=PAGE))
        self._take(page, after)

    def _take(self, page: Page[DeadLetter], after: str | None) -> None:
        """Put a page where it belongs: below what is there, or on top of what is still there."""
        rows = self.letters.rows
        if after is not None:
            known = {letter.entry_id for letter in rows}
            rows = (*rows, *(letter for letter in page.items if letter.entry_id not in known))[:MOST]
            self._after = page.after if len(rows) < MOST else None
        else:
            fresh = {letter.entry_id for letter in page.items}
            last = page.items[-1].entry_id if page.items and page.after is not None else None
            below = _below(rows, last) if last in {letter.entry_id for letter in rows} else ()
            rows = (*page.items, *(letter for letter in below if letter.entry_id not in fresh))
            self._after = self._after if below else page.after
        self.letters.total = page.total
        self.letters.say("" if rows else "✓ no dead letters: everything that failed was tried again and went well")
        self.letters.set_rows(rows)
        self.letters.repaint_lines(0)
        self._show_selected()
        self.refresh_bindings()

    def _show_selected(self) -> None:
        self.query_one(PayloadPane).show(self.letters.selected)

    async def _requeue(self, entry_id: str) -> None:
        plan = await self.desk.actions.plan(RequeueDeadLetters((entry_id,)))
        report = await self.desk.actions.execute(plan)
        self.notify(words_of(report), severity="information" if report.done else "warning", markup=False)
        self._read(None)


def words_of(report: Report) -> str:
    """Return the report as a toast: what was done, and where it is now."""
    where = {line(item.target, 80) for item in report.plan.items if item.id in report.done}
    return line(report.summary, 300) + (f" → {', '.join(sorted(where))}" if where else "")


def _below(rows: tuple[DeadLetter, ...], last: str | None) -> tuple[DeadLetter, ...]:
    """Return the rows after the one called *last*."""
    place = next((index for index, letter in enumerate(rows) if letter.entry_id == last), len(rows))
    return rows[place + 1 :]
