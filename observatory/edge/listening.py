"""Listening for connections, for every server of the edge."""

from __future__ import annotations

import socket

from observatory.model.errors import ObservatoryError


def listening(host: str, port: int, *, send_buffer: int = 0) -> socket.socket:
    """Listen before anything else is done, so that an address in use is an error of this program, not of a server.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        send_buffer: Bytes that the kernel keeps for a client that does not read; what it thinks right if 0.

    Raises:
        ObservatoryError: The address is in use, or not of this machine.
    """
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if send_buffer:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    try:
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        hint = "choose another with --port"
        raise ObservatoryError(f"cannot listen on {host}:{port}: {error.strerror}", hint) from error
    opened.setblocking(False)
    return opened
