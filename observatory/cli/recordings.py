"""`observatory export` and `observatory replay`: a stretch of the past as a file, and that file on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from observatory.cli.app import check_theme, show_past
from observatory.cli.attach import on_bus, settings_for
from observatory.cli.listing import filter_of
from observatory.cli.output import iso, note, out, out_json
from observatory.cli.parser import add_verb
from observatory.cli.past import (
    RECORDING,
    add_archive_flag,
    archives,
    end_of,
    open_file,
    progress,
    span_of,
    with_extra,
)
from observatory.cli.terminal import require_terminal
from observatory.model.errors import ObservatoryError, UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.event import Event
    from observatory.model.filter import Filter

EXPORT = """\
Times: 14:03, -5m (before the last event), 2026-02-06T11:45:00Z. Redacted values are nowhere in the file; fields that
can be redacted: task, type, agent, reason, detail. Payloads are in no recording.

examples:
  observatory export incident.obs --from -30m
  observatory export incident.obs --from 14:00 --to 14:20 --filter type:deploy --redact agent --redact detail
  unzip incident.obs '*.parquet'     # for duckdb, pandas, polars
"""

REPLAY = """\
examples:
  observatory replay incident.obs
  observatory replay incident.obs --at 14:03:11 --json
"""


def register(verbs: Verbs) -> None:
    """Add `export` and `replay` to the command line."""
    parser = add_verb(verbs, "export", run_export, summary="write a stretch of the past into a file", details=EXPORT)
    parser.add_argument("file", metavar="FILE", help=f"the recording; its name ends in {RECORDING}")
    parser.add_argument("--from", dest="start", default="", metavar="TIME", help="its beginning (all there is)")
    parser.add_argument("--to", dest="end", default="", metavar="TIME", help="its end (the last event)")
    parser.add_argument("--filter", default="", metavar="FILTER", help="only events that match; `type:deploy`")
    parser.add_argument("--redact", action="append", default=[], metavar="FIELD", help="replace the values of a field")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    add_archive_flag(parser)

    parser = add_verb(verbs, "replay", run_replay, summary="open a recording", details=REPLAY, theme=True)
    parser.add_argument("file", metavar="FILE", help="the recording")
    parser.add_argument("--at", default="", metavar="TIME", help="begin at this time (the beginning)")
    parser.add_argument("--json", action="store_true", help="no screen: print the snapshot of that time as JSON")


def run_export(args: argparse.Namespace) -> int:
    """Write a recording."""
    path = Path(args.file).expanduser()
    if path.suffix != RECORDING:
        raise UsageError(f"FILE: {path.name!r} does not end in {RECORDING}", f"for example incident{RECORDING}")
    if path.exists() and not args.force:
        raise UsageError(f"FILE: {path} is there already", "name another, or replace it with --force")
    where = _filter(args.filter)
    with with_extra():
        from observatory.bus.talk.history import bookmarks
        from observatory.history.opening import BusPast
        from observatory.history.recording import About, write_recording
        from observatory.history.redact import Redactor

    Redactor(args.redact)

    async def write(bus: Bus) -> int:
        chronicle = await BusPast(bus, archives(args), progress()).chronicle()
        last = end_of(chronicle)
        low = span_of(args.start, "--from", last).low if args.start else (chronicle.first_ms or 0)
        high = span_of(args.end, "--to", last).high if args.end else last
        if low > high:
            raise UsageError("--from lies behind --to", "a time of day is the latest such time before the last event")
        marks = tuple(one for one in await bookmarks(bus.partitions) if low <= one.at_ms <= high)
        gaps = tuple(gap for gap in chronicle.gaps if gap.to_ms > low and gap.from_ms < high)
        about = About(bus.keys.bus, int(low), int(high), args.filter, tuple(args.redact), gaps, marks)
        try:
            count = write_recording(path, chronicle, about, where=where)
        except OSError as error:
            raise ObservatoryError(f"{path} cannot be written: {error.strerror or error}") from error
        told = {"file": str(path), "events": count, "from": iso(about.from_ms), "to": iso(about.to_ms),
                "bytes": path.stat().st_size}  # fmt: skip
        if args.json:
            out_json(told)
        else:
            out(f"{count:,} events from {told['from']} to {told['to']} in {path}, {told['bytes']:,} bytes")
        return 0

    return on_bus(args, write)


def run_replay(args: argparse.Namespace) -> int:
    """Open a recording on the screen, or print a moment of it."""
    settings = settings_for(args)
    if not args.json:
        check_theme(settings)
        require_terminal("observatory replay FILE --json")
    with with_extra():
        source = open_file(args.file)
    if source.span is None:
        raise ObservatoryError(f"{args.file} holds no event")
    first, last = source.span
    at_ms = int(span_of(args.at, "--at", last).low) if args.at else (last if args.json else first)
    if not first <= at_ms <= last:
        note(f"that is outside of the recording, which is of {iso(first)} to {iso(last)}")
    source.seek(at_ms)
    if not args.json:
        return show_past(args, source, settings)
    import asyncio

    from observatory.live import snapshot_document

    out_json(snapshot_document(asyncio.run(source.snapshot())))
    return 0


def _filter(text: str) -> Filter[Event] | None:
    from observatory.model.filter.rows import EVENTS

    return filter_of(text, EVENTS)
