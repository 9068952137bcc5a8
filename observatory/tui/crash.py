"""What happens when the app itself breaks: one line on the terminal, and a report that holds no secrets.

The only file that overrides a private method of Textual. Reason: Textual's own handler prints every local variable
of every frame, and passwords live in locals; there is no public hook. `test_terminal.py` crashes a real app to see
that this still works with the Textual that is installed.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual import __version__ as textual_version
from textual.app import App

from observatory import __version__
from observatory.model.text import line

if TYPE_CHECKING:
    from pathlib import Path

_SECRETS = (
    (re.compile(r"(://)[^@/\s]*@"), r"\1***@"),
    (re.compile(r"((?:password|passwd|pwd|secret|token|auth)\s*[=:]\s*)[^\s,;&'\"]+", re.IGNORECASE), r"\1***"),
)


class CrashReporting(App[int]):
    """An app that reports its own death without telling secrets."""

    report_dir: Path | None = None
    """Folder for reports; None writes none."""

    _reported = False

    def _fatal_error(self) -> None:
        """Replace Textual's handler: its report prints locals."""
        if self._reported:
            self.panic()
            return
        self._reported = True
        error = sys.exc_info()[1]
        words = line(masked(f"{type(error).__name__}: {error}"), 200)
        path = write_report(error, self.report_dir)
        where = f"; report: {path}" if path else ""
        self.panic(Text(f"observatory stopped because of a defect: {words}{where}", overflow="fold"))


def masked(text: str) -> str:
    """Return *text* with everything that looks like a credential replaced by `***`."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def write_report(error: BaseException | None, folder: Path | None) -> Path | None:
    """Write where *error* happened, without any value of any variable.

    Args:
        error: What happened.
        folder: Where the report goes; made with mode 0700 if it is not there.

    Returns:
        The file, readable by its owner only; None where it cannot be written.
    """
    if folder is None:
        return None
    now = datetime.now(UTC)
    text = report_text(error, now)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"crash-{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except OSError:
        return None
    return path


def report_text(error: BaseException | None, now: datetime) -> str:
    """Return versions, the chain of errors and their frames; messages masked, no locals, no source lines."""
    lines = [
        f"time      {now:%Y-%m-%d %H:%M:%S} UTC",
        f"version   observatory {__version__}, textual {textual_version}, Python {platform.python_version()}",
        f"system    {platform.system()} {platform.release()} {platform.machine()}",
    ]
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines += ["", line(masked(f"{type(error).__name__}: {error}"), 500)]
        for frame in traceback.extract_tb(error.__traceback__):
            lines.append(f"  {frame.filename}:{frame.lineno} in {frame.name}")
        error = error.__cause__ or error.__context__
    return "\n".join(lines) + "\n"
