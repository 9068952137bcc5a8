"""The app: it owns the desk, feeds it, and gives screens what they ask for. No knowledge of lanes or letters here."""

from __future__ import annotations

import base64
import os
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.command import Command as PaletteEntry
from textual.command import CommandPalette
from textual.drivers.linux_driver import LinuxDriver
from textual.worker import Worker, WorkerState

from observatory.model.alert import DEFAULT_RULES
from observatory.model.clock import Clock, SystemClock
from observatory.model.text import line
from observatory.tui.alarm import Alarm, notice, through_tmux
from observatory.tui.commands import bindings, overrides, run_command, why_not
from observatory.tui.crash import CrashReporting
from observatory.tui.desk import AWAY_REFRESH_S, Desk, nothing_yet
from observatory.tui.keys import OrderedKeys
from observatory.tui.lean import LeanDriver
from observatory.tui.memory import Memory
from observatory.tui.messages import SnapshotArrived
from observatory.tui.palette import CommandProvider, ThemeProvider
from observatory.tui.screens.base import DataScreen
from observatory.tui.screens.table import FIRST, SCREENS, make_screen
from observatory.tui.table import Table
from observatory.tui.terminal import Terminal
from observatory.tui.theme import LOOK_S, ThemeFolder, textual_theme
from observatory.tui.views import Views

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from textual import events
    from textual.binding import BindingType
    from textual.driver import Driver
    from textual.notifications import SeverityLevel

    from observatory.model.alert import Rule
    from observatory.model.plan import Report
    from observatory.model.protocols import Actions, Source
    from observatory.settings import ThemeSet
    from observatory.settings.keymap import Keymap
    from observatory.tui.dialogs.command_line import Typed

COPY_LIMIT = 74_994
"""Longest base64 text that is sent to the terminal's clipboard; terminals drop longer ones without a word."""

_STYLES = Path(__file__).parent / "styles"
_RETRY_S = 2.0


class ObservatoryApp(OrderedKeys, CrashReporting):
    """The full-screen app over one source of snapshots.

    Args:
        source: Where snapshots and lists come from.
        actions: How things are changed.
        themes: Every theme there is.
        theme: Name of the one to start with.
        context: Name of the bus for people: a masked URL or `demo`.
        refresh_s: Seconds between two snapshots of the source.
        read_only: Take every command away that changes the bus.
        clock: What time it is.
        keymap: The keys that hold; the defaults if None.
        on_theme_chosen: Told the name of a theme that the person chose, to keep it.
        state_dir: Folder for crash reports; None writes none.
        rules: Alerts that are told by toast, bell and a notice of the terminal.
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
        source: Source,
        actions: Actions,
        *,
        themes: ThemeSet,
        theme: str,
        context: str,
        refresh_s: float = 1.0,
        read_only: bool = False,
        clock: Clock | None = None,
        keymap: Keymap | None = None,
        on_theme_chosen: Callable[[str], None] | None = None,
        state_dir: Path | None = None,
        memory: Path | None = None,
        rules: Sequence[Rule] = DEFAULT_RULES,
    ) -> None:
        super().__init__()
        clock = clock or SystemClock()
        self.report_dir = state_dir
        self.theme_set = themes
        start = nothing_yet(clock.now_ms())
        self.desk = Desk(source, actions, clock, context, read_only, refresh_s, shown=start, latest=start)
        self.memory = Memory(memory)
        self._views = Views(self, self.memory)
        self._alarm = Alarm(rules, self._toast, self._ring)
        self._refresh_s = refresh_s
        self.when_painted: Callable[[], None] | None = None
        self._on_theme_chosen = on_theme_chosen
        self._theme_before: str | None = None
        self._theme_folder = ThemeFolder(themes)
        self._mounted = {FIRST}
        self._at_once = False
        self._generation = 0
        self.animation_level = "none"
        self._problems = [("theme left out", problem) for problem in themes.problems[:3]]
        if keymap is not None:
            self._problems += [("keymap left out", problem) for problem in keymap.problems[:3]]
            self.set_keymap(overrides(keymap.changed))
        for spec in themes.specs.values():
            self.register_theme(textual_theme(spec))
        self.theme = themes.get(theme).name
        for name in SCREENS:
            self.add_mode(name, partial(make_screen, name, self.desk))

    def on_mount(self) -> None:
        """Show the screen that was shown last on this bus, or the first one, and begin to listen."""
        last = self.memory.screen(self.desk.context)
        start = last if last in SCREENS else FIRST
        self.desk.views[:] = dict.fromkeys((FIRST, start))
        self._mounted = {start}
        self.switch_mode(start)
        self._listen()
        for title, problem in self._problems:
            self.notify(line(problem, 300), title=title, severity="warning", markup=False, timeout=10)
        self.set_interval(LOOK_S, self._look_at_themes, name="themes")

    # -- snapshots ------------------------------------------------------------------------------------------

    def on_snapshot_arrived(self, event: SnapshotArrived) -> None:
        """Put the newest snapshot on the desk, and paint it unless the screen is frozen."""
        if event.generation != self._generation:
            return
        desk, before = self.desk, self.desk.situation()
        desk.latest, desk.arrived = event.snapshot, desk.clock.monotonic()
        if not desk.frozen:
            desk.shown = event.snapshot
        self._alarm.look(event.snapshot, desk.clock.now_ms())
        desk.alerts = self._alarm.history
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
        async for snapshot in self.desk.source.snapshots():
            self.post_message(SnapshotArrived(snapshot, generation))

    def _paint(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, DataScreen):
                screen.show(self.desk.shown)

    # -- alerts and the terminal --------------------------------------------------------------------------------

    def _toast(self, words: str, title: str, severity: str) -> None:
        """Show an alert as a toast."""
        kind: SeverityLevel = "error" if severity == "error" else "warning" if severity == "warning" else "information"
        self.notify(words, title=title, severity=kind, markup=False, timeout=10)

    def _ring(self, words: str) -> None:
        """Ring the bell, and let the terminal say *words* outside of its window."""
        self.bell()
        self._tell_terminal(notice(words))

    def _tell_terminal(self, sequence: str) -> None:
        """Send a control sequence to the terminal; inside tmux also to the terminal around it."""
        if self._driver is not None:
            self._driver.write(sequence)
            if os.environ.get("TMUX"):
                self._driver.write(through_tmux(sequence))

    def on_app_blur(self) -> None:
        """Look less often while nobody looks."""
        self.desk.pace(max(self._refresh_s, AWAY_REFRESH_S))

    def on_app_focus(self) -> None:
        """Look as often as was asked for, beginning now."""
        self.desk.pace(self._refresh_s)

    # -- what screens ask for ---------------------------------------------------------------------------------

    async def on_data_screen_asked(self, event: DataScreen.Asked) -> None:
        """Give a screen what only the app has; keys wait until it is there."""
        self.hold_keys()
        if event.verb == "screen":
            await self._go(event.argument, event.what)
            return
        if event.verb in {"filter", "save-view", "view"}:
            if isinstance(event.what, Table) and event.what.fields is not None:
                self._views.answer(event.verb, event.argument, event.what)
            return
        answers: Mapping[str, Callable[[str], Awaitable[None] | None]] = {
            "send": self._send,
            "help": self._help,
            "command-line": self._command_line,
            "freeze": self._freeze,
            "theme": self._theme,
            "back": self._back,
            "clear": self._clear,
            "copy": self.copy,
        }
        answer = answers[event.verb](event.argument)
        if answer is not None:
            await answer

    async def _go(self, name: str, what: object = None) -> None:
        """Show the screen called *name*; each stands in the trail once, and the first one begins it anew."""
        if name != self.current_mode:
            views = self.desk.views
            views[:] = [FIRST] if name == FIRST else [*(view for view in views if view != name), name]
            await self._turn_to(name)
        if what is not None and isinstance(self.screen, DataScreen):
            self.screen.visit(what)

    async def _back(self, _argument: str) -> None:
        """Go to the view before; from the first one, leave."""
        if len(self.desk.views) > 1:
            self.desk.views.pop()
            await self._turn_to(self.desk.views[-1])
        else:
            self.exit(0)

    async def _turn_to(self, name: str) -> None:
        """Show the screen called *name*; one that exists is brought up to date first and then painted at once."""
        self._at_once = name in self._mounted
        self._mounted.add(name)
        try:
            if self._at_once:
                for screen in self.get_screen_stack(name):
                    if isinstance(screen, DataScreen):
                        screen.show(self.desk.shown, at_once=True)
            await self.switch_mode(name)
        finally:
            self._at_once = False
        self.memory.showed(self.desk.context, name)
        self.screen.refresh_bindings()

    def delay_update(self, delay: float = 0.05) -> None:
        """Hold the painting back while Textual puts a new screen together; one that exists needs no such pause."""
        if not self._at_once:
            super().delay_update(delay)

    def get_driver_class(self) -> type[Driver]:
        """Write less to a terminal; a driver that the environment names is left as it is."""
        chosen = super().get_driver_class()
        return LeanDriver if chosen is LinuxDriver else chosen

    async def _clear(self, _argument: str) -> None:
        """Go back, but never leave."""
        if len(self.desk.views) > 1:
            await self._back("")

    def _send(self, _argument: str) -> None:
        from observatory.tui.dialogs.send import SendForm  # noqa: PLC0415 - pydantic is not needed for the first paint

        self.push_screen(SendForm(self.desk), self._sent)

    def _sent(self, report: Report | None) -> None:
        if report is not None:
            where = ", ".join(line(item.target, 80) for item in report.plan.items)
            words = f"{line(report.summary, 300)} → {where}"
            self.notify(words, severity="information" if report.done else "warning", markup=False)

    def _help(self, _argument: str) -> None:
        from observatory.tui.dialogs.help import HelpPage  # noqa: PLC0415 - not needed for the first paint

        self.push_screen(HelpPage(self.screen, self.desk))

    def _command_line(self, _argument: str) -> None:
        from observatory.tui.dialogs.command_line import CommandLine  # noqa: PLC0415 - not needed for the first paint

        arguments = {"theme": list(self.theme_set.specs), "view": self._views.names(self.focused)}
        self.push_screen(CommandLine(self.screen, arguments), self._typed)

    async def _typed(self, typed: Typed | None) -> None:
        if typed is not None:
            await run_command(self, typed.command, typed.node, typed.argument)

    def _freeze(self, _argument: str) -> None:
        desk = self.desk
        desk.frozen = not desk.frozen
        if not desk.frozen:
            desk.shown = desk.latest
        self._paint()

    def copy(self, text: str) -> None:
        """Copy *text* by way of the terminal, so that it reaches the person's own machine."""
        text = text.encode("utf-8", "replace").decode()  # lone surrogates have no place in a terminal
        if len(text.encode()) * 4 // 3 > COPY_LIMIT:
            self.notify("too large for the terminal's clipboard", severity="warning", markup=False)
        else:
            self.copy_to_clipboard(text)
            if os.environ.get("TMUX") and self._driver is not None:
                # tmux keeps OSC 52 to itself unless it is told otherwise; wrapped, it reaches the person's terminal.
                sequence = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
                self._driver.write(through_tmux(sequence))
            self.notify(f"copied {line(text, 60)}", timeout=2, markup=False)

    # -- themes and palette --------------------------------------------------------------------------------------

    def action_palette(self) -> None:
        """Open the palette over whatever is there."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(providers=[CommandProvider], placeholder="Find a command …"))

    def choose_theme(self, name: str) -> None:
        """Take a theme and keep the choice."""
        if name not in self.theme_set.specs:
            known = ", ".join(self.theme_set.specs)
            self.notify(f"there is no theme {line(name, 40)}; there are {known}", severity="error", markup=False)
            return
        self.theme = name
        if self._on_theme_chosen is not None:
            self._on_theme_chosen(name)

    def _theme(self, name: str) -> None:
        if name:
            self.choose_theme(name)
        else:
            self._theme_before = self.theme
            self.push_screen(CommandPalette(providers=[ThemeProvider], placeholder="Choose a theme …"))

    def _look_at_themes(self) -> None:
        """Take up what changed in the user's folder; a theme in use that is gone or broken stays on the screen."""
        found = self._theme_folder.changed()
        if found is None:
            return
        before, self.theme_set = self.theme_set, found
        for name, spec in found.specs.items():
            if spec != before.specs.get(name):
                self.register_theme(textual_theme(spec))
        if found.specs.get(self.theme, before.specs.get(self.theme)) != before.specs.get(self.theme):
            self.mutate_reactive(ObservatoryApp.theme)
        for problem in found.problems[:3]:
            self.notify(line(problem, 300), title="theme left out", severity="warning", markup=False, timeout=10)

    @on(CommandPalette.OptionHighlighted)
    def _preview_theme(self, event: CommandPalette.OptionHighlighted) -> None:
        option = event.highlighted_event.option
        if self._theme_before is not None and isinstance(option, PaletteEntry) and option.hit.text:
            self.theme = option.hit.text

    @on(CommandPalette.Closed)
    def _palette_closed(self, event: CommandPalette.Closed) -> None:
        before, self._theme_before = self._theme_before, None
        if before is not None and not event.option_selected:
            self.theme = before

    # -- keys that do nothing now ------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Say why a key that is greyed does nothing."""
        screen = self.screen
        situation = self.desk.situation(selection=not isinstance(screen, DataScreen) or screen.has_selection())
        if reason := why_not(screen, event.key, situation):
            self.notify(reason, severity="warning", timeout=3, markup=False)


def run_app(app: ObservatoryApp) -> int:
    """Run *app* in a loop of its own until it ends; see `run_app_async`."""
    import asyncio  # noqa: PLC0415 - only for a caller that has no loop

    return asyncio.run(run_app_async(app))


async def run_app_async(app: ObservatoryApp) -> int:
    """Run *app* until it ends, and leave the terminal as it was whatever ends it.

    Returns:
        Exit code: 0 for a quit, 1 for a crash, 128 + signal for SIGTERM, SIGHUP and a terminal that went away.
    """
    terminal = Terminal(app)
    app.desk.stagger_s = min(0.04, app.desk.refresh_s / 20)
    app.when_painted = terminal.settle_memory
    with terminal.guarded():
        await app.run_async()
    return terminal.exit_code
