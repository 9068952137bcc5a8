"""What the screens remember between two runs: filters, saved views, and the screen that was last shown on a bus."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from observatory.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = 50
"""Filters that are remembered of each kind of list."""

VIEWS = 200
"""Saved views of each kind of list."""


class Memory:
    """One small file, read once and written whole; a file that cannot be read counts as empty.

    Args:
        path: The file; None remembers nothing beyond this run.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._data = self._read()

    def filters(self, rows: str) -> list[str]:
        """Return the filters that were used on lists of *rows*, newest first."""
        found = self._part("filters").get(rows, [])
        return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []

    def used_filter(self, rows: str, text: str) -> None:
        """Remember that a filter was used."""
        kept = [text, *(known for known in self.filters(rows) if known != text)][:HISTORY]
        self._part("filters")[rows] = kept
        self._write()

    def views(self, rows: str) -> dict[str, dict[str, Any]]:
        """Return the saved views of lists of *rows*, by name."""
        found = self._part("views").get(rows, {})
        named = found.items() if isinstance(found, dict) else ()
        return {str(name): view for name, view in named if isinstance(view, dict)}

    def save_view(self, rows: str, name: str, view: dict[str, Any]) -> None:
        """Keep a view under a name; an older one of that name goes."""
        kept = self.views(rows) | {name: view}
        self._part("views")[rows] = dict(list(kept.items())[-VIEWS:])
        self._write()

    def screen(self, context: str) -> str:
        """Return the screen that was shown last on the bus *context*; empty if none is known."""
        found = self._part("screens").get(context, "")
        return found if isinstance(found, str) else ""

    def showed(self, context: str, screen: str) -> None:
        """Remember which screen is shown on the bus *context*."""
        if self.screen(context) != screen:
            self._part("screens")[context] = screen
            self._write()

    def _part(self, name: str) -> dict[str, Any]:
        part = self._data.get(name)
        if not isinstance(part, dict):
            part = self._data[name] = {}
        return part

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if self._path is not None:
                found = json.loads(self._path.read_text(encoding="utf-8"))
                return found if isinstance(found, dict) else {}
        return {}

    def _write(self) -> None:
        """Write the file at once or not at all; what cannot be remembered is no reason to stop."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            write_atomically(self._path, json.dumps(self._data, ensure_ascii=True))
