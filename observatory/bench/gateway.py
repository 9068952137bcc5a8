"""`observatory bench gateway`: what the gateway costs, beside a bare handler of the same server.

Both servers are processes of their own, as they are started, with keys, checks and the access log on our side. The
client is a few lines on a socket: a comfortable one takes longer to send a request than a server to answer it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from websockets.asyncio.client import connect

from observatory.bench.frame import Bound, Figure, alternate, percentile, percentiles, summarised
from observatory.bus import Bus
from observatory.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECTIONS: Final = 32
"""Clients that send at once where the rate is measured."""

MAILBOXES: Final = 100
"""Agents that messages are sent to in turn: a mailbox takes 10,000."""

RECEIVERS: Final = 20
PUSH_RATE: Final = 200
"""Messages per second where the push is measured."""

BODY: Final = json.dumps({"payload": "x" * 200}).encode()

LATENCY_BOUNDS: Final = {
    0.5: Bound(must_ratio=1.5, lower=True),
    0.95: Bound(must_ratio=1.5, lower=True),
    0.99: Bound(must_ratio=1.5, lower=True),
}
RATE_BOUND: Final = Bound(must_ratio=0.7)
PUSH_BOUND: Final = Bound(must=10, lower=True)


async def figures(*, quick: bool) -> list[Figure]:
    """Measure the gateway.

    Args:
        quick: Fewer and shorter rounds.
    """
    requests, rounds, push_s = (300, 2, 3.0) if quick else (2_000, 5, 10.0)
    with Engine.temporary() as engine, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with Bus.connect(engine.url) as bus:
            token, _ = await bus.api_keys.create(role="operator")
        ours_command = ("observatory", "gateway", "--port", "0", "--rate", "0")
        async with (
            _serving(Path(folder), engine.url, *ours_command) as port,
            _serving(Path(folder), engine.url, "observatory.bench.bare") as bare_port,
        ):
            ours, bare = _Target(port, token), _Target(bare_port, "")
            await ours.latencies(100), await bare.latencies(100)
            return [
                *await _latency(ours, bare, requests, rounds),
                *await _load(ours, bare, requests, rounds),
                await _push(ours, push_s, 1 if quick else 3),
            ]


async def _latency(ours: _Target, bare: _Target, requests: int, rounds: int) -> list[Figure]:
    mine: list[list[float]] = []
    theirs: list[list[float]] = []
    for _ in range(rounds):
        mine.append(await ours.latencies(requests))
        theirs.append(await bare.latencies(requests))
    return percentiles("POST to 201, one after the other", "ms", mine, theirs, LATENCY_BOUNDS)


async def _load(ours: _Target, bare: _Target, requests: int, rounds: int) -> list[Figure]:
    mine: list[list[float]] = []
    theirs: list[list[float]] = []
    rate = await alternate(
        f"POST to 201, {CONNECTIONS} at once",
        "requests/s",
        lambda: ours.rate(requests, mine),
        lambda: bare.rate(requests, theirs),
        rounds=rounds,
        bound=RATE_BOUND,
    )
    return [rate, *percentiles(f"POST to 201, {CONNECTIONS} at once", "ms", mine, theirs, LATENCY_BOUNDS)]


async def _push(ours: _Target, seconds: float, rounds: int) -> Figure:
    found = [percentile(await ours.pushes(seconds), 0.99) for _ in range(rounds)]
    return summarised(f"POST to push, {PUSH_RATE}/s to {RECEIVERS} sockets, p99", "ms", found, bound=PUSH_BOUND)


@dataclass
class _Target:
    """A server to send to.

    Attributes:
        port: Where it listens.
        token: Key that opens it; empty for none.
    """

    port: int
    token: str

    async def latencies(self, count: int) -> list[float]:
        """Milliseconds that each of *count* requests took, one after the other on one connection."""
        async with _Client.open(self) as client:
            took = []
            for number in range(count):
                began = time.perf_counter()
                await client.post(f"scout-{number % MAILBOXES}")
                took.append((time.perf_counter() - began) * 1000)
            return took

    async def rate(self, count: int, latencies: list[list[float]]) -> float:
        """Requests per second of many connections at once, each to an agent of its own.

        Args:
            count: A quarter of the requests.
            latencies: Gets the milliseconds that each of them took, as one list.
        """
        took: list[float] = []
        latencies.append(took)
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(_Client.open(self)) for _ in range(CONNECTIONS)]
            each = 4 * count // CONNECTIONS

            async def send(number: int, client: _Client) -> None:
                for _ in range(each):
                    posted = time.perf_counter()
                    await client.post(f"agent-{number}")
                    took.append((time.perf_counter() - posted) * 1000)

            began = time.perf_counter()
            await asyncio.gather(*(send(number, client) for number, client in enumerate(clients)))
            return each * CONNECTIONS / (time.perf_counter() - began)

    async def pushes(self, seconds: float) -> list[float]:
        """Milliseconds from before the POST until the receiver had the message on its socket."""
        took: list[float] = []
        headers = {"Authorization": f"Bearer {self.token}"}

        async def receive(name: str, ready: asyncio.Event) -> None:
            async with connect(f"ws://127.0.0.1:{self.port}/ws/agents/{name}", additional_headers=headers) as socket:
                await socket.recv()
                ready.set()
                async for text in socket:
                    frame = json.loads(text)
                    if frame["op"] == "message":
                        took.append((time.perf_counter() - float(frame["message"]["type"])) * 1000)
                        await socket.send(json.dumps({"op": "ack", "entryIds": [frame["message"]["entryId"]]}))

        names = [f"receiver-{number}" for number in range(RECEIVERS)]
        readies = [asyncio.Event() for _ in names]
        receivers = [asyncio.create_task(receive(*both)) for both in zip(names, readies, strict=True)]
        await asyncio.gather(*(ready.wait() for ready in readies))
        async with _Client.open(self) as client:
            began = time.perf_counter()
            for number in range(round(seconds * PUSH_RATE)):
                await asyncio.sleep(max(began + number / PUSH_RATE - time.perf_counter(), 0.0))
                await client.post(names[number % RECEIVERS], kind=repr(time.perf_counter()))
        await asyncio.sleep(0.5)
        for receiver in receivers:
            receiver.cancel()
        await asyncio.gather(*receivers, return_exceptions=True)
        return took


@dataclass
class _Client:
    """One connection that sends requests one after the other."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    token: str

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, target: _Target) -> AsyncIterator[Self]:
        """Connect."""
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        try:
            yield cls(reader, writer, target.token)
        finally:
            writer.close()

    async def post(self, agent: str, kind: str = "") -> None:
        """Send a message to *agent*, and wait until it is accepted."""
        body = BODY if not kind else json.dumps({"payload": "x" * 200, "type": kind}).encode()
        head = f"POST /agents/{agent}/send HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        key = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        self.writer.write(f"{head}{key}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(f"refused: {answer[:200]!r}")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await self.reader.readexactly(length)


@contextlib.asynccontextmanager
async def _serving(folder: Path, url: str, *words: str) -> AsyncIterator[int]:
    """Start a server as a process of its own; yield the port that it says it listens on."""
    log = folder / f"{len(words)}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *words, stderr=stderr, env={**os.environ, "OBSERVATORY_URL": url}
        )
    try:
        yield await _port_in(log)
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.wait()


async def _port_in(log: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        _, said, rest = (await asyncio.to_thread(log.read_text)).partition("serving http://127.0.0.1:")
        if said:
            return int(rest.split()[0])
        await asyncio.sleep(0.05)
    raise RuntimeError("a server did not start")
