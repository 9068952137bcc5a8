"""Commands that change the bus. Each of them opens a form or a plan; none acts on one keystroke unasked."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import CHANGE, Command, Needs

CHANGES: Final[tuple[Command, ...]] = (
    Command(
        "task.send", "send_task", ("s",), "Send",
        "Send a task: type, lane, time to live, delay and payload, with the exact entry before it goes.",
        "send", CHANGE, "turning", writes=True, footer=3,
    ),
    Command(
        "dead-letters.note", "note", ("W",), "Note",
        "Note what colleagues should know about a root cause; it stands beside it on every screen of this bus.",
        "note", CHANGE, "dead-letters", writes=True, needs=Needs.SELECTION, footer=9,
    ),
    Command(
        "dead-letters.requeue", "requeue", ("R",), "Requeue",
        "Put the marked dead letters, all of a cause, or else the selected one, back into the lanes they came from.",
        "requeue", CHANGE, "dead-letters", writes=True, needs=Needs.SELECTION, footer=4,
    ),
    Command(
        "task.like", "send_like", (), "Send like",
        "Send a task like the one under the cursor: the form begins with its type, its lane and its payload.",
        "like", CHANGE, "tracing", writes=True,
    ),
    Command(
        "dead-letters.edit", "edit", ("e",), "Edit",
        "Edit the selected dead letter and send the copy; the original is put away once the copy is on its way.",
        "edit", CHANGE, "dead-letters", writes=True, needs=Needs.SELECTION, footer=9,
    ),
    Command(
        "dead-letters.trash", "trash", ("T",), "Trash",
        "Put the marked dead letters, all of a cause, or else the selected one, into the trash.",
        "trash", CHANGE, "dead-letters", writes=True, needs=Needs.SELECTION, footer=8,
    ),
    Command(
        "dead-letters.bin", "bin", (), "Trash bin",
        "To what was put into the trash, where R restores and T deletes for good; or back to the dead letters.",
        "bin", CHANGE, "dead-letters",
    ),
    Command(
        "tasks.cancel", "cancel", ("X",), "Cancel",
        "Take the marked tasks back, or else the selected one, wherever they are.",
        "cancel", CHANGE, "cancelling", writes=True, needs=Needs.SELECTION, footer=4,
    ),
    Command(
        "pending.claim", "claim", ("C",), "Claim",
        "Take the marked work, or all of the selected agent, from who holds it: for another agent, or for its lane.",
        "claim", CHANGE, "claiming", writes=True, needs=Needs.SELECTION, footer=4, argument="agent",
    ),
    Command(
        "pending.bury", "bury", (), "Dead-letter",
        "Make dead letters of the marked work, or else of the selected one.",
        "dead-letter", CHANGE, "holding", writes=True, needs=Needs.SELECTION, argument="error",
    ),
    Command(
        "places.pause", "pause", ("P",), "Pause",
        "Stop work from being taken from the selected lane or by the selected agent, or let it go on.",
        "pause", CHANGE, "pausing", writes=True, needs=Needs.SELECTION, footer=5, argument="10m | off",
    ),
    Command(
        "agents.tell", "tell", (), "Tell",
        "Put a message into the mailbox of the selected agent.",
        "tell", CHANGE, "agents", writes=True, needs=Needs.SELECTION, argument="text",
    ),
    Command(
        "jobs.turn", "turn", ("o",), "Next table",
        "The next of changes, the audit of all operators, and what this session has sent to the engine.",
        "next-changes", CHANGE, "jobs", footer=6,
    ),
    Command(
        "jobs.steer", "steer", (), "Steer",
        "Pause, resume or cancel the selected job, or give it another rate: `pause`, `resume`, `cancel`, `rate 100`.",
        "job", CHANGE, "jobs", writes=True, argument="pause | resume | cancel | rate N",
    ),
    Command(
        "jobs.faster", "faster", ("plus",), "Faster", "Give the selected job twice its rate.", "faster", CHANGE, "jobs",
        writes=True,
    ),
    Command(
        "jobs.slower", "slower", ("minus",), "Slower", "Give the selected job half its rate.", "slower", CHANGE, "jobs",
        writes=True,
    ),
    Command(
        "change.undo", "undo", ("z",), "Undo",
        "Take back what was changed last from here, as far as nobody has taken it by then.",
        "undo", CHANGE, "screen", writes=True,
    ),
    Command(
        "change.redo", "redo", ("Z",), "Redo",
        "Do again what was taken back last.",
        "redo", CHANGE, "screen", writes=True,
    ),
    Command(
        "change.write", "write", (), "Write",
        "Allow writing on a bus that is read-only by its settings, for a while: `on 15m`, or `off`.",
        "write", CHANGE, "screen", argument="on 15m | off",
    ),
)  # fmt: skip
"""In the order in which help lists them."""
