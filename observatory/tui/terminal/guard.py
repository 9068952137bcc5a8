"""The terminal and the process around the app: signals, a terminal that goes away, and a bounded end.

Textual leaves the terminal in full-screen mode on SIGTERM and SIGHUP, and spins when its input is closed; both were
measured. Whatever ends the app, it ends within a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import App

WATCH_S = 0.5
"""Seconds between two looks at whether the terminal is still there."""

LAST_RESORT_S = 4.0
"""Seconds that an orderly end may take before the process ends without order."""

_RESTORE = (
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?2004l\x1b[?1004l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m"
)
"""Leaves every mode that the app enters: mouse, paste, focus, keyboard, alternate screen, hidden cursor."""


class Terminal:
    """Watches over one run of *app*."""

    def __init__(self, app: App[int]) -> None:
        self._app = app
        self._signal = 0

    @property
    def exit_code(self) -> int:
        """What the process should end with."""
        return 128 + self._signal if self._signal else self._app.return_code or 0

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn signals and the end of input into an orderly exit while the block runs."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._leave, number)
        # In a browser there is no terminal that could go away; its server ends the app with a signal.
        watch = None if os.environ.get("TEXTUAL_DRIVER") else loop.create_task(self._watch_input())
        try:
            yield
        finally:
            if watch is not None:
                watch.cancel()
            for number in numbers:
                loop.remove_signal_handler(number)

    def _leave(self, number: int) -> None:
        """End the app in order, and without order if that takes too long."""
        if not self._signal:
            self._signal = number
            timer = threading.Timer(LAST_RESORT_S, self._last_resort)
            timer.daemon = True
            timer.start()
            self._app.exit(return_code=128 + number)

    async def _watch_input(self) -> None:
        """Leave once the terminal is gone: its end of file makes Textual's input thread spin."""
        descriptor = sys.__stdin__.fileno() if sys.__stdin__ else -1
        while not _gone(descriptor):  # noqa: ASYNC110 - the kernel tells nobody; looking is the only way
            await asyncio.sleep(WATCH_S)
        self._leave(signal.SIGHUP)

    def _last_resort(self) -> None:
        with contextlib.suppress(OSError):
            os.set_blocking(1, False)
            os.write(1, _RESTORE)
        os._exit(self.exit_code)


def _gone(descriptor: int) -> bool:
    """Say whether the terminal behind *descriptor* was closed or hung up."""
    try:
        if not os.isatty(descriptor):
            return True
        poller = select.poll()
        poller.register(descriptor, select.POLLHUP | select.POLLERR)
        return bool(poller.poll(0))
    except (OSError, ValueError):
        return True
