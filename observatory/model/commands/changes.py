"""Commands that change the bus. Each of them opens a form or a plan; none acts on one keystroke unasked."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import CHANGE, Command, Needs

CHANGES: Final[tuple[Command, ...]] = (
    Command(
        "task.send", "send_task", ("s",), "Send",
        "Send a task: type, lane, time to live, delay and payload, with the exact entry before it goes.",
        "send", CHANGE, "screen", writes=True, footer=3,
    ),
    Command(
        "dead-letters.requeue", "requeue", ("R",), "Requeue",
        "Put the marked dead letters, or else the selected one, back into the lanes they came from.",
        "requeue", CHANGE, "dead-letters", writes=True, needs=Needs.SELECTION, footer=4,
    ),
)  # fmt: skip
"""In the order in which help lists them."""
