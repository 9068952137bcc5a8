"""Requests to a gateway: repeated until they are answered, and what a refusal means to a user of the bus client.

Everything that changes something carries an id that was made before the first attempt, so a request whose answer was
lost may be sent again.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from observatory.bus.links.address import masked
from observatory.model.errors import BusBusyError, BusError, BusUnreachableError, NotDurableError, UsageError
from observatory.model.snapshot import LinkState, LinkView
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from observatory.model.clock import Clock

DEADLINE_S: Final = 10.0
"""Seconds in which a request must be answered, all attempts together."""

PORT: Final = 18802
"""Port of a gateway whose address names none."""

SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Schemes of a gateway's address, and what its requests are made by."""

Document = dict[str, Any]

_EXAMPLE = "for example http://:obs_…@127.0.0.1:18802"
_PAUSES_S: Final = (0.05, 1.0)


class Channel:
    """The way to one gateway.

    Attributes:
        url: Its address, with the key.
        view: How the link stands.

    Args:
        url: `http://[:key@]host[:port]`, or `https`, `ws`, `wss`, which mean the same.
        clock: Where the times of state changes come from.

    Raises:
        UsageError: *url* cannot be one.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        parts = urlsplit(url)
        try:
            host = parts.hostname or ""
            place = f"{f'[{host}]' if ':' in host else host}:{parts.port or PORT}"
        except ValueError:
            raise UsageError(f"URL {masked(url)!r} has no port that could be one", _EXAMPLE) from None
        if not host or parts.path not in {"", "/"} or parts.query:
            raise UsageError(f"URL {masked(url)!r} is no address of a gateway", _EXAMPLE)
        self.url = url
        self.key = unquote(parts.password or parts.username or "")
        self._base = urlunsplit((SCHEMES[parts.scheme], place, "", "", ""))
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self.view = LinkView(LinkState.CONNECTING, clock.now_ms(), url=masked(url))

    @property
    def sockets(self) -> str:
        """Address that sockets are opened at, without a path."""
        return self._base.replace("http", "ws", 1)

    @property
    def headers(self) -> dict[str, str]:
        """What shows who we are."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    async def open(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Reach the gateway once.

        Raises:
            BusUnreachableError: Nothing answers, or the key is refused.
            UsageError: The libraries that this needs are not installed.
        """
        try:
            import httpx  # noqa: PLC0415 - whoever speaks to the engine needs none
        except ImportError:
            raise UsageError("httpx is not installed", "pip install 'observatory[remote]'") from None
        if self._client is None:
            self._client = httpx.AsyncClient(base_url=self._base, headers=self.headers, timeout=DEADLINE_S)
        await self.call("GET", "/whoami", deadline_s=deadline_s)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def call(
        self,
        method: str,
        path: str,
        document: Document | None = None,
        *,
        params: Mapping[str, str | float] | None = None,
        expect: tuple[int, ...] = (200, 201),
        deadline_s: float = DEADLINE_S,
    ) -> tuple[int, Document]:
        """Make a request, again and again until it is answered.

        Args:
            method: HTTP method.
            path: Path.
            document: Its body.
            params: Its query.
            expect: Statuses that are no refusal.
            deadline_s: Seconds after which to give up.

        Returns:
            Status and body of the answer.

        Raises:
            UsageError: A field cannot be taken.
            BusBusyError: A lane or mailbox is full.
            BusUnreachableError: Nobody answers in time, the gateway cannot reach the bus, or it refuses the key.
            BusError: It answers no.
        """
        import httpx  # noqa: PLC0415

        if self._client is None:
            raise BusError("the bus is not open", "enter its context, or await open")
        end = time.monotonic() + deadline_s
        pause = _PAUSES_S[0]
        while True:
            problem = ""
            try:
                left = max(end - time.monotonic(), 0.05)
                answer = await self._client.request(method, path, json=document, params=params, timeout=left)
            except httpx.TransportError as error:
                problem = line(str(error)) or type(error).__name__
            else:
                found = _document(answer)
                if answer.status_code in expect:
                    self.note("")
                    return answer.status_code, found
                problem = self._refused(answer.status_code, found)
            self.note(problem)
            if time.monotonic() + pause >= end:
                hint = "does the gateway run, and does it reach its bus?"
                raise BusUnreachableError(f"cannot reach the bus through {self.view.url}: {problem}", hint)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, _PAUSES_S[1])

    def note(self, problem: str) -> None:
        """Record how the gateway answered; empty if well."""
        state = LinkState.LOST if problem else LinkState.READY
        if state is not self.view.state:
            self.view = LinkView(state, self._clock.now_ms(), reason=problem, url=self.view.url)

    def _refused(self, status: int, document: Document) -> str:
        """Raise what a refusal means; return why, where trying again may help."""
        error = document.get("error")
        said: Document = error if isinstance(error, dict) else {}
        code, reason = str(said.get("code", "")), line(str(said.get("reason", f"HTTP status {status}")))
        hint, field = line(str(said.get("hint", ""))), line(str(said.get("field", "")), 64)
        if status == 401:
            raise BusUnreachableError(f"{self.view.url} refuses the key: {reason}", hint)
        if status == 422:
            raise UsageError(f"{field}: {reason}" if field else reason, hint)
        if code == "busy":
            raise BusBusyError(reason, hint)
        if code == "not_durable":
            raise NotDurableError(reason, hint)
        if status in {429, 500, 502, 503, 504} and code != "refused":
            return reason
        raise BusError(reason, hint)


def _document(answer: httpx.Response) -> Document:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
