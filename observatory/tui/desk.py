"""What lies on the operator's desk: the bus that is open, the clock, the snapshot that is shown. Owned by the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from observatory.model.commands import Situation
from observatory.model.snapshot import LinkState, LinkView, Origin, Snapshot
from observatory.tui.acting.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from observatory.history.player import Player
    from observatory.model.clock import Clock
    from observatory.model.protocols import Actions, Notebook, Source
    from observatory.tui.app.alarm import Alarm, Notice, Told


AWAY_REFRESH_S = 3.0
"""Seconds between two snapshots while the terminal has not the focus, if they are not rarer anyway."""


@runtime_checkable
class Paced(Protocol):
    """A source whose pace can be changed."""

    def set_refresh(self, seconds: float) -> None:
        """Yield a snapshot every *seconds* from now on."""


async def _nothing_to_close() -> None:
    """Close what needs no closing."""


@dataclass(frozen=True, slots=True)
class OpenBus:
    """A bus that is open, with its manners: what the app gets from outside, and gives back when it leaves it.

    Attributes:
        name: What it is called for people: a context, a masked URL or `demo`.
        source: Where snapshots and lists come from.
        actions: How things are changed.
        read_only: Nothing may be changed on it.
        protected: Changes must be confirmed in writing.
        colour: Colour of its name, as the settings have it; empty for none.
        theme: Theme that it is shown in; empty for the one that holds.
        refresh_s: Seconds between two snapshots.
        notes: What operators noted about root causes; None where nothing can be noted.
        operator: What the person at this terminal is called.
        player: What moves the playhead where it is a past; None for the present.
        close: Lets go of it.
    """

    name: str
    source: Source
    actions: Actions
    read_only: bool = False
    protected: bool = False
    colour: str = ""
    theme: str = ""
    refresh_s: float = 1.0
    notes: Notebook | None = None
    operator: str = "operator"
    player: Player | None = None
    close: Callable[[], Awaitable[None]] = _nothing_to_close


class Contexts(Protocol):
    """The buses that can be turned to, by name."""

    def known(self) -> Mapping[str, str]:
        """Return what each is, in words, by its name."""

    async def open(self, name: str) -> OpenBus:
        """Open the bus called *name*.

        Raises:
            ObservatoryError: There is none, or it cannot be reached.
        """

    async def past(self, name: str) -> OpenBus:
        """Open the past of the bus called *name*, with a player.

        Raises:
            ObservatoryError: There is none, it cannot be reached, or what the past needs is not installed.
        """


@dataclass(slots=True)
class Desk:
    """Everything a screen may use. Each bus has a desk of its own, so that nothing of one can lie on another's.

    Attributes:
        bus: The bus that is open.
        clock: What time it is.
        stagger_s: Seconds between the repaints of two panels, so that no single frame is long.
        source: Where snapshots and lists come from now: the present of the bus, or a moment of its past.
        refresh_s: Seconds between two snapshots, as far as known.
        shown: The snapshot that is painted.
        latest: The newest snapshot there is; differs from `shown` only while frozen.
        arrived: When `latest` arrived, on the monotonic clock.
        frozen: The painting is held.
        alarm: What happened to alerts on this bus in this run, and what is being told of it.
        views: Names of the views that were opened one after the other; going back from the only one leaves.
        changes: What was changed from here, to be taken back.
    """

    bus: OpenBus
    clock: Clock
    stagger_s: float = 0.0
    source: Source = field(init=False)
    refresh_s: float = field(init=False)
    shown: Snapshot = field(init=False)
    latest: Snapshot = field(init=False)
    arrived: float | None = None
    frozen: bool = False
    alarm: Alarm | None = None
    views: list[str] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)

    def __post_init__(self) -> None:
        """Begin in the present of the bus, with nothing known."""
        self.source, self.refresh_s = self.bus.source, self.bus.refresh_s
        self.shown = self.latest = nothing_yet(self.clock.now_ms())

    @property
    def alerts(self) -> tuple[Told, ...]:
        """What happened to alerts in this run, newest first."""
        return self.alarm.history if self.alarm is not None else ()

    def notice(self) -> Notice | None:
        """Return what is being told of alerts now; None for nothing."""
        return self.alarm.notice(self.clock.now_ms()) if self.alarm is not None else None

    @property
    def actions(self) -> Actions:
        """How things are changed."""
        return self.bus.actions

    @property
    def context(self) -> str:
        """What the bus is called for people."""
        return self.bus.name

    @property
    def read_only(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self.actions.refusal) or (self.bus.read_only and self.actions.armed_s is None)

    def situation(self, *, selection: bool = True) -> Situation:
        """Return what decides which commands may run now."""
        why = self.actions.refusal
        return Situation(self.read_only, self.latest.origin, self.latest.link.state, selection, why)

    def pace(self, seconds: float) -> None:
        """Ask the source for a snapshot every *seconds* from now on, where its pace can be changed."""
        if isinstance(self.source, Paced):
            self.refresh_s = seconds
            self.source.set_refresh(seconds)

    @property
    def silent_s(self) -> float:
        """Seconds since the source last said anything; 0 before the first word, which is `connecting`."""
        return 0.0 if self.arrived is None else max(self.clock.monotonic() - self.arrived, 0.0)

    @property
    def is_old(self) -> bool:
        """Whether what is shown must not be taken for the present."""
        return self.shown.link.state in {LinkState.LOST, LinkState.CONNECTING} or self.is_silent

    @property
    def is_silent(self) -> bool:
        """Whether the source itself stopped speaking, which a lost link does not explain."""
        return self.silent_s > max(5.0, 4 * self.refresh_s)


def nothing_yet(since_ms: int) -> Snapshot:
    """Return the snapshot before the first one: connecting, and nothing known."""
    return Snapshot(0, Origin.LIVE, LinkView(LinkState.CONNECTING, since_ms))
