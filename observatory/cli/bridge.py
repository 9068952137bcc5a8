"""`observatory migrate http`: old agents poll on, and move to the bus one by one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from observatory.cli.attach import bus_url, on_bus, settings_for
from observatory.cli.output import NONE, UNKNOWN, note, number, out, out_json, table
from observatory.cli.parser import add_group, add_verb
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Parser, Verbs
    from observatory.edge.bridge.protocol import Protocol
    from observatory.edge.bridge.report import Standing
    from observatory.edge.bridge.upstream import Upstream

PORT = 18803
"""As `edge.bridge.server` has it, which `--help` must not wait for."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

HEAD = ("AGENT", "IS", "WANTED", "CARRIED", "RETURNED", "ON BUS", "ON OLD", "AMISS")

SERVE_DETAILS = """\
Speaks the old protocol to old agents: point their base URL here.
  GET  /messages/{agent}?since=ID&limit=N    {"messages": [...], "last": ID}
  POST /messages                             {"from", "to", "type", "data"}, answered by {"id"}
  POST /messages/{agent}/ack                 {"id": ID}, for it and all before it
--protocol FILE gives the paths and names other words. With --upstream everybody begins on the old server and moves by
`observatory migrate http move`; without it everybody who polls is served by the bus. Runs until it is interrupted.

A token in OBSERVATORY_BRIDGE_TOKEN must come as `Authorization: Bearer`; OBSERVATORY_UPSTREAM_AUTHORIZATION is sent
to the old server.

needs the extra: pip install 'observatory[bridge]'
"""

MOVE_DETAILS = """\
sides:
  old      its messages are on the old server
  polling  its messages are on the bus, and it polls the bridge as before
  new      its messages are on the bus, which it reads by itself

A running bridge carries over what waits, in order, then the agent is there; `--to old` is the way back.
"""


def register(roads: Verbs) -> None:
    """Add `http` to `migrate`."""
    verbs = add_group(roads, "http", summary="move agents that poll over HTTP, one by one")
    serve = add_verb(verbs, "serve", run_serve, summary="serve old agents from both sides", details=SERVE_DETAILS)
    serve.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, default=PORT, metavar="N", help=f"port to listen on ({PORT}); 0 for any")
    serve.add_argument("--plain", action="store_true", help="listen elsewhere than on loopback, without TLS")
    _add_upstream(serve)
    move = add_verb(verbs, "move", run_move, summary="say where an agent is to be", details=MOVE_DETAILS)
    move.add_argument("agents", nargs="+", metavar="AGENT", help="name of an agent")
    move.add_argument("--to", required=True, metavar="SIDE", help="old, polling or new")
    parity = add_verb(verbs, "parity", run_parity, summary="tell where each agent is, and what waits on which side")
    _add_upstream(parity)
    parity.add_argument("--json", action="store_true", help="print JSON")


def _add_upstream(parser: Parser) -> None:
    parser.add_argument("--upstream", default="", metavar="URL", help="the old server (none)")
    parser.add_argument("--protocol", default="", metavar="FILE", help="TOML file of the protocol's paths and names")


def run_serve(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from importlib.util import find_spec

    for needed in ("starlette", "uvicorn", "httpx"):
        if find_spec(needed) is None:
            raise UsageError(f"the bridge needs {needed}", "pip install 'observatory[bridge]'")
    from contextlib import AsyncExitStack

    from observatory.edge.bridge.bridge import Bridge
    from observatory.edge.bridge.server import Listening, serve
    from observatory.edge.sole import sole
    from observatory.settings import state_dir

    token = os.environ.get("OBSERVATORY_BRIDGE_TOKEN", "")
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port: {args.port} is no port", "give one from 0 to 65535")
    if args.host not in LOOPBACK and not (token and args.plain):
        raise UsageError(
            f"--host: {args.host} is reached by other machines",
            "put a token into OBSERVATORY_BRIDGE_TOKEN, give --plain if something in front of it speaks TLS",
        )
    listening = Listening(args.host, args.port, token)
    protocol, settings = _protocol(args), settings_for(args)
    upstream = _upstream(args, protocol)

    async def work(bus: Bus) -> int:
        def started(port: int) -> None:
            behind = f"in front of {upstream.shown}" if upstream is not None else "without an old server"
            note(f"serving http://{args.host}:{port} {behind}; Ctrl-C ends it")

        async with AsyncExitStack() as stack:
            if upstream is not None:
                await stack.enter_async_context(upstream)
            bridge = await stack.enter_async_context(Bridge(bus, protocol, upstream))
            await serve(bridge, listening, started=started)
        return 0

    with sole(state_dir() / "locks", "a bridge for polling agents", bus_url(settings), settings.prefix):
        return on_bus(args, work, writes=True)


def run_move(args: argparse.Namespace) -> int:
    """Say where agents are to be; a running bridge brings them there."""
    from observatory.bus.talk.mail import check_agent
    from observatory.bus.talk.sides import Side

    if args.to not in set(Side):
        raise UsageError(f"--to: there is no side {args.to!r}", f"one of {', '.join(Side)}")
    for agent in args.agents:
        check_agent("agent", agent)

    async def move(bus: Bus) -> int:
        for agent in args.agents:
            found = await bus.sides.want(agent, Side(args.to))
            out(f"{agent} is {found.now}" if found.now == found.wanted else f"{agent}: {found.now} → {found.wanted}")
        return 0

    return on_bus(args, move, writes=True)


def run_parity(args: argparse.Namespace) -> int:
    """Print how far each agent is; 1 means that something is on the wrong side."""
    protocol = _protocol(args)
    upstream = _upstream(args, protocol)

    async def tell(bus: Bus) -> int:
        from contextlib import AsyncExitStack

        from observatory.edge.bridge.report import standings

        async with AsyncExitStack() as stack:
            if upstream is not None:
                await stack.enter_async_context(upstream)
            found = await standings(bus, upstream)
        if args.json:
            out_json([_document(one) for one in found])
        elif not found:
            out("no agent has asked for anything yet")
        else:
            for text in table(HEAD, [_row(one) for one in found], right=HEAD[3:7]):
                out(text)
        return int(any(one.amiss for one in found))

    return on_bus(args, tell)


def _protocol(args: argparse.Namespace) -> Protocol:
    from pathlib import Path

    from observatory.edge.bridge.protocol import Protocol

    return Protocol.read(Path(args.protocol).expanduser()) if args.protocol else Protocol()


def _upstream(args: argparse.Namespace, protocol: Protocol) -> Upstream | None:
    if not args.upstream:
        return None
    from observatory.edge.bridge.upstream import Upstream

    said = os.environ.get("OBSERVATORY_UPSTREAM_AUTHORIZATION", "")
    return Upstream(args.upstream, protocol, headers={"authorization": said} if said else None)


def _row(one: Standing) -> tuple[str, ...]:
    move = one.move
    counts = (number(move.carried), number(move.returned), number(one.on_bus))
    on_old = UNKNOWN if one.on_old is None else number(one.on_old)
    return (one.agent, move.now, move.wanted, *counts, on_old, one.amiss or NONE)


def _document(one: Standing) -> dict[str, Any]:
    move = one.move
    return {
        "agent": one.agent,
        "now": move.now,
        "wanted": move.wanted,
        "carried": move.carried,
        "returned": move.returned,
        "on_bus": one.on_bus,
        "on_old": one.on_old,
        "amiss": one.amiss,
    }
