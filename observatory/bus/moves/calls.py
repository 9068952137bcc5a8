"""`Moves`: the steps of one bus, each in the partition where its item is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from redis.exceptions import NoPermissionError, NoScriptError

from observatory.bus.base import Connected
from observatory.bus.links.refusals import root
from observatory.bus.moves.journal import Journal
from observatory.bus.moves.requeued import Requeued, RequeueOutcome
from observatory.bus.moves.steps import KEPT_S, STEPS, Moved, Stamp
from observatory.bus.partitions import gathered
from observatory.bus.reads.paging import checked_id
from observatory.model.errors import BusError
from observatory.model.plan import PlannedItem
from observatory.model.task import EntryId
from observatory.model.text import line
from observatory.model.wire import pairs, read_dead_letter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from observatory.bus.links.link import Argument
    from observatory.bus.partitions import Partition, Partitions
    from observatory.model.dead_letter import DeadLetter

_AT_ONCE: Final = 200
"""Items of a script call: so many take the engine a few milliseconds, and nobody waits longer for it."""

_SHOWN: Final = 512
"""Bytes of a value that a plan looks at."""

_NO_ENTRY: Final = frozenset({"claim", "pause", "resume", "drain", "reopen", "bounds", "reset"})
"""Verbs whose steps answer with something else than an entry."""

_NO_SCRIPT: Final = "0" * 40


class MoveCalls(Connected):
    """The part of `Bus` that is about what operators change."""

    @property
    def moves(self) -> Moves:
        """Steps, jobs and audit."""
        return Moves(self.partitions)

    async def requeue(self, entry_ids: Iterable[str]) -> list[Requeued]:
        """Put dead letters back into the lanes they came from, with fresh attempts; one answer an entry, in order."""
        return await self.moves.requeue(entry_ids, self.name)


@dataclass(frozen=True, slots=True)
class Moves:
    """What operators change on one bus.

    Attributes:
        partitions: The parts of the bus.
    """

    partitions: Partitions

    @property
    def journal(self) -> Journal:
        """Jobs and audit of the bus."""
        return Journal(self.partitions)

    async def step(
        self, verb: str, stamp: Stamp, options: Mapping[str, str], items: Sequence[PlannedItem]
    ) -> list[Moved]:
        """Change *items*, each atomically; one answer an item, in order.

        Raises:
            BusError: The engine refuses; `BusUnreachableError` if it does not answer. What was done before is not done
                again when the step is repeated with the same stamp.
        """
        step = STEPS[verb]
        answers: dict[str, Moved] = {}

        async def ask(part: Partition, group: Sequence[PlannedItem]) -> None:
            for first in range(0, len(group), _AT_ONCE):
                some = group[first : first + _AT_ONCE]
                args: list[Argument] = [stamp.job, stamp.token, stamp.who, KEPT_S, *step.head(options)]
                for item in some:
                    args += (item.id, *step.item(item, part.keys))
                replies = await part.link.call(step.script, args)
                for item, (outcome, entry) in zip(some, replies, strict=True):
                    said = text_of(entry)
                    answers.setdefault(item.id, Moved(item.id, outcome.decode(), self._named(verb, said, part)))

        groups = [(part, list(items)) for part in self.partitions] if step.everywhere else self._grouped(items)
        await gathered(ask(part, group) for part, group in groups)
        return [answers[item.id] for item in items]

    async def keep(self, stamp: Stamp, moved: Sequence[Moved]) -> list[Moved]:
        """Keep what became of items that no single script changes; returns what was kept first."""
        args: list[Argument] = [stamp.job, stamp.token, stamp.who, KEPT_S]
        for one in moved:
            args += (one.id, one.outcome, one.entry)
        replies = await self.partitions.seat.link.call("keep_answers", args)
        said = [(outcome.decode(), text_of(entry)) for outcome, entry in replies]
        return [Moved(one.id, *words) for one, words in zip(moved, said, strict=True)]

    async def requeue(self, entry_ids: Iterable[str], who: str) -> list[Requeued]:
        """Put dead letters back into the lanes they came from, with fresh attempts; one answer an entry, in order."""
        wanted = list(entry_ids)
        for ident in wanted:
            checked_id(ident)
        letters = dict(zip(wanted, await self.letters(wanted), strict=True))
        items = [
            PlannedItem(ident, part.keys.dead_letters, letter.source, "", {"task": letter.task_id, "type": letter.type})
            for ident, letter in letters.items()
            if letter is not None
            and (part := self._part_of(ident)) is not None
            and part.keys.lane_of(letter.source) is not None
        ]
        moved = {one.id: one for one in await self.step("requeue", Stamp(uuid.uuid4().hex, 1, who), {}, items)}
        answers = []
        for ident in wanted:
            letter, one = letters[ident], moved.get(ident)
            if letter is not None and one is not None and one.outcome == "done":
                answers.append(Requeued(ident, RequeueOutcome.REQUEUED, letter.source, one.entry))
            else:
                gone = letter is None or (one is not None and one.outcome == "gone")
                answers.append(Requeued(ident, RequeueOutcome.GONE if gone else RequeueOutcome.NO_LANE))
        return answers

    async def letters(self, idents: Sequence[str], *, trash: bool = False) -> list[DeadLetter | None]:
        """Return dead letters, or what is in the trash, by id; None for those that are gone. Long values are cut."""
        found: dict[str, DeadLetter | None] = {}

        async def ask(part: Partition, group: Sequence[str]) -> None:
            stream = part.keys.trash if trash else part.keys.dead_letters
            for first in range(0, len(group), _AT_ONCE):
                some = group[first : first + _AT_ONCE]
                plain = [EntryId.parse(ident).plain for ident in some]
                rows = await part.link.call("letters", (_SHOWN, *plain), (stream,))
                for ident, row in zip(some, rows, strict=True):
                    found[ident] = None if row is None else read_dead_letter(ident, pairs(row[3]))

        groups: dict[Partition, list[str]] = {}
        for ident in dict.fromkeys(idents):
            if (part := self._part_of(ident)) is not None:
                groups.setdefault(part, []).append(ident)
        await gathered(ask(part, group) for part, group in groups.items())
        return [found.get(ident) for ident in idents]

    async def states(self, items: Sequence[PlannedItem]) -> list[str]:
        """Return the states of the tasks of *items*, in order; empty where nobody knows."""
        found: dict[str, str] = {}

        async def ask(part: Partition, group: Sequence[PlannedItem]) -> None:
            for first in range(0, len(group), _AT_ONCE):
                some = group[first : first + _AT_ONCE]
                words = await part.link.call("states", [item.seen.get("task", "") for item in some])
                found.update((item.id, word.decode()) for item, word in zip(some, words, strict=True))

        await gathered(ask(part, group) for part, group in self._grouped(items))
        return [found[item.id] for item in items]

    async def pauses(self, *, closed: bool = False) -> dict[str, str]:
        """Return what is paused, or *closed*, now: field of the hash → end in ms of server time, `0` for none."""
        seat = self.partitions.seat
        flat = await seat.link.command("HGETALL", seat.keys.closed if closed else seat.keys.paused)
        seconds, micros = await seat.link.command("TIME")
        now = int(seconds) * 1000 + int(micros) // 1000
        said = {text_of(name): value.decode() for name, value in pairs(flat)}
        return {name: till for name, till in said.items() if till == "0" or int(till) > now}

    async def said_of_retention(self) -> dict[str, str]:
        """Return what the bus says of what it keeps, without the defaults."""
        seat = self.partitions.seat
        flat = await seat.link.command("HGETALL", seat.keys.retention)
        return {text_of(name): text_of(value) for name, value in pairs(flat)}

    async def position(self, part: Partition, stream: str, group: str) -> str | None:
        """Return the last entry that *group* was given in one partition; None if there is no such group."""
        if not await part.link.command("EXISTS", stream):
            return None
        for flat in await part.link.command("XINFO", "GROUPS", stream):
            info = dict(zip(flat[::2], flat[1::2], strict=True))
            if text_of(info[b"name"]) == group:
                return text_of(info[b"last-delivered-id"])
        return None

    async def newest(self, part: Partition, stream: str) -> str:
        """Return the newest entry that was ever added to a stream of one partition."""
        flat = await part.link.command("XINFO", "STREAM", stream)
        return text_of(dict(zip(flat[::2], flat[1::2], strict=True))[b"last-generated-id"])

    async def behind(self, part: Partition, stream: str, position: str) -> int:
        """Return how many entries stand behind *position* in a stream of one partition, at most 100,000."""
        rows = await part.link.call("behind", (position,), (stream,))
        return int(rows)

    async def lengths(self, streams: Iterable[str]) -> dict[str, int]:
        """Return the lengths of streams."""
        found = {}
        for stream in streams:
            found[stream] = int(await self.partitions.of_stream(stream).link.command("XLEN", stream))
        return found

    async def refusal(self) -> str:
        """Say why the user whose name the connection bears may change nothing, by the engine's rules; empty if he may.

        A script that nobody ever wrote is asked for: whoever may call scripts hears that there is none.
        """
        seat = self.partitions.seat
        try:
            await seat.link.command("EVALSHA", _NO_SCRIPT, 1, seat.keys.delayed)
        except BusError as error:
            reason = root(error.__cause__) if error.__cause__ is not None else error
            if isinstance(reason, NoScriptError):
                return ""
            if isinstance(reason, NoPermissionError):
                return f"the engine's access rules forbid it: {line(str(reason), 200)}"
            raise
        return ""

    def _grouped(self, items: Sequence[PlannedItem]) -> list[tuple[Partition, list[PlannedItem]]]:
        groups: dict[Partition, list[PlannedItem]] = {}
        for item in items:
            groups.setdefault(self.partitions.of_stream(item.source or item.target), []).append(item)
        return list(groups.items())

    def _part_of(self, ident: str) -> Partition | None:
        number = EntryId.parse(ident).partition
        return self.partitions.numbered(None if number < 0 else number)

    def _named(self, verb: str, entry: str, part: Partition) -> str:
        """Return an entry id with its partition, where what a script says is one."""
        if part.number is None or not entry or verb in _NO_ENTRY:
            return entry
        return f"{entry}@{part.number}"


def text_of(value: bytes) -> str:
    """Return what the engine said as text that can be sent back as it was."""
    return value.decode("utf-8", "surrogateescape")
