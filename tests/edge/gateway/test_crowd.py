"""Many sockets at once, a stream of messages, and a gateway that is restarted in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.conftest import eventually
from tests.edge.gateway.conftest import bearer
from tests.rigs import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from observatory.bus import Bus


@contextlib.asynccontextmanager
async def serving(url: str, port: int, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a gateway as a process of its own."""
    words = ("gateway", "--port", str(port), "--rate", "0", "--no-access-log")
    with log.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "observatory", *words, stderr=stderr, env={**os.environ, "OBSERVATORY_URL": url}
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.wait()


class Receivers:
    """Agents that hold a socket each, come back when it is closed, and acknowledge what they get.

    Attributes:
        got: Ids of the messages that each of them was told, in order.
        open: How many sockets are open.
    """

    def __init__(self, port: int, token: str, names: list[str]) -> None:
        self.got: dict[str, list[str]] = {name: [] for name in names}
        self.open = 0
        self.took: list[float] = []
        self._port = port
        self._token = token

    async def run(self) -> None:
        """Receive until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name in self.got:
                group.create_task(self._receive(name))

    async def _receive(self, name: str) -> None:
        url = f"ws://127.0.0.1:{self._port}/ws/agents/{name}"
        while True:
            try:
                async with connect(url, additional_headers=bearer(self._token), open_timeout=30) as socket:
                    await socket.recv()
                    self.open += 1
                    try:
                        async for text in socket:
                            frame = json.loads(text)
                            if frame["op"] == "message":
                                self.got[name].append(frame["message"]["id"])
                                self.took.append(time.time() - float(frame["message"]["payload"]))
                                ack = {"op": "ack", "entryIds": [frame["message"]["entryId"]]}
                                await socket.send(json.dumps(ack))
                    finally:
                        self.open -= 1
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError):
                await asyncio.sleep(0.2)

    def all_open(self) -> bool:
        """Whether every one of them has its socket."""
        return self.open == len(self.got)


async def test_no_message_is_lost_when_a_gateway_is_restarted(
    bus_url: str, bus: Bus, tmp_path: Path, soak: bool
) -> None:
    """Every message reaches its agent's socket, whatever was under way when the gateway ended."""
    sockets, rate, seconds = (1000, 500, 30) if soak else (50, 100, 3)
    token, _ = await bus.api_keys.create(role="operator")
    (port,) = free_ports(1)
    names = [f"agent-{number}" for number in range(sockets)]
    receivers = Receivers(port, token, names)
    receiving = asyncio.create_task(receivers.run())
    sent: dict[str, set[str]] = {name: set() for name in names}

    async def send(count: int) -> None:
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(began + number / rate - time.monotonic(), 0))
            name = names[number % sockets]
            sent[name].add((await bus.send_message(name, repr(time.time()))).id)

    try:
        async with serving(bus_url, port, tmp_path / "log") as first:
            await eventually(receivers.all_open, timeout=120)
            sending = asyncio.create_task(send(rate * seconds))
            await asyncio.sleep(seconds / 2)
            quiet = len(receivers.took)
            first.send_signal(signal.SIGTERM)
            await first.wait()
        async with serving(bus_url, port, tmp_path / "log"):
            await sending
            await eventually(lambda: not any(sent[name] - set(receivers.got[name]) for name in names), timeout=90)
            before = sorted(receivers.took[:quiet])
            told = sum(map(len, receivers.got.values()))
            print(
                f"{sockets} sockets, {rate}/s for {seconds} s: {sum(map(len, sent.values()))} sent, {told} told, "
                f"p99 {before[int(0.99 * len(before))] * 1000:.1f} ms before the restart"
            )
            for name in names:
                once = list(dict.fromkeys(receivers.got[name]))
                assert set(once) == sent[name]
    finally:
        receiving.cancel()
        await asyncio.wait([receiving])
    assert not re.findall(r"Traceback|ERROR", (tmp_path / "log").read_text())
