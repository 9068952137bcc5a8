"""The event log through a gateway: facts as they are written, resumed where the socket was lost."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from observatory.model.errors import BusUnreachableError
from observatory.model.event import Event
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observatory.bus.remote.channel import Channel, Document

_PAUSES_S = (0.05, 1.0)


async def follow(channel: Channel, after: str | None) -> AsyncIterator[Event]:
    """Yield facts behind the id *after* (default: those from now on), oldest first, for ever.

    Losing the gateway, or being too slow for it, only pauses it: it goes on behind the last fact that was told.

    Raises:
        BusUnreachableError: The gateway refuses the key.
    """
    from websockets.asyncio.client import connect  # noqa: PLC0415 - whoever speaks to the engine needs none
    from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException  # noqa: PLC0415

    last, pause = after or "", _PAUSES_S[0]
    while True:
        try:
            url = f"{channel.sockets}/ws/events?after={quote(last, safe='')}"
            async with connect(url, additional_headers=channel.headers) as socket:
                pause = _PAUSES_S[0]
                async for text in socket:
                    frame = json.loads(text)
                    if frame["op"] == "resync":
                        last = frame["after"]
                        break
                    event = _event(frame["event"])
                    yield event
                    last = event.id
        except InvalidStatus as error:
            if error.response.status_code in {401, 403}:
                raise BusUnreachableError(f"{channel.view.url} refuses the key") from error
            channel.note(line(str(error)))
        except (OSError, EOFError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            channel.note(line(str(error)) or type(error).__name__)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, _PAUSES_S[1])


def _event(said: Document) -> Event:
    return Event(
        said["id"],
        said["kind"],
        round(datetime.fromisoformat(said["at"]).timestamp() * 1000),
        said["task"],
        said["type"],
        said["lane"],
        said["agent"],
        said["attempt"],
        said["reason"],
        said["ms"],
        said["detail"],
    )
