"""What lies on the operator's desk: the two protocols, the clock, and the snapshot that is shown. Owned by the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from observatory.model.commands import Situation
from observatory.model.snapshot import LinkState, LinkView, Origin, Snapshot

if TYPE_CHECKING:
    from observatory.model.clock import Clock
    from observatory.model.protocols import Actions, Source
    from observatory.tui.alarm import Told


AWAY_REFRESH_S = 3.0
"""Seconds between two snapshots while the terminal has not the focus, if they are not rarer anyway."""


@runtime_checkable
class Paced(Protocol):
    """A source whose pace can be changed."""

    def set_refresh(self, seconds: float) -> None:
        """Yield a snapshot every *seconds* from now on."""


@dataclass(slots=True)
class Desk:
    """Everything a screen may use.

    Attributes:
        source: Where snapshots and lists come from.
        actions: How things are changed.
        clock: What time it is.
        context: Name of the bus for people: a masked URL or `demo`.
        read_only: Nothing may be changed in this session.
        refresh_s: Seconds between two snapshots, as far as known.
        stagger_s: Seconds between the repaints of two panels, so that no single frame is long.
        shown: The snapshot that is painted.
        latest: The newest snapshot there is; differs from `shown` only while frozen.
        arrived: When `latest` arrived, on the monotonic clock.
        frozen: The painting is held.
        alerts: What happened to alerts in this run, newest first.
        views: Names of the views that were opened one after the other; going back from the only one leaves.
    """

    source: Source
    actions: Actions
    clock: Clock
    context: str
    read_only: bool = False
    refresh_s: float = 1.0
    stagger_s: float = 0.0
    shown: Snapshot = field(default_factory=lambda: nothing_yet(0))
    latest: Snapshot = field(default_factory=lambda: nothing_yet(0))
    arrived: float | None = None
    frozen: bool = False
    alerts: tuple[Told, ...] = ()
    views: list[str] = field(default_factory=list)

    def situation(self, *, selection: bool = True) -> Situation:
        """Return what decides which commands may run now."""
        return Situation(self.read_only, self.latest.origin, self.latest.link.state, selection)

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
