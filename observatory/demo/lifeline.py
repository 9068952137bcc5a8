"""The pipe from parent to child: orders come as JSON lines, and its end means that the parent is gone.

Everything secret travels here, never on a command line. A thread reads it, because it must notice the end even
while the event loop is busy; a process whose parent died must not outlive it.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Order = dict[str, Any]
"""One order: `do` says what, the rest belongs to it."""


class Lifeline:
    """Reads orders from standard input until it ends."""

    def __init__(self) -> None:
        self._rest = b""

    def watch(self, orders: Callable[[Order], object], cut: Callable[[], object]) -> None:
        """Begin to read, in a thread that never keeps the process alive.

        Args:
            orders: Called in the reading thread with each order.
            cut: Called in the reading thread when the pipe ends.
        """

        def read() -> None:
            while (order := self.first()) is not None:
                orders(order)
            cut()

        threading.Thread(target=read, name="lifeline", daemon=True).start()

    def first(self) -> Order | None:
        """Wait for one order before anything else runs; None if the pipe ended instead."""
        while b"\n" not in self._rest:
            chunk = os.read(0, 65536)
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        order: Order = json.loads(line)
        return order


def encode(order: Order) -> bytes:
    """Return *order* as the line that the other end reads."""
    return json.dumps(order).encode() + b"\n"
