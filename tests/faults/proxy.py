"""A TCP proxy in front of an engine that loses, holds back and cuts what passes, by the name of the command.

It reads the wire protocol just far enough to know where a command and a reply end. A call of a script goes by the
script's name: a rule for `publish` meets EVALSHA and EVAL of `publish.lua`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import struct
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, unquote, urlsplit

from observatory.bus.scripts import script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

_AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2}
_STRINGS = frozenset({b"$", b"!", b"="})
_AT_REQUEST = frozenset({"drop_request", "cut", "reset", "half_open"})


@dataclass
class Rule:
    """One fault that waits for its command.

    Attributes:
        verb: What to do.
        command: Name of the command or script in lower case; empty meets every command.
        times: How often to do it.
        silent: Say nothing to the client: the connection stays open and is dead.
        seconds: How long to hold a reply back.
        hits: How often it was done.
    """

    verb: str
    command: str
    times: int
    silent: bool = False
    seconds: float = 0.0
    hits: int = 0

    def meets(self, command: str) -> bool:
        """Say whether *command* is the one, and count it."""
        if self.hits >= self.times or self.command not in {"", command}:
            return False
        self.hits += 1
        return True


@dataclass(eq=False)
class _Wire:
    """One client's connection: its two ends, and the commands whose replies are on their way."""

    client: asyncio.StreamWriter
    engine: asyncio.StreamWriter
    awaited: deque[str] = field(default_factory=deque)
    mute: bool = False

    def close(self, *, reset: bool = False) -> None:
        """End both halves; with *reset* the client gets an RST instead of a FIN."""
        if reset:
            # The transport closes its socket a turn of the loop later; lingering for no time makes that a reset.
            end = self.client.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for writer in (self.client, self.engine):
            writer.close()


class Proxy:
    """Listens on a loopback port and forwards to the engine at *upstream*, as far as its rules allow.

    Args:
        upstream: URL of the engine, `unix://` or `redis://`.
    """

    def __init__(self, upstream: str) -> None:
        self.seen: Counter[str] = Counter()
        self.sliced = False
        self._upstream = urlsplit(upstream)
        self._rules: list[Rule] = []
        self._wires: set[_Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Address of the proxy, with the engine's password."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        password = self._upstream.password or parse_qs(self._upstream.query).get("password", [""])[0]
        return f"redis://:{password}@127.0.0.1:{port}/0"

    @property
    def connections(self) -> int:
        """Connections that pass through now."""
        return len(self._wires)

    def drop_reply(self, command: str = "", *, times: int = 1, silent: bool = False) -> Rule:
        """The engine does it, and the answer never arrives: the connection breaks, or with *silent* goes dead."""
        return self._add(Rule("drop_reply", command, times, silent))

    def drop_request(self, command: str = "", *, times: int = 1, silent: bool = False) -> Rule:
        """The engine never hears of it: the connection breaks, or with *silent* goes dead."""
        return self._add(Rule("drop_request", command, times, silent))

    def delay(self, command: str = "", *, seconds: float, times: int = 1) -> Rule:
        """The reply, and all that follows it on the same connection, comes *seconds* later."""
        return self._add(Rule("delay", command, times, seconds=seconds))

    def cut(self, command: str = "", *, times: int = 1) -> Rule:
        """Close the connection on which *command* is sent, before it is forwarded; without one close all now."""
        return self._now_or_later(Rule("cut", command, times))

    def reset(self, command: str = "", *, times: int = 1) -> Rule:
        """As `cut`, with RST instead of FIN."""
        return self._now_or_later(Rule("reset", command, times))

    def half_open(self, command: str = "", *, times: int = 1) -> Rule:
        """Forward nothing any more in either direction, and close nothing, as `cut` does."""
        return self._now_or_later(Rule("half_open", command, times))

    def slice(self, on: bool = True) -> None:
        """Write every byte by itself from now on."""
        self.sliced = on

    def heal(self) -> None:
        """Forget every rule, and let connections that are dead be seen to be."""
        self._rules.clear()
        self.sliced = False
        for wire in list(self._wires):
            if wire.mute:
                wire.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for wire in list(self._wires):
            wire.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def _now_or_later(self, rule: Rule) -> Rule:
        if rule.command:
            return self._add(rule)
        for wire in list(self._wires):
            rule.hits += 1
            self._break(wire, rule)
        return rule

    def _break(self, wire: _Wire, rule: Rule) -> None:
        if rule.silent or rule.verb == "half_open":
            wire.mute = True
        else:
            wire.close(reset=rule.verb == "reset")

    def _rule_for(self, command: str, *, at_request: bool) -> Rule | None:
        ours = (rule for rule in self._rules if (rule.verb in _AT_REQUEST) is at_request)
        return next((rule for rule in ours if rule.meets(command)), None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            engine_reader, engine_writer = await self._dial()
        except OSError:
            writer.close()
            return
        wire = _Wire(writer, engine_writer)
        self._wires.add(wire)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(wire, reader))
                both.create_task(self._replies(wire, engine_reader))
        finally:
            wire.close()
            self._wires.discard(wire)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.scheme == "unix":
            return await asyncio.open_unix_connection(unquote(self._upstream.path))
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port)

    async def _requests(self, wire: _Wire, reader: asyncio.StreamReader) -> None:
        async for frame in _frames(reader):
            command = command_of(frame)
            self.seen[command] += 1
            rule = self._rule_for(command, at_request=True)
            if rule is not None:
                self._break(wire, rule)
            elif not wire.mute:
                wire.awaited.append(command)
                await self._write(wire.engine, frame)
        if not wire.mute:
            wire.close()

    async def _replies(self, wire: _Wire, reader: asyncio.StreamReader) -> None:
        async for frame in _frames(reader):
            command = wire.awaited.popleft() if wire.awaited else ""
            # A script that the engine does not know did nothing yet: the call that matters is the one that follows.
            rule = None if frame.startswith(b"-NOSCRIPT") else self._rule_for(command, at_request=False)
            if rule is not None and rule.verb == "drop_reply":
                self._break(wire, rule)
            elif not wire.mute:
                await asyncio.sleep(rule.seconds if rule else 0)
                await self._write(wire.client, frame)
        if not wire.mute:
            wire.close()

    async def _write(self, writer: asyncio.StreamWriter, frame: bytes) -> None:
        pieces = (frame[i : i + 1] for i in range(len(frame))) if self.sliced else (frame,)
        with contextlib.suppress(OSError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if self.sliced:
                    await asyncio.sleep(0)


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole commands or replies until the stream ends."""
    buffer = b""
    while True:
        while (end := frame_end(buffer)) is not None:
            yield buffer[:end]
            buffer = buffer[end:]
        try:
            more = await reader.read(256 * 1024)
        except OSError:
            return
        if not more:
            return
        buffer += more


def frame_end(buffer: bytes, start: int = 0) -> int | None:
    """Return where the value that begins at *start* ends; None if it is not all there yet."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, end = buffer[start : start + 1], line_end + 2
    if kind in _STRINGS:
        size = int(buffer[start + 1 : line_end])
        end += size + 2 if size >= 0 else 0
        return end if end <= len(buffer) else None
    for _ in range(int(buffer[start + 1 : line_end]) * _AGGREGATES[kind] if kind in _AGGREGATES else 0):
        found = frame_end(buffer, end)
        if found is None:
            return None
        end = found
    return end


def command_of(frame: bytes) -> str:
    """Return the name of a command, or of the script that it calls, in lower case."""
    words = frame.split(b"\r\n", 5)
    name = words[2].decode("ascii", "replace").lower() if len(words) > 2 else ""
    if name.startswith("evalsha"):
        return _script_names().get(words[4], name)
    if name.startswith("eval"):
        size = int(words[3][1:])
        digest = hashlib.sha1(frame[frame.index(words[3]) + len(words[3]) + 2 :][:size], usedforsecurity=False)
        return _script_names().get(digest.hexdigest().encode(), name)
    return name


@cache
def _script_names() -> dict[bytes, str]:
    files = resources.files("observatory.bus").joinpath("lua").iterdir()
    names = [file.name.removesuffix(".lua") for file in files if file.name.endswith(".lua")]
    return {script(name, flags=flags).sha: name for name in names for flags in (True, False)}
