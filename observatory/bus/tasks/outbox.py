"""The outbox: where tasks wait on the publisher's own disk while the bus is out of reach.

Each task is a file of its own, numbered in the order of publishing, whole and synced before the publisher is told;
it goes when the bus has answered. What the bus got and nobody heard of is sent again, and the bus knows its id: a
publisher that is killed at any point leaves every task that it was told of on the bus once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import json
import logging
import os
import random
from collections import deque
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self

from observatory.bus.tasks.publisher import Published, PublishOutcome, check
from observatory.model.errors import BusBusyError, BusError, BusUnreachableError, UsageError
from observatory.model.task import NewTask, Priority
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

MOST: Final = 10_000
"""Tasks that wait in an outbox at most."""

MOST_BYTES: Final = 256 * 1024 * 1024
"""Bytes that they take at most."""

_SUFFIX: Final = ".task"
_PAUSES_S: Final = (0.05, 2.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What a publisher asked for.

    Attributes:
        task: The task, complete with its id.
        dedupe: Dedupe key; empty for none.
        dedupe_ttl: Seconds that it is remembered.
        durable: Whether the server's disk is waited for.
    """

    task: NewTask
    dedupe: str
    dedupe_ttl: float
    durable: bool

    def packed(self) -> bytes:
        """Return it as the content of a file."""
        said: dict[str, Any] = {field.name: getattr(self.task, field.name) for field in fields(NewTask)}
        said["payload"] = _text(self.task.payload)
        said["extra"] = [[_text(name), _text(value)] for name, value in self.task.extra.items()]
        order = {"dedupe": self.dedupe, "dedupe_ttl": self.dedupe_ttl, "durable": self.durable}
        return json.dumps({"v": 1, "task": said, **order}).encode()

    @classmethod
    def unpacked(cls, content: bytes) -> Self:
        """Read the content of a file.

        Raises:
            ValueError: It is none of ours.
        """
        try:
            said = json.loads(content)
            task = said["task"]
            task["payload"] = base64.b64decode(task["payload"])
            task["extra"] = {base64.b64decode(name): base64.b64decode(value) for name, value in task["extra"]}
            task["priority"] = Priority(task["priority"])
            return cls(NewTask(**task), said["dedupe"], said["dedupe_ttl"], said["durable"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an order: {error!r}") from error


class Outbox:
    """The outbox of one process. A folder belongs to one process at a time.

    Args:
        folder: Where the files are; made if it is not there.
        send: Publishes one order on the bus.
        is_up: Whether the bus answered when it was last asked.
    """

    def __init__(self, folder: Path, send: Callable[[Order], Awaitable[Published]], is_up: Callable[[], bool]) -> None:
        self._folder = folder
        self._send = send
        self._is_up = is_up
        self._waiting: deque[tuple[Path, int]] = deque()
        self._bytes = 0
        self._next = 1
        self._storing = asyncio.Lock()
        self._keeping: set[asyncio.Task[Published]] = set()
        self._lock: int | None = None
        self._sending: asyncio.Task[None] | None = None
        self._reach: Callable[[], Awaitable[None]] | None = None

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self._waiting)

    async def open(self, reach: Callable[[], Awaitable[None]]) -> None:
        """Take up what a former process left, and begin to send it.

        Args:
            reach: Reaches the bus if it was not reached yet; raises `BusError` as long as it cannot.

        Raises:
            UsageError: The folder cannot be used, or belongs to another process.
        """
        if self._reach is not None:
            return
        self._reach = reach
        await asyncio.to_thread(self._take_up)
        self._begin()

    async def publish(self, order: Order) -> Published:
        """Publish *order* now if nothing waits and the bus answers, else keep it.

        Raises:
            UsageError: A field cannot be taken.
            BusBusyError: The lane, or the outbox, is full; nothing was added.
            BusError: The bus answers no, or the disk does.
        """
        check(order.task)
        if not self._waiting and not self._storing.locked() and self._is_up():
            # Whether it arrived or not when this fails: its id tells when it is sent again.
            with contextlib.suppress(BusUnreachableError):
                return await self._send(order)
        # To its end, even if the caller gives up meanwhile: a file that is there must be known to be there.
        keeping = asyncio.create_task(self._keep(order))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)
        return await asyncio.shield(keeping)

    async def close(self) -> None:
        """Stop sending; what waits stays for the next process."""
        if self._keeping:
            await asyncio.wait(self._keeping)
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _keep(self, order: Order) -> Published:
        async with self._storing:
            content = order.packed()
            if len(self._waiting) >= MOST or self._bytes + len(content) > MOST_BYTES:
                raise BusBusyError(f"the outbox {self._folder} is full", "let the bus be reached")
            path = self._folder / f"{self._next:016}{_SUFFIX}"
            try:
                await asyncio.to_thread(_store, path, content)
            except OSError as error:
                raise BusError(f"the outbox {self._folder} does not take it: {line(str(error.strerror))}") from error
            self._next += 1
            self._waiting.append((path, len(content)))
            self._bytes += len(content)
        self._begin()
        return Published(order.task.id, PublishOutcome.STORED, "", order.task.lane)

    def _begin(self) -> None:
        if self._waiting and self._sending is None and self._lock is not None:
            self._sending = asyncio.create_task(self._send_all(), name="observatory-outbox")

    async def _send_all(self) -> None:
        pause = _PAUSES_S[0]
        try:
            while self._waiting:
                path, size = self._waiting[0]
                try:
                    await self._send_one(path)
                except BusError as error:
                    log.warning("outbox: %d tasks wait: %s", len(self._waiting), error)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                    pause = min(pause * 2, _PAUSES_S[1])
                    continue
                pause = _PAUSES_S[0]
                self._waiting.popleft()
                self._bytes -= size
        finally:
            self._sending = None

    async def _send_one(self, path: Path) -> None:
        assert self._reach is not None  # noqa: S101 - it is open
        await self._reach()
        try:
            order = Order.unpacked(await asyncio.to_thread(path.read_bytes))
        except (OSError, ValueError) as error:
            log.warning("outbox: %s is set aside: %s", path, error)
            with contextlib.suppress(OSError):
                await asyncio.to_thread(path.rename, path.with_suffix(".damaged"))
            return
        await self._send(order)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def _take_up(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"outbox {self._folder}: {line(str(error.strerror))}", "name a folder") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            self._lock = None
            raise UsageError(
                f"outbox {self._folder}: another process uses it", "give each process a folder of its own"
            ) from error
        for draft in self._folder.glob("*.draft"):
            draft.unlink()
        found = sorted(path for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())
        self._waiting.extend((path, path.stat().st_size) for path in found)
        self._bytes = sum(size for _, size in self._waiting)
        self._next = int(found[-1].stem) + 1 if found else 1


def _store(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
