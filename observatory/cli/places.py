"""Verbs that change lanes, groups, agents and the bus itself: pause, resume, quiet, tell, reset-group, bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.acting import AGREE, add_plan_flags, carry_out, on_actions, run_request
from observatory.cli.parser import add_verb
from observatory.model.errors import UsageError
from observatory.model.quantity import duration_s

if TYPE_CHECKING:
    import argparse

    from observatory.actions import BusActions
    from observatory.cli.parser import Verbs

PLACES = "lanes (high, coding:low), groups of a lane (high/workers), or agents (@pink)"


def register(verbs: Verbs) -> None:
    """Add the verbs to the command line."""
    pause = add_verb(
        verbs,
        "pause",
        run_pause,
        summary="stop work from being taken from lanes or by agents",
        details=AGREE,
    )
    pause.add_argument("places", nargs="+", metavar="PLACE", help=PLACES)
    pause.add_argument("--for", dest="time", default="", metavar="TIME", help="until it goes on by itself, as in 10m")
    resume = add_verb(verbs, "resume", run_resume, summary="let paused lanes, groups and agents go on", details=AGREE)
    resume.add_argument("places", nargs="+", metavar="PLACE", help=PLACES)
    drain = add_verb(verbs, "drain", run_drain, summary="close lanes to new work, to be worked off", details=AGREE)
    drain.add_argument("places", nargs="+", metavar="LANE", help="lanes: high, coding:low")
    drain.add_argument("--for", dest="time", default="", metavar="TIME", help="until they open again, as in 10m")
    reopen = add_verb(verbs, "reopen", run_reopen, summary="let drained lanes take new work again", details=AGREE)
    reopen.add_argument("places", nargs="+", metavar="LANE", help="lanes: high, coding:low")
    tell = add_verb(verbs, "tell", run_tell, summary="send a message to an agent, or tell all", details=AGREE)
    tell.add_argument("agent", metavar="AGENT", help="whom it is for; `all` for every agent")
    tell.add_argument("text", metavar="TEXT", help="what it says")
    reset = add_verb(
        verbs, "reset-group", run_reset, summary="move the position up to which a group was given a lane", details=AGREE
    )
    reset.add_argument("lane", metavar="LANE", help="`high`, `coding:high`, or the key of the stream")
    reset.add_argument("group", metavar="GROUP", help="the group")
    reset.add_argument("to", metavar="POSITION", help="start, end, an entry id, or ms since the epoch")
    remove = add_verb(
        verbs, "remove-consumer", run_remove, summary="remove consumers that hold nothing and are gone", details=AGREE
    )
    remove.add_argument("names", nargs="+", metavar="CONSUMER", help="as `groups --consumers` shows them")
    remove.add_argument("--lane", default="", metavar="LANE", help="only from the groups of this lane")
    remove.add_argument("--override", default="", metavar="WHY", help="also one that asked for work a moment ago")
    bounds = add_verb(verbs, "bounds", run_bounds, summary="say what the bus keeps, and for how long", details=AGREE)
    for flag, what in (
        ("--events-bytes", "bytes of the event log"),
        ("--dead-bytes", "bytes of the dead letters"),
        ("--dead-days", "days of the dead letters"),
        ("--mailbox-bytes", "bytes of one mailbox"),
    ):
        bounds.add_argument(flag, type=int, default=None, metavar="N", help=f"{what}; 0 for no bound")
    for parser in (pause, resume, drain, reopen, tell, reset, remove, bounds):
        add_plan_flags(parser)


def run_pause(args: argparse.Namespace) -> int:
    """Pause places."""
    from observatory.model.plan import PauseLanes

    return run_request(args, PauseLanes(tuple(args.places), _seconds(args.time)))


def run_drain(args: argparse.Namespace) -> int:
    """Close lanes to new work."""
    from observatory.model.plan import DrainLanes

    return run_request(args, DrainLanes(tuple(args.places), _seconds(args.time)))


def run_reopen(args: argparse.Namespace) -> int:
    """Open lanes again."""
    from observatory.model.plan import ReopenLanes

    return run_request(args, ReopenLanes(tuple(args.places)))


def _seconds(time: str) -> float | None:
    """Read `--for`; None where it is not given.

    Raises:
        UsageError: It is no time.
    """
    try:
        return duration_s(time) if time else None
    except ValueError as error:
        raise UsageError(f"--for: {error}", "as in 90, 30s, 5m, 1h30m") from None


def run_resume(args: argparse.Namespace) -> int:
    """Let places go on."""
    from observatory.model.plan import ResumeLanes

    return run_request(args, ResumeLanes(tuple(args.places)))


def run_tell(args: argparse.Namespace) -> int:
    """Tell one agent, or all."""
    import uuid

    from observatory.model.plan import TellAgents

    agent = "" if args.agent == "all" else args.agent.removeprefix("@")
    return run_request(args, TellAgents(agent, args.text, uuid.uuid4().hex))


def run_reset(args: argparse.Namespace) -> int:
    """Move the position of a group."""
    from observatory.model.plan import ResetGroup

    return run_request(args, ResetGroup(args.lane, args.group, args.to))


def run_remove(args: argparse.Namespace) -> int:
    """Remove consumers."""
    from observatory.model.plan import RemoveConsumers

    return run_request(args, RemoveConsumers(tuple(args.names), args.lane, args.override))


def run_bounds(args: argparse.Namespace) -> int:
    """Set bounds; those that are not given stay as they are."""
    names = ("events_bytes", "dead_bytes", "dead_days", "mailbox_bytes")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if not given:
        raise UsageError("no bound is given", "for example --dead-days 30")

    async def plan_it(actions: BusActions) -> int:
        from dataclasses import replace

        from observatory.model.plan import SetBounds

        plan = await actions.plan(SetBounds(replace(await actions.bounds(), **given)))
        return await carry_out(actions, plan, args)

    return on_actions(args, plan_it, writes=args.yes)
