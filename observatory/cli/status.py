"""`observatory status`: one snapshot of the swarm, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import on_bus
from observatory.cli.output import NONE, UNKNOWN, age, iso, number, out, out_json, rate, table
from observatory.cli.parser import add_verb
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from observatory.bus import Bus
    from observatory.cli.parser import Parser, Verbs
    from observatory.model.snapshot import AgentView, LaneView, Quantiles, Snapshot

RATES_S = 0.5
"""Seconds between the two looks that rates are made of, for a person, who does not notice them."""

LONGEST_S = 60.0
"""Longest time between two looks that may be asked for: whoever wants more wants the dashboard."""

EPILOG = """\
Rates are measured, so they take two looks. With --json there is one look, which is fast, and every rate is null;
--rates SECONDS takes the second. For people two looks are half a second apart; --rates 0 leaves the second out.

examples:
  observatory status --json | jq '.lanes[] | select(.backlog > 0) | .stream'
  observatory status --json --rates 2 | jq '[.lanes[].in_rate] | add'
"""

LANE_HEAD = ("LANE", "BACKLOG", "LAG", "PENDING", "CONSUMERS", "OLDEST", "IN/S", "OUT/S", "STATE")
AGENT_HEAD = ("AGENT", "STATE", "SEEN", "PENDING", "DONE", "FAILED", "TASK", "FOR")


def register(verbs: Verbs) -> None:
    """Add `status` to the command line."""
    parser = add_verb(
        verbs, "status", run, summary="print one snapshot of lanes, agents and dead letters", details=EPILOG
    )
    parser.add_argument("--json", action="store_true", help="print it as one JSON object")
    add_rates_flag(parser)


def add_rates_flag(parser: Parser) -> None:
    """Add `--rates` to a verb that looks twice to know rates."""
    parser.add_argument(
        "--rates", type=float, metavar="SECONDS", help="look twice, so far apart, to know rates (0.5; with --json 0)"
    )


def settle_of(args: argparse.Namespace, usual_s: float) -> float:
    """Return how many seconds lie between the two looks; 0 for one look.

    Raises:
        UsageError: They would be too far apart, or no time at all.
    """
    asked: float | None = args.rates
    settle_s = asked if asked is not None else 0.0 if args.json else usual_s
    if not 0 <= settle_s <= LONGEST_S:
        raise UsageError(f"--rates {settle_s:g} is not from 0 to {LONGEST_S:g}", "for example --rates 1")
    return settle_s


def run(args: argparse.Namespace) -> int:
    """Take one snapshot and print it.

    Raises:
        UsageError: The two looks would be too far apart, or no time at all.
    """
    settle_s = settle_of(args, RATES_S)

    async def look(bus: Bus) -> int:
        from observatory.live import snapshot_document, take_snapshot

        snapshot = await take_snapshot(bus, settle_s=settle_s)
        if args.json:
            out_json(snapshot_document(snapshot))
        else:
            for text in as_text(snapshot):
                out(text)
        return 0

    return on_bus(args, look)


def as_text(snapshot: Snapshot) -> Iterator[str]:
    """Yield the lines of *snapshot* that a person reads."""
    link, engine = snapshot.link, snapshot.engine
    server = f"{engine.product} {engine.version}".strip() or UNKNOWN
    reason = f": {link.reason}" if link.reason else ""
    yield line(f"{link.state}{reason}  {server}  at {iso(snapshot.at_ms)}")
    yield line(link.url)
    yield from (line(f"warning: {warning}") for warning in engine.warnings)
    yield ""
    shown = [lane for lane in snapshot.lanes if _is_news(lane)]
    yield from table(LANE_HEAD, map(_lane_row, shown), right=LANE_HEAD[1:8])
    if hidden := len(snapshot.lanes) - len(shown):
        yield f"and {hidden} idle lanes of named queues (--json has all)"
    yield ""
    if snapshot.agents:
        yield from table(AGENT_HEAD, map(_agent_row, snapshot.agents), right=("SEEN", "PENDING", "DONE", "FAILED"))
    else:
        yield "no agents: none has sent a heartbeat yet"
    yield ""
    yield line(_dead_letters(snapshot))
    yield f"delayed: {number(snapshot.delayed)}"
    yield f"waited: {_latency(snapshot.flow.wait, snapshot.flow.window_s)}"
    yield f"ran: {_latency(snapshot.flow.run, snapshot.flow.window_s)}"


def _is_news(lane: LaneView) -> bool:
    """Say whether a lane is worth a row: the shared ones always, others while anything is there or moves."""
    from observatory.model.snapshot import LaneState
    from observatory.model.task import SHARED

    return lane.queue == SHARED or lane.state is not LaneState.IDLE or bool(lane.in_rate or lane.out_rate)


def _lane_row(lane: LaneView) -> tuple[str, ...]:
    if lane.problem:
        unknown = (UNKNOWN,) * 7
        return (lane_name(lane), *unknown, f"{lane.state}: {lane.problem}")
    return (
        lane_name(lane),
        number(lane.backlog),
        number(lane.lag) if lane.groups else NONE,
        number(lane.pending),
        number(lane.consumers),
        age(lane.oldest_waiting_s),
        rate(lane.in_rate),
        rate(lane.out_rate),
        str(lane.state),
    )


def lane_name(lane: LaneView) -> str:
    """Return a lane as people call it."""
    from observatory.model.task import Lane

    return str(Lane(lane.queue, lane.priority))


def _agent_row(agent: AgentView) -> tuple[str, ...]:
    return (
        agent.name,
        str(agent.state or UNKNOWN),
        age(agent.last_seen_s, none="never"),
        number(agent.pending),
        number(agent.done),
        number(agent.failed),
        agent.task or NONE,
        age(agent.task_age_s, none=UNKNOWN if agent.task else NONE),
    )


def _latency(found: Quantiles, window_s: float) -> str:
    """Tell a distribution with how many samples it rests on; quantiles that rest on too few are marked."""
    if not found.samples:
        return f"{UNKNOWN}, nothing in the last {window_s:.0f} s"
    told = [
        f"p{share * 100:.0f} {age(value / 1000)}{'' if found.confident(share) else '?'}"
        for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99))
        if value is not None
    ]
    few = ", too few to be sure of what has a ?" if not found.confident(0.99) else ""
    return f"{'  '.join(told)}  ({found.samples:,} samples in {window_s:.0f} s{few})"


def _dead_letters(snapshot: Snapshot) -> str:
    dead = snapshot.dead_letters
    if dead.problem:
        return f"dead letters: {UNKNOWN}: {dead.problem}"
    text = f"dead letters: {number(dead.total)}"
    if dead.reasons:
        reasons = ", ".join(f"{name} {count:,}" for name, count in dead.reasons)
        partial = f" of the newest {dead.counted:,}" if dead.total is not None and dead.counted < dead.total else ""
        text += f" ({reasons}{partial}; oldest {age(dead.oldest_s)})"
    return text
