"""`observatory jobs`, `undo`, `execute` and `audit-log`: what operators did and do, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.acting import AGREE, add_plan_flags, carry_out, load, on_actions, progress, report_lines
from observatory.cli.output import NONE, clock, iso, note, number, out, out_json, table
from observatory.cli.parser import add_group, add_verb
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.actions import BusActions
    from observatory.cli.parser import Verbs
    from observatory.model.plan import AuditRecord, JobView

JOB_HEAD = ("JOB", "AT", "VERB", "STATE", "ITEMS", "DONE", "SKIPPED", "RATE", "BY", "ASKED")
RECORD_HEAD = ("AT", "PHASE", "VERB", "OUTCOME", "COUNT", "DONE", "BY", "ASKED", "REASON")


def register(verbs: Verbs) -> None:
    """Add the verbs to the command line."""
    group = add_group(verbs, "jobs", summary="list, resume and steer what operators do to many things at once")
    listing = add_verb(group, "ls", run_list, summary="list jobs, newest first")
    for name, run, summary in (
        ("resume", run_resume, "go on with a job that was paused, or whose executor died"),
        ("pause", run_pause, "pause a job"),
        ("cancel", run_cancel, "end a job; what it did stays done"),
        ("rate", run_rate, "give a job another rate"),
    ):
        parser = add_verb(group, name, run, summary=summary)
        parser.add_argument("job", metavar="JOB", help="as `jobs ls` shows it")
        if name == "rate":
            parser.add_argument("rate", type=float, metavar="N", help="items a second")
        if name == "resume":
            parser.add_argument("--json", action="store_true", help="print JSON")
    undo = add_verb(
        verbs,
        "undo",
        run_undo,
        summary="take back what a job did, as far as that is possible",
        details=f"{AGREE} Undoing an undo does it again.",
    )
    undo.add_argument("job", nargs="?", default="", metavar="JOB", help="as `jobs ls` shows it (your newest)")
    add_plan_flags(undo)
    execute = add_verb(verbs, "execute", run_execute, summary="execute a plan that was saved", details=AGREE)
    execute.add_argument("file", metavar="FILE", help="what --save wrote")
    add_plan_flags(execute)
    log = add_verb(verbs, "audit-log", run_log, summary="print what operators did, newest first")
    log.add_argument("--before", default="", metavar="ID", help="go on below this record")
    for parser in (listing, log):
        parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most this many (50)")
        parser.add_argument("--json", action="store_true", help="print JSON")


def run_list(args: argparse.Namespace) -> int:
    """Print jobs."""
    _check_limit(args.limit)

    async def look(actions: BusActions) -> int:
        jobs = await actions.jobs(args.limit)
        if args.json:
            out_json({"jobs": [job_document(job) for job in jobs]})
            return 0
        for text in table(JOB_HEAD, map(_job_row, jobs), right=JOB_HEAD[4:8]) if jobs else ["no jobs"]:
            out(text)
        return 0

    return on_actions(args, look)


def run_resume(args: argparse.Namespace) -> int:
    """Go on with a job."""

    async def resume(actions: BusActions) -> int:
        plan = await actions.planned(args.job)
        with progress(plan) as told:
            report = await actions.resume(args.job, told=told)
        if args.json:
            from observatory.model.plan.document import report_document

            out_json({"job": args.job, "report": report_document(report)})
        else:
            for text in report_lines(report):
                out(text)
        return 0 if len(report.done) == len(plan.items) else 1

    return on_actions(args, resume, writes=True)


def run_pause(args: argparse.Namespace) -> int:
    """Pause a job."""
    return _steer(args, "pause")


def run_cancel(args: argparse.Namespace) -> int:
    """End a job."""
    return _steer(args, "cancel")


def run_rate(args: argparse.Namespace) -> int:
    """Change the rate of a job."""
    return _steer(args, "rate", f"{args.rate:g}")


def _steer(args: argparse.Namespace, wish: str, value: str = "") -> int:
    async def steer(actions: BusActions) -> int:
        await actions.steer(args.job, wish, value)
        note(f"{args.job}: {wish} {value}".rstrip())
        return 0

    return on_actions(args, steer, writes=True)


def run_undo(args: argparse.Namespace) -> int:
    """Plan to take a job back, print the plan, and execute it when told to."""

    async def undo(actions: BusActions) -> int:
        from observatory.model.plan import UndoJob

        job = args.job or await _newest(actions)
        return await carry_out(actions, await actions.plan(UndoJob(job)), args)

    return on_actions(args, undo, writes=args.yes)


async def _newest(actions: BusActions) -> str:
    """Return the newest job of this operator that did something and was not taken back."""
    for job in await actions.jobs():
        if job.who == actions.actor and job.done and not job.undone and not job.undoes:
            return job.id
    raise UsageError("there is nothing of yours to take back", "see `observatory jobs ls`")


def run_execute(args: argparse.Namespace) -> int:
    """Execute a saved plan."""
    from observatory.model.plan.document import read_plan

    plan = read_plan(load(args.file))

    async def execute(actions: BusActions) -> int:
        return await carry_out(actions, plan, args)

    return on_actions(args, execute, writes=args.yes)


def run_log(args: argparse.Namespace) -> int:
    """Print the audit."""
    _check_limit(args.limit)

    async def look(actions: BusActions) -> int:
        records = await actions.records(args.limit, before=args.before)
        if args.json:
            out_json({"records": [record_document(record) for record in records]})
            return 0
        for text in (
            table(RECORD_HEAD, map(_record_row, records), right=RECORD_HEAD[4:6]) if records else ["no records"]
        ):
            out(text)
        return 0

    return on_actions(args, look)


def job_document(job: JobView) -> dict[str, Any]:
    """Return a job as plain data."""
    from dataclasses import asdict

    document = asdict(job) | {"state": str(job.state), "created_at": iso(job.created_ms), "ended_at": iso(job.ended_ms)}
    del document["created_ms"], document["ended_ms"]
    return document


def record_document(record: AuditRecord) -> dict[str, Any]:
    """Return a record of the audit as plain data."""
    from dataclasses import asdict

    document = asdict(record) | {"phase": str(record.phase), "at": iso(record.at_ms)}
    del document["at_ms"]
    return document


def _job_row(job: JobView) -> tuple[str, ...]:
    state = "abandoned" if job.abandoned else str(job.state)
    if job.waits_for:
        state = f"{state} behind {job.waits_for}"
    return (
        job.id,
        clock(job.created_ms)[:8],
        job.verb,
        f"{state}: {job.why}" if job.why else state,
        f"{job.at:,}/{job.total:,}",
        number(job.done),
        number(job.skipped),
        NONE if job.rate is None else f"{job.rate:g}/s",
        job.who,
        job.asked,
    )


def _record_row(record: AuditRecord) -> tuple[str, ...]:
    return (
        (iso(record.at_ms) or "")[:19],
        str(record.phase),
        record.verb,
        f"{record.outcome}: {record.why}" if record.why else record.outcome or NONE,
        number(record.count),
        number(record.done),
        record.who,
        record.asked,
        record.reason or NONE,
    )


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= 10_000:
        raise UsageError(f"--limit: {limit} is not a number of rows", "from 1 to 10,000")
