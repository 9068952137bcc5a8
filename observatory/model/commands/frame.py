"""Commands of the frame around every screen: panels, palette, help, theme, the way back and out."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import APP, LOOK, MOVE, Command

FRAME: Final[tuple[Command, ...]] = (
    Command(
        "panel.next", "next_panel", ("tab",), "Next panel", "To the next panel.", "next-panel", MOVE, "turning",
    ),
    Command(
        "panel.previous", "previous_panel", ("shift+tab",), "Previous panel", "To the panel before.",
        "previous-panel", MOVE, "turning",
    ),
    Command(
        "panel.maximise", "maximise", ("m",), "Maximise",
        "Give the panel with the cursor the whole screen, or give it back.",
        "maximise", LOOK, "turning", footer=31,
    ),
    Command(
        "app.freeze", "freeze", ("p",), "Freeze",
        "Hold the screen still and keep listening; again to catch up.",
        "freeze", APP, "turning", footer=30,
    ),
    Command(
        "app.help", "help", ("question_mark",), "Help",
        "All keys that work here, from the live bindings.",
        "help", APP, "screen", footer=80,
    ),
    Command(
        "app.palette", "palette", ("ctrl+p",), "Palette",
        "Find any command by its words.",
        "palette", APP, "app", footer=81, priority=True,
    ),
    Command(
        "app.command-line", "command_line", ("colon",), "Command",
        "Type a command by name, with completion.",
        "command", APP, "screen",
    ),
    Command(
        "app.theme", "theme", (), "Theme",
        "Choose the colours: each is shown while it is highlighted, and the choice is kept.",
        "theme", APP, "screen", argument="name",
    ),
    Command(
        "app.context", "context", (), "Context",
        "Turn to another bus of the settings; without a name, all of them are listed.",
        "ctx", APP, "screen", argument="name",
    ),
    Command(
        "app.clear", "clear", ("escape",), "Close",
        "Clear or close, one thing at a time: range, marks, filter, order, maximised panel, then the screen.",
        "clear", APP, "screen",
    ),
    Command(
        "app.back", "back", ("q", "backspace"), "Back",
        "Back to the view before; from the first one, quit.",
        "back", APP, "screen", footer=99,
    ),
    Command(
        "app.quit", "quit", ("ctrl+q",), "Quit",
        "Leave at once, from anywhere.",
        "quit", APP, "app", priority=True,
    ),
)  # fmt: skip
"""In the order in which help lists them."""
