"""Notes about root causes: for everybody who looks at the bus, bounded, and unharmed by what others leave there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.bus.talk.notes import LONGEST, MOST_NOTES, CauseNotes
from observatory.model.errors import BusError, UsageError

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus


async def test_a_note_is_read_by_others_and_taken_away(bus: Bus) -> None:
    """Who, when and what; a newer note replaces it, an empty one removes it."""
    here, there = CauseNotes(bus.partitions), CauseNotes(bus.partitions)
    await here.write("0a1b2c3d", "known:\n the  proxy", "kim")
    (note,) = (await there.read()).values()
    assert (note.text, note.by) == ("known: the proxy", "kim")
    assert note.at_ms > 0
    await there.write("0a1b2c3d", "mended", "lee")
    assert (await here.read())["0a1b2c3d"].text == "mended"
    await here.write("0a1b2c3d", " ", "kim")
    assert await here.read() == {}


async def test_notes_are_bounded(bus: Bus, plain: redis.Redis) -> None:
    """One that is too long, or one too many, is refused with what to do; a known one can still be changed."""
    notes = CauseNotes(bus.partitions)
    with pytest.raises(UsageError, match=str(LONGEST)):
        await notes.write("0a1b2c3d", "x" * (LONGEST + 1), "kim")
    for number in range(MOST_NOTES):
        plain.hset("cortex:notes", f"{number:08d}", '{"text": "t", "by": "b", "at": 1}')
    with pytest.raises(UsageError, match="notes already"):
        await notes.write("0a1b2c3d", "one more", "kim")
    await notes.write("00000007", "changed", "kim")
    assert (await notes.read())["00000007"].text == "changed"


async def test_what_is_no_note_is_left_out_and_a_wrong_type_is_said(bus: Bus, plain: redis.Redis) -> None:
    """Foreign values harm nothing, nor do control characters reach a screen; a key of another type is an error."""
    plain.hset("cortex:notes", mapping={"a": "no JSON", "b": "{}", "c": '{"text": "\\u001b[31mred", "by": 1, "at": 2}'})
    (note,) = (await CauseNotes(bus.partitions).read()).values()
    assert "\x1b" not in note.text
    plain.delete("cortex:notes")
    plain.set("cortex:notes", "no hash")
    with pytest.raises(BusError, match="WRONGTYPE"):
        await CauseNotes(bus.partitions).read()
