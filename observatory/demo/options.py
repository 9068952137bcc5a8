"""What can be asked of the demo, and what cannot."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from observatory.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

INCIDENTS = ("crash", "bad-deploy", "cut", "flood", "silent")
"""Every incident the director can stage, in the order in which the first round shows them."""

MAX_AGENTS = 1000
"""Most agents that one demo runs."""

MAX_RATE = 500.0
"""Most tasks per second that one demo publishes, outside a flood."""

MAX_SECONDS = 86_400.0
"""Longest headless run, in seconds."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the simulated swarm behaves.

    Attributes:
        seed: Decides who does what and which incident comes when; the clock decides the rest.
        agents: Named agents, planners included.
        rate: Tasks per second that the swarm publishes as a whole, outside a flood.
        incidents: Which incidents are staged.
        seconds: How long a headless run publishes; None runs until it is stopped.

    Raises:
        UsageError: An option is out of range, naming it.
    """

    seed: int = 7
    agents: int = 8
    rate: float = 12.0
    incidents: tuple[str, ...] = INCIDENTS
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.agents <= MAX_AGENTS:
            raise UsageError(
                f"--agents {self.agents} is not between 2 and {MAX_AGENTS}",
                "the smallest swarm is one who plans and one who works",
            )
        if not (math.isfinite(self.rate) and 0 < self.rate <= MAX_RATE):
            raise UsageError(f"--rate {self.rate:g} is not between 0 and {MAX_RATE:g}", "tasks per second, such as 12")
        if self.seconds is not None and not 1 <= self.seconds <= MAX_SECONDS:
            raise UsageError(f"--seconds {self.seconds:g} is not between 1 and {MAX_SECONDS:g}", "such as --seconds 20")
        for name in self.incidents:
            if name not in INCIDENTS:
                raise UsageError(f"unknown incident {name!r}", f"one of {', '.join(INCIDENTS)}, all, none")

    def to_json(self) -> dict[str, object]:
        """Return the options as plain JSON values, for the director's pipe."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> DemoOptions:
        """Read what `to_json` wrote."""
        incidents = values["incidents"]
        return cls(**{**values, "incidents": tuple(incidents)})  # type: ignore[arg-type]


def parse_incidents(text: str) -> tuple[str, ...]:
    """Read a list of incidents as a person writes it: `all`, `none`, or names separated by commas.

    Names are checked by `DemoOptions`, not here.
    """
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if names == ("all",):
        return INCIDENTS
    return () if names == ("none",) else names
