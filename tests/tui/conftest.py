"""Screens stand still in tests: no blinking cursor, no random id."""

from __future__ import annotations

import plotext  # noqa: F401 - loaded beforehand, so that no picture waits for it
import pytest
from textual.widgets import Input, TextArea


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop what moves by itself."""
    monkeypatch.setattr(Input, "_toggle_cursor", lambda _self: None)
    monkeypatch.setattr(TextArea, "cursor_blink", False)
    monkeypatch.setattr("secrets.randbits", lambda bits: (1 << bits) // 3)
