"""`observatory record`: keep the past of a bus until interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import on_bus
from observatory.cli.output import note, out, out_json
from observatory.cli.parser import add_verb
from observatory.cli.past import add_archive_flag, archives, with_extra
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs

DETAILS = """\
Hours that are over are sealed into Parquet files; days that were sealed leave the engine after a while. Several
recorders of one bus take turns: one is at work, the others wait for its end.

examples:
  observatory record
  observatory record --once --json
"""


def register(verbs: Verbs) -> None:
    """Add `record` to the command line."""
    parser = add_verb(verbs, "record", run, summary="keep the past of the bus until interrupted", details=DETAILS)
    add_archive_flag(parser)
    parser.add_argument("--keep-days", type=int, default=90, metavar="N", help="days of history to keep; 0: all (90)")
    parser.add_argument("--keep-size", default="20GB", metavar="SIZE", help="size of history to keep; 0: any (20GB)")
    parser.add_argument("--hot-days", type=int, default=2, metavar="N", help="sealed days to leave in the engine (2)")
    parser.add_argument("--once", action="store_true", help="do what is due now, and end")
    parser.add_argument("--json", action="store_true", help="with --once: print what is kept as JSON")


def run(args: argparse.Namespace) -> int:
    """Record; with --once, 1 means that another recorder is at work."""
    if args.json and not args.once:
        raise UsageError("--json has a meaning only with --once", "add --once")
    with with_extra():
        from observatory.history.archive import Archive
        from observatory.history.recorder import Keep, Recorder, folder_of

    keep = Keep(_days(args.keep_days, "--keep-days"), _size(args.keep_size), _days(args.hot_days, "--hot-days"))

    async def record(bus: Bus) -> int:
        recorder = Recorder(bus, archives(args), keep=keep, tell=note)
        if not args.once:
            await recorder.run()
        leads = await recorder.once()
        await recorder.stop()
        folder = await folder_of(bus, archives(args))
        manifest = Archive(folder).load()
        told = {
            "recorded": leads,
            "folder": str(folder),
            "segments": len(manifest.segments),
            "events": sum(one.rows for one in manifest.segments),
            "bytes": manifest.bytes,
            "gaps": len(manifest.gaps),
        }
        if args.json:
            out_json(told)
        else:
            out(f"{told['events']:,} events in {told['segments']} segments, {told['bytes']:,} bytes, in {folder}")
        return 0 if leads else 1

    return on_bus(args, record, writes=True)


def _days(value: int, flag: str) -> int:
    if value < 0:
        raise UsageError(f"{flag}: {value} is negative", "0 keeps all")
    return value


def _size(text: str) -> int:
    from observatory.model.quantity import size

    try:
        return int(size(text))
    except ValueError as error:
        raise UsageError(f"--keep-size: {error}") from None
