"""Just enough of the wire protocol to ask a server whether it is up; data is for `bus`."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import BinaryIO


class NotReadyError(Exception):
    """The server answered, but not yet with a yes: loading, or not the one we expect."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.loading = answer.startswith("LOADING")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a unix socket, or a port on the loopback interface.

    Attributes:
        path: Socket path, empty for TCP.
        port: TCP port on 127.0.0.1, 0 for a unix socket.
    """

    path: str = ""
    port: int = 0

    def connect(self, timeout_s: float) -> socket.socket:
        """Open a connection.

        Args:
            timeout_s: Seconds that connecting and every later read may take.

        Raises:
            OSError: Nobody listens there, or not in time.
        """
        if self.port:
            return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout_s)
            connection.connect(self.path)
        except BaseException:
            connection.close()
            raise
        return connection


def version(address: Address, password: str, timeout_s: float = 1.0) -> str:
    """Log in, ping, and return the server's version, for instance `valkey 9.1.2`.

    Args:
        address: Where the server listens.
        password: Its password.
        timeout_s: Seconds that any single read may take.

    Raises:
        OSError: Nobody answers there.
        NotReadyError: The answer is an error, for instance that data is still being loaded.
    """
    told = info(address, password, timeout_s)
    if found := told.get("valkey_version"):
        return f"valkey {found}"
    return f"redis {told.get('redis_version', '?')}"


def info(address: Address, password: str, timeout_s: float = 1.0) -> dict[str, str]:
    """Log in, ping, and return what the server tells of itself; see `version`."""
    with address.connect(timeout_s) as connection, connection.makefile("rb") as replies:
        connection.sendall(_command("AUTH", password) + _command("PING") + _command("INFO"))
        for _ in range(2):
            _reply(replies)
        return dict(row.split(":", 1) for row in _reply(replies).splitlines() if ":" in row)


def _command(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _reply(replies: BinaryIO) -> str:
    """Read one simple string, error or bulk string."""
    head = replies.readline(64 * 1024)
    if not head.endswith(b"\r\n"):
        raise ConnectionError("the connection was closed in the middle of an answer")
    kind, rest = head[:1], head[1:-2].decode("utf-8", "replace")
    if kind == b"+":
        return rest
    if kind == b"$" and rest.isdecimal():
        return replies.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    raise NotReadyError(rest)
