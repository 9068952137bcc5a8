"""Messages that cannot be delivered: from the mailbox to the dead letters, in one act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.model.dead_letter import Reason
from observatory.model.errors import BusError

if TYPE_CHECKING:
    from observatory.bus import Bus

pytestmark = pytest.mark.everywhere(soak=True)


async def test_a_buried_message_is_a_dead_letter_and_nowhere_else(bus: Bus) -> None:
    """It keeps its fields, says why, leaves the mailbox, and the books balance."""
    await bus.send_message("pink", "hello", type="note", id="m-1")
    async with bus.inbox("pink") as inbox:
        letter = await anext(inbox)
        assert await letter.bury(Reason.NO_HANDLER, "nobody \x1b there")
        assert await letter.bury(Reason.NO_HANDLER, "again")
    (dead,) = (await bus.dead_letters()).items
    assert (dead.task_id, dead.type, dead.payload, dead.reason) == ("m-1", "note", b"hello", Reason.NO_HANDLER)
    assert dead.source == bus.partitions.of("pink").keys.mailbox("pink")
    box = await bus.reads.mailbox("pink")
    assert box is not None
    assert (box.length, box.pending) == (0, 0)
    assert not (await bus.audit()).differences


async def test_what_passed_to_another_reader_is_not_buried(bus: Bus) -> None:
    """The first reader was silent for too long: its word does not count any more."""
    await bus.send_message("pink", "hello")
    home = bus.partitions.of("pink")
    async with bus.inbox("pink", lease_s=60) as inbox:
        letter = await anext(inbox)
        stream = home.keys.mailbox("pink")
        await home.link.command("XCLAIM", stream, "inbox", "another", 0, letter.entry_id)
        assert not await letter.bury(Reason.NO_HANDLER, "nobody")
    assert not (await bus.dead_letters()).items


async def test_a_message_stays_when_there_is_no_place_for_dead_letters(bus: Bus, raw: Any) -> None:
    """Something else stands in their place: that is an error, and the message is still held."""
    raw.set(bus.partitions.of("pink").keys.dead_letters, "not a stream")
    await bus.send_message("pink", "hello")
    async with bus.inbox("pink") as inbox:
        letter = await anext(inbox)
        with pytest.raises(BusError, match="cannot be buried"):
            await letter.bury(Reason.NO_HANDLER, "nobody")
        assert inbox.holds == (letter,)
