"""Commands of every list: moving, opening, copying, sorting, marking, filtering."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import LOOK, MOVE, Command, Needs

LISTS: Final[tuple[Command, ...]] = (
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
        "copy", LOOK, "list", needs=Needs.SELECTION, footer=32,
    ),
    Command(
        "list.copy-json", "copy_json", ("y",), "Copy JSON",
        "Copy the whole row as raw JSON, over SSH too (OSC 52).",
        "copy-json", LOOK, "list", needs=Needs.SELECTION,
    ),
    Command(
        "table.sort", "sort", ("O",), "Sort",
        "Sort by the column chosen with h and l; again the other way round, a third time as the list is.",
        "sort", LOOK, "table", footer=12,
    ),
    Command(
        "table.mark", "mark", ("space",), "Mark",
        "Mark the row, or take its mark away, and go to the next one.",
        "mark", LOOK, "table", needs=Needs.SELECTION, footer=13,
    ),
    Command(
        "table.range", "range", ("v",), "Range",
        "Begin a range of marks here; again ends it where the cursor is.",
        "range", LOOK, "table", needs=Needs.SELECTION,
    ),
    Command(
        "table.mark-all", "mark_all", ("A",), "Mark all",
        "Mark every row that the filter shows, the ones that are not loaded too; again unmarks them.",
        "mark-all", LOOK, "table", needs=Needs.SELECTION,
    ),
    Command(
        "table.filter", "filter", ("slash",), "Filter",
        "Show only the rows that match: fields, operators and live values complete, a slip is pointed at.",
        "filter", LOOK, "table", footer=11,
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
        "save", LOOK, "table", argument="name",
    ),
    Command(
        "table.view", "screen.view", (), "View",
        "Show this list as it was saved under a name.",
        "view", LOOK, "table", argument="name",
    ),
)  # fmt: skip
"""In the order in which help lists them."""
