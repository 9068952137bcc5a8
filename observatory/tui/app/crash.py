"""What happens when the app itself breaks: one line on the terminal, and a report that holds no secrets.

The only file that overrides a private method of Textual. Reason: Textual's own handler prints every local variable
of every frame, and passwords live in locals; there is no public hook. `test_terminal.py` crashes a real app to see
that this still works with the Textual that is installed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import App

from observatory.model.text import line
from observatory.settings import crash

if TYPE_CHECKING:
    from pathlib import Path


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
        words = line(crash.redact(f"{type(error).__name__}: {error}"), 200)
        self.panic(Text(f"observatory stopped because of a defect: {words}{self._where(error)}", overflow="fold"))

    def _where(self, error: BaseException | None) -> str:
        """Write the report and say where it is; nothing where there is none."""
        try:
            return f"; report: {crash.write_report(error, self.report_dir)}" if self.report_dir else ""
        except OSError:
            return ""
