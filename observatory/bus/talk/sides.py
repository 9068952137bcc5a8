"""Which agents of an older system have moved to the bus: one hash, that every bridge and every operator reads."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from observatory.model.errors import BusError
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observatory.bus.partitions import Partition


class Side(StrEnum):
    """Where the messages of an agent are, and how it reads them."""

    OLD = "old"
    """On the old server, which it polls."""
    POLLING = "polling"
    """On the bus; it polls the bridge as it polled the old server."""
    NEW = "new"
    """On the bus, which it reads by itself."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where an agent is, and where it is to be.

    Attributes:
        wanted: Where an operator wants it.
        now: Where it is, by the word of the bridge.
        cursor: Id of the last message on the old server that it has acknowledged, or that was carried over; empty for
            none.
        carried: Messages that were carried from the old server to the bus.
        returned: Messages that were carried from the bus to the old server.
    """

    wanted: Side
    now: Side
    cursor: str = ""
    carried: int = 0
    returned: int = 0

    @classmethod
    def read(cls, agent: str, text: bytes) -> Self:
        """Read what `written` wrote.

        Raises:
            BusError: It is something else.
        """
        try:
            said = json.loads(text)
            wanted, now = Side(said["wanted"]), Side(said["now"])
            return cls(wanted, now, str(said["cursor"]), int(said["carried"]), int(said["returned"]))
        except (ValueError, KeyError, TypeError):
            raise BusError(f"where {line(agent, 64)} is cannot be read", "observatory migrate http move") from None

    def written(self) -> str:
        """Return it as text that nobody else writes: two equal changes at once are two."""
        said = {"wanted": self.wanted, "now": self.now, "cursor": self.cursor}
        return json.dumps({**said, "carried": self.carried, "returned": self.returned, "mark": uuid.uuid4().hex})


class Sides:
    """The hash of moves. Made by `Bus.sides`.

    An operator changes only what is wanted, and the bridge everything else; a compare-and-set keeps both whole.

    Args:
        partition: Where the hash is.
    """

    def __init__(self, partition: Partition) -> None:
        self._link = partition.link
        self._key = partition.keys.sides

    async def all(self) -> Mapping[str, Move]:
        """Return the moves of all agents that are known."""
        flat = await self._link.command("HGETALL", self._key)
        found = ((name.decode("utf-8", "surrogateescape"), text) for name, text in pairs(flat))
        return {name: Move.read(name, text) for name, text in sorted(found)}

    async def want(self, agent: str, side: Side) -> Move:
        """Say where *agent* is to be; return what is known of it then."""
        return await self.change(agent, lambda move: replace(move, wanted=side), Move(side, Side.OLD))

    async def change(self, agent: str, how: Callable[[Move], Move], first: Move) -> Move:
        """Change what is known of *agent*, as often as it takes to do it on nobody's heels.

        Args:
            agent: Whose move.
            how: Makes the new one from the one there is.
            first: What is known of it if nothing is.
        """
        while True:
            before = await self._link.command("HGET", self._key, agent)
            move = first if before is None else how(Move.read(agent, before))
            args = (agent, before if before is not None else b"", move.written())
            if await self._link.call("sides", args, (self._key,)):
                return move
