"""Thresholds as a monitoring system is given them: `backlog>1000`, `critical.wait>5s`, `memory>80%`, `alive<3`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.model.errors import UsageError
from observatory.model.measure import BY_SHORT, Measure, Unit, limit_of
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observatory.model.snapshot import Snapshot

_FORM = re.compile(r"(?:(?P<subject>[^<>=\s]+)\.)?(?P<measure>[a-z0-9_]+)\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>\S+)")
_SIGNS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_EXAMPLES: Final = {Unit.SILENCE: "for example late or dead"}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that matters.

    Attributes:
        text: As it was written.
        subject: The lane or the agent that is meant, as `critical`, `coding:high` or `pink`; empty for all.
        measure: What is measured.
        sign: `>`, `>=`, `<` or `<=`.
        limit: The value, in the unit of the measure; shares from 0 to 1.
    """

    text: str
    subject: str
    measure: Measure
    sign: str
    limit: float

    @property
    def name(self) -> str:
        """What is measured, of what."""
        return f"{self.subject}.{self.measure.short}" if self.subject else self.measure.short

    def value(self, snapshot: Snapshot, now_ms: int) -> float | None:
        """Return what is measured, at a time in ms of the watcher's clock; None where it is not known."""
        return self.measure.value(snapshot, self.subject, now_ms)

    def crossed(self, value: float) -> bool:
        """Say whether *value* is on the wrong side."""
        return _SIGNS[self.sign](value, self.limit)


def read_threshold(text: str) -> Threshold:
    """Read one threshold.

    Raises:
        UsageError: It is none; names what is wrong with it.
    """
    shown = line(text, 60)
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{shown!r} is not a threshold", "for example backlog>1000 or critical.wait>5s")
    measure = BY_SHORT.get(found["measure"])
    if measure is None:
        raise UsageError(f"{shown!r}: there is no measure {found['measure']!r}", f"one of {', '.join(BY_SHORT)}")
    subject = found["subject"] or ""
    if subject and not measure.subject:
        raise UsageError(f"{shown!r}: {measure.short} is not told of one lane", f"write {measure.short} alone")
    try:
        limit = limit_of(measure.unit, found["limit"])
    except ValueError as error:
        hint = _EXAMPLES.get(measure.unit, "for example 5s, 10m, 1000, 5k or 80%")
        raise UsageError(f"{shown!r}: {error}", hint) from None
    return Threshold(shown, subject, measure, found["sign"], limit)
