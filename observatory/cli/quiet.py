"""`observatory alerts ls`, `ack`, `mute`, `unmute`: what is at its limit now, and what need not be told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.attach import on_bus, operator, settings_for
from observatory.cli.output import NONE, age, note, out, out_json, table
from observatory.cli.parser import add_verb
from observatory.cli.watching import keeper_of_one_look
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.live.alerts import AlertKeeper
    from observatory.model.alert import Alert, Quiet

SETTLE_S = 1.0
"""Seconds between two looks: rates take two."""

HEAD = ("SEVERITY", "ALERT", "WHAT", "WHO KNOWS", "LEFT", "REASON")


def register(verbs: Verbs) -> None:
    """Add the verbs to `alerts`."""
    listing = add_verb(verbs, "ls", run_ls, summary="list what is at its limit now, and the mutes that hold")
    listing.add_argument("--json", action="store_true", help="print JSON")
    ack = add_verb(verbs, "ack", run_ack, summary="say that an alert was seen: it is told again when it gets worse")
    ack.add_argument("alert", metavar="ALERT", help="its id, as `alerts ls` prints it")
    ack.add_argument("--for", dest="lasts", metavar="TIME", help="until then only, as 30m, 4h, 2d")
    mute = add_verb(verbs, "mute", run_mute, summary="say nothing of a rule for a while")
    mute.add_argument("target", metavar="RULE[/SUBJECT]", help="which alerts; * and ? are wild")
    mute.add_argument("--for", dest="lasts", metavar="TIME", default="1h", help="for how long, as 30m, 4h, 2d (1h)")
    unmute = add_verb(verbs, "unmute", run_unmute, summary="end the mutes of a rule")
    unmute.add_argument("target", metavar="RULE[/SUBJECT]", help="as it was given to `mute`")
    for parser in (ack, mute):
        parser.add_argument("--reason", default="", metavar="TEXT", help="what others should know")


def run_ls(args: argparse.Namespace) -> int:
    """List alerts and mutes."""

    async def work(keeper: AlertKeeper, alerts: tuple[Alert, ...]) -> int:
        now_ms = _now_ms()
        if args.json:
            out_json({
                "alerts": [_document(alert) for alert in alerts],
                "mutes": [_plain(mute) for mute in keeper.mutes],
            })  # fmt: skip
            return 0
        for text in table(HEAD, _rows(alerts, keeper.mutes, now_ms)):
            out(text)
        if not alerts and not keeper.mutes:
            note("nothing is at its limit, and nothing is muted")
        return 0

    return _on_keeper(args, work)


def run_ack(args: argparse.Namespace) -> int:
    """Acknowledge one alert."""
    lasts = _seconds(args.lasts, "--for") if args.lasts else None

    async def work(keeper: AlertKeeper, alerts: tuple[Alert, ...]) -> int:
        until_ms = None if lasts is None else _now_ms() + round(lasts * 1000)
        if not keeper.acknowledge(args.alert, by=operator(), until_ms=until_ms, reason=line(args.reason, 400)):
            there = f"there are {', '.join(alert.id for alert in alerts)}" if alerts else "nothing is at its limit now"
            raise ObservatoryError(f"no alert is called {line(args.alert, 80)!r} now", there)
        _told(keeper, f"acknowledged {args.alert}")
        return 0

    return _on_keeper(args, work)


def run_mute(args: argparse.Namespace) -> int:
    """Mute what matches."""
    rule, subject = _target(args.target)
    lasts = _seconds(args.lasts, "--for")

    async def work(keeper: AlertKeeper, _alerts: tuple[Alert, ...]) -> int:
        until_ms = _now_ms() + round(lasts * 1000)
        keeper.mute(rule, subject, by=operator(), until_ms=until_ms, reason=line(args.reason, 400))
        _told(keeper, f"muted {args.target} for {age(lasts)}")
        return 0

    return _on_keeper(args, work, looks=False)


def run_unmute(args: argparse.Namespace) -> int:
    """End mutes."""
    wanted = _target(args.target)

    async def work(keeper: AlertKeeper, _alerts: tuple[Alert, ...]) -> int:
        ended = [mute for mute in keeper.mutes if (mute.rule, mute.subject) == wanted]
        if not ended:
            held = [f"{mute.rule}/{mute.subject}" for mute in keeper.mutes]
            raise ObservatoryError(f"{args.target} is not muted", f"muted are {', '.join(held)}" if held else "")
        for mute in ended:
            keeper.unmute(mute)
        _told(keeper, f"{args.target} is heard again")
        return 0

    return _on_keeper(args, work, looks=False)


def _on_keeper(
    args: argparse.Namespace, work: Callable[[AlertKeeper, tuple[Alert, ...]], Awaitable[int]], *, looks: bool = True
) -> int:
    """Let *work* have the keeper of the bus and what is at its limit, unless it *looks* at nothing."""
    settings = settings_for(args)

    async def look(bus: Bus) -> int:
        from observatory.live import take_snapshot
        from observatory.model.alert import AlertState

        keeper = keeper_of_one_look(settings, bus)
        if not looks:
            return await work(keeper, ())
        snapshot = await take_snapshot(bus, settle_s=SETTLE_S)
        alerts = keeper.told(snapshot, keeper.observe(snapshot)).alerts
        return await work(keeper, tuple(alert for alert in alerts if alert.state is AlertState.FIRING))

    return on_bus(args, look)


def _told(keeper: AlertKeeper, words: str) -> None:
    """Say what was done, or raise what kept it from being remembered."""
    if keeper.problems:
        raise ObservatoryError(keeper.problems[0])
    note(line(words, 300))


def _target(text: str) -> tuple[str, str]:
    from observatory.model.alert import read_target

    try:
        return read_target(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _seconds(text: str, flag: str) -> float:
    from observatory.model.quantity import duration_s

    try:
        seconds = duration_s(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None
    if seconds <= 0:
        raise UsageError(f"{flag}: nothing lasts {line(text, 24)}", "for example 30m, 4h or 2d")
    return seconds


def _now_ms() -> int:
    from observatory.model.clock import SystemClock

    return SystemClock().now_ms()


def _rows(alerts: tuple[Alert, ...], mutes: tuple[Quiet, ...], now_ms: int) -> Iterator[tuple[str, ...]]:
    for alert in alerts:
        yield (str(alert.severity), alert.id, alert.text, *_known(alert.muted or alert.acknowledged, now_ms))
    for mute in mutes:
        yield ("muted", f"{mute.rule}/{mute.subject}", NONE, *_known(mute, now_ms))


def _known(quiet: Quiet | None, now_ms: int) -> tuple[str, str, str]:
    if quiet is None:
        return NONE, NONE, NONE
    left = NONE if quiet.until_ms is None else age(max(quiet.until_ms - now_ms, 0) / 1000)
    return quiet.by, left, quiet.reason or NONE


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "rule": alert.rule.id,
        "subject": alert.subject,
        "severity": str(alert.severity),
        "text": alert.text,
        "value": alert.value,
        "acknowledged": _plain(alert.acknowledged),
        "muted": _plain(alert.muted),
    }


def _plain(quiet: Quiet | None) -> dict[str, Any] | None:
    if quiet is None:
        return None
    return {
        "by": quiet.by, "until_ms": quiet.until_ms, "rule": quiet.rule, "subject": quiet.subject,
        "reason": quiet.reason,
    }  # fmt: skip
