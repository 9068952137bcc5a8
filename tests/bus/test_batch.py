"""Natural pipelining: nothing that is submitted is ever left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from observatory.bus.tasks.batch import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("lanes", [1, 2])
async def test_an_item_that_comes_as_the_last_batch_ends_is_sent(lanes: int) -> None:
    """Whenever an item is submitted, in whatever step of the loop, it is answered."""

    async def send(batch: Sequence[int]) -> Sequence[int]:
        for _ in range(batch[0] % 4):
            await asyncio.sleep(0)
        return [item * 2 for item in batch]

    batcher = Batcher(send, most=3, lanes=lanes)

    async def submit(start: int) -> None:
        for item in range(start, start + 50):
            for _ in range(item % 3):
                await asyncio.sleep(0)
            assert await batcher.submit(item) == item * 2

    async with asyncio.timeout(10):
        await asyncio.gather(*(submit(start) for start in range(7)))
        await batcher.flush()


async def test_what_a_send_raises_reaches_everyone_who_waited_for_it() -> None:
    """A failed batch fails its submitters, and the next one goes out."""
    answers = iter([OSError("cut"), None])

    async def send(batch: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        if error := next(answers):
            raise error
        return batch

    batcher = Batcher(send)
    failed = await asyncio.gather(*(batcher.submit(item) for item in range(3)), return_exceptions=True)
    assert [str(error) for error in failed] == ["cut"] * 3
    assert await batcher.submit(7) == 7
