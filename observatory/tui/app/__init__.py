"""The running app: its desk and feed, its themes, its trail of screens, what it remembers, and its end.

Nothing here knows a lane or a dead letter; those are the business of `screens/`.
"""

from observatory.tui.app.main import ObservatoryApp
from observatory.tui.app.run import run_app, run_app_async

__all__ = ["ObservatoryApp", "run_app", "run_app_async"]
