"""Notes of operators about root causes: one small hash that everybody who looks at this bus reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from observatory.model.cause import CauseNote
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus.partitions import Partitions

MOST_NOTES: Final = 500
"""Notes that are kept; whoever wants to write another one lets an old one go."""

LONGEST: Final = 400
"""Characters of a note."""


class CauseNotes:
    """The notes of one bus; they live in its first partition.

    Args:
        partitions: The parts of the bus.
    """

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def read(self) -> Mapping[str, CauseNote]:
        """Return all notes by the id of their cause; what is none is left out.

        Raises:
            BusError: The engine refuses.
        """
        seat = self._partitions.seat
        flat = await seat.link.command("HGETALL", seat.keys.notes)
        found = {}
        for name, value in zip(flat[::2], flat[1::2], strict=True):
            try:
                said = json.loads(value)
                cause = name.decode("utf-8", "replace")
                found[cause] = CauseNote(line(str(said["text"]), LONGEST), line(str(said["by"]), 80), int(said["at"]))
            except (ValueError, LookupError, TypeError):
                continue
        return found

    async def write(self, cause: str, text: str, by: str) -> None:
        """Keep *text* about a cause in the place of what was said before; empty text takes it away.

        Raises:
            UsageError: There are `MOST_NOTES` others already, or the text is too long.
            BusError: The engine refuses.
        """
        seat, said = self._partitions.seat, " ".join(text.split())
        if not said:
            await seat.link.command("HDEL", seat.keys.notes, cause)
            return
        if len(said) > LONGEST:
            raise UsageError(f"note: {len(said)} characters", f"at most {LONGEST} are kept")
        known = (await seat.link.command("HGETALL", seat.keys.notes))[::2]
        if cause.encode() not in known and len(known) >= MOST_NOTES:
            raise UsageError(f"there are {MOST_NOTES} notes already", "take some away: observatory dlq note ID ''")
        seconds, micros = await seat.link.command("TIME")
        at_ms = int(seconds) * 1000 + int(micros) // 1000
        await seat.link.command("HSET", seat.keys.notes, cause, json.dumps({"text": said, "by": by, "at": at_ms}))
