"""The processes of the swarm as their director holds them: started, ordered about, killed, frozen and started again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

from observatory.demo.lifeline import Order, encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from observatory.demo.office import Brief
    from observatory.demo.roster import Host

_RETURN_S = 1.0
"""Seconds after which a process that ended unasked is started again."""

_FALSE_STARTS = 5
"""Times in a row that a process may end before it is ready."""


class CannotRunError(Exception):
    """A process of the swarm does not start, however often it is tried."""


class Actor:
    """One process of the swarm, through all its lives.

    Args:
        host: Who lives in it.
        brief: Makes what it is told at the start of a life.
        log: Where its standard error goes.
        welcome: Orders that each new life gets after its brief.
    """

    def __init__(
        self, host: Host, brief: Callable[[Host, int], Brief], log: IO[bytes], welcome: Callable[[], list[Order]]
    ) -> None:
        self.host = host
        self.lives = 0
        self.ready = asyncio.Event()
        """It lives and works."""
        self.busy = asyncio.Event()
        """It has work in hand; only told by processes that the script may kill."""
        self.away = False
        """The script has its hands on it."""
        self._brief = brief
        self._log = log
        self._welcome = welcome
        self._words = {b"ready\n": self.ready.set, b"busy\n": self.busy.set, b"idle\n": self.busy.clear}
        self._process: asyncio.subprocess.Process | None = None
        self._return_s = _RETURN_S
        self._leaving = asyncio.Event()

    async def live(self) -> None:
        """Run the process, again and again, until it is told to leave.

        Raises:
            CannotRunError: It never gets ready.
        """
        false_starts = 0
        while not self._leaving.is_set():
            was_ready = await self._one_life()
            false_starts = 0 if was_ready else false_starts + 1
            if false_starts >= _FALSE_STARTS:
                raise CannotRunError(f"process {self.host.name} ended {false_starts} times before it was ready")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), self._return_s)
            self._return_s = _RETURN_S

    def order(self, do: str, **details: object) -> None:
        """Send it an order, if it lives."""
        self._tell({"do": do, **details})

    def kill(self, *, return_s: float = _RETURN_S) -> None:
        """End it as a crash would; it comes back after *return_s* seconds."""
        self._return_s = return_s
        self.ready.clear()
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it in its tracks: it lives, and is silent."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had been."""
        self._send(signal.SIGCONT)

    def leave(self) -> None:
        """Tell it to finish what it has in hand and go."""
        self._leaving.set()
        self.thaw()
        self.order("stop")

    def abandon(self) -> None:
        """End it now, for good."""
        self._leaving.set()
        self._send(signal.SIGKILL)

    async def _one_life(self) -> bool:
        """Start the process, listen to what it says, and return whether it ever was ready."""
        self.lives += 1
        # Its own process group: the kernel wakes and ends a stopped child whose parent died only if it has one.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "observatory.demo.agent",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            process_group=0,
        )
        self._process = process
        for order in (self._brief(self.host, self.lives).to_order(), *self._welcome()):
            self._tell(order)
        if self._leaving.is_set():
            self.abandon()
        was_ready = False
        try:
            assert process.stdout is not None  # noqa: S101  it was asked for above
            async for word in process.stdout:
                was_ready = True
                hear = self._words.get(word)
                if hear is not None:
                    hear()
            await process.wait()
        finally:
            self._process = None
            self.ready.clear()
            self.busy.clear()
        return was_ready

    def _tell(self, order: Order) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(encode(order))

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
