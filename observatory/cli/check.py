"""`observatory check`: one line and an exit code for monitoring systems such as Nagios, Icinga or a cron job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import on_bus
from observatory.cli.output import UNKNOWN, out, out_json
from observatory.cli.parser import add_verb
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.threshold import Threshold

DETAILS = """\
A threshold is a measure, >, >=, < or <=, and a number, a duration or a share; a lane may stand in front.

  observatory check --warn 'backlog>1000' --crit 'critical.wait>5s' --crit 'memory>90%' --crit 'alive<1'

measures of lanes: backlog, pending, length, wait, unacked, in, out, consumers, unserved, full
measures of agents: silence (late, stale or dead), task_age
measures of the bus: delayed, dlq, dlq_rate (per minute), alive, dead, memory
measures of time: p95_wait, p95_run, skew, lost, degraded

exit codes: 0 ok, 1 warning, 2 critical or usage, 3 unknown: a value is not known, or the bus cannot be reached
"""

SETTLE_S = 1.0
"""Seconds between two looks where a threshold speaks of a rate."""

OK, WARNING, CRITICAL, NOT_KNOWN = 0, 1, 2, 3
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def register(verbs: Verbs) -> None:
    """Add `check` to the command line."""
    parser = add_verb(verbs, "check", run, summary="hold the bus against thresholds, for monitoring", details=DETAILS)
    for flag, what in (("--warn", "warning"), ("--crit", "critical")):
        parser.add_argument(
            flag, action="append", default=[], metavar="THRESHOLD", help=f"{what} where it is crossed; may be repeated"
        )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Hold one snapshot against the thresholds."""
    from observatory.model.threshold import read_threshold

    warn, crit = ([read_threshold(text) for text in texts] for texts in (args.warn, args.crit))
    if not warn and not crit:
        raise UsageError("nothing to check", "for example --crit 'critical.wait>5s' --warn 'backlog>1000'")
    settle_s = SETTLE_S if any(threshold.measure.rates for threshold in (*warn, *crit)) else 0.0

    async def look(bus: Bus) -> int:
        from observatory.live import take_snapshot
        from observatory.model.clock import SystemClock

        snapshot = await take_snapshot(bus, settle_s=settle_s)
        now_ms = SystemClock().now_ms()
        values = {threshold.name: threshold.value(snapshot, now_ms) for threshold in (*warn, *crit)}
        state, crossed = judged(values, warn, crit)
        if args.json:
            checks = [
                {"threshold": threshold.text, "level": level, "value": values[threshold.name]}
                for level, thresholds in (("warning", warn), ("critical", crit))
                for threshold in thresholds
            ]
            out_json({"state": WORDS[state].lower(), "checks": checks})
        else:
            said = crossed or [f"{name} {UNKNOWN}" for name, value in values.items() if value is None]
            said = said or [_said(threshold, values) for threshold in _first((*warn, *crit))]
            out(line(f"{WORDS[state]} - {', '.join(said)} | {' '.join(_perfdata(values, warn, crit))}", 1000))
        return state

    return on_bus(args, look)


def judged(
    values: dict[str, float | None], warn: Sequence[Threshold], crit: Sequence[Threshold]
) -> tuple[int, list[str]]:
    """Return the worst that is true, and what crossed its threshold, in words.

    What is critical is so whatever else is unknown; but where something is unknown, nothing is well.
    """
    for state, thresholds in ((CRITICAL, crit), (WARNING, warn)):
        crossed = [
            f"{_said(threshold, values)} ({threshold.sign} {_written(threshold, threshold.limit)})"
            for threshold in thresholds
            if (value := values[threshold.name]) is not None and threshold.crossed(value)
        ]
        if crossed:
            return state, crossed
        if any(values[threshold.name] is None for threshold in thresholds):
            return NOT_KNOWN, []
    return OK, []


def _first(thresholds: Sequence[Threshold]) -> list[Threshold]:
    return list({threshold.name: threshold for threshold in reversed(thresholds)}.values())[::-1]


def _said(threshold: Threshold, values: dict[str, float | None]) -> str:
    return f"{threshold.name} {_written(threshold, values[threshold.name])}"


def _written(threshold: Threshold, value: float | None) -> str:
    from observatory.model.measure import Unit

    if value is None:
        return UNKNOWN
    unit = threshold.measure.unit
    return f"{value:.0%}" if unit is Unit.SHARE else f"{value:.1f}s" if unit is Unit.SECONDS else f"{value:,.12g}"


def _perfdata(values: dict[str, float | None], warn: Sequence[Threshold], crit: Sequence[Threshold]) -> list[str]:
    """Return performance data as Nagios reads them: `'name'=value[unit];warn;crit`, unknown as U."""
    from observatory.model.measure import Unit

    parts = []
    for threshold in _first((*warn, *crit)):
        value, unit = values[threshold.name], threshold.measure.unit
        scale = 100 if unit is Unit.SHARE else 1
        limits = [
            next((f"{other.limit * scale:g}" for other in thresholds if other.name == threshold.name), "")
            for thresholds in (warn, crit)
        ]
        suffix = {Unit.SECONDS: "s", Unit.SHARE: "%"}.get(unit, "")
        shown = "U" if value is None else f"{value * scale:.12g}{suffix}"
        parts.append(f"'{threshold.name}'={shown};{limits[0]};{limits[1]}")
    return parts
