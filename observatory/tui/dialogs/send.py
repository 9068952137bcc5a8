"""The form that sends a task: fields, priority, payload, and the exact entry before it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, TextArea
from textual.worker import Worker, WorkerState

from observatory.model import wire
from observatory.model.dead_letter import DeadLetter
from observatory.model.draft import TaskDraft, sortable_id
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.plan import Consent, Level, Report, ResendLetter, SendTask
from observatory.model.task import SHARED, Lane, Priority, Task
from observatory.model.text import line
from observatory.tui.commands import bindings, verdict
from observatory.tui.drawing.lines import fit
from observatory.tui.widgets.choice import Choice
from observatory.tui.widgets.footer import FooterLine
from observatory.tui.widgets.preview import Preview

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.snapshot import Snapshot
    from observatory.model.task import NewTask
    from observatory.tui.desk import Desk

_HINT_CELLS = 52
_FIELDS = ("type", "to", "ttl", "delay")


class SendForm(ModalScreen[Report | None]):
    """Returns the report of what was sent, or None. A form that is sent twice publishes once: its id is made first.

    Args:
        desk: The desk.
        like: A task or a dead letter whose fields it begins with.
        edits: *like* is a dead letter; its edited copy is sent, and then it is put away.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("form")]
    AUTO_FOCUS: ClassVar[str | None] = "#type"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012 - Textual types it as an instance's

    def __init__(self, desk: Desk, like: Task | DeadLetter | None = None, *, edits: bool = False) -> None:
        super().__init__()
        self._desk = desk
        self._letter = like if edits and isinstance(like, DeadLetter) else None
        self._began = beginning(like)
        self._task_id = sortable_id(desk.clock)

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        began, locked = self._began, self._letter is not None
        kind, to = began.get("type", ""), began.get("to", "")
        priorities = [(priority, f"lane-{priority}") for priority in Priority]
        queues, types = suggestions(self._desk.shown)
        with Vertical(id="form"):
            yield Label("Edit and resend" if self._letter else "Send a task", id="form-title")
            with VerticalScroll(id="fields", can_focus=False):
                yield from _row(
                    "type", "what kind of work", Input(kind, id="type", suggester=_suggest(types), compact=True)
                )
                yield from _row("to", _hint(queues), Input(to, id="to", suggester=_suggest(queues), compact=True))
                yield Label("priority", classes="name")
                yield Choice(priorities, began.get("priority", Priority.NORMAL), id="priority")
                yield Label("payload", classes="name")
                yield TextArea(began.get("payload", ""), id="payload", soft_wrap=True, compact=True)
                yield from _row("ttl", "1h; or 30s, 5m, 1h30m, 2d", Input(id="ttl", compact=True, disabled=locked))
                yield from _row("delay", "none; or 30s, 5m …", Input(id="delay", compact=True, disabled=locked))
            yield Preview(id="preview")
        yield FooterLine()

    def on_mount(self) -> None:
        """Show the entry that it begins with."""
        self._refresh_preview()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey sending where nothing may be changed."""
        del parameters
        return verdict(action, self._desk.situation())

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Choice.Changed)
    def _refresh_preview(self) -> None:
        """Show what would be sent, or what is wrong; an untouched form is not wrong yet."""
        if not self.is_attached or not self.query("#type"):
            return  # closed while it was put together
        preview = self.query_one(Preview)
        try:
            task = self._read_form()
        except UsageError as error:
            preview.show_problem(str(error), quiet=not self.query_one("#type", Input).value)
        else:
            preview.show_entry(entry_fields(task), task)

    @on(Input.Submitted)
    def _enter(self) -> None:
        """Send from any field of one line."""
        self.action_submit()

    def action_priority(self, name: str) -> None:
        """Choose a priority."""
        self.query_one(Choice).value = name

    def action_next_field(self) -> None:
        """Focus the next field at once: what is typed after tab belongs there, however fast it comes."""
        self.focus_next()

    def action_previous_field(self) -> None:
        """Focus the field before."""
        self.focus_previous()

    def action_close(self) -> None:
        """Send nothing."""
        self.dismiss(None)

    def action_submit(self) -> None:
        """Send, unless a field is wrong: then the cursor goes there."""
        if not verdict("submit", self._desk.situation()):
            return
        try:
            task = self._read_form()
        except UsageError as error:
            field = str(error).partition(":")[0]
            self.query_one(Preview).show_problem(str(error))
            self.query(f"#{field}").first().focus()
            return
        self.run_worker(self._send(task), name="send", group="send", exclusive=True, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Keep the form open when sending failed, and say why."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            words = str(error) if isinstance(error, ObservatoryError) else type(error).__name__
            self.query_one(Preview).show_problem(f"not sent: {line(words, 300)}")

    async def _send(self, task: NewTask) -> None:
        actions = self._desk.actions
        plan = await actions.plan(self._request(task))
        need = actions.demand(plan)
        consent: Consent | None = Consent()
        if plan.items and (need.level is not Level.NONE or self._letter is not None):
            from observatory.tui.acting.review import Review  # noqa: PLC0415 - rarely needed

            consent = await self.app.push_screen_wait(Review(plan, need, context=self._desk.context))
        if consent is not None:
            self.dismiss(await actions.execute(plan, consent))

    def _request(self, task: NewTask) -> SendTask | ResendLetter:
        if self._letter is None:
            return SendTask(task)
        said = {
            "type": task.type,
            "queue": task.queue,
            "priority": str(task.priority),
            "payload": self.query_one(TextArea).text.strip(),
        }
        began = {**self._began, "queue": self._began["to"]}
        changes = {name: value for name, value in said.items() if value != began[name].strip()}
        return ResendLetter(self._letter.entry_id, changes, self._task_id)

    def _read_form(self) -> NewTask:
        """Read the form.

        Raises:
            UsageError: A field cannot be taken; it names the field.
        """
        texts = {name: self.query_one(f"#{name}", Input).value for name in _FIELDS}
        return TaskDraft.parse(
            type=texts["type"],
            to=texts["to"],
            ttl=texts["ttl"],
            delay=texts["delay"],
            priority=self.query_one(Choice).value,
            payload=self.query_one(TextArea).text.strip(),
            id=self._task_id,
            clock=self._desk.clock,
        )


def beginning(like: Task | DeadLetter | None) -> dict[str, str]:
    """Return what the fields of a form begin with that is to be like *like*; nothing for a new task."""
    if like is None:
        return {}
    lane = like.lane if isinstance(like, Task) else _lane_of(like.source)
    return {
        "type": line(like.type, 256),
        "to": lane.queue if lane else "",
        "priority": str(lane.priority if lane else Priority.NORMAL),
        "payload": like.payload.decode("utf-8", "replace"),
    }


def _lane_of(stream: str) -> Lane | None:
    """Return the lane that a stream key names, of whichever bus."""
    _, tasks, place = stream.rpartition(":tasks:")
    queue, _, priority = place.rpartition(":")
    return Lane(queue or SHARED, Priority(priority)) if tasks and priority in set(Priority) else None


def suggestions(snapshot: Snapshot) -> tuple[list[str], list[str]]:
    """Return what the fields `to` and `type` complete to: live queues and agents, and types seen in the events."""
    queues = dict.fromkeys(line(lane.queue, 64) for lane in snapshot.lanes)
    agents = dict.fromkeys(f"@{line(agent.name, 64)}" for agent in snapshot.agents)
    types = dict.fromkeys(line(event.type, 64) for event in snapshot.events if event.type)
    return [*queues, *(name for name in agents if name not in queues)], sorted(types)


def entry_fields(task: NewTask) -> list[tuple[str, str]]:
    """Return the fields of the entry as they will stand in the stream, without the empty ones, made printable."""
    names, values = wire.encode(task)
    return [(line(name, 32), line(value, 2000)) for name, value in zip(names, values, strict=True) if value]


def _row(name: str, placeholder: str, field: Input) -> Iterable[Label | Input]:
    field.placeholder = placeholder
    yield Label(name, classes="name")
    yield field


def _hint(queues: list[str]) -> str:
    """Name a few places that are live, in no more cells than the narrowest form has: a placeholder would wrap."""
    live = ", ".join([name for name in queues if name != SHARED][:5])
    return fit(f"shared; or {live} …", _HINT_CELLS).rstrip() if live else "shared; or a queue, or @agent"


def _suggest(words: list[str]) -> SuggestFromList:
    return SuggestFromList(words, case_sensitive=False)
