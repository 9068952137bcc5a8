"""The access log: one line of JSON a request, written a few times a second, for a write each would cost more."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final

from observatory.model.wire import rfc3339

if TYPE_CHECKING:
    from typing import TextIO

    from starlette.types import Scope

    from observatory.edge.gateway.keyring import Caller

FLUSH_S: Final = 0.2
"""Seconds that a line waits at most."""

LONGEST_PATH: Final = 200


class Journal:
    """Writes down who asked for what, and how it was answered; never what was said, nor a key, nor a query.

    Args:
        stream: Where to; None for nowhere.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lines: list[str] = []

    def note(self, scope: Scope, status: int, seconds: float, caller: Caller | None) -> None:
        """Write down one request."""
        if self._stream is None:
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        client = scope["client"][0] if scope.get("client") else ""
        at, key = rfc3339(time.time_ns() // 1_000_000), caller.name if caller else ""
        kind = scope.get("method", "SOCKET")
        # Names and ids stand in the path, and whatever else somebody sends: JSON in ASCII makes it harmless.
        path = json.dumps(scope["path"][:LONGEST_PATH])
        self._lines.append(
            f'{{"at": "{at}", "client": "{client}", "key": "{key}", "method": "{kind}", "path": {path}, '
            f'"status": {status}, "ms": {seconds * 1000:.2f}}}\n'
        )

    def flush(self) -> None:
        """Write out what waits."""
        lines, self._lines = self._lines, []
        if self._stream is not None and lines:
            try:
                self._stream.write("".join(lines))
                self._stream.flush()
            except (OSError, ValueError):
                # Whoever read the log is gone: requests are served all the same.
                self._stream = None
