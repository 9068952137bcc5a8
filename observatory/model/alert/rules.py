"""Alert rules: what is watched, from which value on, for how long, and how much it matters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from observatory.model.health import Severity
from observatory.model.measure import MEASURES, Measure
from observatory.model.text import line

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class Level:
    """A value that matters.

    Attributes:
        threshold: At this value and above it is reached, in the unit of the watch.
        severity: `WARN` or `CRIT`.
        clear: Below this value it is over; the gap to `threshold` keeps it from flapping. `threshold` itself if None.
    """

    threshold: float
    severity: Severity = Severity.WARN
    clear: float | None = None

    @property
    def over(self) -> float:
        """The value below which it is over."""
        return self.threshold if self.clear is None else self.clear


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert rule.

    Attributes:
        id: What people call it: lower-case letters, digits and hyphens.
        watch: Name of what is watched, one of `MEASURES`.
        levels: Values that matter, ascending.
        for_s: Seconds that a level must be held before it fires.
        clear_for_s: Seconds that a firing level must be over before it counts as resolved.
        subjects: Lanes or agents it speaks of; `*` and `?` are wild.
        enabled: Whether it is looked at.

    Raises:
        ValueError: It makes no sense; the reason names the attribute.
    """

    id: str
    watch: str
    levels: tuple[Level, ...]
    for_s: float = 0.0
    clear_for_s: float = 10.0
    subjects: str = "*"
    enabled: bool = True

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("id: must be 1 to 40 lower-case letters, digits or hyphens")
        if self.watch not in MEASURES:
            raise ValueError(f"watch: {self.watch!r} is none of {', '.join(MEASURES)}")
        thresholds = [level.threshold for level in self.levels]
        if not thresholds or thresholds != sorted(set(thresholds)):
            raise ValueError("levels: must be at least one, ascending")
        for level in self.levels:
            if not level.over <= level.threshold:
                raise ValueError("clear: must not be above the threshold")
            if level.severity not in {Severity.WARN, Severity.CRIT}:
                raise ValueError("severity: must be warn or crit")
        if not 0 <= self.for_s <= 86_400 or not 0 <= self.clear_for_s <= 86_400:
            raise ValueError("for: must be from nothing to a day")

    @property
    def watched(self) -> Measure:
        """What is watched."""
        return MEASURES[self.watch]

    def speaks_of(self, subject: str) -> bool:
        """Say whether *subject* is one of those that the rule is about."""
        return fnmatchcase(subject.lower(), self.subjects.lower())


_WARN, _CRIT = Severity.WARN, Severity.CRIT

DEFAULT_RULES: Final = (
    Rule("link-lost", "link.lost", (Level(2, _CRIT),), clear_for_s=5),
    Rule("link-degraded", "link.degraded", (Level(5, _WARN, clear=0.001),)),
    Rule("critical-waiting", "lane.waiting", (Level(5, _CRIT, clear=2),), for_s=2, subjects="*critical"),
    Rule("no-consumers", "lane.no-consumers", (Level(1, _CRIT),), for_s=10),
    Rule("lane-full", "lane.full", (Level(1, _CRIT),)),
    Rule("agent-silent", "agent.silence", (Level(2, _WARN, clear=1), Level(3, _CRIT, clear=1)), clear_for_s=5),
    Rule("dead-letter-burst", "dead-letters.rate", (Level(10, _WARN, clear=5), Level(60, _CRIT, clear=30)), for_s=5),
    Rule(
        "memory", "engine.memory",
        (Level(0.7, _WARN, clear=0.65), Level(0.8, _WARN, clear=0.75), Level(0.9, _CRIT, clear=0.85)), for_s=5,
    ),
    Rule("clock-skew", "clock.skew", (Level(2, _WARN, clear=1),), for_s=30),
)  # fmt: skip
"""What is watched where nobody says anything else."""


def read_target(text: str) -> tuple[str, str]:
    """Read what a mute speaks of: `RULE` or `RULE/SUBJECT`, where `*` and `?` are wild.

    Returns:
        The rule and the subject; `*` where none is named.

    Raises:
        ValueError: No rule can be called so.
    """
    rule, _, subject = text.strip().partition("/")
    if not re.fullmatch(r"[a-z0-9*?][a-z0-9*?-]{0,39}", rule):
        raise ValueError(f"{line(text, 60)!r} names no rule: write RULE or RULE/SUBJECT, * and ? are wild")
    return rule, subject or "*"
