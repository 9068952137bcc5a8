"""`observatory alerts`: watch for alerts without a screen, print them, and tell whoever the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli import quiet
from observatory.cli.attach import on_bus, settings_for
from observatory.cli.output import NONE, age, clock, note, out, out_json, table
from observatory.cli.parser import Parser, add_verb
from observatory.cli.watching import keeper_for, rules_of
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.alert import Change, Rule
    from observatory.settings import Settings

DETAILS = """\
Rules and sinks stand in the [alerts] table of the settings file. Without a verb it runs until it is interrupted.
What is acknowledged or muted here is so on the screen too, on this machine.

examples:
  observatory alerts --rules
  observatory alerts --context prod --json >> alerts.jsonl
  observatory alerts ls
  observatory alerts ack no-consumers/deploy:high --reason "deploying until noon"
  observatory alerts mute 'agent-silent/bot-*' --for 2h
"""

HEAD = ("RULE", "WATCHES", "WARN", "CRIT", "FOR", "OF")


def register(verbs: Verbs) -> None:
    """Add `alerts` to the command line."""
    parser = add_verb(
        verbs, "alerts", run, summary="watch for alerts, print them and tell the configured sinks", details=DETAILS
    )
    parser.add_argument("--rules", action="store_true", help="list the rules that hold, and stop")
    parser.add_argument("--json", action="store_true", help="print one JSON object per alert and line")
    quiet.register(parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser))


def run(args: argparse.Namespace) -> int:
    """Watch for alerts, or list the rules."""
    settings = settings_for(args)
    if args.rules:
        return _list(settings, as_json=args.json)

    async def watch(bus: Bus) -> int:
        from contextlib import aclosing
        from typing import cast

        from observatory.live import LiveSource

        keeper = keeper_for(settings, bus)
        source = LiveSource(bus, refresh_s=settings.refresh_s)
        note(f"watching {bus.url} by {sum(rule.enabled for rule in rules_of(settings))} rules")
        known: tuple[str, ...] = ()
        try:
            async with aclosing(cast("Any", source.snapshots())) as shots:
                async for snapshot in shots:
                    for change in keeper.observe(snapshot):
                        _show(change, settings.context or bus.url, as_json=args.json)
                    for problem in keeper.problems:
                        if problem not in known:
                            note(problem)
                    known = keeper.problems
        finally:
            await keeper.close()
        return 0

    return on_bus(args, watch)


def _show(change: Change, bus: str, *, as_json: bool) -> None:
    from observatory.live.sinks import Notice
    from observatory.model.clock import SystemClock

    now_ms = SystemClock().now_ms()
    alert = change.alert
    if as_json:
        out_json(Notice(change.kind, alert, bus, now_ms).document(), lines=True)
    else:
        words = (clock(now_ms)[:8], f"{change.kind:<9}", f"{alert.severity:<5}", alert.id, alert.text)
        out(line("  ".join(words), 300), flush=True)


def _list(settings: Settings, *, as_json: bool) -> int:
    rules = rules_of(settings)
    if as_json:
        out_json([_document(rule) for rule in rules])
        return 0
    for text in table(HEAD, _rows(rules)):
        out(text)
    return 0


def _rows(rules: tuple[Rule, ...]) -> Iterator[tuple[str, ...]]:
    from observatory.model.health import Severity
    from observatory.model.measure import written

    for rule in rules:
        limits = [
            ", ".join(
                written(rule.watched.unit, level.threshold) for level in rule.levels if level.severity is severity
            )
            for severity in (Severity.WARN, Severity.CRIT)
        ]
        state = rule.subjects if rule.enabled else "off"
        yield (rule.id, rule.watch, *(limit or NONE for limit in limits), age(rule.for_s), state)


def _document(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "watch": rule.watch,
        "levels": [
            {"threshold": level.threshold, "severity": str(level.severity), "clear": level.over}
            for level in rule.levels
        ],
        "for_s": rule.for_s,
        "clear_for_s": rule.clear_for_s,
        "subjects": rule.subjects,
        "enabled": rule.enabled,
    }
