"""`observatory migrate`: the roads from older systems; files, polling over HTTP, and a Redis that others use, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli import bridge
from observatory.cli.attach import bus_url, on_bus, settings_for
from observatory.cli.doctor import as_text, finding_document
from observatory.cli.lanes import stream_of
from observatory.cli.output import note, number, out, out_json, plain
from observatory.cli.parser import add_group, add_verb
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from observatory.bus import Bus
    from observatory.bus.talk.journal import Journal
    from observatory.cli.parser import Parser, Verbs
    from observatory.edge.files.artifacts import Artifacts
    from observatory.edge.files.importer import Progress
    from observatory.edge.files.parity import Parity

IMPORT_DETAILS = """\
A line is ROLE|TIMESTAMP|TYPE|DATA. A path is a log, with all that was rotated away from it (.1, .2.gz, -20260206), or
a folder of logs; several logs are merged by their timestamps. What is no line is kept aside, with its number and why:
see `observatory migrate files aside`. Start it again whenever you like: nothing is imported twice.

examples:
  observatory migrate files import /var/log/agents.log
  observatory migrate files import /srv/old/logs --journal old --artifacts /srv/old/files --blobs /srv/blobs
  observatory migrate files import agents.log --follow
"""

DUAL_DETAILS = """\
What old agents append to the file comes to the stream, what others add to the stream comes to the file, each once.
What stood in the file before the first start is passed over, unless --past is given. Runs until it is interrupted.
With --into broadcasts the stream is what all agents of the bus hear.

example:
  observatory migrate files dual /var/log/agents.log --into broadcasts
"""


CHECK_DETAILS = """\
Looks at a million keys of each server at most, and changes nothing. Exit code 1: somebody else's keys stand where the
bus puts its own.

examples:
  observatory migrate check
  observatory migrate check --prefix swarm --url redis://shared.example/3
"""


def register(verbs: Verbs) -> None:
    """Add `migrate` to the command line."""
    roads = add_group(verbs, "migrate", summary="move over from files, from polling over HTTP, into a shared Redis")
    files = add_group(roads, "files", summary="move logs of ROLE|TIMESTAMP|TYPE|DATA lines into a stream")
    _register_files(files)
    bridge.register(roads)
    check = add_verb(
        roads, "check", run_check, summary="find out whether the keys of a shared Redis collide", details=CHECK_DETAILS
    )
    check.add_argument("--json", action="store_true", help="print JSON")


def _register_files(files: Verbs) -> None:
    moved = add_verb(
        files, "import", run_import, summary="import logs, resuming where it ended", details=IMPORT_DETAILS
    )
    moved.add_argument("paths", nargs="+", metavar="PATH", help="a log or a folder of logs")
    _add_journal(moved)
    _add_artifacts(moved)
    moved.add_argument("--follow", action="store_true", help="go on with what is written from now on")
    moved.add_argument("--json", action="store_true", help="print the result as JSON; with --follow a line per batch")

    dual = add_verb(
        files, "dual", run_dual, summary="keep a log and a stream equal, in both directions", details=DUAL_DETAILS
    )
    dual.add_argument("path", metavar="PATH", help="the log that old agents write and read")
    dual.add_argument("--past", action="store_true", help="begin with what stands in the log already")
    _add_journal(dual)
    _add_artifacts(dual)

    parity = add_verb(
        files, "parity", run_parity, summary="hold logs against the stream: counts, order, first difference"
    )
    parity.add_argument("paths", nargs="+", metavar="PATH", help="a log or a folder of logs")
    _add_journal(parity)
    _add_artifacts(parity)
    parity.add_argument("--json", action="store_true", help="print JSON")

    aside = add_verb(files, "aside", run_aside, summary="list the lines that were kept aside")
    _add_journal(aside)
    aside.add_argument("--json", action="store_true", help="print one JSON object per line")


def _add_journal(parser: Parser) -> None:
    parser.add_argument("--journal", default="files", metavar="NAME", help="what the journal is called (files)")
    parser.add_argument(
        "--into",
        default="",
        metavar="STREAM",
        help="where lines go: broadcasts, mailbox:AGENT, or a lane such as coding:high (a stream of the journal's own)",
    )


def _add_artifacts(parser: Parser) -> None:
    parser.add_argument(
        "--blobs", default="", metavar="URL", help="folder or fsspec URL for payloads above 256 KB and for artifacts"
    )
    parser.add_argument(
        "--artifacts", default="", metavar="DIR", help="folder of the files that lines of the type artifact name"
    )
    parser.add_argument("--artifact-type", default="artifact", metavar="TYPE", help="type of such lines (artifact)")


def run_import(args: argparse.Namespace) -> int:
    """Import what stands in the logs, and with --follow what will."""
    from observatory.edge.files.importer import Importer

    paths = _paths(args.paths)

    async def move(bus: Bus) -> int:
        journal = _journal(bus, args)
        show = _Progress(as_json=args.json and args.follow)
        importer = Importer(journal, paths, artifacts=_artifacts(args), tell=show)
        if args.follow:
            note("following; whatever is written is imported until this is interrupted")
            await importer.follow()
        moved = await importer.catch_up()
        show.end()
        state = await journal.state()
        if args.json:
            totals = {"entries": state.imported, "aside": state.aside, "sources": len(state.sources)}
            out_json({"journal": journal.name, "stream": journal.stream, "lines": moved, "total": totals})
        else:
            known = _counted(len(state.sources), "source")
            out(f"{_counted(moved, 'line')}; {line(journal.stream)} has {state.imported:,} from {known}")
        if aside := importer.progress.aside:
            verb = "was" if aside == 1 else "were"
            note(f"{_counted(aside, 'line')} {verb} kept aside: `observatory migrate files aside` lists them")
        return 0

    return _alone(args, move)


def run_dual(args: argparse.Namespace) -> int:
    """Publish to both sides until interrupted."""
    import asyncio
    from pathlib import Path

    from observatory.edge.files.dual import Writer
    from observatory.edge.files.importer import Importer

    _lasting(args)
    path = Path(args.path).absolute()
    if not path.exists():
        raise UsageError(f"{path}: there is no such file", "make it, empty if need be")

    async def both(bus: Bus) -> int:
        journal = _journal(bus, args)
        writer = Writer(journal, path)
        await writer.begin()
        importer = Importer(journal, [path], artifacts=_artifacts(args))
        if not args.past:
            await importer.pass_over()
        note(f"{path} and {journal.stream} are kept equal until this is interrupted")
        await asyncio.gather(importer.follow(), writer.follow())
        return 0

    return _alone(args, both)


def run_parity(args: argparse.Namespace) -> int:
    """Compare, and print what was found; 1 means that something differs."""
    from observatory.edge.files.artifacts import Artifacts
    from observatory.edge.files.parity import Comparison

    _lasting(args)
    paths = _paths(args.paths)

    async def compare(bus: Bus) -> int:
        journal = _journal(bus, args)
        found = await Comparison(journal, paths, _artifacts(args) or Artifacts()).run()
        if args.json:
            out_json(_document(found))
        else:
            for text in _parity_text(found):
                out(text)
        return int(not found.is_exact)

    return on_bus(args, compare)


def run_aside(args: argparse.Namespace) -> int:
    """Print every line that was kept aside."""

    async def show(bus: Bus) -> int:
        journal, after = _journal(bus, args), ""
        while page := await journal.kept_aside(after, 500):
            for _, one in page:
                if args.json:
                    out_json({"file": one.file, "line": one.number, "why": one.why, "raw": plain(one.raw)}, lines=True)
                else:
                    out(line(f"{one.file}:{one.number}: {one.why}: {one.raw.decode('utf-8', 'replace')}", 300))
            after = page[-1][0]
        return 0

    return on_bus(args, show)


def run_check(args: argparse.Namespace) -> int:
    """Look at who else lives there; 1 means that keys collide."""

    async def look(bus: Bus) -> int:
        from observatory.bus.care.neighbours import judged

        found = await bus.neighbours()
        findings = judged(found, bus.partitions.prefix)
        if args.json:
            counts = {"looked_at": found.looked_at, "whole": found.is_whole, "ours": found.ours}
            foreign = {"under_prefix": found.strange, "wrong_type": found.wrongs, "others": dict(found.others)}
            document = [finding_document(finding) for finding in findings]
            out_json({"url": bus.url, "ok": not found.collides, **counts, "foreign": foreign, "findings": document})
        else:
            for text in as_text(findings):
                out(text)
        return int(found.collides)

    return on_bus(args, look)


class _Progress:
    """Tells how far an import is, once a second: on stderr for people, as lines of JSON for programs."""

    def __init__(self, *, as_json: bool) -> None:
        from observatory.model.clock import SystemClock

        self._clock = SystemClock()
        self._as_json = as_json
        self._began = self._told = self._clock.monotonic()
        self._last: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        self._last = progress
        now = self._clock.monotonic()
        if self._as_json:
            self._json()
        elif now - self._told >= 1:
            self._told = now
            self._say(now)

    def end(self) -> None:
        """Say the end of it."""
        if self._last is not None and not self._as_json:
            self._say(self._clock.monotonic())

    def _say(self, now: float) -> None:
        assert self._last is not None  # noqa: S101 (told only behind a batch)
        rate = self._last.lines / max(now - self._began, 1e-3)
        aside = f", {self._last.aside:,} aside" if self._last.aside else ""
        note(f"{self._last.lines:,} lines, {rate:,.0f}/s{aside}  {self._last.file}")

    def _json(self) -> None:
        assert self._last is not None  # noqa: S101 (as above)
        one = self._last
        out_json({"lines": one.lines, "entries": one.entries, "aside": one.aside, "file": one.file}, lines=True)


def _alone(args: argparse.Namespace, work: Callable[[Bus], Awaitable[int]]) -> int:
    """Run *work* as the only process of this user that moves lines into that journal."""
    from observatory.edge.sole import sole
    from observatory.settings import state_dir

    settings = settings_for(args)
    with sole(state_dir() / "locks", "import of files", bus_url(settings), settings.prefix, args.journal):
        return on_bus(args, work, writes=True)


def _lasting(args: argparse.Namespace) -> None:
    """Refuse streams whose entries go when they are settled: nothing can be held against them.

    Raises:
        UsageError: --into names a lane or a mailbox.
    """
    if args.into not in {"", "broadcasts"}:
        raise UsageError(f"--into: what stands in {args.into!r} goes when it is settled", "broadcasts, or none")


def _journal(bus: Bus, args: argparse.Namespace) -> Journal:
    head, _, agent = args.into.partition(":")
    if head == "mailbox":
        # On a cluster the mailbox of an agent lives where the hash of its name says.
        return bus.journal(args.journal, stream=bus.partitions.of(agent).keys.mailbox(agent))
    return bus.journal(args.journal, stream=stream_of(bus, args.into) if args.into else "")


def _artifacts(args: argparse.Namespace) -> Artifacts | None:
    from pathlib import Path

    from observatory.bus.payloads.blobs import BlobStore
    from observatory.edge.files.artifacts import Artifacts

    if args.artifacts and not args.blobs:
        raise UsageError("--artifacts needs a place for them", "for example --blobs /var/lib/observatory/blobs")
    if not args.blobs:
        return None
    folder = Path(args.artifacts).expanduser() if args.artifacts else None
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--artifacts: {folder} is no folder")
    return Artifacts(BlobStore.open(args.blobs), folder, type=args.artifact_type)


def _paths(given: list[str]) -> list[Path]:
    from pathlib import Path

    return [Path(path).expanduser().absolute() for path in given]


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _document(found: Parity) -> dict[str, Any]:
    from dataclasses import asdict

    return {"exact": found.is_exact, **asdict(found)}


def _parity_text(found: Parity) -> list[str]:
    rows = [
        ("lines", found.lines),
        ("kept aside", found.aside),
        ("entries", found.entries),
        ("of others", found.written),
        ("of others, in the files", found.echoed),
        ("missing", found.missing),
        ("extra", found.extra),
        ("changed", found.changed),
        ("not imported yet", found.unread),
    ]
    said = [f"{name:<24}{number(count):>12}" for name, count in rows]
    return [*said, "exact" if found.is_exact else f"differs: {line(found.first, 300)}"]
