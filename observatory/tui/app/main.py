"""The app: it owns the desk and feeds it with snapshots. What it does besides has a module each beside this one."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual.command import CommandPalette
from textual.drivers.linux_driver import LinuxDriver
from textual.worker import Worker, WorkerState

from observatory.model.clock import Clock, SystemClock
from observatory.model.text import line
from observatory.tui.app.alarm import Alarm
from observatory.tui.app.answers import Answers
from observatory.tui.app.contexts import Switch
from observatory.tui.app.crash import CrashReporting
from observatory.tui.app.keys import OrderedKeys
from observatory.tui.app.looks import Looks
from observatory.tui.app.memory import Memory
from observatory.tui.app.palette import CommandProvider
from observatory.tui.app.trail import Trail
from observatory.tui.app.views import Views
from observatory.tui.commands import bindings, commands_here, overrides, why_not
from observatory.tui.desk import AWAY_REFRESH_S, Desk, OpenBus
from observatory.tui.dialogs.prompt import Prompt
from observatory.tui.messages import SnapshotArrived
from observatory.tui.screens.base import DataScreen
from observatory.tui.terminal.lean import LeanDriver
from observatory.tui.terminal.voice import Voice
from observatory.tui.widgets.footer import key_display

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events
    from textual.binding import BindingType
    from textual.driver import Driver
    from textual.notifications import SeverityLevel

    from observatory.model.protocols import Source
    from observatory.settings import ThemeSet
    from observatory.settings.keymap import Keymap
    from observatory.tui.desk import Contexts

_STYLES = Path(__file__).parent.parent / "styles"
_RETRY_S = 2.0
_WAYS_OUT = {"app.quit": "quits", "app.back": "goes back"}


class ObservatoryApp(OrderedKeys, CrashReporting, Looks):
    """The full-screen app over one bus at a time.

    Args:
        bus: The bus to begin with. The app closes a bus when it turns to another; who runs it closes the last one.
        themes: Every theme there is.
        theme: Name of the one to start with.
        clock: What time it is.
        keymap: The keys that hold; the defaults if None.
        contexts: The buses that can be turned to; None for no other.
        on_theme_chosen: Told the name of a theme that the person chose, to keep it.
        state_dir: Folder for crash reports; None writes none.
        memory: File that remembers filters, saved views and the last screen; None remembers nothing.

    Raises:
        SettingsError: There is no theme of that name.
    """

    CSS_PATH: ClassVar[list[str | PurePath]] = [str(path) for path in sorted(_STYLES.glob("*.tcss"))]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "Observatory"

    def __init__(
        self,
        bus: OpenBus,
        *,
        themes: ThemeSet,
        theme: str,
        clock: Clock | None = None,
        keymap: Keymap | None = None,
        contexts: Contexts | None = None,
        on_theme_chosen: Callable[[str], None] | None = None,
        state_dir: Path | None = None,
        memory: Path | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self.report_dir = state_dir
        self.voice = Voice(self)
        self.desk = self._desk_of(bus, clock or SystemClock())
        self.memory = Memory(memory)
        self.views = Views(self, self.memory)
        self.trail = Trail(self, self.memory)
        self.when_painted: Callable[[], None] | None = None
        self.switch = Switch(self, contexts)
        self._answers = Answers(self)
        self._generation = 0
        self._problems = [("theme left out", problem) for problem in themes.problems[:3]]
        if keymap is not None:
            self._problems += [("keymap left out", problem) for problem in keymap.problems[:3]]
            self.set_keymap(overrides(keymap.changed))
        self.dress(themes, theme, on_theme_chosen)

    def _desk_of(self, bus: OpenBus, clock: Clock) -> Desk:
        return Desk(bus, clock, alarm=Alarm(self.voice.ring))

    def on_mount(self) -> None:
        """Show a screen and begin to listen; say what of the settings was left out."""
        self.trail.begin()
        self._listen()
        for title, problem in self._problems:
            self.notify(line(problem, 300), title=title, severity="warning", markup=False, timeout=10)
        self.follow_theme_files()

    # -- snapshots ------------------------------------------------------------------------------------------

    async def show_bus(self, bus: OpenBus) -> None:
        """Show another bus on a desk of its own, and close the one before.

        Nothing of the old one comes along: its screens are gone, and their workers with them; a snapshot of it that is
        still on its way belongs to a generation that nobody listens to.
        """
        before = self.desk
        self._generation += 1
        self.workers.cancel_group(self, "feed")
        self.desk = self._desk_of(bus, before.clock)
        self.desk.stagger_s = before.stagger_s
        if bus.theme in self.theme_set.specs:
            self.theme = bus.theme
        await self.trail.begin_anew()
        self._listen()
        await before.bus.close()

    def watch_source(self, source: Source) -> None:
        """Listen to another source of the same bus from now on; what the one before says late is dropped."""
        self.desk.source = source
        self._listen()

    def freeze(self) -> None:
        """Hold the screen still, or let it go on with the newest there is."""
        desk = self.desk
        desk.frozen = not desk.frozen
        if not desk.frozen:
            desk.shown = desk.latest
        self._paint()

    def on_snapshot_arrived(self, event: SnapshotArrived) -> None:
        """Put the newest snapshot on the desk, and paint it unless the screen is frozen."""
        if event.generation != self._generation:
            return
        desk, before = self.desk, self.desk.situation()
        if desk.arrived is None:
            self.run_worker(
                self.trail.load_others(), name="screens", exit_on_error=False, description="load the other screens"
            )
        desk.latest, desk.arrived = event.snapshot, desk.clock.monotonic()
        if not desk.frozen:
            desk.shown = event.snapshot
        self._paint()
        if desk.situation() != before:
            self.refresh_bindings()
        if self.when_painted is not None:
            self.call_after_refresh(self.when_painted)
            self.when_painted = None

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Listen again if the feed broke, which is a defect of the source and no reason to leave."""
        if event.worker.group == "feed" and event.state is WorkerState.ERROR:
            self.notify(f"the feed broke: {type(event.worker.error).__name__}", severity="error", markup=False)
            self.set_timer(_RETRY_S, self._listen)

    def _listen(self) -> None:
        self._generation += 1
        self.run_worker(
            self._feed(self._generation), name="feed", group="feed", exclusive=True, exit_on_error=False,
            description="pass snapshots on",
        )  # fmt: skip

    async def _feed(self, generation: int) -> None:
        alarm = self.desk.alarm
        async for snapshot in self.desk.source.snapshots():
            # Of snapshots that wait only the newest is painted; what happened to alerts must be heard of each.
            if alarm is not None:
                alarm.look(snapshot, self.desk.clock.now_ms())
            self.post_message(SnapshotArrived(snapshot, generation))

    def _paint(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, DataScreen):
                screen.show(self.desk.shown)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a toast on one line, its title before its words, which are never markup unless somebody says so."""
        words = f"{title}: {message}" if title else message
        super().notify(words, severity=severity, timeout=timeout, markup=markup)

    # -- the terminal ---------------------------------------------------------------------------------------------

    def on_app_blur(self) -> None:
        """Look less often while nobody looks."""
        self.desk.pace(max(self.desk.bus.refresh_s, AWAY_REFRESH_S))

    def on_app_focus(self) -> None:
        """Look as often as was asked for, beginning now."""
        self.desk.pace(self.desk.bus.refresh_s)

    def delay_update(self, delay: float = 0.05) -> None:
        """Hold the painting back while Textual puts a new screen together; one that exists needs no such pause."""
        if not self.trail.at_once:
            super().delay_update(delay)

    def get_driver_class(self) -> type[Driver]:
        """Write less to a terminal; a driver that the environment names is left as it is."""
        chosen = super().get_driver_class()
        return LeanDriver if chosen is LinuxDriver else chosen

    # -- what people and screens ask for ------------------------------------------------------------------------------

    async def on_data_screen_asked(self, event: DataScreen.Asked) -> None:
        """Give a screen what only the app has; keys wait until it is there."""
        self.hold_keys()
        await self._answers.answer(event)

    def action_palette(self) -> None:
        """Open the palette over whatever is there; a line at the bottom that is typed into gives way to it."""
        screen = self.screen
        if isinstance(screen, Prompt):
            screen.action_close()
            self.call_later(self.action_palette)
        elif not isinstance(screen, CommandPalette):
            self.push_screen(CommandPalette(providers=[CommandProvider], placeholder="Find a command …"))

    def action_help_quit(self) -> None:
        """Answer Textual's key for people who want to leave, ctrl+c, with the keys that do."""
        keys = {command.id: keys for command, _, keys, _ in commands_here(self.screen).values() if keys}
        ways = [f"{key_display(keys[name][0])} {words}" for name, words in _WAYS_OUT.items() if name in keys]
        self.notify(", ".join(ways) or "ctrl+q quits", timeout=3)

    def on_key(self, event: events.Key) -> None:
        """Say why a key that is greyed does nothing."""
        screen = self.screen
        situation = self.desk.situation(selection=not isinstance(screen, DataScreen) or screen.has_selection())
        if reason := why_not(screen, event.key, situation):
            self.notify(reason, severity="warning", timeout=3, markup=False)
