"""Who is told of an alert besides the screen: the event log, a web address, a program.

Each has a deadline and a queue of its own, so that none keeps the next look at the bus or another one waiting.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from observatory.model.alert import ChangeKind
from observatory.model.errors import ObservatoryError
from observatory.model.event import EventKind
from observatory.model.secret import masked
from observatory.model.text import line
from observatory.model.wire import rfc3339

if TYPE_CHECKING:
    from observatory.bus import Bus
    from observatory.model.alert import Alert

MOST_WAITING: Final = 100
"""Notices that wait for one sink at most; beyond, the oldest are dropped and counted."""

WEBHOOK_DEADLINE_S: Final = 10.0
"""Seconds in which a web address must have taken a notice, all attempts together."""

COMMAND_DEADLINE_S: Final = 30.0
"""Seconds in which a program must be done; then it and all that it started are killed."""

ATTEMPTS: Final = 3
"""Times that a web address is tried."""

PAUSE_S: Final = 0.5
"""Seconds before the second attempt; twice that before the third."""

FAREWELL_S: Final = 2.0
"""Seconds that closing waits for what is still to be told."""

_OVER = frozenset({ChangeKind.RESOLVED, ChangeKind.SETTLED})


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told of an alert.

    Attributes:
        what: What happened to it.
        alert: The alert.
        bus: The bus, as people call it.
        at_ms: When, ms of the watcher's clock.
    """

    what: ChangeKind
    alert: Alert
    bus: str
    at_ms: int

    def document(self) -> dict[str, Any]:
        """Return it as plain data, as webhooks and programs get it."""
        alert = self.alert
        return {
            "what": str(self.what),
            "id": alert.id,
            "rule": alert.rule.id,
            "subject": alert.subject,
            "severity": str(alert.severity),
            "text": alert.text,
            "value": alert.value,
            "since": rfc3339(alert.since_ms),
            "times": alert.times,
            "bus": self.bus,
            "at": rfc3339(self.at_ms),
        }


class Sink(Protocol):
    """Somebody who is told of alerts.

    Attributes:
        name: What it is called where it fails.
        deadline_s: Seconds after which telling it has failed.
    """

    name: str
    deadline_s: float

    async def send(self, notice: Notice) -> None:
        """Tell *notice*; raises whatever keeps it from that."""


class SinkError(ObservatoryError):
    """A sink took the notice and said no."""


class Outbox:
    """The queue of one sink; a task empties it only while there is something in it.

    Args:
        sink: Who is told.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: deque[Notice] = deque()
        self._sending: asyncio.Task[None] | None = None
        self.dropped = 0
        self.problem = ""

    def put(self, notice: Notice) -> None:
        """Let the sink be told; returns at once."""
        self._waiting.append(notice)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._empty(), name=f"alerts-{self._sink.name}")

    async def close(self) -> None:
        """Give what is under way a moment, then stop."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=FAREWELL_S)
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending

    async def _empty(self) -> None:
        while self._waiting:
            notice = self._waiting.popleft()
            try:
                async with asyncio.timeout(self._sink.deadline_s):
                    await self._sink.send(notice)
            except TimeoutError:
                self.problem = f"{self._sink.name}: not done within {self._sink.deadline_s:g} s"
            except Exception as error:  # whatever a sink can do to us, the others must hear of the next alert
                reason = error.problem if isinstance(error, ObservatoryError) else f"{type(error).__name__}: {error}"
                self.problem = line(f"{self._sink.name}: {reason}")
            else:
                self.problem = ""


class EventSink:
    """Writes alerts into the event log of the bus, where every screen and `observatory tail` see them.

    Args:
        bus: A connected bus.
    """

    name = "events"
    deadline_s = 10.0

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def send(self, notice: Notice) -> None:
        """Append one fact."""
        alert = notice.alert
        kind = EventKind.ALERT_RESOLVED if notice.what in _OVER else EventKind.ALERT_FIRED
        await self._bus.note(kind, agent=self._bus.name, reason=str(alert.severity), detail=f"{alert.id}: {alert.text}")


class WebhookSink:
    """Sends alerts to a web address by POST, as JSON.

    Args:
        url: `http://` or `https://`, with credentials in it if it takes some.
        deadline_s: Seconds for all attempts.
    """

    name = "webhook"

    def __init__(self, url: str, *, deadline_s: float = WEBHOOK_DEADLINE_S) -> None:
        self._url = url
        self.deadline_s = deadline_s

    async def send(self, notice: Notice) -> None:
        """Send it; what fails is tried again.

        Raises:
            SinkError: It was refused.
            OSError: Nobody could be reached.
        """
        body = json.dumps(notice.document()).encode()
        for attempt in range(ATTEMPTS):
            try:
                status = await _post(self._url, body)
            except (OSError, EOFError, ValueError) as error:
                if attempt == ATTEMPTS - 1:
                    raise SinkError(f"{masked(self._url)} cannot be reached: {error}") from error
            else:
                if 200 <= status < 300:
                    return
                # What the address does not want will not please it better the next time.
                if status < 500 or attempt == ATTEMPTS - 1:
                    raise SinkError(f"{masked(self._url)} answered {status}")
            await asyncio.sleep(PAUSE_S * 2**attempt)


async def _post(url: str, body: bytes) -> int:
    """Send *body* and return the status of the answer; a task that is cancelled leaves no connection behind."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = [
        f"POST {target} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "User-Agent: observatory",
        "Connection: close",
    ]
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        head.append(f"Authorization: Basic {base64.b64encode(user.encode()).decode()}")
    reader, writer = await asyncio.open_connection(host, port, ssl=secure or None)
    try:
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()
        words = (await reader.readuntil(b"\n")).split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/"):
            raise ValueError("what listens there does not speak HTTP")
        return int(words[1])
    finally:
        writer.close()


class CommandSink:
    """Runs a program for each alert, with the notice as JSON on its standard input.

    The most important of it is also in `OBSERVATORY_ALERT_WHAT`, `_ID`, `_SEVERITY` and `_TEXT`. No shell reads it.

    Args:
        words: The program and its arguments.
        deadline_s: Seconds that it may take.
    """

    name = "command"

    def __init__(self, words: tuple[str, ...], *, deadline_s: float = COMMAND_DEADLINE_S) -> None:
        self._words = words
        self.deadline_s = deadline_s

    async def send(self, notice: Notice) -> None:
        """Run it to its end.

        Raises:
            SinkError: It failed.
            OSError: It cannot be run.
        """
        alert = notice.alert
        told = {"WHAT": str(notice.what), "ID": alert.id, "SEVERITY": str(alert.severity), "TEXT": alert.text}
        process = await asyncio.create_subprocess_exec(
            *self._words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **{f"OBSERVATORY_ALERT_{name}": line(value) for name, value in told.items()}},
        )
        try:
            _, said = await process.communicate(json.dumps(notice.document()).encode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if process.returncode:
            words = line(said.strip().splitlines()[-1] if said.strip() else b"", 120)
            raise SinkError(f"{self._words[0]} ended with {process.returncode}{f': {words}' if words else ''}")
