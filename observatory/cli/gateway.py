"""`observatory gateway`: HTTP and WebSocket for agents that do not speak Redis, and the keys that open it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import PATIENCE_S, bus_url, on_bus, refuse_if_read_only, settings_for
from observatory.cli.output import NONE, UNKNOWN, iso, note, out, out_json, table
from observatory.cli.parser import Parser, add_verb
from observatory.model.errors import ObservatoryError, UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.bus import Bus
    from observatory.cli.parser import Verbs
    from observatory.edge.gateway.options import GatewayOptions
    from observatory.edge.gateway.server import Serving
    from observatory.model.api_key import ApiKey

PORT = 18802
"""As `edge.gateway.options` has it, which `--help` must not wait for."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

DETAILS = """\
It listens on this machine only. Every request needs a key; `observatory gateway keys create --role agent --agents
pink` prints one, once. Keys are kept on the bus: all its gateways know the same ones. --anonymous lets in whoever
reaches it, and only on loopback. To listen elsewhere give --cert and --key, or --plain where something in front of it
speaks TLS.

It describes itself at /openapi.json and, for people, at /docs. A line of JSON for each request goes to stderr.
SIGTERM ends it when what is under way is answered.

examples:
  observatory gateway
  curl -H "Authorization: Bearer $KEY" -d '{"payload": "hello"}' http://127.0.0.1:18802/agents/pink/send
  observatory gateway --grafana > dashboard.json

needs the extra: pip install 'observatory[gateway]'
"""

KEY_DETAILS = """\
roles:
  reader    sees agents, tickets, events and metrics
  sender    what a reader does; sends messages and publishes tasks
  agent     what a sender does, in the name of its agents; reads their mailboxes, works for them
  operator  everything, for every agent
"""


def register(verbs: Verbs) -> None:
    """Add `gateway` to the command line."""
    parser = add_verb(
        verbs, "gateway", run, summary="serve agents that do not speak Redis, over HTTP and WebSocket", details=DETAILS
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"port to listen on ({PORT}); 0 for any")
    parser.add_argument("--cert", default="", metavar="FILE", help="certificate of the server, PEM")
    parser.add_argument("--key", default="", metavar="FILE", help="its key, PEM")
    parser.add_argument("--plain", action="store_true", help="listen elsewhere than on loopback without TLS")
    parser.add_argument("--anonymous", action="store_true", help="let in whoever reaches it, on loopback only")
    parser.add_argument("--rate", type=float, default=1000.0, metavar="N", help="requests/s of a key; 0: any (1000)")
    parser.add_argument("--max-body", type=int, default=4 << 20, metavar="BYTES", help="largest body (4 MiB)")
    parser.add_argument("--max-sockets", type=int, default=2000, metavar="N", help="open sockets at most (2000)")
    parser.add_argument("--drain", type=float, default=10.0, metavar="S", help="seconds to finish in at the end (10)")
    parser.add_argument("--no-access-log", action="store_true", help="write no line for each request")
    parser.add_argument("--grafana", action="store_true", help="print a Grafana dashboard for its metrics, and end")
    below: Verbs = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    keys = add_verb(below, "keys", _list, summary="list, make and revoke the keys that open gateways")
    keys.add_argument("--json", action="store_true", help="print JSON")
    deeds: Verbs = keys.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    create = add_verb(deeds, "create", _create, summary="make a key and print it, once", details=KEY_DETAILS)
    create.add_argument("--role", required=True, metavar="ROLE", help="reader, sender, agent or operator")
    create.add_argument("--agents", default="", metavar="NAMES", help="its agents, by commas; * and ? for anything")
    create.add_argument("--note", default="", metavar="TEXT", help="whose it is")
    create.add_argument("--json", action="store_true", help="print JSON")
    revoke = add_verb(deeds, "revoke", _revoke, summary="let a key open nothing any more")
    revoke.add_argument("id", metavar="ID", help="its id: the part between the underscores")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if args.grafana:
        out(_dashboard())
        return 0
    settings = settings_for(args)
    refuse_if_read_only(settings)
    _check_exposure(args)
    try:
        from observatory.edge.gateway.server import run_loop, serve
    except ImportError as error:
        raise ObservatoryError(f"{error.name} is not installed", "pip install 'observatory[gateway]'") from None
    options = _options(args)
    url = bus_url(settings)

    async def work() -> int:
        from observatory.bus import Bus

        def started(serving: Serving) -> None:
            whom = "whoever reaches it, without a key" if options.anonymous else "who has a key"
            note(f"serving {options.scheme}://{options.host}:{serving.port} for {whom}; Ctrl-C ends it")

        bus = Bus.connect(url, prefix=settings.prefix, name="gateway", many_inboxes=True)
        await bus.open(deadline_s=PATIENCE_S)
        try:
            await serve(bus, options, started=started)
        finally:
            await bus.close()
        return 0

    return run_loop(work())


def _check_exposure(args: argparse.Namespace) -> None:
    """Refuse to listen where others could listen in, or come in without a key.

    Raises:
        UsageError: Names the flag.
    """
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port: {args.port} is no port", "give one from 0 to 65535")
    if bool(args.cert) != bool(args.key):
        raise UsageError("--cert and --key go together", "give both, or neither")
    if args.rate < 0 or args.max_body < 1024 or args.max_sockets < 1 or args.drain < 0:
        raise UsageError("--rate, --max-body, --max-sockets, --drain: too small", "see `observatory gateway --help`")
    if args.host in LOOPBACK:
        return
    if args.anonymous:
        raise UsageError(f"--anonymous: {args.host} is reached by other machines", "make keys, or listen on loopback")
    if not args.cert and not args.plain:
        raise UsageError(
            f"--host: {args.host} is reached by other machines, and keys would travel in the clear",
            "give --cert and --key, or --plain where something in front of it speaks TLS",
        )


def _options(args: argparse.Namespace) -> GatewayOptions:
    from observatory.edge.gateway.options import GatewayOptions

    return GatewayOptions(
        host=args.host,
        port=args.port,
        certfile=args.cert,
        keyfile=args.key,
        anonymous=args.anonymous,
        max_body=args.max_body,
        rate=args.rate,
        max_sockets=args.max_sockets,
        drain_s=args.drain,
        access_log=not args.no_access_log,
    )


def _dashboard() -> str:
    from importlib import resources

    return resources.files("observatory.edge.gateway").joinpath("grafana.json").read_text("utf-8").rstrip("\n")


def _list(args: argparse.Namespace) -> int:
    async def work(bus: Bus) -> int:
        keys = await bus.api_keys.all()
        if args.json:
            out_json([_document(key) for key in keys])
        elif not keys:
            out("no keys")
        else:
            rows = [
                (key.id, str(key.role), ",".join(key.agents) or NONE, iso(key.created_ms) or UNKNOWN, key.note)
                for key in keys
            ]
            for text in table(("ID", "ROLE", "AGENTS", "CREATED", "NOTE"), rows):
                out(text)
        return 0

    return on_bus(args, work)


def _create(args: argparse.Namespace) -> int:
    agents = tuple(name.strip() for name in args.agents.split(",") if name.strip())

    async def work(bus: Bus) -> int:
        token, key = await bus.api_keys.create(role=args.role, agents=agents, note=args.note)
        if args.json:
            out_json({**_document(key), "key": token})
        else:
            out(token)
            note("this is the only time that it is shown; the bus keeps a hash of it")
        return 0

    return on_bus(args, work, writes=True)


def _revoke(args: argparse.Namespace) -> int:
    async def work(bus: Bus) -> int:
        if not await bus.api_keys.revoke(args.id):
            raise UsageError(f"there is no key {args.id!r}", "see `observatory gateway keys`")
        out(f"{args.id} opens nothing any more")
        return 0

    return on_bus(args, work, writes=True)


def _document(key: ApiKey) -> dict[str, object]:
    created = iso(key.created_ms)
    return {"id": key.id, "role": str(key.role), "agents": list(key.agents), "created": created, "note": key.note}
