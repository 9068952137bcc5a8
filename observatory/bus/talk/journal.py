"""Journals: streams that the lines of files are moved into, with a memory of how far each file was read.

Lines and memory move in one atomic script, so whoever is killed between two of them begins again exactly where it
ended: nothing is missing, nothing is there twice. A journal has four keys, all in one partition: the stream, a hash
of what is remembered, the lines that were no lines, and the digests of what we wrote into a file ourselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.model.errors import BusError, UsageError
from observatory.model.task import EntryId, is_queue_name
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Argument
    from observatory.bus.partitions import Partition
    from observatory.model.wire import Fields

_SOURCE: Final = "source:"
_ASIDE: Final = (b"source", b"file", b"line", b"why")


@dataclass(frozen=True, slots=True)
class Row:
    """One line that becomes an entry.

    Attributes:
        id: Its id, which tells its source and its place there.
        role: Who wrote it.
        type: What kind of line it is.
        payload: What it says.
        content_type: MIME type of the payload; empty if unknown.
        at: When it was written, as it stands in the line.
        digest: What the whole line is recognised by.
    """

    id: str
    role: bytes
    type: bytes
    payload: bytes
    content_type: str
    at: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Aside:
    """One line that is none.

    Attributes:
        source: Id of its source.
        file: Name of its file.
        number: Its number there, from 1.
        why: What is wrong with it.
        raw: As it stands there, cut if it is very long.
    """

    source: str
    file: str
    number: int
    why: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """How far one source was read.

    Attributes:
        source: Its id.
        before: What was remembered; empty for nothing.
        behind: What is to be remembered, in any words.
    """

    source: str
    before: str
    behind: str


@dataclass(frozen=True, slots=True)
class JournalState:
    """What is remembered of a journal.

    Attributes:
        is_begun: Something was appended, or it was said that nothing of what there was is to be.
        sources: What is remembered of each source, by its id.
        imported: Entries that came from files.
        aside: Lines that were kept aside.
        echoed: Lines that we had written ourselves, and did not take back in.
        out_from: The entry of the stream behind which writing to a file began; empty if it never did.
        out: Last entry of the stream that was written to a file; empty if none ever was.
        intended: What was about to be appended to a file when somebody died; empty if nothing.
    """

    is_begun: bool
    sources: Mapping[str, str]
    imported: int
    aside: int
    echoed: int
    out_from: str
    out: str
    intended: str


class JournalMovedError(BusError):
    """Somebody else has read the same files on."""


class Journal:
    """One journal. Made by `Bus.journal`.

    Args:
        partition: Where it lives.
        name: What it is called.
        stream: Key that the lines go to; its own if empty.
        who: Who writes, for the events.
    """

    def __init__(self, partition: Partition, name: str, stream: str, who: str) -> None:
        self._link = partition.link
        self._who = who
        self.name = name
        keys: Keys = partition.keys
        self.stream = stream or keys.journal(name)
        self.is_own = not stream
        self._state, self._aside, self._echoes = (
            f"{keys.journal(name)}:{part}" for part in ("state", "aside", "echoes")
        )

    async def state(self) -> JournalState:
        """Return what is remembered.

        Raises:
            UsageError: The name belongs to another stream.
        """
        flat = await self._link.command("HGETALL", self._state)
        said = {name.decode(): value.decode("utf-8", "surrogateescape") for name, value in pairs(flat)}
        if said.get("stream", self.stream) != self.stream:
            raise self._elsewhere(said["stream"])
        sources = {name.removeprefix(_SOURCE): value for name, value in said.items() if name.startswith(_SOURCE)}
        imported, aside, echoed = (int(said.get(name, 0)) for name in ("imported", "aside", "echoed"))
        words = (said.get(name, "") for name in ("out_from", "out", "intended"))
        return JournalState("stream" in said, sources, imported, aside, echoed, *words)

    async def append(self, readings: Sequence[Reading], rows: Sequence[Row | Aside]) -> None:
        """Add lines, and remember how far their sources were read: all of it or nothing.

        Raises:
            JournalMovedError: A source is not where *readings* say: somebody else reads it, too.
            UsageError: The name belongs to another stream.
            BusError: Something else stands in the place of one of the keys; the message names it.
        """
        args: list[Argument] = [self.name, self._who, len(readings)]
        for reading in readings:
            args += (reading.source, reading.before, reading.behind)
        for row in rows:
            if isinstance(row, Row):
                args += ("+", row.id, row.type, row.role, row.payload, row.content_type, row.at, row.digest)
            else:
                args += ("-", row.source, row.file, row.number, row.why, row.raw)
        word, *more = await self._link.call("journal", args, self._keys, deadline_s=30.0)
        if word == b"elsewhere":
            raise self._elsewhere(more[0].decode())
        if word == b"moved":
            raise JournalMovedError(f"journal {self.name}: somebody else reads the same files", "let one do it")
        if word == b"broken":
            raise BusError(f"journal {self.name}: {line(more[0])}", "find the key with TYPE, rename or delete it")

    async def entries(self, after: str, count: int) -> list[tuple[str, Fields]]:
        """Return at most *count* entries of the stream behind *after*, oldest first; from the first one if empty."""
        rows = await self._link.command("XRANGE", self.stream, f"({after}" if after else "-", "+", "COUNT", count)
        return [(ident.decode(), pairs(flat)) for ident, flat in rows]

    async def newest(self) -> str:
        """Return the id of the newest entry; `0-0` if there is none."""
        rows = await self._link.command("XREVRANGE", self.stream, "+", "-", "COUNT", 1)
        return rows[0][0].decode() if rows else str(EntryId(0, 0))

    async def length(self) -> int:
        """Return how many entries the stream has."""
        return int(await self._link.command("XLEN", self.stream))

    async def kept_aside(self, after: str, count: int) -> list[tuple[str, Aside]]:
        """Return at most *count* of the lines that were kept aside, behind the entry *after*, oldest first."""
        rows = await self._link.command("XRANGE", self._aside, f"({after}" if after else "-", "+", "COUNT", count)
        found = []
        for ident, flat in rows:
            said = dict(pairs(flat))
            source, file, number, why = (said.get(name, b"").decode("utf-8", "surrogateescape") for name in _ASIDE)
            found.append((ident.decode(), Aside(source, file, int(number or 0), why, said.get(b"raw", b""))))
        return found

    async def intend(self, what: str, digests: Sequence[str]) -> None:
        """Write down *what* is about to be appended to a file, and by which digests it is recognised there."""
        await self._link.call("journal_out", ("intend", what, *digests), (self._state, self._echoes))

    async def wrote(self, last: str) -> None:
        """Write down that everything up to the entry *last* stands in the file, or that writing begins behind it."""
        await self._link.call("journal_out", ("wrote", last), (self._state, self._echoes))

    @property
    def _keys(self) -> tuple[str, str, str, str]:
        return self.stream, self._state, self._aside, self._echoes

    def _elsewhere(self, stream: str) -> UsageError:
        return UsageError(
            f"journal {self.name}: its lines go to {line(stream)}, not to {self.stream}", "choose another name"
        )


def check_journal(name: str) -> None:
    """Refuse what cannot name a journal.

    Raises:
        UsageError: It cannot.
    """
    if name.startswith("@") or not is_queue_name(name):
        raise UsageError(f"journal: {line(name, 64)!r} cannot name one", "letters, digits, dots, dashes")
