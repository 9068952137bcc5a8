"""redis-py's connections with a quicker way out: commands are packed in C, and small writes are not waited for.

Stock asyncio connections pack in Python and wrap each write in a task of its own to time it out; together that
costs more than the engine needs for the command. Reading, authentication, TLS and reconnecting stay redis-py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import hiredis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis.asyncio.connection import AbstractConnection

    Base = AbstractConnection
else:
    Base = object

UNAWAITED_BYTES: Final = 256 * 1024
"""Bytes that may wait in the socket's buffer before a write is awaited; a stuck peer shows in the missing reply."""


class _Quick(Base):
    """What all three kinds of connection share."""

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401 - redis-py's own signature
        """Pack a command in C; the words of a two-word command name are sent apart, as redis-py does."""
        head = args[0].encode() if isinstance(args[0], str) else args[0]
        words = (*head.split(), *args[1:])
        try:
            return [hiredis.pack_command(words)]
        except UnicodeEncodeError:
            # Foreign text that was read from bytes which were no UTF-8 goes back as those bytes.
            return [hiredis.pack_command(tuple(map(_as_it_was, words)))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Write a packed command; wait only where much is still to be written, or the connection is not open."""
        writer = self._writer
        if isinstance(command, list) and writer is not None and self.is_connected:
            transport = writer.transport
            if not transport.is_closing() and transport.get_write_buffer_size() < UNAWAITED_BYTES:
                writer.writelines(command)
                return
        await super().send_packed_command(command, check_health)


class QuickConnection(_Quick, Connection):
    """A TCP connection."""


class QuickUnixConnection(_Quick, UnixDomainSocketConnection):
    """A connection by unix socket."""


class QuickTlsConnection(_Quick, SSLConnection):
    """A TCP connection under TLS."""


def _as_it_was(value: Any) -> Any:  # noqa: ANN401 - whatever redis-py can send
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


_QUICK: Final[Mapping[type, type[AbstractConnection]]] = {
    Connection: QuickConnection,
    UnixDomainSocketConnection: QuickUnixConnection,
    SSLConnection: QuickTlsConnection,
}


def quick(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the quick counterpart of one of redis-py's asyncio connections; any other kind is returned as it is."""
    return _QUICK.get(kind, kind)
