"""Runs the app over seeded data in a terminal of its own; `test_terminal.py` starts it and takes the terminal away.

Usage: driver.py STATE_DIR [crash]
"""

from __future__ import annotations

import sys
from pathlib import Path

from observatory.model.clock import SystemClock
from observatory.tui.app import ObservatoryApp, run_app
from observatory.tui.desk import OpenBus
from observatory.tui.rows.lane_columns import LaneRow  # noqa: TC001 - beside the class that it belongs to
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.widgets.list_panel import ListPanel  # noqa: TC001 - beside the class that it is the base of
from tests.tui import seed


def main() -> int:
    """Compose the app as the command line does, but over seeded data."""
    state_dir = Path(sys.argv[1])
    app = ObservatoryApp(
        OpenBus("demo", seed.SeedSource(seed.swarm(), letters=seed.dead_letters()), seed.SeedActions()),
        themes=seed.themes_without_user(state_dir),
        theme="observatory-dark",
        clock=SystemClock(),
        state_dir=state_dir,
    )
    if "crash" in sys.argv:
        setattr(LaneTable, "action_bottom", _break)  # noqa: B010 - a defect, put in on purpose
    return run_app(app)


def _break(_table: ListPanel[LaneRow]) -> None:
    """Break the way real defects do: with a secret in a local variable and in the message."""
    password = "hunter2"
    raise RuntimeError(f"cannot reach redis://:{password}@bus.internal:6379/0")


if __name__ == "__main__":
    raise SystemExit(main())
