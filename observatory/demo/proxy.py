"""A small TCP proxy in front of the engine, so that a network can really be cut."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable

_CHUNK = 64 * 1024


class Proxy:
    """Forwards a loopback port to the engine until it is cut.

    Args:
        url: URL of the engine, `unix://` or `redis://`, with its password.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._parts = parts
        self._password = unquote(parts.password or "") or parse_qs(parts.query).get("password", [""])[0]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._cut = False
        self.url = ""
        """Where agents connect to; empty until it is open."""

    async def open(self) -> None:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://:{quote(self._password, safe='')}@127.0.0.1:{port}/0"

    def cut(self) -> None:
        """Drop every connection without a goodbye, and refuse new ones until `restore`."""
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        """Let connections through again."""
        self._cut = False

    async def close(self) -> None:
        """Stop listening and drop what is connected."""
        self.cut()
        if self._server is not None:
            self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            there, engine = await self._dial()
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, engine}
        self._writers |= ends
        task = asyncio.current_task()
        if task is not None:
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)
        try:
            await asyncio.gather(_pump(reader, engine), _pump(there, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    def _dial(self) -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if self._parts.scheme == "unix":
            return asyncio.open_unix_connection(unquote(self._parts.path))
        return asyncio.open_connection(self._parts.hostname, self._parts.port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends, then say goodbye to the other."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
