"""Where the agents of an older system are: said by operators, kept by the bridge, and never overwritten by either."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.talk.sides import Move, Side
from observatory.model.errors import BusError

if TYPE_CHECKING:
    from observatory.bus import Bus

pytestmark = pytest.mark.everywhere(soak=True)


async def test_wishes_and_facts_do_not_overwrite_each_other(bus: Bus) -> None:
    """Twenty changes of both kinds at once: each count is there, and so is the last wish."""
    sides = bus.sides
    assert await sides.want("pink", Side.POLLING) == Move(Side.POLLING, Side.OLD)
    first = Move(Side.OLD, Side.OLD)

    async def carry() -> None:
        await sides.change("pink", lambda move: replace(move, carried=move.carried + 1), first)

    await asyncio.gather(*(carry() for _ in range(20)), *(sides.want("pink", Side.NEW) for _ in range(5)))
    assert await sides.all() == {"pink": Move(Side.NEW, Side.OLD, carried=20)}


async def test_what_cannot_be_read_is_an_error_that_says_how_to_mend_it(bus: Bus, raw: Any) -> None:
    """A careless hand in the hash is no crash."""
    raw.hset(bus.partitions.seat.keys.sides, "pink", "nonsense")
    with pytest.raises(BusError, match="where pink is cannot be read"):
        await bus.sides.all()
