"""What a gateway is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PORT: Final = 18802

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""Addresses that only this machine reaches."""


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """Where a gateway listens, whom it lets in, and how much it takes.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        certfile: PEM file of the server's certificate; empty for no TLS.
        keyfile: PEM file of its key.
        anonymous: Whoever comes without a key may do everything.
        max_body: Bytes of a request's body at most.
        rate: Requests per second that one key, or one address without a key, may make in the long run; 0 for any
            number. Twice as many may come at once.
        max_requests: Requests that are served at once at most.
        max_sockets: Sockets and event streams that are open at once at most.
        queue: Frames that wait for one socket at most, before it is told to resync.
        longest_wait_s: Seconds that a long poll may wait at most.
        drain_s: Seconds that what is under way is given at the end.
        send_timeout_s: Seconds in which a socket must take a frame; then it is closed.
        access_log: Write a line for each request to stderr.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    certfile: str = ""
    keyfile: str = ""
    anonymous: bool = False
    max_body: int = 4 * 1024 * 1024
    rate: float = 1000.0
    max_requests: int = 2000
    max_sockets: int = 2000
    queue: int = 256
    longest_wait_s: float = 30.0
    drain_s: float = 10.0
    send_timeout_s: float = 20.0
    access_log: bool = True

    @property
    def scheme(self) -> str:
        """What its address begins with."""
        return "https" if self.certfile else "http"
