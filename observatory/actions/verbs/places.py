"""Places: pause and resume lanes, groups and agents; move groups; remove consumers; bounds."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from observatory.actions.verbs.verb import Draft, Verb
from observatory.bus.moves.steps import SEPARATOR, paused_field
from observatory.model.agent import agent_of
from observatory.model.errors import UsageError
from observatory.model.plan import (
    DrainLanes,
    PauseLanes,
    PlannedItem,
    RemoveConsumers,
    ReopenLanes,
    ResetGroup,
    ResumeLanes,
    Reversal,
    SetBounds,
    SkippedItem,
)
from observatory.model.task import EntryId
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from observatory.bus import Bus
    from observatory.bus.moves import Moved
    from observatory.bus.partitions import Partition
    from observatory.model.plan import Plan

_OPPOSITE = {"pause": "resume", "resume": "pause", "drain": "reopen", "reopen": "drain"}

LIVES_MS = 60_000
"""A consumer that asked for something within so many milliseconds is alive, and would come back at once."""


async def _pause(bus: Bus, request: PauseLanes | DrainLanes) -> Draft:
    if request.seconds is not None and request.seconds <= 0:
        raise UsageError(f"for: {request.seconds:g} s is no time", "for example 10m")
    now = await _now(bus)
    till = "0" if request.seconds is None else str(now + round(request.seconds * 1000))
    words = "until somebody says so" if request.seconds is None else f"for {request.seconds:g} s"
    verb = "pause" if isinstance(request, PauseLanes) else "drain"
    return await _pauses(bus, verb, request.places, till, words)


async def _resume(bus: Bus, request: ResumeLanes | ReopenLanes) -> Draft:
    verb = "resume" if isinstance(request, ResumeLanes) else "reopen"
    return await _pauses(bus, verb, request.places, "", "")


async def _pauses(bus: Bus, verb: str, places: Iterable[str], till: str, words: str) -> Draft:
    closed = verb in {"drain", "reopen"}
    said = await bus.moves.pauses(closed=closed)
    items, skipped = [], []
    for place in dict.fromkeys(_place(bus, place) for place in places):
        before = said.get(paused_field(place, bus.keys), "")
        if closed and SEPARATOR in paused_field(place, bus.keys):
            raise UsageError(f"places: {line(place, 80)!r} cannot be drained", "a lane can: high, coding:low")
        if verb in {"resume", "reopen"} and not before:
            skipped.append(SkippedItem(place, "it is not drained" if closed else "it is not paused"))
        else:
            seen = {"till": till, "before": before}
            source = bus.keys.closed if closed else bus.keys.paused
            items.append(PlannedItem(place, source, "", f"{place} {words}".strip(), seen))
    if not items and not skipped:
        raise UsageError("places: none is named", "a lane (high), a group of it (high/workers), or an agent (@pink)")
    return Draft(verb, tuple(items), tuple(skipped), ", ".join(item.id for item in items))


async def pauses_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what makes pauses what they were."""
    items = []
    for item in plan.items:
        if item.id in moved and moved[item.id].outcome == "done":
            seen = {"till": moved[item.id].entry, "before": item.seen["till"]}
            items.append(PlannedItem(item.id, item.source, "", item.id, seen))
    return Draft(_OPPOSITE[plan.verb], tuple(items))


async def _reset(bus: Bus, request: ResetGroup) -> Draft:
    items, skipped = [], []
    stream = _stream(bus, request.lane)
    for part in bus.partitions:
        own = part.keys.prefix + stream.removeprefix(bus.partitions.of_stream(stream).keys.prefix)
        position = await bus.moves.position(part, own, request.group)
        name = f"{own} {request.group}"
        if position is None:
            skipped.append(SkippedItem(name, "there is no such group"))
            continue
        to, ahead = await _goal(bus, part, own, request.to)
        if to == position:
            skipped.append(SkippedItem(name, "it stands there already"))
            continue
        back = EntryId.parse(to) < EntryId.parse(position)
        word = f"{ahead:,} entries will be delivered, of which some were before" if back else f"{ahead:,} entries left"
        label = f"{line(request.group, 60)}: {position} → {to}, {word}"
        items.append(PlannedItem(name, own, own, label, {"group": request.group, "position": position, "to": to}))
    warnings = ("what stands behind the new position is delivered, whether it was before or not",)
    asked = f"{line(request.lane, 80)} {line(request.group, 60)} to {line(request.to, 60)}"
    return Draft("reset", tuple(items), tuple(skipped), asked, reversal=Reversal.WHILE_UNTOUCHED, warnings=warnings)


async def reset_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what moves groups back, if they have not moved on by themselves."""
    items = []
    for item in plan.items:
        if item.id in moved and moved[item.id].outcome == "done":
            said = item.seen
            seen = {"group": said["group"], "position": said["to"], "to": said["position"]}
            label = f"{line(said['group'], 60)}: {said['to']} → {said['position']}"
            items.append(PlannedItem(item.id, item.source, item.target, label, seen))
    return Draft("reset", tuple(items), reversal=Reversal.WHILE_UNTOUCHED)


async def _remove(bus: Bus, request: RemoveConsumers) -> Draft:
    if not request.names:
        raise UsageError("names: no consumer is named", "see `observatory groups --consumers`")
    lanes = (
        [_stream(bus, request.lane)] if request.lane else [reading.stream for reading in (await bus.observe()).lanes]
    )
    items, skipped, found = [], [], set()
    for stream in lanes:
        for group in await bus.reads.groups(stream):
            for one in (one for one in group.consumers if one.name in request.names):
                found.add(one.name)
                name = f"{stream} {group.view.name} {one.name}"
                if one.pending:
                    skipped.append(SkippedItem(name, f"it holds {one.pending:,} entries; claim them first"))
                elif one.idle_ms < LIVES_MS and not request.override.strip():
                    skipped.append(SkippedItem(name, "it asked for work a moment ago; override with a reason"))
                else:
                    seen = {"group": group.view.name, "consumer": one.name}
                    label = line(f"{one.name} of {agent_of(one.name)}, in {group.view.name}", 160)
                    items.append(PlannedItem(name, stream, "", label, seen))
    skipped += [SkippedItem(name, "no group knows it") for name in request.names if name not in found]
    return Draft(
        "remove consumers", tuple(items), tuple(skipped), ", ".join(line(name, 80) for name in request.names[:5]),
        reversal=Reversal.NONE,
    )  # fmt: skip


async def _bounds(bus: Bus, request: SetBounds) -> Draft:
    present = await bus.retention()
    said = await bus.moves.said_of_retention()
    items = []
    for bound in fields(request.bounds):
        before, after = getattr(present, bound.name), getattr(request.bounds, bound.name)
        if before != after:
            seen = {"name": bound.name, "value": str(after), "before": said.get(bound.name, "")}
            items.append(PlannedItem(bound.name, bus.keys.retention, "", f"{bound.name}: {before:,} → {after:,}", seen))
    skipped = () if items else (SkippedItem("bounds", "they are what they are to be"),)
    lowered = any(
        getattr(request.bounds, bound.name) and getattr(request.bounds, bound.name) < getattr(present, bound.name)
        for bound in fields(present)
    )
    lost = "what is beyond a lower bound is let go of within minutes, and no undo brings it back"
    warnings = (lost,) if lowered else ()
    return Draft("bounds", tuple(items), skipped, ", ".join(item.label for item in items), warnings=warnings)


async def bounds_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what makes bounds what they were."""
    items = []
    for item in plan.items:
        if item.id in moved and moved[item.id].outcome == "done":
            seen = {"name": item.seen["name"], "value": moved[item.id].entry, "before": item.seen["value"]}
            items.append(PlannedItem(item.id, item.source, "", f"{item.id}: as before", seen))
    return Draft("bounds", tuple(items))


def _place(bus: Bus, text: str) -> str:
    """Return a place in the one form that it is kept under.

    Raises:
        UsageError: It is none.
    """
    name, slash, group = text.strip().partition("/")
    lane = bus.keys.lane_of(name)
    place = (str(lane) if lane is not None else name) + (slash + group if group else "")
    try:
        paused_field(place, bus.keys)
    except ValueError:
        raise UsageError(
            f"places: {line(text, 80)!r} is none", "a lane (high, coding:low), a group of it (high/workers), or @agent"
        ) from None
    return place


def _stream(bus: Bus, text: str) -> str:
    if bus.keys.lane_of(text) is not None:
        return text
    place = _place(bus, text)
    return paused_field(place, bus.keys)


async def _goal(bus: Bus, part: Partition, stream: str, to: str) -> tuple[str, int]:
    """Return the position that is meant, and how many entries stand behind it."""
    if to not in {"start", "end"}:
        try:
            goal = str(EntryId.parse(to).plain)
        except ValueError:
            raise UsageError(f"to: {line(to, 60)!r} is no position", "start, end, an entry id, or ms") from None
    else:
        goal = "0-0" if to == "start" else await bus.moves.newest(part, stream)
    return goal, await bus.moves.behind(part, stream, goal)


async def _now(bus: Bus) -> int:
    return (await bus.observe()).at_ms


VERBS: tuple[Verb[Any], ...] = (
    Verb(PauseLanes, _pause),
    Verb(ResumeLanes, _resume),
    Verb(DrainLanes, _pause),
    Verb(ReopenLanes, _resume),
    Verb(ResetGroup, _reset),
    Verb(RemoveConsumers, _remove),
    Verb(SetBounds, _bounds),
)
"""What can be done with lanes, groups, consumers and the bus itself."""
