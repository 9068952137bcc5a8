"""Alerts reach the person as a toast, by the bell, as a notice of the terminal, and in the history: once each."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.model.alert import DEFAULT_RULES
from observatory.model.clock import ManualClock
from observatory.tui.desk import AWAY_REFRESH_S
from observatory.tui.rows.alerts import AlertTable
from observatory.tui.screens.activity import Activity
from observatory.tui.terminal.voice import notice, through_tmux
from observatory.tui.widgets.alert_line import AlertLine
from tests.conftest import eventually
from tests.tui import seed
from tests.tui.test_app import SIZE, settled, text_of, toasts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from observatory.tui.app import ObservatoryApp


def spied(app: ObservatoryApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the app writes to its terminal by hand."""
    written: list[str] = []
    assert app._driver is not None
    monkeypatch.setattr(app._driver, "write", written.append)
    return written


async def test_an_alert_is_told_once_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that died is told on one line, rings, and stands among the activity; looking again says nothing new."""
    clock = ManualClock(seed.NOW_MS)
    rules = tuple(rule for rule in DEFAULT_RULES if rule.id == "agent-silent")
    assert rules
    app, source, _ = seed.make_app(seed.healthy(), folder=tmp_path, clock=clock, rules=rules)
    monkeypatch.delenv("TMUX", raising=False)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        written, said = spied(app, monkeypatch), set[str]()
        for sequence in range(3, 12):
            clock.advance(20)
            source.push(replace(seed.swarm(), sequence=sequence))
            await eventually(lambda sequence=sequence: app.desk.shown.sequence == sequence)  # type: ignore[misc]
            await settled(pilot)
            said.add(text_of(app.screen.query_one(AlertLine)))
        assert any("red" in words and "agent-silent" in words for words in said)
        assert not toasts(app)
        assert len([text for text in written if text.startswith("\x1b]9;") and "red" in text]) == 1
        await pilot.press("8")
        await eventually(lambda: isinstance(app.screen, Activity))
        await settled(pilot)
        assert "red" in text_of(app.screen.query_one(AlertTable))


def test_inside_tmux_a_sequence_is_wrapped_for_the_terminal_around_it() -> None:
    """Every ESC inside is doubled, as tmux wants it, and the words of a notice cannot end it early."""
    wrapped = through_tmux(notice("lane \x07 high\x1b]52;c;evil"))
    assert wrapped.startswith("\x1bPtmux;\x1b\x1b]9;lane ")
    assert wrapped.endswith("\x07\x1b\\")
    assert wrapped.count("\x07") == 1
    assert wrapped.count("\x1b") == 4


async def test_copying_inside_tmux_reaches_the_terminal_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same text is sent twice: for tmux itself, and wrapped for the terminal around it."""
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        written = spied(app, monkeypatch)
        await pilot.press("c")
        await settled(pilot)
        wanted = base64.b64encode(b"cortex:tasks:critical").decode()
        copies = [text for text in written if wanted in text]
        assert [text.startswith("\x1bPtmux;") for text in copies] == [False, True]


async def test_a_terminal_without_the_focus_is_served_less_often(tmp_path: Path) -> None:
    """Blur slows the source down, focus brings the pace back; a source that cannot be paced is left alone."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    paces: list[float] = []
    setattr(source, "set_refresh", paces.append)  # noqa: B010 - the seeded source has no pace of its own
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        app.on_app_blur()
        app.on_app_focus()
        assert paces == [AWAY_REFRESH_S, 1.0]
