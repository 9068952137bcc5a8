"""`observatory engine`: the embedded Valkey as a process of its own, for agents that outlive the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from observatory.cli.attach import settings_for
from observatory.cli.output import UNKNOWN, out, out_json
from observatory.cli.parser import add_group, add_verb
from observatory.model.errors import EngineError
from observatory.model.secret import masked
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from observatory.cli.parser import Verbs
    from observatory.engine import RunningEngine


def register(verbs: Verbs) -> None:
    """Add `engine` and its own verbs to the command line."""
    verbs = add_group(verbs, "engine", summary="start, stop and look at the embedded engine")
    start = add_verb(verbs, "start", run_start, summary="start the engine and leave it running")
    start.add_argument("--port", type=int, metavar="N", help="listen on 127.0.0.1:N instead of a unix socket")
    start.add_argument(
        "--maxmemory", metavar="SIZE", help="refuse writes above this much memory, such as 2gb (60 %% of the machine's)"
    )
    stop = add_verb(verbs, "stop", run_stop, summary="stop the engine; its data stays")
    status = add_verb(verbs, "status", run_status, summary="say how the engine is (exit code 1 if none runs)")
    add_verb(
        verbs,
        "url",
        run_url,
        summary="print the engine's address with its password, for agents",
        details="example:\n  export OBSERVATORY_URL=$(observatory engine url)",
    )
    for verb in (start, stop, status):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run_start(args: argparse.Namespace) -> int:
    """Start the engine detached."""
    from observatory.engine import size, start_detached

    settings = settings_for(args)
    maxmemory = None if args.maxmemory is None else size(args.maxmemory)
    _show(start_detached(settings.data_dir, port=args.port, maxmemory=maxmemory), as_json=args.json)
    return 0


def run_stop(args: argparse.Namespace) -> int:
    """Stop the engine; that none runs is not a failure, for it is what was asked for."""
    from observatory.engine import stop_running

    directory = settings_for(args).data_dir
    stopped = stop_running(directory)
    if args.json:
        out_json({"stopped": stopped, "directory": str(directory)})
    else:
        out(line(f"stopped the engine in {directory}" if stopped else f"no engine runs in {directory}", 1000))
    return 0


def run_status(args: argparse.Namespace) -> int:
    """Say how the engine is."""
    from observatory.engine import running

    directory = settings_for(args).data_dir
    engine = running(directory)
    if engine is None and args.json:
        out_json({"running": False, "directory": str(directory)})
        return 1
    _show(engine or _none_in(directory), as_json=args.json)
    return 0


def run_url(args: argparse.Namespace) -> int:
    """Print the address that a client needs, secret and all: whoever asks may read the password file anyway."""
    from observatory.engine import running

    directory = settings_for(args).data_dir
    out((running(directory) or _none_in(directory)).url)
    return 0


def _none_in(directory: Path) -> NoReturn:
    raise EngineError(f"no engine runs in {directory}", "start one with `observatory engine start`")


def _show(engine: RunningEngine, *, as_json: bool) -> None:
    from observatory.engine import Vitals, vitals

    vital = vitals(engine.directory) or Vitals(None, None, None, None)
    if as_json:
        out_json(
            {
                "running": True,
                "directory": str(engine.directory),
                "pid": engine.pid,
                "version": engine.version,
                "url": masked(engine.url),
                "detached": engine.detached,
                "memory": vital.memory,
                "memory_limit": vital.memory_limit,
                "aof": vital.aof,
                "aof_bytes": vital.aof_bytes,
                "cut": engine.cut,
            }
        )
        return
    until = "until `observatory engine stop`" if engine.detached else "until the last app that uses it is closed"
    out(line(f"{engine.version}, process {engine.pid}, runs {until}", 1000))
    out(line(f"  data     {engine.directory}", 1000))
    out(line(f"  address  {masked(engine.url)} (in full: observatory engine url)", 1000))
    out(f"  memory   {_mib(vital.memory)} of {_mib(vital.memory_limit)}")
    out(f"  file     append-only, {vital.aof or UNKNOWN}, {_mib(vital.aof_bytes)}")
    if engine.cut:
        out(line(f"  warning  {engine.cut}: what was written in the last moment before the crash is lost", 1000))


def _mib(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size / (1 << 20):,.1f} MiB"
