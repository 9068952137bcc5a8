"""From snapshots to alerts: pending, firing, resolved, without ever asking for the time.

Unknown values neither raise nor clear: for as long as a value is unknown, the time that it has been held or over
stands still. What was resolved and comes back soon is the same alert again, so that flapping is told once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from fnmatch import fnmatchcase
from math import isnan
from typing import TYPE_CHECKING, Final

from observatory.model.alert.rules import DEFAULT_RULES, Level, Rule
from observatory.model.health import Severity
from observatory.model.snapshot import LinkState, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observatory.model.snapshot import Snapshot

SAME_FOR_S: Final = 600
"""Seconds after its end during which an alert that comes back is the same one."""

MOST: Final = 1000
"""Alerts that are kept at once; beyond, new ones wait until others are over."""

LONGEST_LOOK_MS: Final = 30_000
"""Time between two looks that counts at most: what was in between, while a machine slept, nobody has seen."""


class AlertState(StrEnum):
    """Where an alert is in its life."""

    PENDING = "pending"
    """The value is there, but not yet for long enough."""
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Quiet:
    """Somebody's word that an alert need not be told: an acknowledgement or a mute.

    Attributes:
        by: Who said so.
        until_ms: When it ends, ms of the watcher's clock; None for an acknowledgement that ends with its alert.
        reason: Why; may be empty.
        rule: Id of the rule; `*` and `?` are wild in a mute.
        subject: The lane or agent; `*` and `?` are wild in a mute.
        severity: Of an acknowledgement: up to which severity; what gets worse is told again.
    """

    by: str
    until_ms: int | None
    rule: str
    subject: str
    reason: str = ""
    severity: Severity = Severity.CRIT

    def holds(self, now_ms: int) -> bool:
        """Say whether it has not ended."""
        return self.until_ms is None or now_ms < self.until_ms

    def covers(self, rule: str, subject: str) -> bool:
        """Say whether it speaks of this rule and subject."""
        return fnmatchcase(rule, self.rule) and fnmatchcase(subject.lower(), self.subject.lower())


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that wants attention.

    Attributes:
        id: `<rule>` or `<rule>/<subject>`.
        rule: The rule that raised it.
        subject: Lane or agent; empty where there is only one.
        state: Where it is in its life.
        severity: How much it matters; of the highest level that is firing or pending.
        text: The fact in one printable line.
        value: The last value that was known, in the unit of the watch.
        since_ms: When it fired, or when it became pending, ms of the watcher's clock.
        resolved_ms: When it was over; None if it is not.
        times: How often it has fired, from 1; more than one means that it flaps.
        acknowledged: Who has seen it; None if nobody has.
        muted: The mute that covers it; None if none does.
    """

    id: str
    rule: Rule
    subject: str
    state: AlertState
    severity: Severity
    text: str
    value: float
    since_ms: int
    resolved_ms: int | None = None
    times: int = 0
    acknowledged: Quiet | None = None
    muted: Quiet | None = None

    @property
    def quiet(self) -> bool:
        """Whether somebody asked not to be told of it."""
        return self.acknowledged is not None or self.muted is not None


class ChangeKind(StrEnum):
    """What happened to an alert."""

    FIRED = "fired"
    WORSE = "worse"
    """It reached a higher level."""
    BETTER = "better"
    """It fell to a lower level that still fires."""
    RESOLVED = "resolved"
    AGAIN = "again"
    """It came back soon after its end."""
    SETTLED = "settled"
    """It had come and gone, and has stayed away."""
    REMINDED = "reminded"
    """It still fires, and the acknowledgement or the mute has ended."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to an alert.

    Attributes:
        kind: What.
        alert: The alert after it.
        tell: Whether people should be told: by toast, bell, webhook.
    """

    kind: ChangeKind
    alert: Alert
    tell: bool


class _Standing(Enum):
    """How a value stands to a level."""

    UNKNOWN = auto()
    REACHED = auto()
    BETWEEN = auto()
    OVER = auto()


@dataclass(slots=True)
class _Step:
    """How long one level of one alert has been reached, or over."""

    firing: bool = False
    reached_ms: int | None = None
    over_ms: int | None = None
    known: bool = True

    def advance(self, standing: _Standing, rule: Rule, passed: int) -> None:
        """Move on by *passed* milliseconds; time next to an unknown value does not count."""
        counted = passed if self.known else 0
        self.known = standing is not _Standing.UNKNOWN
        if standing is _Standing.UNKNOWN:
            return
        self.reached_ms = _longer(self.reached_ms, counted) if standing is _Standing.REACHED else None
        self.over_ms = _longer(self.over_ms, counted) if standing is _Standing.OVER else None
        if self.firing:
            self.firing = self.over_ms is None or self.over_ms < rule.clear_for_s * 1000
        else:
            self.firing = self.reached_ms is not None and self.reached_ms >= rule.for_s * 1000


@dataclass(slots=True)
class _Case:
    """What is remembered of one rule and one subject; `told` is the highest level that people were told of."""

    alert: Alert
    steps: tuple[_Step, ...]
    told: int = -1

    @property
    def level(self) -> int | None:
        """Index of the highest level that fires."""
        return max((at for at, step in enumerate(self.steps) if step.firing), default=None)


class Alerts:
    """Watches successive snapshots of one bus.

    Args:
        rules: What is watched.
        mutes: Mutes that were given before.

    Raises:
        ValueError: Two rules have the same id.
    """

    def __init__(self, rules: Sequence[Rule] = DEFAULT_RULES, mutes: Sequence[Quiet] = ()) -> None:
        if len({rule.id for rule in rules}) < len(rules):
            raise ValueError("two rules have the same id")
        self.rules = tuple(rules)
        self._cases: dict[tuple[str, str], _Case] = {}
        self._mutes = tuple(mutes)
        self._last_ms: int | None = None

    def observe(self, snapshot: Snapshot, now_ms: int) -> tuple[Change, ...]:
        """Look at the next snapshot.

        Args:
            snapshot: What is shown; a replayed one changes nothing.
            now_ms: The watcher's clock, in ms since the epoch; going back counts as standing still.

        Returns:
            What happened to alerts, in the order of the rules.
        """
        if snapshot.origin is Origin.REPLAY:
            return ()
        passed = 0 if self._last_ms is None else min(max(now_ms - self._last_ms, 0), LONGEST_LOOK_MS)
        self._last_ms = now_ms
        changes = [*self._ended(now_ms), *self._settled(now_ms)]
        for rule in self.rules:
            if rule.enabled:
                changes.extend(self._look(rule, snapshot, now_ms, passed))
        return tuple(changes)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What fires, worst first, then what is pending, then what was resolved of late."""
        return tuple(sorted((case.alert for case in self._cases.values()), key=_urgency))

    @property
    def mutes(self) -> tuple[Quiet, ...]:
        """The mutes that hold."""
        return self._mutes

    def acknowledge(self, ident: str, *, by: str, until_ms: int | None = None, reason: str = "") -> bool:
        """Take note that somebody has seen a firing alert; it is told again when it gets worse or *until_ms* passes.

        Returns:
            Whether there is such an alert, firing.
        """
        for case in self._cases.values():
            alert = case.alert
            if alert.id == ident and alert.state is AlertState.FIRING:
                seen = Quiet(by, until_ms, alert.rule.id, alert.subject, reason, alert.severity)
                case.alert = replace(alert, acknowledged=seen)
                return True
        return False

    def mute(self, rule: str, subject: str, *, by: str, until_ms: int, reason: str = "") -> Quiet:
        """Say nothing of a rule until *until_ms*; what fires meanwhile is kept, and told at the end if it still does.

        Args:
            rule: Id of the rule; `*` and `?` are wild.
            subject: Lane or agent; `*` and `?` are wild.
            by: Who says so.
            until_ms: When it ends, ms of the watcher's clock.
            reason: Why.
        """
        quiet = Quiet(by, until_ms, rule, subject, reason)
        self._mutes = (*self._mutes, quiet)
        for case in self._cases.values():
            case.alert = replace(case.alert, muted=self._muting(case.alert))
        return quiet

    def unmute(self, quiet: Quiet) -> None:
        """End a mute; what still fires is told at the next look."""
        self._mutes = tuple(mute for mute in self._mutes if mute != quiet)

    def keep_mutes(self, mutes: Sequence[Quiet]) -> None:
        """Let exactly *mutes* hold; what is muted no longer and still fires is told at the next look."""
        self._mutes = tuple(mutes)

    # -- one look ----------------------------------------------------------------------------------------------

    def _look(self, rule: Rule, snapshot: Snapshot, now_ms: int, passed: int) -> Iterator[Change]:
        current = rule.watched.offline or snapshot.link.state in _CURRENT
        readings = dict(rule.watched.read(snapshot, now_ms)) if current else {}
        known = [subject for ident, subject in self._cases if ident == rule.id and subject not in readings]
        for subject in (*filter(rule.speaks_of, readings), *known):
            value = readings.get(subject)
            case = self._cases.get((rule.id, subject)) or self._opened(rule, subject, value, now_ms)
            if case is None:
                continue
            before = case.level
            # With current data a subject that is not named is gone; without, nothing is known of it.
            gone = current and subject not in readings
            for step, level in zip(case.steps, rule.levels, strict=True):
                step.advance(_Standing.OVER if gone else _standing(value, level), rule, passed)
            yield from self._moved(case, before, value, now_ms)

    def _opened(self, rule: Rule, subject: str, value: float | None, now_ms: int) -> _Case | None:
        """Begin with a subject whose value matters."""
        if value is None or value < rule.levels[0].threshold or len(self._cases) >= MOST:
            return None
        alert = Alert(
            id=f"{rule.id}/{subject}" if subject else rule.id,
            rule=rule,
            subject=subject,
            state=AlertState.PENDING,
            severity=rule.levels[0].severity,
            text=rule.watched.say(subject, value, rule.levels[0].threshold),
            value=value,
            since_ms=now_ms,
        )
        case = _Case(replace(alert, muted=self._muting(alert)), tuple(_Step() for _ in rule.levels))
        self._cases[rule.id, subject] = case
        return case

    def _moved(self, case: _Case, before: int | None, value: float | None, now_ms: int) -> Iterator[Change]:
        """Write into the alert what follows from its levels, and tell what changed."""
        after, alert = case.level, case.alert
        if after is None and before is None:
            if alert.state is AlertState.PENDING and not any(step.reached_ms is not None for step in case.steps):
                del self._cases[alert.rule.id, alert.subject]
            return
        if after is None:
            case.alert = replace(alert, state=AlertState.RESOLVED, resolved_ms=now_ms)
            yield Change(ChangeKind.RESOLVED, case.alert, case.told >= 0 and alert.times == 1 and not alert.quiet)
            return
        case.alert = alert = _firing(alert, after, value)
        if before == after:
            return
        tell = after > case.told
        kind = ChangeKind.BETTER if before is not None and after < before else ChangeKind.WORSE
        if before is None:
            kind = ChangeKind.AGAIN if alert.times else ChangeKind.FIRED
            # That it comes and goes is news once.
            tell = tell or alert.times == 1
            case.alert = replace(alert, since_ms=now_ms, resolved_ms=None, times=alert.times + 1)
        tell = tell and not alert.quiet
        case.told = max(case.told, after) if tell else case.told
        yield Change(kind, case.alert, tell)

    # -- what ends by itself -------------------------------------------------------------------------------------

    def _ended(self, now_ms: int) -> Iterator[Change]:
        """Take back acknowledgements and mutes whose time is over."""
        self._mutes = tuple(mute for mute in self._mutes if mute.holds(now_ms))
        for case in self._cases.values():
            alert = case.alert
            seen = alert.acknowledged if alert.acknowledged and alert.acknowledged.holds(now_ms) else None
            case.alert = replace(alert, acknowledged=seen, muted=self._muting(alert))
            if alert.state is AlertState.FIRING and alert.quiet and not case.alert.quiet:
                case.told = max(case.told, case.level or 0)
                yield Change(ChangeKind.REMINDED, case.alert, tell=True)

    def _settled(self, now_ms: int) -> Iterator[Change]:
        """Forget what was resolved long enough ago."""
        for key, case in list(self._cases.items()):
            alert = case.alert
            if alert.resolved_ms is not None and now_ms - alert.resolved_ms >= SAME_FOR_S * 1000:
                del self._cases[key]
                if alert.times > 1:
                    yield Change(ChangeKind.SETTLED, alert, case.told >= 0 and not alert.quiet)

    def _muting(self, alert: Alert) -> Quiet | None:
        return next((mute for mute in self._mutes if mute.covers(alert.rule.id, alert.subject)), None)


_CURRENT = frozenset({LinkState.READY, LinkState.DEGRADED})
"""States of the link in which a snapshot tells the present."""


def _standing(value: float | None, level: Level) -> _Standing:
    if value is None or isnan(value):
        return _Standing.UNKNOWN
    if value >= level.threshold:
        return _Standing.REACHED
    return _Standing.OVER if value < level.over else _Standing.BETWEEN


def _longer(held_ms: int | None, passed: int) -> int:
    return 0 if held_ms is None else held_ms + passed


def _firing(alert: Alert, at: int, value: float | None) -> Alert:
    """Return *alert* as it is at the level *at*; an acknowledgement ends where it gets worse than what was seen."""
    level = alert.rule.levels[at]
    seen = alert.acknowledged
    if seen is not None and _WORSE.index(level.severity) > _WORSE.index(seen.severity):
        seen = None
    value = alert.value if value is None else value
    return replace(
        alert,
        state=AlertState.FIRING,
        severity=level.severity,
        acknowledged=seen,
        value=value,
        text=alert.rule.watched.say(alert.subject, value, level.threshold) if value >= level.over else alert.text,
    )


def _urgency(alert: Alert) -> tuple[int, int, int, str]:
    return _STATES.index(alert.state), -_WORSE.index(alert.severity), alert.since_ms, alert.id


_STATES = (AlertState.FIRING, AlertState.PENDING, AlertState.RESOLVED)
_WORSE = (Severity.OK, Severity.UNKNOWN, Severity.WARN, Severity.CRIT)
