"""What a full-screen verb needs before it starts: a terminal on both ends."""

from __future__ import annotations

import os
import sys

from observatory.model.errors import UsageError


def require_terminal(instead: str) -> None:
    """Make sure that there is a terminal to draw on and one to read keys from, or another place for both.

    Args:
        instead: The command that does without, for the hint.

    Raises:
        UsageError: There is none; names which end is missing.
    """
    if os.environ.get("TEXTUAL_DRIVER"):
        return  # The screen is drawn somewhere else, as `observatory web` does.
    # The screen is drawn on standard error, where a redirection would send its escape sequences into a file.
    for name, stream in (("output", sys.stdout), ("input", sys.stdin), ("error", sys.stderr)):
        if stream is None or stream.closed or not stream.isatty():
            raise UsageError(f"standard {name} is not a terminal", f"without one, use `{instead}`")
    if os.environ.get("TERM") == "dumb":
        raise UsageError("TERM=dumb: this terminal cannot show a full screen", f"instead, use `{instead}`")
