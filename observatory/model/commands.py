"""Every command of the screens, declared once, as plain data.

From this table come the key bindings, the footer, the palette, the `:` names, the help page, the keymap ids, what
`observatory keys` prints and the rule that says when a command may run. It knows nothing of how screens are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from observatory.model.snapshot import LinkState, Origin


class Needs(StrEnum):
    """What must be there before a command makes sense."""

    NOTHING = "nothing"
    SELECTION = "selection"
    """A row under the cursor."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a person can do.

    Attributes:
        id: Stable identity; keymaps and tests speak of it.
        action: The verb that carries it out where it is bound, or with `screen.` before it on the screen.
        keys: Keys it is bound to, in the names of the terminal toolkit; empty for palette and `:` only.
        label: Two words at most, for the footer.
        description: One sentence, for help and palette.
        name: Its word on the `:` command line.
        group: Heading it stands under on the help page.
        scope: Where it works; a view is a stack of scopes, see `VIEWS`.
        writes: It changes the bus, so read-only and replay take it away.
        needs: What must be there before it makes sense.
        footer: Its place in the footer, smallest first; 0 keeps it out.
        argument: What its `:` form takes after the name, as a word; empty for nothing.
        priority: It also works over a dialog and inside a text field.
    """

    id: str
    action: str
    keys: tuple[str, ...]
    label: str
    description: str
    name: str
    group: str
    scope: str
    writes: bool = False
    needs: Needs = Needs.NOTHING
    footer: int = 0
    argument: str = ""
    priority: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether a command may run now.

    Attributes:
        read_only: The operator asked for a session that changes nothing.
        origin: Where the shown snapshot comes from.
        link: The link to the bus.
        selection: There is a row under the cursor.
    """

    read_only: bool = False
    origin: Origin = Origin.LIVE
    link: LinkState = LinkState.READY
    selection: bool = True


def refusal(command: Command, situation: Situation) -> str:
    """Say in words why *command* may not run in *situation*; empty when it may."""
    if command.writes:
        if situation.origin is Origin.REPLAY:
            return "this is the past: return to live first"
        if situation.read_only:
            return "this session is read-only"
        if situation.link not in {LinkState.READY, LinkState.DEGRADED}:
            return "the bus is not reachable now"
    if command.needs is Needs.SELECTION and not situation.selection:
        return "nothing is selected"
    return ""


def commands_of(view: str) -> tuple[Command, ...]:
    """Return the commands that work in *view*, in the order of the table.

    Raises:
        KeyError: There is no such view.
    """
    scopes = VIEWS[view]
    return tuple(command for command in COMMANDS if command.scope in scopes)


def command(identity: str) -> Command:
    """Return the command with the id *identity*.

    Raises:
        KeyError: There is no such command.
    """
    return _BY_ID[identity]


VIEWS: dict[str, tuple[str, ...]] = {
    "overview": ("app", "screen", "list", "table", "tracing"),
    "lanes": ("app", "screen", "list", "table", "reading", "tracing", "lanes"),
    "pending": ("app", "screen", "list", "table", "reading", "tracing"),
    "agents": ("app", "screen", "list", "table", "reading", "tracing", "agents"),
    "tasks": ("app", "screen", "list", "table", "reading", "tracing"),
    "activity": ("app", "screen", "list", "table", "reading", "tracing"),
    "engine": ("app", "screen", "list", "table", "reading", "engine"),
    "dead-letters": ("app", "screen", "list", "table", "reading", "tracing", "dead-letters"),
    "send": ("app", "form"),
    "help": ("app", "page", "list"),
    "command-line": ("app", "prompt"),
    "filter": ("app", "filter"),
    "confirm": ("app", "confirm"),
}
"""Scopes that are alive in each view; two commands of one view never share a key."""

_LOOK, MOVE, _CHANGE, _APP = "Look", "Move", "Change (upper case and forms)", "App"

COMMANDS: tuple[Command, ...] = (
    Command(
        "screen.overview", "show_screen('overview')", ("1",), "Overview",
        "Is the swarm healthy, and if not, where: lanes, agents, dead letters, rates, events.",
        "overview", _LOOK, "screen", footer=91,
    ),
    Command(
        "screen.lanes", "show_screen('lanes')", ("2",), "Lanes",
        "Every lane; enter goes into one: its groups, their consumers, and every entry with its payload.",
        "lanes", _LOOK, "screen", footer=92,
    ),
    Command(
        "screen.pending", "show_screen('pending')", ("3",), "Pending",
        "Who holds what, since when, and how often it was delivered.",
        "pending", _LOOK, "screen", footer=93,
    ),
    Command(
        "screen.dead-letters", "show_screen('dead-letters')", ("4",), "Dead letters",
        "Tasks that will not run again by themselves, with why, and their payload.",
        "dead", _LOOK, "screen", footer=94,
    ),
    Command(
        "screen.agents", "show_screen('agents')", ("5",), "Agents",
        "Who is alive, who is stuck, what each works on, and everything about one of them.",
        "agents", _LOOK, "screen", footer=95,
    ),
    Command(
        "screen.tasks", "show_screen('tasks')", ("6",), "Tasks",
        "The tasks last heard of, and the whole life of one of them.",
        "tasks", _LOOK, "screen", footer=96,
    ),
    Command(
        "screen.activity", "show_screen('activity')", ("8",), "Activity",
        "What operators did, agents that came and went, and what was out of the ordinary.",
        "activity", _LOOK, "screen", footer=97,
    ),
    Command(
        "screen.engine", "show_screen('engine')", ("9",), "Engine",
        "The server: findings with their fix, memory, disk, replicas, slow commands, clients.",
        "engine", _LOOK, "screen", footer=98,
    ),
    Command(
        "engine.turn", "turn", ("o",), "Next table",
        "The next of commands, slow commands and clients, where there is room for one only.",
        "next-table", _LOOK, "engine", footer=6,
    ),
    Command(
        "task.trace", "trace", ("t",), "Trace",
        "The life of the task under the cursor: lanes, agents, retries, dead letters, requeues.",
        "trace", _LOOK, "tracing", needs=Needs.SELECTION, footer=7, argument="task",
    ),
    Command(
        "agents.work", "work", ("w",), "Work",
        "What the selected agent holds, on the screen of pending entries.",
        "work", _LOOK, "agents", needs=Needs.SELECTION, footer=6,
    ),
    Command(
        "task.send", "send_task", ("s",), "Send",
        "Send a task: type, lane, time to live, delay and payload, with the exact entry before it goes.",
        "send", _CHANGE, "screen", writes=True, footer=3,
    ),
    Command(
        "dead-letters.causes", "causes", ("o",), "Causes",
        "To the root causes that dead letters have in common, or back to the letters; enter shows those of one.",
        "causes", _LOOK, "dead-letters", footer=5,
    ),
    Command(
        "dead-letters.requeue", "requeue", ("R",), "Requeue",
        "Put the marked dead letters, or else the selected one, back into the lanes they came from.",
        "requeue", _CHANGE, "dead-letters", writes=True, needs=Needs.SELECTION, footer=4,
    ),
    Command(
        "reading.reload", "reload", ("r",), "Reload",
        "Read again from the bus what is shown.",
        "reload", _LOOK, "reading", footer=10,
    ),
    Command(
        "lanes.turn", "turn", ("o",), "Turn",
        "Read the entries from the other end: newest first, oldest first.",
        "turn", _LOOK, "lanes", footer=5,
    ),
    Command(
        "lanes.follow", "follow", ("f",), "Follow",
        "Stay at the newest entry as it arrives; again to stop.",
        "follow", _LOOK, "lanes", footer=6,
    ),
    Command(
        "lanes.goto", "goto", (), "Go to",
        "Go to the entries of a time: 14:03, -5m, 2026-02-06.",
        "goto", _LOOK, "lanes", argument="time",
    ),
    Command(
        "list.open", "open", ("enter",), "Open",
        "Open what is under the cursor.",
        "open", MOVE, "list", needs=Needs.SELECTION,
    ),
    Command(
        "list.down", "move(1)", ("j", "down"), "Down", "One row down.", "down", MOVE, "list",
    ),
    Command(
        "list.up", "move(-1)", ("k", "up"), "Up", "One row up.", "up", MOVE, "list",
    ),
    Command(
        "list.right", "sidestep(1)", ("l", "right"), "Right", "One column right.", "right", MOVE, "list",
    ),
    Command(
        "list.left", "sidestep(-1)", ("h", "left"), "Left", "One column left.", "left", MOVE, "list",
    ),
    Command(
        "list.top", "top", ("g", "home"), "Top", "To the first row.", "top", MOVE, "list",
    ),
    Command(
        "list.bottom", "bottom", ("G", "end"), "Bottom", "To the last row.", "bottom", MOVE, "list",
    ),
    Command(
        "list.page-down", "page(1)", ("ctrl+f", "pagedown"), "Page down", "One page down.", "page-down", MOVE, "list",
    ),
    Command(
        "list.page-up", "page(-1)", ("ctrl+b", "pageup"), "Page up", "One page up.", "page-up", MOVE, "list",
    ),
    Command(
        "list.half-down", "page(0.5)", ("ctrl+d",), "Half down", "Half a page down.", "half-down", MOVE, "list",
    ),
    Command(
        "list.half-up", "page(-0.5)", ("ctrl+u",), "Half up", "Half a page up.", "half-up", MOVE, "list",
    ),
    Command(
        "list.copy", "copy_name", ("c",), "Copy",
        "Copy what names the row (key, agent, id), over SSH too (OSC 52).",
        "copy", _LOOK, "list", needs=Needs.SELECTION, footer=32,
    ),
    Command(
        "list.copy-json", "copy_json", ("y",), "Copy JSON",
        "Copy the whole row as raw JSON, over SSH too (OSC 52).",
        "copy-json", _LOOK, "list", needs=Needs.SELECTION,
    ),
    Command(
        "table.sort", "sort", ("O",), "Sort",
        "Sort by the column chosen with h and l; again the other way round, a third time as the list is.",
        "sort", _LOOK, "table", footer=12,
    ),
    Command(
        "table.mark", "mark", ("space",), "Mark",
        "Mark the row, or take its mark away, and go to the next one.",
        "mark", _LOOK, "table", needs=Needs.SELECTION, footer=13,
    ),
    Command(
        "table.range", "range", ("v",), "Range",
        "Begin a range of marks here; again ends it where the cursor is.",
        "range", _LOOK, "table", needs=Needs.SELECTION,
    ),
    Command(
        "table.mark-all", "mark_all", ("A",), "Mark all",
        "Mark every row that the filter shows, the ones that are not loaded too; again unmarks them.",
        "mark-all", _LOOK, "table", needs=Needs.SELECTION,
    ),
    Command(
        "table.filter", "filter", ("slash",), "Filter",
        "Show only the rows that match: fields, operators and live values complete, a slip is pointed at.",
        "filter", _LOOK, "table", footer=11,
    ),
    Command(
        "table.next-hit", "next_hit(1)", ("n",), "Next hit",
        "To the next row that the filter finds, or the last filter where none is set.",
        "next-hit", MOVE, "table",
    ),
    Command(
        "table.previous-hit", "next_hit(-1)", ("N",), "Previous hit",
        "To the row before that the filter finds.",
        "previous-hit", MOVE, "table",
    ),
    Command(
        "table.save-view", "screen.save_view", (), "Save view",
        "Keep filter and order of this list under a name.",
        "save", _LOOK, "table", argument="name",
    ),
    Command(
        "table.view", "screen.view", (), "View",
        "Show this list as it was saved under a name.",
        "view", _LOOK, "table", argument="name",
    ),
    Command(
        "panel.next", "next_panel", ("tab",), "Next panel", "To the next panel.", "next-panel", MOVE, "screen",
    ),
    Command(
        "panel.previous", "previous_panel", ("shift+tab",), "Previous panel", "To the panel before.",
        "previous-panel", MOVE, "screen",
    ),
    Command(
        "panel.maximise", "maximise", ("m",), "Maximise",
        "Give the panel with the cursor the whole screen, or give it back.",
        "maximise", _LOOK, "screen", footer=31,
    ),
    Command(
        "app.freeze", "freeze", ("p",), "Freeze",
        "Hold the screen still and keep listening; again to catch up.",
        "freeze", _APP, "screen", footer=30,
    ),
    Command(
        "app.help", "help", ("question_mark",), "Help",
        "All keys that work here, from the live bindings.",
        "help", _APP, "screen", footer=80,
    ),
    Command(
        "app.palette", "palette", ("ctrl+p",), "Palette",
        "Find any command by its words.",
        "palette", _APP, "app", footer=81, priority=True,
    ),
    Command(
        "app.command-line", "command_line", ("colon",), "Command",
        "Type a command by name, with completion.",
        "command", _APP, "screen",
    ),
    Command(
        "app.theme", "theme", (), "Theme",
        "Choose the colours: each is shown while it is highlighted, and the choice is kept.",
        "theme", _APP, "screen", argument="name",
    ),
    Command(
        "app.clear", "clear", ("escape",), "Close",
        "Clear or close, one thing at a time: range, marks, filter, order, maximised panel, then the screen.",
        "clear", _APP, "screen",
    ),
    Command(
        "app.back", "back", ("q", "backspace"), "Back",
        "Back to the view before; from the first one, quit.",
        "back", _APP, "screen", footer=99,
    ),
    Command(
        "app.quit", "quit", ("ctrl+q",), "Quit",
        "Leave at once, from anywhere.",
        "quit", _APP, "app", priority=True,
    ),
    Command(
        "form.send", "submit", ("ctrl+s", "f10"), "Send",
        "Send the task as previewed.",
        "submit", "Form", "form", writes=True, footer=1, priority=True,
    ),
    Command(
        "form.critical", "priority('critical')", ("f1",), "Critical", "Lane critical: before everything else.",
        "critical", "Form", "form", footer=2, priority=True,
    ),
    Command(
        "form.high", "priority('high')", ("f2",), "High", "Lane high.", "high", "Form", "form", footer=3, priority=True,
    ),
    Command(
        "form.normal", "priority('normal')", ("f3",), "Normal", "Lane normal.", "normal", "Form", "form", footer=4,
        priority=True,
    ),
    Command(
        "form.low", "priority('low')", ("f4",), "Low", "Lane low: when nothing else waits.", "low", "Form", "form",
        footer=5, priority=True,
    ),
    Command(
        "form.next", "next_field", ("tab",), "Next field", "To the next field.", "next-field", "Form", "form",
        priority=True,
    ),
    Command(
        "form.previous", "previous_field", ("shift+tab",), "Previous field", "To the field before.", "previous-field",
        "Form", "form", priority=True,
    ),
    Command(
        "form.close", "close", ("escape",), "Close", "Close the form and send nothing.", "close", "Form", "form",
        footer=6,
    ),
    Command(
        "page.close", "close", ("escape", "q", "question_mark"), "Close", "Close this page.",
        "close-page", _APP, "page", footer=1,
    ),
    Command(
        "filter.complete", "complete", ("tab",), "Complete", "Put what is offered in its place; again takes the next.",
        "complete", "Form", "filter", footer=1, priority=True,
    ),
    Command(
        "filter.older", "older", ("up",), "Older", "The filter that was used before.", "older", "Form", "filter",
        priority=True,
    ),
    Command(
        "filter.newer", "newer", ("down",), "Newer", "The filter that was used after.", "newer", "Form", "filter",
        priority=True,
    ),
    Command(
        "filter.close", "close", ("escape",), "Close", "Give back what was shown before.", "close-filter", _APP,
        "filter", footer=2,
    ),
    Command(
        "confirm.take", "take", ("enter",), "Take", "Take the answer that is chosen with the arrows.",
        "take", "Form", "confirm", footer=1,
    ),
    Command(
        "confirm.close", "close", ("escape", "q"), "Cancel", "Change nothing.", "close-question", _APP, "confirm",
        footer=2,
    ),
    Command(
        "prompt.close", "close", ("escape",), "Close", "Close the command line and do nothing.", "close-prompt", _APP,
        "prompt", footer=1,
    ),
)  # fmt: skip
"""Every command there is, in the order in which help lists them."""

_BY_ID = {entry.id: entry for entry in COMMANDS}
