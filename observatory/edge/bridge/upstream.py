"""The old server, asked as an old agent would ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx

from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from observatory.edge.bridge.protocol import Protocol, Said

DEADLINE_S: Final = 10.0
"""Seconds that the old server may take for an answer."""

PAGE: Final = 100
"""Messages that are asked for at once."""


class UpstreamError(ObservatoryError):
    """The old server does not answer, or not as the protocol has it."""


class Upstream:
    """The old server.

    Args:
        url: Its address; paths of the protocol are added to it.
        protocol: How it speaks.
        headers: What goes with every request, such as its authorization.

    Raises:
        UsageError: The address cannot be one.
    """

    def __init__(self, url: str, protocol: Protocol, *, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError("upstream: must be an address that begins with http:// or https://")
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._protocol = protocol
        self._client = httpx.AsyncClient(base_url=url.rstrip("/"), timeout=DEADLINE_S, headers=dict(headers or {}))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def poll(self, agent: str, since: str, limit: int = PAGE) -> list[tuple[Said, dict[str, Any]]]:
        """Return what waits there for *agent* behind *since*, as it was understood and as it was said.

        Raises:
            UpstreamError: It does not answer, or says something else.
        """
        names = self._protocol.names
        query = {names.limit: str(limit), **({names.since: since} if since else {})}
        path, rest = self._at(self._protocol.paths.poll, agent)
        said = await self._ask("GET", path, params={**query, **rest})
        found = said.get(names.messages)
        if not isinstance(found, list):
            raise UpstreamError(f"the old server at {self.shown} names no {names.messages}")
        try:
            return [(self._protocol.understood(one, must_have_id=True), one) for one in found]
        except UsageError as error:
            raise UpstreamError(f"the old server at {self.shown} sends a message that is none: {error}") from None

    async def send(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Hand over one message; return the answer.

        Raises:
            UpstreamError: It does not take it.
        """
        return await self._ask("POST", self._protocol.paths.send, json=dict(body))

    async def ack(self, agent: str, ident: str) -> dict[str, Any]:
        """Acknowledge everything for *agent* up to *ident*.

        Raises:
            UpstreamError: It does not take it.
        """
        path, rest = self._at(self._protocol.paths.ack, agent)
        number = int(ident) if ident.isdigit() else ident
        return await self._ask("POST", path, json={self._protocol.names.id: number, **rest})

    def _at(self, path: str, agent: str) -> tuple[str, dict[str, str]]:
        if "{agent}" in path:
            return path.replace("{agent}", quote(agent, safe="")), {}
        return path, {self._protocol.names.agent: agent}

    async def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as httpx has it
        try:
            answer = await self._client.request(method, path, **more)
            answer.raise_for_status()
            said = answer.json() if answer.content else {}
        except httpx.HTTPStatusError as error:
            raise UpstreamError(f"the old server at {self.shown} answers {error.response.status_code}") from None
        except (httpx.HTTPError, ValueError) as error:
            why = line(str(error)) or type(error).__name__
            raise UpstreamError(f"the old server at {self.shown} does not answer: {why}") from None
        if not isinstance(said, dict):
            raise UpstreamError(f"the old server at {self.shown} answers something else than an object")
        return said
