"""When which incident comes: rounds in which each has its turn, the same for the same seed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.demo.options import DemoOptions

ROUND_S = 75.0
"""Length of a round when nobody says how long the demo runs, in seconds."""

_SLOTS = (0.10, 0.16, 0.30, 0.36, 0.46)
"""Where in a round incidents begin. All end before the round does, so that a swarm also shows how it recovers."""

_LASTS = {
    "crash": (0.20, 12.0),
    "bad-deploy": (0.35, 25.0),
    "cut": (0.15, 8.0),
    "flood": (0.0, 0.0),
    "silent": (0.30, 30.0),
}
"""How long an incident lasts: as a share of the round, and in seconds at most."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One incident of the script.

    Attributes:
        at_s: When it begins, in seconds from the start of the swarm.
        incident: Which one.
        lasts_s: Seconds until it is over.
    """

    at_s: float
    incident: str
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast the demo goes: a short run is a fast one, so that it shows everything too.

    Attributes:
        round_s: Length of a round of incidents, in seconds.
        lease_s: Lease of the workers.
        beat_s: Seconds between heartbeats.
        patience_s: Longest delay of scheduled work.
        flood: Tasks in one flood.
    """

    round_s: float
    lease_s: float
    beat_s: float
    patience_s: float
    flood: int

    @classmethod
    def of(cls, options: DemoOptions) -> Tempo:
        """Return the tempo that suits *options*."""
        seconds = ROUND_S if options.seconds is None else options.seconds
        round_s = seconds / max(round(seconds / ROUND_S), 1)
        return cls(
            round_s=round_s,
            # Every agent looks after the lanes and beats in proportion to these; a large swarm takes turns.
            lease_s=max(min(max(round_s / 8, 2.0), 10.0), options.agents / 10),
            beat_s=max(min(2.0, round_s / 10), options.agents / 150),
            patience_s=min(max(round_s / 8, 1.0), 8.0),
            flood=round(min(2400, 120 * round_s, 300 * options.agents)),
        )


def cues(options: DemoOptions, tempo: Tempo) -> Iterator[Cue]:
    """Yield the incidents in the order in which they begin; without end unless the options name one."""
    random = Random(f"{options.seed}:script")
    for turn in count():
        start = turn * tempo.round_s
        if not options.incidents or (options.seconds is not None and start > options.seconds - tempo.round_s / 2):
            return
        order = list(options.incidents)
        if turn:
            random.shuffle(order)
        for slot, incident in zip(_SLOTS, order, strict=False):
            share, most = _LASTS[incident]
            jitter = random.uniform(0, 0.03)
            yield Cue(start + (slot + jitter) * tempo.round_s, incident, min(share * tempo.round_s, most))
