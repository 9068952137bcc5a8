"""The timeline: every key of its list, pressed in the app, moves the time or the range that it says."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.bus.talk.history import bookmarks
from observatory.cli.contexts import Contexts
from observatory.history.no_actions import NoActions
from observatory.history.player import SPEEDS, Player
from observatory.model.clock import ManualClock
from observatory.model.snapshot import Origin
from observatory.model.timeline import FAILURES
from observatory.settings import Settings
from observatory.tui.app import ObservatoryApp
from observatory.tui.desk import OpenBus
from observatory.tui.screens.lanes import Lanes
from observatory.tui.screens.timeline import TimelineScreen
from observatory.tui.timeline.chart import TimelineChart, TimelineStrip
from tests.conftest import eventually
from tests.history.logs import entries, facts, past_of
from tests.tui.seed import themes_without_user
from tests.tui.test_app import SIZE, screen_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot

    from observatory.model.event import Event

LOG = entries(900, per_s=1.0, start_ms=1_770_336_000_000)
FACTS: list[Event] = facts(LOG)
FIRST, LAST = FACTS[0].ts_ms, max(event.ts_ms for event in FACTS)
MIDDLE = (FIRST + LAST) // 2


class Rig:
    """An app over a recorded hour, with its player and its clock."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(LAST + 3_600_000)
        self.source = past_of(folder, LOG)
        self.player = Player(self.source, self.clock)
        bus = OpenBus("incident.obs", self.source, NoActions(), read_only=True, refresh_s=3600, player=self.player)
        self.app = ObservatoryApp(
            bus, themes=themes_without_user(folder), theme="observatory-dark", clock=self.clock, state_dir=folder
        )
        self.pilot: Pilot[int] = None  # type: ignore[assignment]

    @property
    def at_ms(self) -> int:
        """Where the playhead stands."""
        return self.player.at_ms

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until the screen shows what they led to."""
        await self.pilot.press(*keys)
        await eventually(lambda: not [one for one in self.app.workers if one.group != "feed" and not one.is_finished])
        await self.pilot.pause()

    async def shows(self, at_ms: int) -> None:
        """Wait until every screen is at a time."""
        await eventually(lambda: self.app.desk.shown.at_ms == at_ms)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Return the app on its timeline, the playhead in the middle."""
    found = Rig(tmp_path)
    async with found.app.run_test(size=SIZE) as pilot:
        found.pilot = pilot
        found.source.seek(MIDDLE)
        await found.press("7")
        assert isinstance(found.app.screen, TimelineScreen)
        await found.shows(MIDDLE)
        yield found
    found.source.close()


async def test_every_screen_shows_the_moment_and_says_that_it_is_past(rig: Rig) -> None:
    """The playhead is one for all screens: lanes, agents and dead letters are those of then, read-only."""
    assert "REPLAY" in screen_text(rig.app)
    await rig.press("0")
    await rig.shows(FIRST)
    await rig.press("q", "2")
    assert isinstance(rig.app.screen, Lanes)
    assert rig.app.desk.shown.at_ms == FIRST
    assert rig.app.desk.shown.origin is Origin.REPLAY
    strip = rig.app.screen.query_one(TimelineStrip)
    assert strip.display
    await rig.press("R")
    assert isinstance(rig.app.screen, Lanes), "nothing can be changed"


async def test_comma_and_full_stop_go_from_event_to_event(rig: Rig) -> None:
    """Just one event forwards, and just one back."""
    before = max(at for at, event in enumerate(FACTS) if event.ts_ms <= MIDDLE)
    await rig.press("full_stop")
    await rig.shows(FACTS[before + 1].ts_ms)
    assert rig.app.desk.shown.events[0] == FACTS[before + 1]
    await rig.press("comma")
    assert rig.app.desk.shown.events[0] == FACTS[before]


async def test_arrows_move_by_a_cell_and_by_a_tenth(rig: Rig) -> None:
    """What a cell is, the view says."""
    low, high = rig.player.view
    cell = (high - low) / rig.app.screen.query_one("#chart", TimelineChart).size.width
    await rig.press("right")
    assert rig.at_ms == pytest.approx(MIDDLE + cell, abs=2)
    await rig.press("left", "left")
    assert rig.at_ms == pytest.approx(MIDDLE - cell, abs=4)
    await rig.press("shift+right")
    assert rig.at_ms == pytest.approx(MIDDLE - cell + (high - low) / 10, abs=4)
    await rig.press("shift+left")
    assert rig.at_ms == pytest.approx(MIDDLE - cell, abs=6)


@pytest.mark.parametrize("digit", range(0, 10, 3))
async def test_digits_are_tenths_of_the_view(rig: Rig, digit: int) -> None:
    """0 is its beginning, 9 nine tenths of it."""
    low, high = rig.player.view
    await rig.press(str(digit))
    assert rig.at_ms == low + (high - low) * digit // 10


async def test_zoom_pan_fit_and_focus_change_the_view_and_leave_the_playhead(rig: Rig) -> None:
    """W and s and + and - zoom at the playhead, a and d pan, = fits, f centres; backspace goes one zoom back."""
    whole = rig.player.view
    width = whole[1] - whole[0]
    await rig.press("w", "plus")
    low, high = rig.player.view
    assert high - low == pytest.approx(width / 4, abs=2)
    assert low < rig.at_ms < high
    await rig.press("s")
    assert rig.player.view[1] - rig.player.view[0] == pytest.approx(width / 2, abs=2)
    await rig.press("minus", "plus", "plus")
    low, high = rig.player.view
    await rig.press("d")
    assert rig.player.view[0] == pytest.approx(low + (high - low) / 4, abs=2)
    await rig.press("a", "a")
    assert rig.player.view[0] == pytest.approx(low - (high - low) / 4, abs=3)
    await rig.press("f")
    low, high = rig.player.view
    assert (low + high) // 2 == pytest.approx(rig.at_ms, abs=2)
    await rig.press("equals_sign")
    assert rig.player.view == whole
    await rig.press("backspace")
    assert rig.player.view == (low, high)
    assert rig.at_ms == MIDDLE


async def test_a_range_is_selected_zoomed_to_and_looped(rig: Rig) -> None:
    """V begins and ends it, enter shows just it, o plays it again and again."""
    await rig.press("2", "v", "4", "v")
    low, high = rig.player.selection or (0, 0)
    assert (low, high) == (FIRST + (LAST - FIRST) * 2 // 10, FIRST + (LAST - FIRST) * 4 // 10)
    await rig.press("enter")
    assert rig.player.view == (low, high)
    await rig.press("o", "9", "space")
    assert rig.player.loops
    rig.clock.advance(0.01)
    await eventually(lambda: rig.player._before is not None)
    rig.clock.advance((high - low) / 1000)
    await eventually(lambda: rig.at_ms == low)
    assert rig.player.playing
    await rig.press("v")
    assert rig.player.selection is None


async def test_space_plays_and_the_speed_changes(rig: Rig) -> None:
    """Time goes on at the speed that is shown, at another one, and backwards; at the end it stops."""
    await rig.press("space")
    await eventually(lambda: rig.player._before is not None)
    rig.clock.advance(2.0)
    await eventually(lambda: rig.at_ms == MIDDLE + 2000)
    await rig.press("greater_than_sign", "greater_than_sign")
    assert rig.player.speed == 4
    rig.clock.advance(1.0)
    await eventually(lambda: rig.at_ms == MIDDLE + 6000)
    await rig.press(*["less_than_sign"] * 5)
    assert rig.player.speed == -0.25
    rig.clock.advance(4.0)
    await eventually(lambda: rig.at_ms == MIDDLE + 5000)
    await rig.press(*["less_than_sign"] * 9)
    assert rig.player.speed == SPEEDS[0] == -64
    rig.clock.advance(3600)
    await eventually(lambda: rig.at_ms == FIRST)
    assert not rig.player.playing
    await rig.press("space", "space")
    assert not rig.player.playing


async def test_idle_time_is_folded(tmp_path: Path) -> None:
    """With i, playing goes over a long time without events at once."""
    log = [*entries(40, start_ms=FIRST), *entries(40, start_ms=FIRST + 3_600_000, seed=9)]
    source, clock = past_of(tmp_path, log), ManualClock(LAST)
    player = Player(source, clock)
    end = max(event.ts_ms for event in facts(log[:40]))
    player.seek(end)
    player.folds_idle = True
    player.toggle()
    await player.tick()
    clock.advance(0.1)
    await player.tick()
    assert player.at_ms >= FIRST + 3_600_000
    source.close()


async def test_i_turns_folding_on_and_off(rig: Rig) -> None:
    """The key is a switch."""
    await rig.press("i")
    assert rig.player.folds_idle
    await rig.press("i")
    assert not rig.player.folds_idle


async def test_brackets_go_to_markers_and_braces_to_failures(rig: Rig) -> None:
    """[ and ] stop at what draws itself, { and } at what failed."""
    failures = [event.ts_ms for event in FACTS if event.kind in FAILURES]
    await rig.press("right_curly_bracket")
    await rig.shows(next(at for at in failures if at > MIDDLE))
    await rig.press("left_curly_bracket")
    assert rig.at_ms <= MIDDLE
    marks = [mark.at_ms for mark in await rig.source.marks(FIRST, LAST + 1)]
    await rig.press("5", "right_square_bracket")
    assert rig.at_ms == next(at for at in marks if at > MIDDLE - 1)
    await rig.press("5", "left_square_bracket")
    assert rig.at_ms == next(at for at in reversed(marks) if at < MIDDLE)


async def test_bookmarks_are_set_found_and_compared(rig: Rig) -> None:
    """B keeps a time with a text, ' goes from one to the next, D tells what changed between two."""
    await rig.press("2", "b", *"first", "enter")
    await rig.press("8", "b", *"second", "enter")
    assert [one.text for one in rig.source.bookmarks] == ["first", "second"]
    one, two = (mark.at_ms for mark in rig.source.bookmarks)
    await rig.press("apostrophe")
    assert rig.at_ms == one
    await rig.press("apostrophe")
    assert rig.at_ms == two
    said: list[str] = []
    rig.app.screen.notify = lambda words, **_: said.append(words)  # type: ignore[method-assign]
    await rig.press("D")
    await eventually(lambda: said)
    assert "→" in said[0]


async def test_goto_takes_a_time(rig: Rig) -> None:
    """A date and a distance from the playhead."""
    await rig.press("colon", *"goto -1m", "enter")
    assert rig.at_ms == MIDDLE - 60_000
    await rig.press("colon", *"goto nonsense", "enter")
    assert rig.at_ms == MIDDLE - 60_000


async def test_a_recording_has_no_present(rig: Rig) -> None:
    """L says so, and the playhead stays."""
    await rig.press("L")
    assert rig.at_ms == MIDDLE
    assert isinstance(rig.app.screen, TimelineScreen)


async def test_dragging_follows_the_hand_and_pauses(rig: Rig) -> None:
    """Where the hand is, the playhead is; letting go leaves it there."""
    await rig.press("space")
    chart = rig.app.screen.query_one("#chart", TimelineChart)
    await rig.pilot.mouse_down(chart, offset=(10, 2))
    assert not rig.player.playing
    assert rig.at_ms == FIRST + (LAST - FIRST) * 10 // (chart.size.width - 1)
    await rig.pilot.hover(chart, offset=(40, 2))
    await rig.pilot.mouse_up(chart, offset=(40, 2))
    assert rig.at_ms == FIRST + (LAST - FIRST) * 40 // (chart.size.width - 1)
    await rig.shows(rig.at_ms)


async def test_the_chart_draws_density_markers_and_gaps(rig: Rig) -> None:
    """Bars where something happened, glyphs where a marker stands, the playhead, times below."""
    text: Any = screen_text(rig.app)
    assert any(block in text for block in "▁▂▃▄▅▆▇█")
    assert "│" in text
    assert any(glyph in text for glyph in "▼▲◆")
    assert "━" in text
    assert ", Event before" in text
    assert ". Next event" in text


async def test_in_the_present_seven_says_how_to_look_back(tmp_path: Path) -> None:
    """Without a past on the desk the screen names the key, and every other screen is as it was."""
    from tests.tui import seed  # noqa: PLC0415 - only this test has a present

    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await eventually(lambda: app.desk.shown.at_ms)
        await pilot.press("7")
        await eventually(lambda: "space opens the past" in screen_text(app))
        await pilot.press("q")
        assert not app.screen.query_one(TimelineStrip).display


async def test_from_the_present_into_the_past_of_the_bus_and_back(bus_url: str, tmp_path: Path) -> None:
    """7 and space open what the engine holds of the past, L returns to the present, and nothing is left of the past."""
    async with Bus.connect(bus_url) as bus:
        await bus.publish("deploy", id="t1")
    settings = Settings(url=bus_url, data_dir=tmp_path)
    contexts = Contexts(argparse.Namespace(), settings, bus_url, "")
    app = ObservatoryApp(
        await contexts.first(), themes=themes_without_user(tmp_path), theme="observatory-dark", contexts=contexts
    )
    async with app.run_test(size=SIZE) as pilot:
        await eventually(lambda: app.desk.shown.at_ms)
        await pilot.press("7", "space")
        await eventually(lambda: app.desk.bus.player is not None and isinstance(app.screen, TimelineScreen))
        await eventually(lambda: app.desk.shown.origin is Origin.REPLAY and app.desk.shown.events)
        assert app.desk.shown.events[0].task == "t1"
        await pilot.press("b", *"here", "enter")
        player = app.desk.bus.player
        assert player is not None
        await eventually(lambda: [one.text for one in player.timeline.bookmarks] == ["here"])
        await pilot.press("L")
        await eventually(lambda: app.desk.bus.player is None and app.desk.shown.origin is Origin.LIVE)
        await eventually(lambda: app.desk.shown.at_ms)
    await app.desk.bus.close()
    async with Bus.connect(bus_url) as bus:
        assert [one.text for one in await bookmarks(bus.partitions)] == ["here"]
