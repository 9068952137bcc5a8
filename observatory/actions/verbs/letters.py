"""Dead letters: requeue, trash, restore, purge; and what takes these back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.actions.verbs import choose
from observatory.actions.verbs.verb import DONE, Draft, Verb
from observatory.model.errors import UsageError
from observatory.model.plan import (
    PlannedItem,
    PurgeTrash,
    RequeueDeadLetters,
    RestoreLetters,
    Reversal,
    SkippedItem,
    TrashLetters,
)
from observatory.model.task import EntryId, Lane, Priority, is_queue_name
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus import Bus
    from observatory.bus.keys import Keys
    from observatory.bus.moves import Moved
    from observatory.model.dead_letter import DeadLetter
    from observatory.model.plan import Plan

NO_LANE = "it does not say which lane it came from"
TRASH_DAYS = 30
"""Days for which the trash is kept."""


async def _requeue(bus: Bus, request: RequeueDeadLetters) -> Draft:
    queue, priority = _destination(request)
    found, skipped = await choose.letters(bus, request.select)
    items = []
    for letter in found:
        keys = _keys_of(bus, letter.entry_id)
        came_from = keys.lane_of(letter.source)
        lane = Lane(queue, priority) if queue and priority else came_from
        if lane is None:
            skipped.append(SkippedItem(letter.entry_id, NO_LANE))
            continue
        lane = Lane(queue or lane.queue, priority or lane.priority)
        seen = _seen(letter) | ({"priority": str(lane.priority)} if came_from != lane else {})
        items.append(_item(letter, keys.dead_letters, keys.lane(lane), seen))
    asked = request.select.words + (f", to {queue}" if queue else "") + (f", as {priority}" if priority else "")
    return Draft(
        "requeue",
        tuple(items),
        tuple(skipped),
        asked,
        reversal=Reversal.WHILE_UNTOUCHED,
        place="dlq",
        streams=_streams_of(items),
    )


async def _trash(bus: Bus, request: TrashLetters) -> Draft:
    found, skipped = await choose.letters(bus, request.select)
    items = [_between(bus, letter, trash=False) for letter in found]
    return _shelved("trash", items, skipped, request.select.words, Reversal.FULL)


async def _restore(bus: Bus, request: RestoreLetters) -> Draft:
    found, skipped = await choose.letters(bus, request.select, trash=True)
    items = [_between(bus, letter, trash=True) for letter in found]
    return _shelved("restore", items, skipped, request.select.words, Reversal.FULL)


async def _purge(bus: Bus, request: PurgeTrash) -> Draft:
    found, skipped = await choose.letters(bus, request.select, trash=True)
    items = [_item(letter, _keys_of(bus, letter.entry_id).trash, "", _seen(letter)) for letter in found]
    return _shelved("purge", items, skipped, request.select.words, Reversal.NONE)


def _shelved(verb: str, items: list[PlannedItem], skipped: list[SkippedItem], asked: str, reversal: Reversal) -> Draft:
    days = {"days": str(TRASH_DAYS)}
    place = "dlq" if verb == "trash" else "trash"
    return Draft(verb, tuple(items), tuple(skipped), asked, days, reversal, place, _streams_of(items))


async def requeued_back(bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what makes requeued work dead letters again, as far as nobody has taken it; says so beforehand."""
    asked = [(item, moved[item.id]) for item in plan.items if item.id in moved and moved[item.id].outcome in DONE]
    records = await choose.gathered(bus.record(item.seen["task"]) for item, _ in asked)
    items, skipped = [], []
    for (item, move), record in zip(asked, records, strict=True):
        entry = _qualified(move.entry, item.id)
        stands = record is None or (record.entry_id == EntryId.parse(entry).plain and record.state == "queued")
        if not stands or (record is not None and record.owner):
            skipped.append(SkippedItem(entry, "it was taken meanwhile"))
            continue
        seen = {"task": item.seen["task"], "type": item.seen.get("type", ""), "was": item.id}
        items.append(PlannedItem(entry, item.target, item.source, item.label, seen))
    return Draft("withdraw", tuple(items), tuple(skipped), place="dlq", streams=_streams_of(items))


async def withdrawn_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what requeues again what was taken back."""
    items = []
    for item in plan.items:
        if item.id in moved and moved[item.id].outcome in DONE:
            seen = {"task": item.seen["task"], "type": item.seen.get("type", "")}
            dead = _qualified(moved[item.id].entry, item.id)
            items.append(PlannedItem(dead, item.target, item.source, item.label, seen))
    untouched = Reversal.WHILE_UNTOUCHED
    return Draft("requeue", tuple(items), reversal=untouched, place="dlq", streams=_streams_of(items))


async def shelved_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what restores what was put into the trash, or puts back into it what was restored."""
    verb = "restore" if plan.verb == "trash" else "trash"
    items = []
    for item in plan.items:
        if item.id in moved and moved[item.id].outcome in DONE:
            entry = _qualified(moved[item.id].entry, item.id)
            items.append(PlannedItem(entry, item.target, item.source, item.label, item.seen))
    place = "trash" if verb == "restore" else "dlq"
    return Draft(verb, tuple(items), options=plan.options, place=place, streams=_streams_of(items))


def _streams_of(items: list[PlannedItem]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stream for item in items for stream in (item.source, item.target) if stream))


def _destination(request: RequeueDeadLetters) -> tuple[str, Priority | None]:
    if request.queue and not is_queue_name(request.queue):
        raise UsageError(f"queue {line(request.queue, 80)!r} cannot name a queue", "shared, coding, or @pink")
    if request.priority and request.priority not in set(Priority):
        raise UsageError(f"priority: {line(request.priority, 64)!r} is none of {', '.join(Priority)}")
    return request.queue, Priority(request.priority) if request.priority else None


def _keys_of(bus: Bus, ident: str) -> Keys:
    number = EntryId.parse(ident).partition
    part = bus.partitions.numbered(None if number < 0 else number)
    return (part or bus.partitions.seat).keys


def _between(bus: Bus, letter: DeadLetter, *, trash: bool) -> PlannedItem:
    keys = _keys_of(bus, letter.entry_id)
    streams = (keys.trash, keys.dead_letters) if trash else (keys.dead_letters, keys.trash)
    return _item(letter, *streams, _seen(letter))


def _item(letter: DeadLetter, source: str, target: str, seen: Mapping[str, str]) -> PlannedItem:
    return PlannedItem(letter.entry_id, source, target, label(letter), seen, letter.died_ms)


def _seen(letter: DeadLetter) -> dict[str, str]:
    return {"task": letter.task_id or f"x-dlq-{letter.entry_id}", "type": letter.type}


def _qualified(entry: str, like: str) -> str:
    """Return an entry id as it is known outside of its partition, which is that of the id *like*."""
    number = EntryId.parse(like).partition
    return entry if number < 0 or "@" in entry else f"{entry}@{number}"


def label(letter: DeadLetter) -> str:
    """Return one printable line that says what a dead letter is."""
    said = f"{letter.type or '?'} {letter.task_id} {letter.reason}"
    return line(f"{said}: {letter.error}" if letter.error else said, 120)


VERBS: tuple[Verb[Any], ...] = (
    Verb(RequeueDeadLetters, _requeue),
    Verb(TrashLetters, _trash),
    Verb(RestoreLetters, _restore),
    Verb(PurgeTrash, _purge),
)
"""What can be done with dead letters."""
