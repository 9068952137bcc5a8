"""Taking tasks back, wherever they are; and wanting them after all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.actions.verbs import choose
from observatory.actions.verbs.verb import WHY, Draft, Verb
from observatory.model.plan import CancelTasks, PlannedItem, Reversal, SkippedItem
from observatory.model.task import FINAL_STATES
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus import Bus
    from observatory.bus.moves import Moved
    from observatory.model.plan import Plan


async def _cancel(bus: Bus, request: CancelTasks) -> Draft:
    ids = await choose.tasks(bus, request.select)
    records = await choose.gathered(map(bus.record, ids))
    items, skipped, running = [], [], 0
    for ident, record in zip(ids, records, strict=True):
        if record is None:
            skipped.append(SkippedItem(ident, WHY["unknown"]))
        elif record.state in FINAL_STATES:
            skipped.append(SkippedItem(ident, f"it is {record.state} already"))
        else:
            running += record.state == "running"
            label = line(f"{record.type or '?'} {record.state}", 120)
            seen = {"task": ident, "state": str(record.state), "entry": record.entry_id}
            items.append(PlannedItem(ident, record.lane, "", label, seen))
    warned = (f"{running:,} of them run: their workers are asked to stop, and may be too late",) if running else ()
    streams = tuple(dict.fromkeys(item.source for item in items))
    return Draft(
        "cancel",
        tuple(items),
        tuple(skipped),
        request.select.words,
        reversal=Reversal.WHILE_UNTOUCHED,
        place="tasks",
        streams=streams,
        warnings=warned,
    )


async def cancelled_back(bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what lets tasks run after all that were cancelled while they waited; says so beforehand."""
    asked = [item for item in plan.items if item.id in moved]
    records = await choose.gathered(bus.record(item.id) for item in asked)
    items, skipped = [], []
    for item, record in zip(asked, records, strict=True):
        if moved[item.id].outcome == "requested":
            skipped.append(SkippedItem(item.id, "it ran, and its worker was asked to stop"))
        elif record is None or record.state != "cancelled":
            skipped.append(SkippedItem(item.id, "it is not cancelled any more"))
        elif moved[item.id].outcome == "done":
            source = item.source or record.lane
            items.append(PlannedItem(item.id, source, source, item.label, item.seen))
    return Draft("uncancel", tuple(items), tuple(skipped), place="tasks", reversal=Reversal.WHILE_UNTOUCHED)


async def uncancelled_back(_bus: Bus, plan: Plan, moved: Mapping[str, Moved]) -> Draft:
    """Draft what cancels again."""
    items = [
        PlannedItem(item.id, item.source, "", item.label, item.seen)
        for item in plan.items
        if item.id in moved and moved[item.id].outcome == "done"
    ]
    return Draft("cancel", tuple(items), place="tasks", reversal=Reversal.WHILE_UNTOUCHED)


VERBS: tuple[Verb[Any], ...] = (Verb(CancelTasks, _cancel),)
"""What can be done with tasks wherever they are."""
