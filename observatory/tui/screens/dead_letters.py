"""Screen 4: what will not run again by itself, why, and what was in it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from observatory.model.cause import DEFAULT_KEY, KEYS, Cause, Causes, KeyPart, cause_id, key_of, read_key
from observatory.model.dead_letter import DeadLetter
from observatory.model.errors import ObservatoryError
from observatory.model.listing import Ask, Page
from observatory.model.plan import PurgeTrash, RequeueDeadLetters, RestoreLetters, Selector, TrashLetters
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.causes import CauseList, note_words
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
    from observatory.model.protocols import Notebook
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
        self._bin = ""
        self._key: tuple[KeyPart, ...] = DEFAULT_KEY
        self.query_one(CauseList).say("counting …")
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
        if self._bin:
            self.action_bin()
        elif self._cause is not None:
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
        self._fit_causes()
        (self.table if there else causes).focus()

    def action_group_by(self, text: str = "") -> None:
        """Sort the letters by another key: the one that is named, or the next of those that are worth a look."""
        try:
            after = KEYS[(KEYS.index(self._key) + 1) % len(KEYS)] if self._key in KEYS else DEFAULT_KEY
            self._key = read_key(text) if text else after
        except ValueError as error:
            self.notify(f"group-by: {line(str(error), 200)}", severity="warning", markup=False)
            return
        self.query_one(CauseList).tell(f"by {', '.join(self._key)}" if self._key != DEFAULT_KEY else "")
        if self._cause is not None:
            self._show_cause(None)
        self.aside("count dead letters by cause", self._count)

    def action_note(self) -> None:
        """Note something about the cause under the cursor, or about that of the letter under it."""
        causes, notebook = self.query_one(CauseList), self.desk.bus.notes
        letter = self.table.selected
        named = causes.selected if self.focused is causes else self._cause
        if named is not None:
            ident, title = named.id, named.title
        elif letter is not None:
            ident = cause_id(self._key, key_of(letter, self._key))
            title = next((cause.title for cause in causes.rows if cause.id == ident), ident)
        else:
            return
        if notebook is None:
            self.notify("nothing can be noted here", severity="warning", timeout=3, markup=False)
            return
        from observatory.tui.dialogs.note import NotePrompt  # noqa: PLC0415 - not needed for the first paint

        known = causes.notes.get(ident)
        prompt = NotePrompt(line(title, 100), known.text if known is not None else "")
        self.app.push_screen(prompt, partial(self._noted, ident, notebook))

    def _noted(self, ident: str, notebook: Notebook, text: str | None) -> None:
        async def write() -> None:
            await notebook.write(ident, text or "", self.desk.bus.operator)
            await self._count()

        if text is not None:
            self.aside(f"note about {ident}", write, writes=True)

    def _fit_causes(self) -> None:
        """Give the causes the lines they need; alone on a small screen they have all of it."""
        causes = self.query_one(CauseList)
        if self.has_class("-causes") and self.has_class("-short"):
            causes.styles.height = None
        else:
            fit_height(causes, max(self.size.height // 5, 2))

    def _show_cause(self, cause: Cause | None) -> None:
        """Show the letters of *cause*, or all of them."""
        self._cause = cause
        self.remove_class("-causes")
        self._fit_causes()
        note = self.query_one(CauseList).notes.get(cause.id) if cause is not None else None
        of = f"of {cause.title}" if cause is not None else ""
        self.table.tell(f"{of}  {note_words(note)}" if note is not None else of)
        self.say_where(line(cause.title, 40) if cause is not None else "")
        self.loader.open(Feed(self._read))
        self.table.focus()

    async def _read(self, ask: Ask) -> Page[DeadLetter]:
        """Read those letters that belong to the opened cause, and of them those that the filter wants."""
        if self._bin:
            return await self._read_bin(ask)
        if self._cause is None:
            return await self.desk.source.dead_letters(ask)
        wanted, values = ask.where, tuple(value for _, value in self._cause.key)
        key = tuple(part for part, _ in self._cause.key)

        def where(letter: DeadLetter) -> bool:
            return key_of(letter, key) == values and (wanted is None or wanted(letter))

        return await self.desk.source.dead_letters(replace(ask, where=where))

    async def _read_bin(self, ask: Ask) -> Page[DeadLetter]:
        """Read what is in the trash."""
        wanted = ask.where
        test = None if wanted is None else lambda row: isinstance(row.item, DeadLetter) and wanted(row.item)
        page = await self.desk.source.entries(self._bin, replace(ask, where=test))
        items = [replace(row.item, entry_id=row.key) for row in page.items if isinstance(row.item, DeadLetter)]
        return Page(tuple(items), page.after, page.total, page.before, page.searched)

    def action_bin(self) -> None:
        """To what was put into the trash, or back to the dead letters."""
        head, tasks, _ = next((lane.stream for lane in self.desk.shown.lanes), "").partition(":tasks:")
        self._bin = "" if self._bin or not tasks else f"{head}{tasks}trash"
        self._cause = None
        self.remove_class("-causes")
        self._fit_causes()
        self.table.marks.clear()
        self.say_where("trash" if self._bin else "")
        self.table.tell("in the trash: R restores, T deletes for good" if self._bin else "")
        self.loader.open(Feed(self._read))
        self.table.focus()

    async def _count(self) -> None:
        """Count the newest letters by cause."""
        found, cursor, read = Causes(self._key), "", 0
        total: int | None = None
        table = self.query_one(CauseList)
        while read < COUNTED:
            try:
                if not read and self.desk.bus.notes is not None:
                    table.notes = await self.desk.bus.notes.read()
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
        table.look()
        self._fit_causes()

    def action_requeue(self) -> None:
        """Requeue what is meant: a cause, the marked dead letters, or the selected one; of the trash, restore it."""
        self._act(RestoreLetters if self._bin else RequeueDeadLetters)

    def liked(self) -> DeadLetter | None:
        """The selected dead letter."""
        return self.table.selected

    def action_edit(self) -> None:
        """Open the form with the selected dead letter, to send a copy of it."""
        if (letter := self.table.selected) is not None:
            self.aside("read the dead letter", partial(self._edit, letter))

    async def _edit(self, letter: DeadLetter) -> None:
        # In the list long payloads are cut; a copy needs all of it.
        bus, tasks, _ = letter.source.partition(":tasks:")
        row = await self.desk.source.entry(f"{bus}{tasks}dlq", letter.entry_id) if tasks else None
        whole = row.item if row is not None and isinstance(row.item, DeadLetter) else letter
        self.post_message(self.Asked("send", "edit", replace(whole, entry_id=letter.entry_id)))

    def action_trash(self) -> None:
        """Put what is meant into the trash; what is there already, delete for good."""
        self._act(PurgeTrash if self._bin else TrashLetters)

    def _act(self, request: type[RequeueDeadLetters | TrashLetters | RestoreLetters | PurgeTrash]) -> None:
        causes, marked, selected = self.query_one(CauseList), self.table.marks.rows, self.table.selected
        if self.focused is causes and causes.selected is not None and not self._bin:
            self.act(request(Selector(cause=causes.selected.id, key=",".join(self._key))), then=self._changed)
            return
        letters = marked or ((selected,) if selected is not None else ())
        if letters:
            ids = tuple(letter.entry_id for letter in letters)
            self.act(request(Selector(ids)), hidden=self.table.hidden_marks if marked else 0, then=self._changed)

    def _changed(self, report: Report) -> None:
        self.table.unmark(report.done)
        self.loader.renew()

    def _follow(self, snapshot: Snapshot) -> None:
        letters = snapshot.dead_letters
        seen = (letters.total, letters.reasons, letters.oldest_s is None)
        if snapshot.at_ms and seen != self._seen and not self.desk.is_old:
            self._seen = seen
            self.loader.renew()
            if snapshot.at_ms - self._counted_ms >= RENEW_MS:
                self._counted_ms = snapshot.at_ms
                self.aside("count dead letters by cause", self._count)
