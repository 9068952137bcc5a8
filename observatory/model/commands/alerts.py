"""Commands of the screens that list alerts: what they change is what is told, never the bus."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import CHANGE, FORM, Command

ALERTS: Final[tuple[Command, ...]] = (
    Command(
        "alerts.acknowledge", "acknowledge", ("K",), "Acknowledge",
        "Say that the alert under the cursor, or else the worst, was seen: it is told again when it gets worse.",
        "acknowledge", CHANGE, "alerts", footer=8,
    ),
    Command(
        "alerts.mute", "mute", ("M",), "Mute",
        "Say nothing of the alert under the cursor, or else the worst, for a while that ends by itself.",
        "mute", CHANGE, "alerts", footer=9,
    ),
    Command(
        "alerts.unmute", "unmute", ("U",), "Unmute",
        "End the mutes that cover the alert under the cursor.",
        "unmute", CHANGE, "alerts",
    ),
    Command(
        "quiet.take", "take", ("ctrl+s",), "Take", "Take what was said; enter in a field does the same.",
        "take-quiet", FORM, "quiet", footer=1, priority=True,
    ),
    Command(
        "quiet.close", "close", ("escape",), "Close", "Close the form and say nothing.", "close-quiet", FORM, "quiet",
        footer=2,
    ),
)  # fmt: skip
"""In the order in which help lists them."""
