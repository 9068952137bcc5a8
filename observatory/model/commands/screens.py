"""Commands that turn to a screen, or that only one screen has, and that change nothing on the bus."""

from __future__ import annotations

from typing import Final

from observatory.model.commands.command import LOOK, Command, Needs

SCREENS: Final[tuple[Command, ...]] = (
    Command(
        "screen.overview", "show_screen('overview')", ("1",), "Overview",
        "Is the swarm healthy, and if not, where: lanes, agents, dead letters, rates, events.",
        "overview", LOOK, "turning", footer=91,
    ),
    Command(
        "screen.lanes", "show_screen('lanes')", ("2",), "Lanes",
        "Every lane; enter goes into one: its groups, their consumers, and every entry with its payload.",
        "lanes", LOOK, "turning", footer=92,
    ),
    Command(
        "screen.pending", "show_screen('pending')", ("3",), "Pending",
        "Who holds what, since when, and how often it was delivered.",
        "pending", LOOK, "turning", footer=93,
    ),
    Command(
        "screen.dead-letters", "show_screen('dead-letters')", ("4",), "Dead letters",
        "Tasks that will not run again by themselves, with why, and their payload.",
        "dead", LOOK, "turning", footer=94,
    ),
    Command(
        "screen.agents", "show_screen('agents')", ("5",), "Agents",
        "Who is alive, who is stuck, what each works on, and everything about one of them.",
        "agents", LOOK, "turning", footer=95,
    ),
    Command(
        "screen.tasks", "show_screen('tasks')", ("6",), "Tasks",
        "The tasks last heard of, and the whole life of one of them.",
        "tasks", LOOK, "turning", footer=96,
    ),
    Command(
        "screen.timeline", "show_screen('timeline')", ("7",), "Timeline",
        "Look back: any moment on every screen, play, markers, bookmarks, what changed in between.",
        "timeline", LOOK, "turning", footer=96,
    ),
    Command(
        "screen.activity", "show_screen('activity')", ("8",), "Activity",
        "What operators did, agents that came and went, and what was out of the ordinary.",
        "activity", LOOK, "turning", footer=97,
    ),
    Command(
        "screen.engine", "show_screen('engine')", ("9",), "Engine",
        "The server: findings with their fix, memory, disk, replicas, slow commands, clients.",
        "engine", LOOK, "turning", footer=98,
    ),
    Command(
        "engine.turn", "turn", ("o",), "Next table",
        "The next of commands, slow commands and clients, where there is room for one only.",
        "next-table", LOOK, "engine", footer=6,
    ),
    Command(
        "task.trace", "trace", ("t",), "Trace",
        "The life of the task under the cursor: lanes, agents, retries, dead letters, requeues.",
        "trace", LOOK, "tracing", needs=Needs.SELECTION, footer=7, argument="task",
    ),
    Command(
        "agents.work", "work", ("w",), "Work",
        "What the selected agent holds, on the screen of pending entries.",
        "work", LOOK, "agents", needs=Needs.SELECTION, footer=6,
    ),
    Command(
        "dead-letters.causes", "causes", ("o",), "Causes",
        "To the root causes that dead letters have in common, or back to the letters; enter shows those of one.",
        "causes", LOOK, "dead-letters", footer=5,
    ),
    Command(
        "dead-letters.group", "group_by", ("b",), "Group by",
        "Sort dead letters by another key: class, message, type, reason, lane, agent, or several with commas.",
        "group-by", LOOK, "dead-letters", footer=6, argument="key",
    ),
    Command(
        "reading.reload", "reload", ("r",), "Reload",
        "Read again from the bus what is shown.",
        "reload", LOOK, "reading", footer=10,
    ),
    Command(
        "lanes.turn", "turn", ("o",), "Turn",
        "Read the entries from the other end: newest first, oldest first.",
        "turn", LOOK, "lanes", footer=5,
    ),
    Command(
        "lanes.follow", "follow", ("f",), "Follow",
        "Stay at the newest entry as it arrives; again to stop.",
        "follow", LOOK, "lanes", footer=6,
    ),
    Command(
        "lanes.goto", "goto", (), "Go to",
        "Go to the entries of a time: 14:03, -5m, 2026-02-06.",
        "goto", LOOK, "lanes", argument="time",
    ),
)  # fmt: skip
"""In the order in which help lists them."""
