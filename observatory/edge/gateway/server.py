"""Running a gateway: the server, its signals, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from observatory.edge.gateway.app import make_app
from observatory.edge.gateway.gateway import Gateway
from observatory.edge.listening import listening
from observatory.model.errors import ObservatoryError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterator

    from observatory.bus import Bus
    from observatory.edge.gateway.options import GatewayOptions

PING_S = 20.0
"""Seconds between two pings to a socket, and in which one must be answered."""

BACKLOG = 2048

SEND_BUFFER = 128 * 1024
"""Bytes that the kernel keeps for a client that does not read: by itself it would keep megabytes for each."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A gateway that serves.

    Attributes:
        port: Where it listens.
    """

    _server: uvicorn.Server
    port: int

    def stop(self) -> None:
        """Finish what is under way, and end."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """A server that lets waiters and sockets of its gateway go before it closes their connections."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, started: Callable[[Serving], None]) -> None:
        super().__init__(config)
        self.interrupted = False
        self._gateway = gateway
        self._started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the server, and not, as by default, the process after it a second time."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals) -> None:
        self.interrupted |= number is signal.SIGINT
        self.handle_exit(number, None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            self._started(Serving(self, sockets[0].getsockname()[1]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.drain()
        await super().shutdown(sockets)


async def serve(bus: Bus, options: GatewayOptions, *, started: Callable[[Serving], None]) -> None:
    """Serve until SIGINT, SIGTERM or `Serving.stop`, then finish what is under way.

    Args:
        bus: A bus, connected with `many_inboxes`.
        options: Where to listen, whom to let in, how much to take.
        started: Called once requests are served.

    Raises:
        ObservatoryError: The address is in use, or certificate and key cannot be used.
        BusError: The keys cannot be read.
        KeyboardInterrupt: It was ended by SIGINT.
    """
    with listening(options.host, options.port, send_buffer=SEND_BUFFER) as listener:
        async with Gateway(bus, options) as gateway:
            server = _Server(_config(gateway), gateway, started)
            await server.serve([listener])
    if server.interrupted:
        raise KeyboardInterrupt


def _config(gateway: Gateway) -> uvicorn.Config:
    options = gateway.options
    try:
        config = uvicorn.Config(
            make_app(gateway),
            http="httptools",
            ws="websockets-sansio",
            lifespan="off",
            interface="asgi3",
            ssl_certfile=options.certfile or None,
            ssl_keyfile=options.keyfile or None,
            ws_max_size=options.max_body,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            timeout_graceful_shutdown=round(options.drain_s),
            timeout_keep_alive=30,
            backlog=BACKLOG,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
        )
        config.load()
    except OSError as error:
        raise ObservatoryError(f"certificate or key cannot be used: {error}", "--cert FILE --key FILE, PEM") from error
    return config


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run *main* on the faster loop where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(main)
    return int(uvloop.run(main))
