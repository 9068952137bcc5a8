"""Every screen there is, in one table: its name in commands, and what makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.tui.screens.activity import Activity
from observatory.tui.screens.agents import Agents
from observatory.tui.screens.dead_letters import DeadLetters
from observatory.tui.screens.engine import EngineScreen
from observatory.tui.screens.lanes import Lanes
from observatory.tui.screens.overview import Overview
from observatory.tui.screens.pending import Pending
from observatory.tui.screens.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.tui.screens.base import DataScreen

SCREENS: Mapping[str, type[DataScreen]] = {
    "overview": Overview,
    "lanes": Lanes,
    "pending": Pending,
    "dead-letters": DeadLetters,
    "agents": Agents,
    "tasks": Tasks,
    "activity": Activity,
    "engine": EngineScreen,
}
"""Screens by name; each name is also a view in the table of commands."""

FIRST = "overview"
"""The screen that is shown at the start, and where going back ends."""
