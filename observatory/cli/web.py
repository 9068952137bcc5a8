"""`observatory web`: the same app in a browser, served on this machine only unless somebody insists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.cli.attach import named_file, settings_for
from observatory.cli.output import note
from observatory.cli.parser import SETTING_FLAGS, add_verb
from observatory.model.errors import ObservatoryError, UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Addresses that only this machine reaches."""

DETAILS = """\
Whoever reaches the address steers the bus as you do: there is no password. It listens on this machine only;
to reach it from elsewhere, tunnel: ssh -L 8008:127.0.0.1:8008 HOST. Every browser tab is a session of its own.

needs the extra: pip install 'observatory[web]'
"""


def register(verbs: Verbs) -> None:
    """Add `web` to the command line."""
    parser = add_verb(verbs, "web", run, summary="serve the app to a browser", details=DETAILS, theme=True)
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8008, metavar="N", help="port to listen on (8008)")
    parser.add_argument("--expose", action="store_true", help="allow an address that other machines reach")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import os

    if not 1 <= args.port <= 65535:
        raise UsageError(f"--port: {args.port} is no port", "give one from 1 to 65535")
    if args.host not in LOOPBACK:
        if not args.expose:
            raise UsageError(
                f"--host: {args.host} is reached by other machines, and there is no password",
                "tunnel instead (see `observatory web --help`), or insist with --expose",
            )
        note(f"warning: whoever reaches {args.host}:{args.port} steers the bus; there is no password")
    settings_for(args)
    server = _server(_command(args), args.host, args.port)
    os.environ.update(_environ(args))
    note(f"serving http://{args.host}:{args.port} — whoever reaches it steers the bus; Ctrl-C ends it")
    server.serve()
    return 0


def _command(args: argparse.Namespace) -> str:
    """Return the command line of one session, without anything secret: others can read it."""
    import shlex
    import sys

    config = named_file(args)
    return shlex.join([sys.executable, "-m", "observatory", *(("--config", str(config)) if config else ())])


def _environ(args: argparse.Namespace) -> dict[str, str]:
    """Return the flags that were given as variables, where an address and its password belong."""
    from observatory.settings import SETTINGS

    given = {setting.key: setting.variable for setting in SETTINGS if setting.key in SETTING_FLAGS}
    return {variable: str(getattr(args, key)) for key, variable in given.items() if hasattr(args, key)}


def _server(command: str, host: str, port: int) -> Any:  # noqa: ANN401 - a class of an optional library
    """Return the server; it refuses pages of other origins, which could otherwise type into the app.

    Raises:
        ObservatoryError: The optional library is not installed.
    """
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        raise ObservatoryError(f"{error.name} is not installed", "pip install 'observatory[web]'") from None

    own = {f"{name}:{port}" for name in ({host, *LOOPBACK} if host in LOOPBACK else {host})}

    @web.middleware
    async def same_origin(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
        origin = request.headers.get("Origin", "").partition("://")[2]
        if request.host not in own or (origin and origin not in own):
            raise web.HTTPForbidden(text="this address is not the one that is served")
        answer: web.StreamResponse = await handler(request)
        return answer

    class Guarded(Server):  # type: ignore[misc, unused-ignore]
        """The library's server behind that check."""

        async def _make_app(self) -> web.Application:
            app: web.Application = await super()._make_app()
            app.middlewares.append(same_origin)
            return app

    return Guarded(command, host=host, port=port, title="Observatory")
