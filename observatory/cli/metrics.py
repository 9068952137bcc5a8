"""`observatory metrics`: the numbers of one snapshot for Prometheus, by its textfile collector or any scraper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import on_bus
from observatory.cli.output import out, out_json
from observatory.cli.parser import add_verb
from observatory.cli.status import add_rates_flag, settle_of

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs

DETAILS = """\
Rates take two looks: --rates SECONDS; without it they are absent, as is everything that is not known.

example, for the textfile collector of the node exporter:
  observatory metrics --rates 2 > /var/lib/node_exporter/bus.prom.new && mv /var/lib/node_exporter/bus.prom{.new,}
"""


def register(verbs: Verbs) -> None:
    """Add `metrics` to the command line."""
    parser = add_verb(verbs, "metrics", run, summary="print metrics in the Prometheus text format", details=DETAILS)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_rates_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Take a snapshot and print its numbers."""
    settle_s = settle_of(args, 0.0)

    async def look(bus: Bus) -> int:
        from observatory.live import take_snapshot
        from observatory.live.metrics import exposition, samples

        snapshot = await take_snapshot(bus, settle_s=settle_s)
        if args.json:
            out_json(
                [{"name": one.metric.name, "labels": dict(one.labels), "value": one.value} for one in samples(snapshot)]
            )
        else:
            out(exposition(snapshot).rstrip("\n"))
        return 0

    return on_bus(args, look)
