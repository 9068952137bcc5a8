"""What the bus keeps for whoever records it and looks back: whose turn it is, what its archive is called, bookmarks."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Final

from observatory.model.timeline import Bookmark

if TYPE_CHECKING:
    from observatory.bus.partitions import Partitions

LEASE_MS: Final = 15_000
"""Ms after which a recorder that says nothing has lost its turn."""

MOST_TEXT: Final = 500


async def hold_lease(partitions: Partitions, token: str, *, ms: int = LEASE_MS) -> bool:
    """Take the recorder's lease or keep it, and say whether it is ours; with 0 ms, give it back.

    Raises:
        BusError: The engine refuses.
    """
    return bool(await partitions.seat.link.call("lease", (token, ms)))


async def archive_id(partitions: Partitions, *, make: bool = False) -> str:
    """Return the name of the archive of this bus; empty if it has none, unless one is to be made.

    Raises:
        BusError: The engine refuses.
    """
    seat = partitions.seat
    if make:
        await seat.link.command("HSETNX", seat.keys.history, "id", uuid.uuid4().hex[:12])
    said = await seat.link.command("HGET", seat.keys.history, "id")
    name = said.decode("ascii", "replace") if said else ""
    return name if name.isalnum() else ""


async def bookmarks(partitions: Partitions) -> tuple[Bookmark, ...]:
    """Return all bookmarks, in the order of their times; what is none is left out.

    Raises:
        BusError: The engine refuses.
    """
    flat = await partitions.seat.link.command("HGETALL", partitions.seat.keys.bookmarks)
    found = []
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        try:
            said = json.loads(value)
            found.append(Bookmark(name.decode("utf-8", "replace"), int(said["at"]), str(said["text"]), str(said["by"])))
        except (ValueError, LookupError, TypeError):
            continue
    return tuple(sorted(found, key=lambda one: (one.at_ms, one.id)))


async def add_bookmark(partitions: Partitions, at_ms: int, text: str, by: str) -> Bookmark:
    """Keep a time, with a text, for everybody who looks at this bus.

    Raises:
        BusError: The engine refuses.
    """
    mark = Bookmark(uuid.uuid4().hex[:12], at_ms, text[:MOST_TEXT], by)
    seat = partitions.seat
    value = json.dumps({"at": at_ms, "text": mark.text, "by": by})
    await seat.link.command("HSET", seat.keys.bookmarks, mark.id, value)
    return mark


async def remove_bookmark(partitions: Partitions, ident: str) -> bool:
    """Forget a bookmark; says whether there was one.

    Raises:
        BusError: The engine refuses.
    """
    seat = partitions.seat
    return bool(await seat.link.command("HDEL", seat.keys.bookmarks, ident))
