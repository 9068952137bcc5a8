"""Commands of what opens above a screen: forms, questions, pages, and the lines that are typed into."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import APP, FORM, Command

FORMS: Final[tuple[Command, ...]] = (
    Command(
        "form.send", "submit", ("ctrl+s", "f10"), "Send",
        "Send the task as previewed.",
        "submit", FORM, "form", writes=True, footer=1, priority=True,
    ),
    Command(
        "form.critical", "priority('critical')", ("f1",), "Critical", "Lane critical: before everything else.",
        "critical", FORM, "form", footer=2, priority=True,
    ),
    Command(
        "form.high", "priority('high')", ("f2",), "High", "Lane high.", "high", FORM, "form", footer=3, priority=True,
    ),
    Command(
        "form.normal", "priority('normal')", ("f3",), "Normal", "Lane normal.", "normal", FORM, "form", footer=4,
        priority=True,
    ),
    Command(
        "form.low", "priority('low')", ("f4",), "Low", "Lane low: when nothing else waits.", "low", FORM, "form",
        footer=5, priority=True,
    ),
    Command(
        "form.next", "next_field", ("tab",), "Next field", "To the next field.", "next-field", FORM, "form",
        priority=True,
    ),
    Command(
        "form.previous", "previous_field", ("shift+tab",), "Previous field", "To the field before.", "previous-field",
        FORM, "form", priority=True,
    ),
    Command(
        "form.close", "close", ("escape",), "Close", "Close the form and send nothing.", "close", FORM, "form",
        footer=6,
    ),
    Command(
        "page.close", "close", ("escape", "q", "question_mark"), "Close", "Close this page.",
        "close-page", APP, "page", footer=1,
    ),
    Command(
        "filter.complete", "complete", ("tab",), "Complete", "Put what is offered in its place; again takes the next.",
        "complete", FORM, "filter", footer=1, priority=True,
    ),
    Command(
        "filter.older", "older", ("up",), "Older", "The filter that was used before.", "older", FORM, "filter",
        priority=True,
    ),
    Command(
        "filter.newer", "newer", ("down",), "Newer", "The filter that was used after.", "newer", FORM, "filter",
        priority=True,
    ),
    Command(
        "filter.close", "close", ("escape",), "Close", "Give back what was shown before.", "close-filter", APP,
        "filter", footer=2,
    ),
    Command(
        "confirm.take", "take", ("enter",), "Take", "Take the answer that is chosen with the arrows.",
        "take", FORM, "confirm", footer=1,
    ),
    Command(
        "confirm.close", "close", ("escape", "q"), "Cancel", "Change nothing.", "close-question", APP, "confirm",
        footer=2,
    ),
    Command(
        "note.close", "close", ("escape",), "Close", "Leave the note as it was.", "close-note", FORM, "note", footer=1,
    ),
    Command(
        "prompt.close", "close", ("escape",), "Close", "Close the command line and do nothing.", "close-prompt", APP,
        "prompt", footer=1,
    ),
)  # fmt: skip
"""In the order in which help lists them."""
