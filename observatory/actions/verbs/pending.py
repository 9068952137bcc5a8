"""Work that somebody holds: give it to another agent, back to its lane, or to the dead letters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from observatory.actions.verbs import choose
from observatory.actions.verbs.verb import Draft, Verb
from observatory.model.agent import AgentState, agent_of, agent_state
from observatory.model.errors import UsageError
from observatory.model.plan import BuryPending, ClaimPending, Counts, PlannedItem, Reversal, Selector, SkippedItem
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from observatory.bus import Bus
    from observatory.bus.moves import Moved
    from observatory.model.listing import PendingRow
    from observatory.model.plan import Plan

FRESH: Final = frozenset({AgentState.ALIVE, AgentState.LATE})
"""Owners whose work is not taken from them without a reason."""

HANDED_IDLE_MS: Final = 10_000
"""Idle time of what was claimed for an agent, in ms: its own search finds it at once, and that of others not yet."""


async def _claim(bus: Bus, request: ClaimPending) -> Draft:
    rows, skipped = await choose.pending(bus, request.select)
    rows = await _takeable(bus, rows, skipped, request.override)
    if not request.agent:
        items = [PlannedItem(row.key, row.stream, row.stream, _label(row), _seen(row), row.arrived_ms) for row in rows]
        asked = f"{request.select.words}, back to the lane"
        return replace(_draft("hand back", items, skipped, asked, request.override), reversal=Reversal.NONE)
    targets = await _targets(bus, request.agent, {(row.stream, row.hold.group) for row in rows})
    items = []
    for row in rows:
        to = targets.get((row.stream, row.hold.group), "")
        if not to:
            skipped.append(SkippedItem(row.key, f"{line(request.agent, 60)} does not read this lane in this group"))
        elif to == row.hold.consumer:
            skipped.append(SkippedItem(row.key, "it holds this already"))
        else:
            raised = row.hold.deliveries + (request.counts is Counts.RAISE)
            seen = _seen(row) | {"to": to, "to_idle": str(HANDED_IDLE_MS), "to_deliveries": str(raised)}
            items.append(PlannedItem(row.key, row.stream, row.stream, _label(row), seen, row.arrived_ms))
    asked = f"{request.select.words}, for {line(request.agent, 60)}, delivery counts: {request.counts}"
    draft = _draft("claim", items, skipped, asked, request.override)
    return replace(draft, reversal=Reversal.WHILE_UNTOUCHED)


async def _bury(bus: Bus, request: BuryPending) -> Draft:
    if not request.error.strip():
        raise UsageError("error is empty", "say what is wrong with the work; the dead letters carry it")
    rows, skipped = await choose.pending(bus, request.select)
    rows = await _takeable(bus, rows, skipped, request.override)
    items = [
        PlannedItem(
            row.key, row.stream, bus.partitions.of_stream(row.stream).keys.dead_letters, _label(row), _seen(row),
            row.arrived_ms,
        )
        for row in rows
    ]  # fmt: skip
    draft = _draft("dead-letter", items, skipped, request.select.words, request.override)
    return replace(draft, options={"error": line(request.error, 500)}, reversal=Reversal.WHILE_UNTOUCHED)


async def claimed_back(bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what gives claimed work back to those who held it: owner, idle time and delivery count as they were."""
    done = [item for item in plan.items if item.id in moved and moved[item.id].outcome == "done"]
    rows, _ = await choose.pending(bus, Selector(tuple(item.id for item in done))) if done else ([], [])
    now = {row.key: row.hold for row in rows}
    items, skipped = [], []
    for item in done:
        hold, said = now.get(item.id), item.seen
        if hold is None or (hold.consumer, str(hold.deliveries)) != (said["to"], said["to_deliveries"]):
            skipped.append(SkippedItem(item.id, "it was settled meanwhile" if hold is None else "it has begun to run"))
            continue
        seen = dict(said) | {
            "consumer": said["to"],
            "deliveries": said["to_deliveries"],
            "idle": "",
            "to": said["consumer"],
            "to_idle": moved[item.id].entry or said["idle"],
            "to_deliveries": said["deliveries"],
        }
        items.append(PlannedItem(item.id, item.source, item.source, item.label, seen, item.at_ms))
    return Draft("claim", tuple(items), tuple(skipped), place="pending", reversal=Reversal.WHILE_UNTOUCHED)


async def buried_back(bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what puts back to work what was made dead letters by hand; its attempts count on."""
    done = [item for item in plan.items if item.id in moved and moved[item.id].outcome == "done"]
    letters = await bus.moves.letters([_dead(bus, item, moved) for item in done])
    items, skipped = [], []
    for item, letter in zip(done, letters, strict=True):
        if letter is None:
            skipped.append(SkippedItem(_dead(bus, item, moved), choose.GONE))
            continue
        seen = {"task": letter.task_id, "type": letter.type, "attempt": str(letter.attempts or 1)}
        items.append(PlannedItem(letter.entry_id, item.target, item.source, item.label, seen))
    return Draft("requeue", tuple(items), tuple(skipped), place="dlq", reversal=Reversal.WHILE_UNTOUCHED)


def _draft(verb: str, items: list[PlannedItem], skipped: list[SkippedItem], asked: str, override: str) -> Draft:
    words = asked + (f"; although the owner lives: {line(override, 200)}" if override else "")
    streams = dict.fromkeys(stream for item in items for stream in (item.source, item.target))
    return Draft(verb, tuple(items), tuple(skipped), words, place="pending", streams=tuple(streams))


async def _takeable(
    bus: Bus, rows: Iterable[PendingRow], skipped: list[SkippedItem], override: str
) -> list[PendingRow]:
    """Return the rows that may be taken from their owners; why the others may not is added to *skipped*."""
    taken, fresh = [], await _fresh(bus)
    for row in rows:
        if not row.hold.agent:
            skipped.append(SkippedItem(row.key, "it waits for its turn behind others of its ordering key"))
        elif row.gone:
            skipped.append(SkippedItem(row.key, "its body was deleted"))
        elif not override.strip() and (row.hold.consumer in fresh or row.hold.agent in fresh):
            why = f"{line(row.hold.agent, 60)} is alive: its heartbeat is fresh"
            skipped.append(SkippedItem(row.key, f"{why}; override with a reason"))
        else:
            taken.append(row)
    return taken


async def _fresh(bus: Bus) -> set[str]:
    """Return the consumers whose heartbeat is fresh, and the agents of which nobody knows more than their name."""
    seen = await bus.observe()
    newest = {(beat.agent, beat.consumer): beat for beat in sorted(seen.beats, key=lambda beat: beat.seen_ms)}
    beats = (beat for beat in newest.values() if agent_state(beat, seen.at_ms) in FRESH)
    return {beat.consumer or beat.agent for beat in beats}


async def _targets(bus: Bus, agent: str, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return for each lane and group the consumer of *agent* that asked for work last."""
    found: dict[tuple[str, str], str] = {}
    for stream, name in places:
        groups = [group for group in await bus.reads.groups(stream) if group.view.name == name]
        members = [one for group in groups for one in group.consumers if agent_of(one.name) == agent]
        if members:
            found[stream, name] = min(members, key=lambda one: one.idle_ms).name
    return found


def _seen(row: PendingRow) -> dict[str, str]:
    return {
        "group": row.hold.group,
        "entry": row.entry_id.partition("@")[0],
        "consumer": row.hold.consumer,
        "deliveries": str(row.hold.deliveries),
        "idle": str(row.hold.idle_ms),
        "task": row.task_id,
        "type": row.type,
    }


def _label(row: PendingRow) -> str:
    held = f"held by {row.hold.agent} for {row.hold.idle_ms / 1000:.0f} s, delivery {row.hold.deliveries}"
    return line(f"{row.type or '?'} {row.task_id} {held}", 160)


def _dead(bus: Bus, item: PlannedItem, moved: Mapping[str, Moved]) -> str:
    number = bus.partitions.of_stream(item.source).number
    return moved[item.id].entry if number is None else f"{moved[item.id].entry}@{number}"


VERBS: tuple[Verb[Any], ...] = (Verb(ClaimPending, _claim), Verb(BuryPending, _bury))
"""What can be done with what somebody holds."""
