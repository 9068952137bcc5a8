"""Audit a whole bus: a task never leaves its partition, so each is audited by itself, and what they tell is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.care.audit import EXAMPLES, GROUP, Audit, audit
from observatory.bus.partitions import gathered

if TYPE_CHECKING:
    from observatory.bus.partitions import Partitions


async def audit_bus(partitions: Partitions, *, group: str = GROUP, examples: int = EXAMPLES) -> Audit:
    """Rebuild the books of every partition from its event log, and compare them with what the engine holds.

    Args:
        partitions: The parts of the bus.
        group: Group whose workers write the events; on a lane that has only another, that one is taken.
        examples: Most ids to name for each discrepancy of a partition.

    Raises:
        BusError: Log or engine cannot be read; `BusUnreachableError` if nothing answers.
    """
    found = await gathered(audit(part.link, part.keys, group=group, examples=examples) for part in partitions)
    if len(found) == 1:
        return found[0]
    return Audit(
        since_ms=min((one.since_ms for one in found if one.since_ms is not None), default=None),
        days=tuple(sorted({day for one in found for day in one.days})),
        facts=sum(one.facts for one in found),
        by_task=all(one.by_task for one in found),
        lanes=tuple(lane for one in found for lane in one.lanes),
        delayed=(sum(one.delayed[0] for one in found), sum(one.delayed[1] for one in found)),
        dead=(sum(one.dead[0] for one in found), sum(one.dead[1] for one in found)),
        differences=tuple(difference for one in found for difference in one.differences),
        unknown=tuple(gap for one in found for gap in one.unknown),
    )
