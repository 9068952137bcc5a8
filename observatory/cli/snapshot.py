"""`observatory snapshot`: one frame for a report or a ticket: as text, as JSON, or as a picture of the screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from observatory.cli.app import check_theme
from observatory.cli.attach import on_bus, settings_for
from observatory.cli.output import out, out_json
from observatory.cli.parser import add_verb
from observatory.cli.status import RATES_S, add_rates_flag, as_text, settle_of
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.settings import Settings

FORMATS = ("text", "json", "svg")

DETAILS = """\
examples:
  observatory snapshot --format svg --size 160x48 > now.svg
  observatory snapshot --format svg --screen lanes --theme observatory-light > lanes.svg
  observatory snapshot --format json | gzip > incident.json.gz
"""

_SIZE = re.compile(r"(\d{2,3})x(\d{2,3})")


def register(verbs: Verbs) -> None:
    """Add `snapshot` to the command line."""
    parser = add_verb(
        verbs, "snapshot", run, summary="print one frame as text, JSON or a picture", details=DETAILS, theme=True
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="text, json or svg (text)")
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument("--screen", default="overview", metavar="NAME", help="screen that the picture shows (overview)")
    parser.add_argument("--size", default="120x40", metavar="COLUMNSxROWS", help="size of the picture (120x40)")
    add_rates_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Print one frame."""
    kind = "json" if args.json else args.format
    if kind == "svg":
        return _picture(args)
    settle_s = settle_of(args, RATES_S)

    async def look(bus: Bus) -> int:
        from observatory.live import snapshot_document, take_snapshot

        snapshot = await take_snapshot(bus, settle_s=settle_s)
        if kind == "json":
            out_json(snapshot_document(snapshot))
        else:
            for text in as_text(snapshot):
                out(text)
        return 0

    return on_bus(args, look)


def _picture(args: argparse.Namespace) -> int:
    size = _SIZE.fullmatch(args.size)
    if size is None:
        raise UsageError(f"--size: {args.size!r} is no size", "for example 120x40")
    settings = settings_for(args)
    check_theme(settings)

    async def draw(bus: Bus) -> int:
        out(await _drawn(bus, settings, args.screen, (int(size[1]), int(size[2]))))
        return 0

    return on_bus(args, draw)


async def _drawn(bus: Bus, settings: Settings, screen: str, size: tuple[int, int]) -> str:
    from observatory.actions import BusActions
    from observatory.live import LiveSource
    from observatory.settings import themes
    from observatory.tui.app import ObservatoryApp
    from observatory.tui.desk import OpenBus
    from observatory.tui.picture import picture
    from observatory.tui.screens.table import SCREENS

    if screen not in SCREENS:
        raise UsageError(f"--screen: there is no screen {screen!r}", f"one of {', '.join(SCREENS)}")
    source = LiveSource(bus, refresh_s=settings.refresh_s)
    opened = OpenBus(bus.url, source, BusActions(bus), read_only=True, refresh_s=settings.refresh_s)
    app = ObservatoryApp(opened, themes=themes(), theme=settings.theme)
    return await picture(app, size=size, screen=screen)
