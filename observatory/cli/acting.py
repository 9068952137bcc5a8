"""What all verbs that change the bus have in common: their flags, how a plan is shown, and when it is executed."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from observatory.cli.attach import about, on_bus, settings_for
from observatory.cli.output import UNKNOWN, age, iso, note, out, out_json
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from observatory.actions import BusActions
    from observatory.bus import Bus
    from observatory.cli.parser import Parser
    from observatory.model.plan import Pace, Plan, Report, Request, Selector, SkippedItem
    from observatory.settings import Settings

SHOWN = 20
"""Items of a plan that are printed; all of them stand in its JSON."""

AGREE = "Prints the plan and stops; with --yes it then does exactly what the plan says."


def add_plan_flags(parser: Parser, *, paced: bool = False) -> None:
    """Add what every plan takes: `--yes`, `--confirm`, `--reason`, `--save`, `--json`, and perhaps its pace."""
    group = parser.add_argument_group("the plan")
    group.add_argument("--yes", action="store_true", help="execute the plan")
    group.add_argument("--confirm", default="", metavar="WORD", help="the word that a grave plan asks for")
    group.add_argument("--reason", default="", metavar="TEXT", help="why it is done, for the audit")
    group.add_argument("--save", default="", metavar="FILE", help="save the plan, for `observatory execute FILE`")
    group.add_argument("--json", action="store_true", help="print JSON")
    if paced:
        group.add_argument("--rate", type=float, default=None, metavar="N", help="items a second, behind a canary")
        group.add_argument(
            "--canary",
            default=None,
            metavar="STEPS",
            help="sizes of the first steps, as in 1,5,20,100; `none` for none",
        )


def add_selection_flags(parser: Parser, *, what: str, cause: bool = False) -> None:
    """Add how things are chosen: their ids, `--filter` and perhaps `--cause`."""
    parser.add_argument("ids", nargs="*", metavar="ID", help=what)
    parser.add_argument("--filter", default="", metavar="FILTER", help="all that match: `type:deploy error~timeout`")
    if cause:
        parser.add_argument(
            "--cause", default="", metavar="CAUSE", help="all of one cause of `dlq ls --group-by cause`"
        )
        parser.add_argument("--group-by", default="", metavar="KEY", help="key of the cause, as `dlq ls` was given it")


def selector_of(args: argparse.Namespace) -> Selector:
    """Return what is chosen.

    Raises:
        UsageError: Nothing is.
    """
    from observatory.model.plan import Selector

    key = getattr(args, "group_by", "")
    select = Selector(tuple(args.ids), args.filter, getattr(args, "cause", ""), "" if key == "cause" else key)
    if select.is_empty:
        raise UsageError("nothing is chosen", "give ids or --filter")
    return select


def pace_of(args: argparse.Namespace) -> Pace:
    """Return the pace that the command line asks for: with a rate there is a canary, unless it says otherwise.

    Raises:
        UsageError: It cannot be one.
    """
    from observatory.model.plan.pace import Pace, pace_for

    rate, steps = getattr(args, "rate", None), getattr(args, "canary", None)
    if steps is None:
        return pace_for(rate)
    try:
        canary = () if steps == "none" else tuple(int(step) for step in steps.split(","))
    except ValueError:
        raise UsageError(f"--canary: {line(steps, 60)!r} are no steps", "for example 1,5,20,100") from None
    return pace_for(rate, canary) if rate is not None else Pace(canary=canary)


def on_actions(args: argparse.Namespace, work: Callable[[BusActions], Awaitable[int]], *, writes: bool = False) -> int:
    """Connect to the bus that is meant, run *work* on what can change it, and return its exit code; see `on_bus`."""

    async def act(bus: Bus) -> int:
        return await work(actions_on(bus, settings_for(args)))

    return on_bus(args, act, writes=writes)


def actions_on(bus: Bus, settings: Settings) -> BusActions:
    """Return what can change *bus*, as far as the settings let it."""
    from observatory.actions import BusActions, Guard

    why = f"read_only is set by {settings.provenance('read_only')}" if settings.read_only else ""
    # What a flag or a variable says is meant for this session; what a file says of a bus can be lifted for a while.
    lasting = bool(why) and settings.provenance("read_only").startswith(("flag", "env"))
    protected = (settings.context or settings.prefix) if settings.protected else ""
    guard = Guard(locked=why if lasting else "", read_only="" if lasting else why, protected=protected)
    return BusActions(bus, guard=guard, actor=settings.actor, context=settings.context or bus.url)


def run_request(args: argparse.Namespace, request: Request) -> int:
    """Plan *request*, show the plan, and execute it when told to."""

    async def plan_it(actions: BusActions) -> int:
        with about("cannot plan this"):
            plan = await actions.plan(request, pace=pace_of(args))
        return await carry_out(actions, plan, args)

    return on_actions(args, plan_it, writes=args.yes)


async def carry_out(actions: BusActions, plan: Plan, args: argparse.Namespace) -> int:
    """Show *plan*, save it where that is asked for, and execute it when told to; returns the exit code."""
    from observatory.model.plan import Consent, Level

    need = actions.guard.demand(plan)
    if args.save:
        _save(plan, args.save)
    if not args.json:
        for text in plan_lines(plan):
            out(text)
    report = None
    if args.yes and plan.items:
        with progress(plan) as told, about(f"cannot {plan.verb}", unsure=f"see `observatory jobs`, job {plan.id}"):
            report = await actions.execute(plan, Consent(args.confirm, args.reason), told=told)
    if args.json:
        from observatory.model.plan.document import plan_document, report_document

        confirm = need.word if need.level is Level.TYPE else None
        out_json(
            {
                "plan": plan_document(plan) | {"confirm": confirm},
                "report": None if report is None else report_document(report),
            }
        )
    elif report is not None:
        for text in report_lines(report):
            out(text)
    if not args.yes and plan.items:
        words = f" --confirm {need.word} --reason …, because {need.why}" if need.level is Level.TYPE else ""
        note(f"nothing has been changed; add --yes{words} to do this")
    complete = len(plan.items if report is None else report.done) == len(plan.items) > 0 == len(plan.skipped)
    return 0 if complete else 1


@contextmanager
def progress(plan: Plan) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far a long job has come; yields what is told of it."""
    shows = len(plan.items) > 1 and sys.stderr is not None and sys.stderr.isatty()

    def told(at: int) -> None:
        if shows:
            print(f"\r{plan.verb}: {at:,} of {len(plan.items):,}", end="", file=sys.stderr, flush=True)

    try:
        yield told
    finally:
        if shows:
            print(file=sys.stderr)


def plan_lines(plan: Plan) -> Iterator[str]:
    """Return a plan as lines for people."""
    yield line(f"plan: {plan.summary}")
    yield line(f"  asked: {plan.asked}   plan id: {plan.id}")
    after = plan.after
    for place, count in plan.before.items():
        yield line(f"  {place}: {count:,} → {after[place]:,}")
    if plan.span_ms is not None:
        oldest, newest = plan.span_ms
        yield f"  oldest {iso(oldest) or UNKNOWN}, newest {iso(newest) or UNKNOWN}"
    if plan.items:
        lasts = plan.pace.expected_s(len(plan.items))
        takes = f", about {age(lasts)}" if lasts is not None else ""
        yield f"  {plan.pace.words}{takes}; it {plan.reversal}"
    yield from (line(f"  note: {warning}") for warning in plan.warnings)
    for item in plan.items[:SHOWN]:
        where = f"  {item.source or 'new'} → {item.target}" if item.target else ""
        yield line(f"  {item.id}  {item.label}{where}", 400)
    if len(plan.items) > SHOWN:
        yield f"  and {len(plan.items) - SHOWN:,} more"
    yield from skipped_lines(plan.skipped)


def report_lines(report: Report) -> Iterator[str]:
    """Return a report as lines for people."""
    yield line(f"done: {report.summary}", 600)
    rows = list(zip(report.done, report.entries, strict=True))
    yield from (line(f"  {done} → {entry}" if entry else f"  {done}") for done, entry in rows[:SHOWN])
    if len(rows) > SHOWN:
        yield f"  and {len(rows) - SHOWN:,} more"
    yield from skipped_lines(report.skipped)
    if report.done:
        yield f"  it {report.plan.reversal}: observatory undo {report.plan.id}"


def skipped_lines(skipped: Sequence[SkippedItem]) -> Iterator[str]:
    """Return what was left alone, with why."""
    yield from (line(f"  {item.id}  skipped: {item.why}", 400) for item in skipped[:SHOWN])
    if len(skipped) > SHOWN:
        yield f"  and {len(skipped) - SHOWN:,} more skipped"


def _save(plan: Plan, name: str) -> None:
    import json
    from pathlib import Path

    from observatory.files import write_atomically
    from observatory.model.plan.document import plan_document

    try:
        write_atomically(Path(name).expanduser(), json.dumps(plan_document(plan), indent=1) + "\n")
    except OSError as error:
        raise ObservatoryError(f"cannot save the plan to {line(name, 200)}: {error.strerror}") from error
    note(f"saved; `observatory execute {name}` does it, each item checked again")


def load(name: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return what a file of JSON holds.

    Raises:
        UsageError: It cannot be read, or is no JSON.
    """
    import json
    from pathlib import Path

    try:
        return json.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{line(name, 200)}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{line(name, 200)}: {error}", "this is no plan that Observatory saved") from None
