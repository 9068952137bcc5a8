"""Journals: lines and how far they were read move together, in every deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.talk.journal import Aside, JournalMovedError, Reading, Row
from observatory.model.errors import BusError, UsageError
from observatory.model.listing import Ask
from observatory.model.message import Broadcast

if TYPE_CHECKING:
    from observatory.bus import Bus

pytestmark = pytest.mark.everywhere(soak=True)

ROWS = (
    Row("s-1", b"pink", b"note", b"one", "", b"1770000000", "d1"),
    Aside("s", "a.log", 2, "no line", b"\xff"),
    Row("s-3", b"pink", b"note", b"\xff\x00", "", b"1770000001", "d3"),
)


async def test_lines_and_cursor_move_together_and_once(bus: Bus) -> None:
    """A batch goes in as a whole; repeated, as after a lost reply, it changes nothing; one that is late is refused."""
    journal = bus.journal("old")
    for _ in range(2):
        await journal.append([Reading("s", "", "3 lines")], ROWS)
    state = await journal.state()
    assert (dict(state.sources), state.imported, state.aside) == ({"s": "3 lines"}, 2, 1)
    assert [dict(fields)[b"payload"] for _, fields in await journal.entries("", 10)] == [b"one", b"\xff\x00"]
    assert [one for _, one in await journal.kept_aside("", 10)] == [ROWS[1]]
    with pytest.raises(JournalMovedError):
        await journal.append([Reading("s", "", "2 lines"), Reading("t", "", "1 line")], ROWS)
    assert await journal.length() == 2
    page = await bus.reads.entries(journal.stream, Ask(newest_first=False))
    assert [row.item.id for row in page.items if isinstance(row.item, Broadcast)] == ["s-1", "s-3"]
    assert [event.kind for event in (await bus.events()).items] == ["imported"]
    assert not [one for one in await bus.doctor() if one.name == "key types" and one.severity == "crit"]


async def test_a_line_that_was_written_by_ourselves_is_not_taken_back_in(bus: Bus) -> None:
    """As often as it was written, not once more; writing down the same intention twice counts once."""
    journal = bus.journal("old")
    for _ in range(2):
        await journal.intend("that", ["d1"])
    await journal.wrote("5-0")
    await journal.append([Reading("s", "", "a")], ROWS[:1])
    await journal.append([Reading("s", "a", "b")], ROWS[:1])
    state = await journal.state()
    assert (state.echoed, state.imported, state.out, state.intended) == (1, 1, "5-0", "")


async def test_what_stands_in_the_way_is_named(bus: Bus, raw: Any) -> None:
    """A key of another type, a name that belongs to another stream, and what cannot be a name."""
    journal = bus.journal("old")
    raw.set(journal.stream, "text")
    with pytest.raises(BusError, match="WRONGTYPE"):
        await journal.append([Reading("s", "", "a")], ROWS)
    assert not (await journal.state()).sources
    await bus.journal("mail", stream=bus.keys.mailbox("red")).append([Reading("s", "", "a")], ROWS)
    seat = bus.partitions.seat
    if bus.partitions.of("mail") is seat:
        with pytest.raises(UsageError, match="its lines go to"):
            await bus.journal("mail").append([Reading("s", "", "a")], ROWS)
    for name in ("", "a:b", "@x", "x" * 65):
        with pytest.raises(UsageError, match="cannot name one"):
            bus.journal(name)
