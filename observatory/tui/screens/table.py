"""Every screen there is, in one table: its name in commands, and where it is defined; loaded when first shown."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.tui.desk import Desk
    from observatory.tui.screens.base import DataScreen

SCREENS: Mapping[str, tuple[str, str]] = {
    "overview": ("overview", "Overview"),
    "lanes": ("lanes", "Lanes"),
    "pending": ("pending", "Pending"),
    "dead-letters": ("dead_letters", "DeadLetters"),
    "agents": ("agents", "Agents"),
    "tasks": ("tasks", "Tasks"),
    "timeline": ("timeline", "TimelineScreen"),
    "activity": ("activity", "Activity"),
    "engine": ("engine", "EngineScreen"),
}
"""Module and class of each screen by its name, which is also a view in the table of commands."""

FIRST = "overview"
"""The screen that is shown at the start, and where going back ends."""


def make_screen(name: str, desk: Desk) -> DataScreen:
    """Load and make the screen called *name*.

    Raises:
        KeyError: There is no such screen.
    """
    module, owner = SCREENS[name]
    screen: DataScreen = getattr(import_module(f"observatory.tui.screens.{module}"), owner)(desk)
    return screen
