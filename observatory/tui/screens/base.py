"""What every screen has: status line, body, footer, the panels' order, and how a snapshot reaches it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar

from textual.message import Message
from textual.worker import Worker, WorkerState

from observatory.model.errors import ObservatoryError
from observatory.model.text import line
from observatory.tui.acting.acting import Acting
from observatory.tui.commands import bindings, verdict
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.table import Table
from observatory.tui.timeline.chart import TimelineStrip
from observatory.tui.widgets.alert_line import AlertLine
from observatory.tui.widgets.footer import FooterLine
from observatory.tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.strip import Strip

    from observatory.model.commands import Command
    from observatory.model.snapshot import Snapshot
    from observatory.tui.desk import Desk
    from observatory.tui.table import Loader
    from observatory.tui.widgets.list_panel import ListPanel

SMALLEST = (60, 16)
"""Columns and lines below which a screen only says that there is no room."""

WRITING = "write"
"""First word of the group of every worker that changes the bus."""

_FRAME = (StatusLine, FooterLine, AlertLine, TimelineStrip)
"""Widgets that say for themselves whether what they say is true now."""


@dataclass(frozen=True, slots=True)
class Step:
    """One small repaint: a panel and what it is to show. Steps are spread over time so that no frame is long."""

    paint: Callable[[], None]


class DataScreen(Acting):
    """A screen that renders the snapshot on the desk.

    Subclasses compose their panels in `body` and return the repaints of a snapshot from `steps`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("screen", "turning")]
    # Textual types these as an instance's, so they cannot be ClassVar.
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (110, "-medium"), (140, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-short"), (32, "-mid"), (42, "-tall")]  # noqa: RUF012

    ALLOW_IN_MAXIMIZED_VIEW: ClassVar[str | None] = "StatusLine, FooterLine"
    heading: ClassVar[str] = ""
    """Name of the screen in the status line."""

    class Asked(Message):
        """The person asked for something that is the app's to give: a screen, a dialog, freezing, quitting."""

        def __init__(self, verb: str, argument: str = "", what: object = None) -> None:
            super().__init__()
            self.verb = verb
            self.argument = argument
            self.what = what

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.loaders: dict[ListPanel[Any], Loader[Any]] = {}
        self._generation = 0

    def body(self) -> ComposeResult:
        """Compose what stands between status line and footer."""
        raise NotImplementedError

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Return the repaints that bring the panels to *snapshot*, most important first."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """Compose the frame; whatever belongs on every screen, such as a timeline strip, belongs here."""
        yield StatusLine(self.desk, self.heading)
        yield from self.body()
        yield FooterLine(self._label)
        if self.heading != "Timeline":
            yield TimelineStrip(self.desk.bus.player)
        yield AlertLine(self.desk)
        yield TooSmall()

    def begin(self) -> None:
        """Do what is done once, when the panels are there."""

    @property
    def is_composed(self) -> bool:
        """Whether the panels are there; a screen that is closed while it is put together never gets them."""
        return self.is_attached and bool(self.query(TooSmall))

    def on_mount(self) -> None:
        """Begin."""
        if self.is_composed:
            self.begin()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was shown."""
        if self.is_composed:
            self.show(self.desk.shown, at_once=True)

    def show(self, snapshot: Snapshot, *, at_once: bool = False) -> None:
        """Bring every panel to *snapshot*, one small repaint after the other; a newer snapshot takes over.

        Args:
            snapshot: What is to be seen.
            at_once: Do not spread the repaints, because the screen comes into view with them.
        """
        self._generation += 1
        known = bool(snapshot.at_ms)
        old = known and self.desk.is_old
        if self.desk.frozen:
            self.query_one(StatusLine).look()
        else:
            self.query_one(StatusLine).reads(None)
        self.query_one(AlertLine).look()
        for strip in self.query(TimelineStrip):
            strip.look()
        for drawn in self.query(Drawn):
            if not isinstance(drawn, _FRAME):
                drawn.set_truth(known=known, old=old)
        self._take_steps(deque(self.steps(snapshot)), self._generation, 0.0 if at_once else self.desk.stagger_s)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey what may not run now: read-only, replay, a lost link, nothing selected."""
        del parameters
        return verdict(action, self.desk.situation(selection=self.has_selection()))

    def has_selection(self) -> bool:
        """Say whether there is something that a command of this screen could work on."""
        return True

    def visit(self, what: object) -> None:
        """Show *what* another screen pointed at: a lane, a task, an agent; None for the screen as it was left."""

    def say_where(self, *parts: str) -> None:
        """Say in the status line what is opened on this screen; *parts* are printable, from outside to inside."""
        self.query_one(StatusLine).retitle(" ▸ ".join([self.heading, *filter(None, parts)]))

    def go(self, screen: str, what: object) -> None:
        """Go to another screen, to the thing on it that is meant."""
        self.post_message(self.Asked("screen", screen, what))

    def action_show_screen(self, name: str) -> None:
        """Go to another screen."""
        self.post_message(self.Asked("screen", name))

    def action_send_task(self) -> None:
        """Open the form."""
        self.post_message(self.Asked("send"))

    def action_send_like(self) -> None:
        """Open the form with the fields of the task under the cursor."""
        if (like := self.liked()) is not None:
            self.post_message(self.Asked("send", what=like))
        else:
            self.notify("no task with its payload under the cursor", severity="warning", timeout=2, markup=False)

    def liked(self) -> object:
        """Return the task or dead letter under the cursor, with its payload; None where there is none."""
        return None

    def action_help(self) -> None:
        """Open the help page."""
        self.post_message(self.Asked("help"))

    def action_command_line(self) -> None:
        """Open the command line."""
        self.post_message(self.Asked("command-line"))

    def action_freeze(self) -> None:
        """Hold or release the painting."""
        self.post_message(self.Asked("freeze"))

    def action_theme(self, name: str = "") -> None:
        """Choose a theme, or take the one that is named."""
        self.post_message(self.Asked("theme", name))

    def action_context(self, name: str = "") -> None:
        """Turn to another bus, or list them."""
        self.post_message(self.Asked("context", name))

    def action_back(self) -> None:
        """Go back to the view before."""
        if self.maximized is not None:
            self.minimize()
        elif not self.step_out():
            self.post_message(self.Asked("back"))

    def action_clear(self) -> None:
        """Clear or close one thing; the first screen stays."""
        if isinstance(self.focused, Table) and self.focused.relax():
            return
        if self.maximized is not None:
            self.minimize()
        elif not self.step_out():
            self.post_message(self.Asked("clear"))

    def step_out(self) -> bool:
        """Leave the innermost thing that was opened on this screen; False if nothing was."""
        return False

    def action_reload(self) -> None:
        """Read again what is shown."""
        for loader in self.loaders.values():
            loader.restart()

    def action_maximise(self) -> None:
        """Give the focused panel the whole screen, or give it back."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    def action_next_panel(self) -> None:
        """Focus the next panel."""
        self.focus_next()

    def action_previous_panel(self) -> None:
        """Focus the panel before."""
        self.focus_previous()

    def on_list_panel_copied(self, event: ListPanel.Copied) -> None:
        """Pass the text on to the app, which knows the terminal."""
        self.post_message(self.Asked("copy", event.text))

    def on_table_filled(self, _event: Table.Filled) -> None:
        """Other rows were read than were shown."""
        self._has_read()

    def _has_read(self) -> None:
        """Say so where it was read after the screen was frozen: what is read is of now, not of the frozen moment."""
        if self.desk.frozen and self.is_composed:
            self.query_one(StatusLine).reads(self.desk.clock.now_ms())

    def on_table_neared(self, event: Table.Neared) -> None:
        """Read on before the loaded rows come to an end."""
        if loader := self.loaders.get(event.panel):
            loader.near()

    def on_table_wants_end(self, event: Table.WantsEnd) -> None:
        """Go to an end of the whole list."""
        if loader := self.loaders.get(event.panel):
            loader.to_end(last=event.last)

    def on_table_wants_all(self, event: Table.WantsAll) -> None:
        """Mark what is not loaded too."""
        if loader := self.loaders.get(event.panel):
            loader.mark_all()

    def on_table_wants_filter(self, event: Table.WantsFilter) -> None:
        """Ask the app for the line where a filter is typed."""
        self.post_message(self.Asked("filter", what=event.panel))

    def action_save_view(self, name: str = "") -> None:
        """Keep filter and order of the list that has the focus under a name."""
        self.post_message(self.Asked("save-view", name, self.focused))

    def action_view(self, name: str = "") -> None:
        """Show the list that has the focus as it was saved under a name."""
        self.post_message(self.Asked("view", name, self.focused))

    def on_table_view_changed(self, event: Table.ViewChanged) -> None:
        """Read what the new view asks for."""
        if loader := self.loaders.get(event.panel):
            loader.restart()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """The one path for everything that goes wrong in a worker of this screen."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            words = line(str(error), 200) if isinstance(error, ObservatoryError) else type(error).__name__
            self.notify(words, title=f"{event.worker.name} failed", severity="error", markup=False)

    def _label(self, command: Command) -> str:
        """Say what a command does here: going back from the only view leaves."""
        return "Quit" if command.id == "app.back" and len(self.desk.views) < 2 else command.label

    def traced(self) -> str:
        """Return the id of the task that is under the cursor; empty where there is none."""
        return ""

    def action_trace(self, task_id: str = "") -> None:
        """Show the life of the task under the cursor, or of the one that is named."""
        wanted = task_id or self.traced()
        if wanted:
            self.go("tasks", wanted)
        else:
            self.notify("no task under the cursor", severity="warning", timeout=2, markup=False)

    def aside(self, name: str, work: Callable[[], Awaitable[None]], *, writes: bool = False) -> None:
        """Do *work* beside the keys; the same work asked for anew takes the place of what is under way.

        Args:
            name: What it does, in words; also what tells it from other work.
            work: What is done; called only when its turn comes.
            writes: It changes the bus, which is not left for another one until it is done.
        """

        async def run() -> None:
            await work()
            self._has_read()

        _worker: Worker[None] = self.run_worker(
            run,
            name=name,
            group=f"{WRITING} {name}" if writes else name,
            exclusive=True,
            exit_on_error=False,
            description=name,
        )

    def _take_steps(self, steps: deque[Step], generation: int, stagger_s: float) -> None:
        """Take steps up to one that has something to repaint; the others come a moment after that."""
        if generation != self._generation or not self.is_attached:
            return
        while steps:
            before = Drawn.repaints
            steps.popleft().paint()
            if steps and stagger_s and Drawn.repaints != before:
                self.set_timer(stagger_s, partial(self._take_steps, steps, generation, stagger_s))
                return


class TooSmall(Drawn):
    """The one line that is shown instead of a screen that there is no room for."""

    def draw_line(self, y: int, width: int) -> Strip:
        """Say how to leave, and name the size that is and the size that is needed, on as many lines as that takes."""
        have, (columns, lines) = self.screen.size, SMALLEST
        words = f"q leaves: {have.width}x{have.height} is too small, {columns}x{lines} is needed"
        said = wrap(words, width)
        return (LineBuilder().add(said[y], self.ink["warning"]) if y < len(said) else LineBuilder()).strip(width)
