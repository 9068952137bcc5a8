"""Commands of the timeline, where digits are tenths of the view and letters move in time."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import LOOK, MOVE, Command

_TENTHS: Final = ("begin", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

TIMELINE: Final[tuple[Command, ...]] = (
    Command(
        "timeline.play", "play", ("space",), "Play", "Play, or pause.", "play", LOOK, "timeline", footer=1,
    ),
    Command(
        "timeline.next", "step(1)", ("full_stop",), "Next event", "To the next event.", "next-event", MOVE,
        "timeline", footer=3,
    ),
    Command(
        "timeline.previous", "step(-1)", ("comma",), "Event before", "To the event before.", "previous-event", MOVE,
        "timeline", footer=2,
    ),
    Command(
        "timeline.right", "cell(1)", ("right", "l"), "One cell on", "One cell later.", "cell-right", MOVE, "timeline",
    ),
    Command(
        "timeline.left", "cell(-1)", ("left", "h"), "One cell back", "One cell earlier.", "cell-left", MOVE,
        "timeline",
    ),
    Command(
        "timeline.far-right", "tenth(1)", ("shift+right",), "A tenth on", "A tenth of the view later.",
        "tenth-right", MOVE, "timeline",
    ),
    Command(
        "timeline.far-left", "tenth(-1)", ("shift+left",), "A tenth back", "A tenth of the view earlier.",
        "tenth-left", MOVE, "timeline",
    ),
    *(
        Command(
            f"timeline.to-{word}", f"percent({tenths})", (f"{tenths}",), f"{tenths}0 %",
            f"To {tenths}0 percent of the view.", f"to-{word}", MOVE, "timeline",
        )
        for tenths, word in enumerate(_TENTHS)
    ),
    Command(
        "timeline.in", "zoom(0.5)", ("w", "plus"), "Zoom in", "Half of the view, around the playhead.", "zoom-in",
        LOOK, "timeline", footer=4,
    ),
    Command(
        "timeline.out", "zoom(2)", ("s", "minus"), "Zoom out", "Twice the view, around the playhead.", "zoom-out",
        LOOK, "timeline", footer=5,
    ),
    Command(
        "timeline.pan-left", "pan(-0.25)", ("a",), "Pan back", "Move the view to what was earlier.", "pan-left", MOVE,
        "timeline",
    ),
    Command(
        "timeline.pan-right", "pan(0.25)", ("d",), "Pan on", "Move the view to what was later.", "pan-right", MOVE,
        "timeline",
    ),
    Command(
        "timeline.fit", "fit", ("equals_sign",), "Fit", "Show all there is.", "fit", LOOK, "timeline",
    ),
    Command(
        "timeline.focus", "focus_playhead", ("f",), "Focus", "Put the playhead into the middle of the view.", "focus",
        LOOK, "timeline",
    ),
    Command(
        "timeline.select", "select", ("v",), "Range",
        "Begin a range at the playhead; again ends it, a third time drops it.", "select", LOOK, "timeline",
    ),
    Command(
        "timeline.zoom-range", "zoom_range", ("enter",), "Zoom to range", "Show just the range that is selected.",
        "zoom-range", LOOK, "timeline",
    ),
    Command(
        "timeline.loop", "loop", ("o",), "Loop", "Play the range, or all, again and again.", "loop", LOOK, "timeline",
    ),
    Command(
        "timeline.faster", "speed(1)", ("greater_than_sign",), "Faster", "Play faster, up to 64 times.", "faster",
        LOOK, "timeline", footer=7,
    ),
    Command(
        "timeline.slower", "speed(-1)", ("less_than_sign",), "Slower", "Play slower, and then backwards.", "slower",
        LOOK, "timeline", footer=6,
    ),
    Command(
        "timeline.fold", "fold", ("i",), "Fold idle", "Skip times in which nothing happened while playing.", "fold",
        LOOK, "timeline",
    ),
    Command(
        "timeline.next-marker", "marker(1)", ("right_square_bracket",), "Next marker",
        "To the next marker or bookmark.", "next-marker", MOVE, "timeline", footer=9,
    ),
    Command(
        "timeline.previous-marker", "marker(-1)", ("left_square_bracket",), "Marker before",
        "To the marker or bookmark before.", "previous-marker", MOVE, "timeline", footer=8,
    ),
    Command(
        "timeline.next-failure", "failure(1)", ("right_curly_bracket",), "Next failure", "To the next failure.",
        "next-failure", MOVE, "timeline", footer=11,
    ),
    Command(
        "timeline.previous-failure", "failure(-1)", ("left_curly_bracket",), "Failure before",
        "To the failure before.", "previous-failure", MOVE, "timeline", footer=10,
    ),
    Command(
        "timeline.bookmark", "bookmark", ("b",), "Bookmark", "Keep this time, with a text, for everybody.",
        "bookmark", LOOK, "timeline", footer=12, argument="text",
    ),
    Command(
        "timeline.bookmarks", "next_bookmark", ("apostrophe",), "Bookmarks", "To the next bookmark.", "bookmarks",
        MOVE, "timeline",
    ),
    Command(
        "timeline.diff", "diff", ("D",), "Diff",
        "What changed between the last two bookmarks, or since the only one.", "diff", LOOK, "timeline", footer=13,
    ),
    Command(
        "timeline.goto", "goto", (), "Go to", "Go to a time: 14:03, -5m, 2026-02-06.", "goto", MOVE, "timeline",
        argument="time",
    ),
    Command(
        "timeline.screen", "show_screen", (), "Screen", "Show another screen, at this time.", "screen", LOOK,
        "timeline", argument="name",
    ),
    Command(
        "timeline.live", "live", ("L",), "Live", "Return to the present.", "live", LOOK, "timeline", footer=14,
    ),
)  # fmt: skip
"""Keys of the timeline; the number keys of the screens are tenths of the view here."""
