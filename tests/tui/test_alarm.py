"""Alerts reach the person as a toast, by the bell, as a notice of the terminal, and in the history: once each."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.model.alert import DEFAULT_RULES
from observatory.model.clock import ManualClock
from observatory.tui.desk import AWAY_REFRESH_S
from observatory.tui.dialogs.quiet import QuietForm
from observatory.tui.rows.alerts import AlertTable
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.screens.activity import Activity
from observatory.tui.terminal.voice import notice, through_tmux
from observatory.tui.widgets.alert_line import AlertLine
from tests.conftest import eventually
from tests.tui import seed
from tests.tui.test_app import SIZE, settled, text_of, toasts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from textual.pilot import Pilot

    from observatory.tui.app import ObservatoryApp

SILENT = tuple(rule for rule in DEFAULT_RULES if rule.id == "agent-silent")


def spied(app: ObservatoryApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the app writes to its terminal by hand."""
    written: list[str] = []
    assert app._driver is not None
    monkeypatch.setattr(app._driver, "write", written.append)
    return written


async def test_an_alert_is_told_once_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that died is told on one line, rings, and stands among the activity; looking again says nothing new."""
    clock = ManualClock(seed.NOW_MS)
    app, source, _ = seed.make_app(seed.healthy(), folder=tmp_path, clock=clock, rules=SILENT)
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


async def typed(pilot: Pilot[int], words: str) -> None:
    """Type into what has the focus."""
    await pilot.press(*("space" if letter == " " else letter for letter in words))


async def test_an_alert_is_acknowledged_and_muted_where_it_is_listed(tmp_path: Path) -> None:
    """K and M ask for a reason and a time; the list says who knows, until when; U lets it be heard again."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path, rules=SILENT)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("8", "tab", "tab")
        await eventually(lambda: isinstance(app.screen, Activity) and app.screen.query_one(AlertTable).rows)
        app.screen.query_one(AlertTable).focus()
        await settled(pilot)
        assert "firing" in text_of(app.screen.query_one(AlertTable)).splitlines()[2]
        await pilot.press("K")
        await eventually(lambda: isinstance(app.screen, QuietForm))
        await typed(pilot, "known")
        await pilot.press("enter")
        source.push(replace(seed.swarm(), sequence=5))
        await eventually(lambda: "acknowledged by operator: known" in text_of(app.screen.query_one(AlertTable)))
        assert "seen" in text_of(app.screen.query_one(AlertTable))
        await pilot.press("M")
        await eventually(lambda: isinstance(app.screen, QuietForm))
        await pilot.press("tab", "ctrl+u")
        await typed(pilot, "nonsense")
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, QuietForm)
        await pilot.press("ctrl+u")
        await typed(pilot, "30m")
        await pilot.press("enter")
        source.push(replace(seed.swarm(), sequence=6))
        await eventually(lambda: "muted →15:15" in text_of(app.screen.query_one(AlertTable)))
        assert source.alerts is not None
        assert [mute.rule for mute in source.alerts.mutes] == ["agent-silent"]
        await pilot.press("U")
        source.push(replace(seed.swarm(), sequence=7))
        await eventually(lambda: "muted" not in text_of(app.screen.query_one(AlertTable)))


async def test_several_alerts_are_one_line(tmp_path: Path) -> None:
    """At 80x24 a burst of alerts covers one line, names the worst, and says how many more there are; then it goes."""
    clock = ManualClock(seed.NOW_MS)
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path, clock=clock, rules=SILENT)
    async with app.run_test(size=(80, 24)) as pilot:
        await eventually(lambda: app.screen.query_one(AlertLine).display)
        await settled(pilot)
        line = app.screen.query_one(AlertLine)
        assert (line.size.height, line.region.y) == (1, 22)
        assert "✖ agent-silent: agent red: its heartbeat is dead" in text_of(line)
        assert "+1 more, 8 shows them" in text_of(line)
        clock.advance(11)
        source.push(replace(seed.swarm(), sequence=9))
        await eventually(lambda: not line.display)


async def test_leaving_by_reflex_names_the_keys_that_leave(tmp_path: Path) -> None:
    """ctrl+c leaves nothing, and says in one line what does; enter in an empty list says nothing."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, letters=())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+c")
        await settled(pilot)
        assert toasts(app) == ["^q quits, q goes back"]
        await pilot.press("4")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert len(toasts(app)) == 1


async def test_alerts_are_current_while_the_bus_is_silent(tmp_path: Path) -> None:
    """With the link down every panel is marked old but the alerts, which name the lost link."""
    rules = tuple(rule for rule in DEFAULT_RULES if rule.id == "link-lost")
    app, _, _ = seed.make_app(seed.link_down(), folder=tmp_path, rules=rules)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        panel = app.screen.query_one(AlertTable)
        await eventually(lambda: "the bus has not answered" in text_of(panel))
        assert "old" not in text_of(panel).splitlines()[0]
        assert "old" in text_of(app.screen.query_one(LaneTable)).splitlines()[0]
