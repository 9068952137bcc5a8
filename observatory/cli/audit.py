"""`observatory audit`: whether the event log and what the engine holds add up to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import about, on_bus
from observatory.cli.output import NONE, iso, number, out, out_json, table
from observatory.cli.parser import add_verb
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from observatory.bus import Bus
    from observatory.bus.care.audit import Audit, LaneAudit
    from observatory.bus.care.compare import Discrepancy
    from observatory.cli.parser import Verbs

DETAILS = """\
Every change that the bus client makes is written to the event log in the same step. This rebuilds the books from
the log and compares them with the lanes, the delayed tasks, the dead letters and the counters of the engine.
It changes nothing. Tasks that move while it reads are not judged, and said to be so.

exit codes: 0 equal in all that can be known, 1 differences, 2 usage or configuration, 3 bus unreachable
"""


def register(verbs: Verbs) -> None:
    """Add `audit` to the command line."""
    parser = add_verb(verbs, "audit", run, summary="compare the event log with what the engine holds", details=DETAILS)
    parser.add_argument(
        "--group", default="workers", metavar="NAME", help="group whose workers write the events (workers)"
    )
    parser.add_argument("--examples", type=int, default=5, metavar="N", help="name at most this many ids of each (5)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Audit the bus, and print what was found."""
    if args.examples < 0:
        raise UsageError(f"--examples: {args.examples} is not a number of ids", "at least 0")

    async def look(bus: Bus) -> int:
        with about("cannot audit"):
            found = await bus.audit(group=args.group, examples=args.examples)
        if args.json:
            out_json({"url": bus.url, **as_document(found)})
        else:
            for text in as_text(found, bus.keys.delayed, bus.keys.dead_letters):
                out(text)
        return 0 if found.equal else 1

    return on_bus(args, look)


def as_text(found: Audit, delayed: str, dead: str) -> Iterator[str]:
    """Yield the lines that a person reads: both counts side by side, what differs, what cannot be known, the sum.

    Args:
        found: The audit.
        delayed: Key of the delayed tasks.
        dead: Key of the dead letters.
    """
    since = f"since {iso(found.since_ms)}" if found.since_ms is not None else "empty"
    yield f"log: {found.facts:,} facts, {since}"
    yield ""
    rows = [
        _row(lane) for lane in found.lanes if lane.queued or lane.running or lane.count.length or lane.count.problem
    ]
    for key, (logged, held) in ((delayed, found.delayed), (dead, found.dead)):
        rows.append((key, NONE, number(logged), number(held), NONE, NONE))
    head = ("KEY", "GROUP", "BY LOG", "HELD", "WAITING", "PENDING")
    yield from table(head, rows, right=head[2:])
    yield ""
    yield from _listed("differs", found.differences)
    yield from _listed("unknown", found.unknown)
    yield _verdict(found)


def as_document(found: Audit) -> dict[str, object]:
    """Return the audit as plain JSON."""
    return {
        "equal": found.equal,
        "moving": found.moving,
        "by_task": found.by_task,
        "log": {"facts": found.facts, "since": iso(found.since_ms), "days": list(found.days)},
        "lanes": [_lane_document(lane) for lane in found.lanes],
        "delayed": dict(zip(("by_log", "held"), found.delayed, strict=True)),
        "dead_letters": dict(zip(("by_log", "held"), found.dead, strict=True)),
        "differences": [_one_document(one) for one in found.differences],
        "unknown": [_one_document(one) for one in found.unknown],
    }


def _row(lane: LaneAudit) -> tuple[str, ...]:
    group = lane.count.working
    return (
        lane.count.stream,
        group.name if group else NONE,
        number(lane.queued + lane.running),
        lane.count.problem or number(lane.held),
        number(lane.waiting),
        number(lane.pending),
    )


def _listed(word: str, found: Sequence[Discrepancy]) -> Iterator[str]:
    for one in found:
        yield line(f"{word}  {one}", 300)
        for example in one.examples:
            yield line(f"         {example}", 300)


def _verdict(found: Audit) -> str:
    moving = f"; the bus was moving, {found.moving:,} tasks were not judged" if found.moving else ""
    if found.equal:
        return f"equal in all that can be known{moving}"
    return f"{len(found.differences)} differences{moving}"


def _lane_document(lane: LaneAudit) -> dict[str, object]:
    return {
        "stream": lane.count.stream,
        "problem": lane.count.problem,
        "by_log": {"queued": lane.queued, "running": lane.running},
        "length": lane.count.length,
        "group": lane.count.working.name if lane.count.working else None,
        "waiting": lane.waiting,
        "pending": lane.pending,
        "groups": [{"name": one.name, "waiting": one.waiting, "pending": one.pending} for one in lane.count.groups],
        "foreign_consumers": list(lane.count.foreign),
    }


def _one_document(one: Discrepancy) -> dict[str, object]:
    return {
        "kind": one.kind.name.lower(),
        "what": str(one.kind),
        "where": one.where,
        "count": one.count,
        "examples": list(one.examples),
    }
