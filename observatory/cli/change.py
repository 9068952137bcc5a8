"""Verbs that change dead letters, tasks and what is pending: requeue, resend, trash, cancel, claim and their kin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.acting import (
    AGREE,
    add_plan_flags,
    add_selection_flags,
    run_request,
    selector_of,
)
from observatory.cli.parser import add_verb

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Parser, Verbs

LETTERS = "dead letters, as `dlq ls` shows them"
HELD = "task ids, or entries as `pending` shows them"


def register(verbs: Verbs) -> None:
    """Add the verbs to the command line."""
    add_requeue(verbs)
    resend = add_verb(
        verbs,
        "resend",
        run_resend,
        summary="send an edited copy of a dead letter and put the original away",
        details="What is not given stays as it was. " + AGREE,
    )
    resend.add_argument("id", metavar="ID", help="as `dlq ls` shows it")
    resend.add_argument("--type", default=None, metavar="TYPE", help="another kind of work")
    resend.add_argument("--queue", default=None, metavar="QUEUE", help="another queue, or @agent")
    resend.add_argument("--priority", default=None, metavar="P", help="critical, high, normal or low")
    resend.add_argument("--payload", default=None, metavar="JSON", help="another payload: JSON, text, @file, or -")
    add_plan_flags(resend)
    for name, run, summary in (
        ("trash", run_trash, "put dead letters into the trash"),
        ("restore", run_restore, "make what is in the trash dead letters again"),
        ("purge", run_purge, "delete what is in the trash for good"),
    ):
        parser = add_verb(verbs, name, run, summary=summary, details=AGREE)
        add_selection_flags(parser, what=LETTERS if name == "trash" else "entries of the trash", cause=name == "trash")
        add_plan_flags(parser)
    cancel = add_verb(verbs, "cancel", run_cancel, summary="take tasks back, wherever they are", details=AGREE)
    add_selection_flags(cancel, what="task ids, as `tasks` shows them")
    add_plan_flags(cancel)
    claim = add_verb(
        verbs,
        "claim",
        run_claim,
        summary="give work that somebody holds to another agent, or back to its lane",
        details=AGREE,
    )
    add_selection_flags(claim, what=HELD)
    claim.add_argument("--to", default="", metavar="AGENT", help="who gets it (back to its lane)")
    claim.add_argument("--raise-counts", action="store_true", help="count it as one more delivery (counts are kept)")
    _add_override(claim)
    add_plan_flags(claim)
    reassign = add_verb(verbs, "reassign", run_reassign, summary="take all work away from one agent", details=AGREE)
    reassign.add_argument("agent", metavar="AGENT", help="who holds it")
    reassign.add_argument("--to", default="", metavar="AGENT", help="who gets it (back to its lane)")
    _add_override(reassign)
    add_plan_flags(reassign)
    bury = add_verb(verbs, "dead-letter", run_bury, summary="make dead letters of work that is held", details=AGREE)
    add_selection_flags(bury, what=HELD)
    bury.add_argument("--error", required=True, metavar="TEXT", help="what is wrong with it")
    _add_override(bury)
    add_plan_flags(bury)


def add_requeue(verbs: Verbs) -> None:
    """Add `requeue`, which also stands below `dlq`."""
    requeue = add_verb(
        verbs,
        "requeue",
        run_requeue,
        summary="put dead letters back into the lanes they came from",
        details=f"{AGREE}\n\nexamples:\n  observatory requeue --filter 'type:deploy error~timeout' --rate 50\n"
        "  observatory requeue --cause 1f2e3d4c --yes",
    )
    add_selection_flags(requeue, what=LETTERS, cause=True)
    requeue.add_argument("--queue", default="", metavar="QUEUE", help="another queue than they came from, or @agent")
    requeue.add_argument("--priority", default="", metavar="P", help="another priority than they had")
    add_plan_flags(requeue, paced=True)


def _add_override(parser: Parser) -> None:
    parser.add_argument("--override", default="", metavar="WHY", help="also from an owner whose heartbeat is fresh")


def run_requeue(args: argparse.Namespace) -> int:
    """Plan a requeue, print the plan, and execute it when told to."""
    from observatory.model.plan import RequeueDeadLetters

    return run_request(args, RequeueDeadLetters(selector_of(args), args.queue, args.priority))


def run_resend(args: argparse.Namespace) -> int:
    """Plan to send an edited copy, print the difference, and execute it when told to."""
    from observatory.model.clock import SystemClock
    from observatory.model.draft import sortable_id
    from observatory.model.plan import ResendLetter

    return run_request(args, ResendLetter(args.id, _changes(args), sortable_id(SystemClock())))


def _changes(args: argparse.Namespace) -> dict[str, str]:
    from observatory.cli.send import payload_of

    said = {"type": args.type, "queue": args.queue, "priority": args.priority, "payload": args.payload}
    changes = {name: value for name, value in said.items() if value is not None}
    if "payload" in changes:
        changes["payload"] = payload_of(changes["payload"])
    return changes


def run_trash(args: argparse.Namespace) -> int:
    """Put dead letters into the trash."""
    from observatory.model.plan import TrashLetters

    return run_request(args, TrashLetters(selector_of(args)))


def run_restore(args: argparse.Namespace) -> int:
    """Take letters out of the trash."""
    from observatory.model.plan import RestoreLetters

    return run_request(args, RestoreLetters(selector_of(args)))


def run_purge(args: argparse.Namespace) -> int:
    """Delete letters from the trash."""
    from observatory.model.plan import PurgeTrash

    return run_request(args, PurgeTrash(selector_of(args)))


def run_cancel(args: argparse.Namespace) -> int:
    """Cancel tasks."""
    from observatory.model.plan import CancelTasks

    return run_request(args, CancelTasks(selector_of(args)))


def run_claim(args: argparse.Namespace) -> int:
    """Claim pending entries."""
    from observatory.model.plan import ClaimPending, Counts

    counts = Counts.RAISE if args.raise_counts else Counts.KEEP
    return run_request(args, ClaimPending(selector_of(args), args.to, counts, args.override))


def run_reassign(args: argparse.Namespace) -> int:
    """Claim all that one agent holds."""
    from observatory.model.plan import ClaimPending, Selector

    select = Selector(filter=f'agent:"{args.agent}"')
    return run_request(args, ClaimPending(select, args.to, override=args.override))


def run_bury(args: argparse.Namespace) -> int:
    """Dead-letter pending entries."""
    from observatory.model.plan import BuryPending

    return run_request(args, BuryPending(selector_of(args), args.error, args.override))
