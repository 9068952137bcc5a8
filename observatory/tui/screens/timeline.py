"""Screen 7: the instrument for looking back, full size; every other screen shows the moment that it points at."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from observatory.model.errors import ObservatoryError
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.events import EventFeed
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.screens.base import DataScreen, Step
from observatory.tui.screens.table import SCREENS
from observatory.tui.timeline.chart import TimelineChart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.history.player import Player
    from observatory.model.snapshot import Snapshot

TICK_S = 1 / 20
"""Seconds between two steps of the playhead while it plays."""

MOST_CHANGES = 12
"""Changes that a toast tells of."""


class TimelineScreen(DataScreen, inherit_bindings=False):
    """Density, markers and playhead above; lanes and events of that moment below."""

    heading: ClassVar[str] = "Timeline"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("screen", "timeline")]
    AUTO_FOCUS: ClassVar[str | None] = ""

    def body(self) -> ComposeResult:
        """The chart, and what was so at the playhead."""
        yield TimelineChart(self.desk.bus.player, id="chart")
        yield LaneTable(id="lanes")
        yield EventFeed(id="events")

    def begin(self) -> None:
        """Let time pass."""
        self.query_one(LaneTable).can_focus = self.query_one(EventFeed).can_focus = False
        self.set_interval(TICK_S, self._tick, name="playing")

    @property
    def player(self) -> Player | None:
        """What moves the playhead; None in the present, which has none."""
        return self.desk.bus.player

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """The chart first, then what was so."""
        return (
            Step(self._look),
            Step(partial(self.query_one(LaneTable).show, snapshot, 12)),
            Step(partial(self.query_one(EventFeed).show, snapshot)),
        )

    def _look(self) -> None:
        self.query_one("#chart", TimelineChart).look()

    async def _tick(self) -> None:
        if self.player is not None and await self.player.tick():
            self.query_one("#chart", TimelineChart).refresh()

    # -- keys -------------------------------------------------------------------------------------------------------

    def action_play(self) -> None:
        """Play, or pause."""
        self._with(lambda player: player.toggle())

    def action_step(self, direction: int) -> None:
        """Go to the next event, or to the one before."""
        self._seek(lambda player: player.step(direction), "there is no other event")

    def action_failure(self, direction: int) -> None:
        """Go to the next failure, or to the one before."""
        self._seek(lambda player: player.failure(direction), "there is no other failure")

    def action_marker(self, direction: int) -> None:
        """Go to the next marker, or to the one before."""
        self._seek(lambda player: player.marker(direction), "there is no other marker")

    def action_cell(self, direction: int) -> None:
        """Move by one cell."""
        width = max(self.query_one("#chart", TimelineChart).size.width, 1)
        self._with(lambda player: player.move(direction / width))

    def action_tenth(self, direction: int) -> None:
        """Move by a tenth of the view."""
        self._with(lambda player: player.move(direction / 10))

    def action_percent(self, tenths: int) -> None:
        """Go to a tenth of the view."""
        self._with(lambda player: player.percent(tenths))

    def action_zoom(self, factor: float) -> None:
        """Show less or more."""
        self._with(lambda player: player.zoom(factor))

    def action_pan(self, share: float) -> None:
        """Move the view."""
        self._with(lambda player: player.pan(share))

    def action_fit(self) -> None:
        """Show all there is."""
        self._with(lambda player: player.fit())

    def action_focus_playhead(self) -> None:
        """Put the playhead into the middle."""
        self._with(lambda player: player.focus())

    def action_select(self) -> None:
        """Begin, end or drop a range."""
        self._with(lambda player: player.select())

    def action_zoom_range(self) -> None:
        """Show the range."""

        def zoom(player: Player) -> None:
            if not player.zoom_to_selection():
                self._say("no range yet: v begins one, v again ends it")

        self._with(zoom)

    def action_loop(self) -> None:
        """Play again and again, or once."""
        self._with(lambda player: setattr(player, "loops", not player.loops))

    def action_fold(self) -> None:
        """Skip idle times, or not."""
        self._with(lambda player: setattr(player, "folds_idle", not player.folds_idle))

    def action_speed(self, steps: int) -> None:
        """Change the speed."""
        self._with(lambda player: player.faster(steps))

    def action_bookmark(self, text: str = "") -> None:
        """Keep this time; without a text, ask for one."""
        if not text:
            self.post_message(self.Asked("command-line", "bookmark "))
            return

        async def keep(player: Player) -> object:
            mark = await player.bookmark(text)
            self._say(f"★ {line(mark.text, 80)} at {fmt.date_time(mark.at_ms)}")
            return mark

        self._seek(keep, "")

    def action_next_bookmark(self) -> None:
        """Go to the next bookmark."""

        def go(player: Player) -> None:
            mark = player.next_bookmark()
            self._say(f"★ {line(mark.text, 80)}" if mark else "no bookmark yet: b sets one")

        self._with(go)

    def action_diff(self) -> None:
        """Tell what changed between two bookmarks."""

        async def compare(player: Player) -> object:
            found = await player.compare()
            if found is None:
                self._say("no bookmark yet: b sets one")
                return True
            (one, two), changed = found
            rows = [f"{it.group} {it.name}: {it.what} {it.before} → {it.after}" for it in changed[:MOST_CHANGES]]
            more = f", and {len(changed) - MOST_CHANGES} more" if len(changed) > MOST_CHANGES else ""
            told = "; ".join(line(row, 120) for row in rows) or "nothing changed"
            self._say(f"{fmt.clock_time(one)} to {fmt.clock_time(two)}: {told}{more}")
            return True

        self._seek(compare, "")

    def action_goto(self, text: str = "") -> None:
        """Go to a time that was typed; without one, ask for it."""
        if not text:
            self.post_message(self.Asked("command-line", "goto "))
            return

        def go(player: Player) -> None:
            try:
                player.goto(text, datetime.now(UTC).astimezone().tzinfo or UTC)
            except ValueError as error:
                self._say(f"goto: {line(str(error), 200)}")

        self._with(go)

    def action_show_screen(self, name: str = "") -> None:
        """Show another screen, at this time."""
        if name in SCREENS:
            super().action_show_screen(name)
        else:
            self._say(f"a screen is one of {', '.join(SCREENS)}")

    def action_live(self) -> None:
        """Return to the present."""
        self.post_message(self.Asked("live"))

    def step_out(self) -> bool:
        """Go back one zoom."""
        player = self.player
        if player is not None and player.back():
            self._look()
            return True
        return False

    def _with(self, work: Callable[[Player], None]) -> None:
        player = self.player
        if player is None:
            self.post_message(self.Asked("past"))
        else:
            work(player)
            self._look()

    def _seek(self, work: Callable[[Player], Awaitable[object]], none: str) -> None:
        player = self.player
        if player is None:
            self._with(lambda _: None)
            return

        async def go() -> None:
            try:
                found = await work(player)
            except ObservatoryError as error:
                self._say(line(str(error), 200))
                return
            if not found and none:
                self._say(none)
            self._look()

        self.aside("looking through the past", go)

    def _say(self, words: str) -> None:
        self.notify(words, timeout=4, markup=False)
