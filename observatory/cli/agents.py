"""`observatory agents`: who is there, what each does, and one agent in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.attach import on_bus
from observatory.cli.lanes import short
from observatory.cli.listing import add_list_flags, filter_of, kept
from observatory.cli.output import NONE, UNKNOWN, age, iso, number, out, out_json, table
from observatory.cli.parser import add_verb
from observatory.model.errors import ObservatoryError
from observatory.model.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.model.listing import AgentDetail
    from observatory.model.snapshot import AgentView

HEAD = ("AGENT", "STATE", "SEEN", "PENDING", "DONE", "FAILED", "LOAD", "TASK", "FOR")
PROCESS_HEAD = ("PROCESS", "STATE", "SEEN", "LOAD", "TASK", "FOR")
HELD_HEAD = ("LANE", "CONSUMER", "PENDING")


def register(verbs: Verbs) -> None:
    """Add `agents` to the command line."""
    parser = add_verb(
        verbs,
        "agents",
        run,
        summary="list agents, or tell everything about one",
        details="examples:\n  observatory agents --filter 'state:dead pending>0'\n  observatory agents pink",
    )
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="everything about this agent")
    add_list_flags(parser, paged=False, limited=False)


def run(args: argparse.Namespace) -> int:
    """Print the agents, or one of them in full."""
    from observatory.model.filter.rows import AGENTS

    wanted = filter_of(args.filter, AGENTS)

    async def look(bus: Bus) -> int:
        from observatory.live import snapshot_document, take_snapshot

        if args.name:
            return await _one(bus, args.name, as_json=args.json)
        snapshot = await take_snapshot(bus)
        agents = kept(snapshot.agents, wanted)
        if args.json:
            names = {agent.name for agent in agents}
            documents = [agent for agent in snapshot_document(snapshot)["agents"] if agent["name"] in names]
            out_json({"at": iso(snapshot.at_ms), "agents": documents})
            return 0
        if not agents:
            out("no agents that match" if snapshot.agents else "no agents: none has sent a heartbeat yet")
            return 0
        for text in table(HEAD, map(_row, agents), right=("SEEN", "PENDING", "DONE", "FAILED", "LOAD", "FOR")):
            out(text)
        return 0

    return on_bus(args, look)


async def _one(bus: Bus, name: str, *, as_json: bool) -> int:
    from contextlib import aclosing
    from typing import cast

    from observatory.live import LiveSource

    source = LiveSource(bus)
    async with aclosing(cast("Any", source.snapshots())) as shots:
        await anext(shots)
    detail = await source.agent(name)
    if detail is None:
        raise ObservatoryError(f"there is no agent {name!r}", "see `observatory agents`")
    if as_json:
        out_json(as_document(detail))
    else:
        for text in as_text(bus, detail):
            out(text)
    return 0


def as_text(bus: Bus, detail: AgentDetail) -> Iterator[str]:
    """Yield the lines that a person reads about one agent."""
    box = detail.mailbox
    yield line(detail.name, 64)
    if box is None:
        yield "mailbox: none"
    else:
        yield f"mailbox: {number(box.length)} messages, {number(box.pending)} read and not acknowledged"
    yield ""
    if detail.processes:
        rows = (
            (
                one.consumer,
                str(one.state),
                age(one.last_seen_s),
                UNKNOWN if one.load is None else f"{one.load:.0%}",
                one.task or NONE,
                age(one.task_age_s, none=UNKNOWN if one.task else NONE),
            )
            for one in detail.processes
        )
        yield from table(PROCESS_HEAD, rows, right=("SEEN", "LOAD", "FOR"))
    else:
        yield "no process of it has sent a heartbeat"
    yield ""
    if detail.held:
        held = ((short(bus, one.stream), one.consumer, number(one.pending)) for one in detail.held)
        yield from table(HELD_HEAD, held, right=("PENDING",))
    else:
        yield "it holds nothing"


def as_document(detail: AgentDetail) -> dict[str, Any]:
    """Return one agent as plain data."""
    box = detail.mailbox
    return {
        "name": detail.name,
        "processes": [
            {
                "consumer": one.consumer,
                "state": str(one.state),
                "last_seen_s": one.last_seen_s,
                "status": one.status,
                "task": one.task,
                "task_age_s": one.task_age_s,
                "load": one.load,
                "interval_s": one.interval_s,
                "version": one.version,
                "done": one.done,
                "failed": one.failed,
                "capabilities": list(one.capabilities),
            }
            for one in detail.processes
        ],
        "held": [{"stream": one.stream, "consumer": one.consumer, "pending": one.pending} for one in detail.held],
        "mailbox": None
        if box is None
        else {"length": box.length, "pending": box.pending, "oldest_at": iso(box.oldest_ms)},
        "tasks": [
            {"id": task.key, "type": task.type, "state": task.state, "stream": task.stream, "attempt": task.attempt}
            for task in detail.tasks
        ],
    }


def _row(agent: AgentView) -> tuple[str, ...]:
    return (
        agent.name,
        str(agent.state or UNKNOWN),
        age(agent.last_seen_s, none="never"),
        number(agent.pending),
        number(agent.done),
        number(agent.failed),
        UNKNOWN if agent.load is None else f"{agent.load:.0%}",
        agent.task or NONE,
        age(agent.task_age_s, none=UNKNOWN if agent.task else NONE),
    )
