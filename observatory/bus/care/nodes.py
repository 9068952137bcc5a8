"""Examine a whole bus: on a cluster every node, every partition, and how they lie on each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from observatory.bus.care.doctor import examine, examine_engine, judge_cluster
from observatory.bus.care.key_checks import examine_keys
from observatory.bus.partitions import gathered
from observatory.model.health import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from observatory.bus.links.link import Link
    from observatory.bus.partitions import Partitions
    from observatory.model.clock import Clock

UNEVEN: Final = 0.15
"""Share of the mean by which a node may serve more or fewer partitions than the others; work follows them."""


async def examine_bus(partitions: Partitions, clock: Clock, *, ha: bool | None = None) -> tuple[Finding, ...]:
    """Examine every engine of the bus, and its keys.

    Args:
        partitions: The parts of the bus.
        clock: The local clock, to hold against the engines'.
        ha: Whether a replica is to take over from a dead primary; None to tell by the engines and the URL.

    Returns:
        One or more findings a check, those that are well among them; on a cluster each that is not names its node.

    Raises:
        BusUnreachableError: An engine does not answer.
    """
    if partitions.topology is None:
        return await examine(partitions.seat.link, partitions.seat.keys, clock, ha=ha)
    links: dict[Hashable, Link] = {}
    served: Counter[str] = Counter()
    for partition in partitions:
        links.setdefault(partition.link.place, partition.link)
        served[_name(partition.link.place)] += 1
    served.update(dict.fromkeys((_name(place) for place in partitions.topology.primaries), 0))
    by_node = await gathered(examine_engine(link, clock, ha=ha) for link in links.values())
    by_partition = await gathered(examine_keys(partition.link, partition.keys) for partition in partitions)
    nodes = [
        [
            found if found.severity is Severity.OK else replace(found, what=f"{_name(place)}: {found.what}")
            for found in one
        ]
        for place, one in zip(links, by_node, strict=True)
    ]
    return (
        await judge_cluster(partitions.seat.link),
        judge_spread(served),
        *_summed(nodes, f"on all {len(nodes)} nodes that serve the bus"),
        *_summed(by_partition, f"in all {len(by_partition)} partitions"),
    )


def judge_spread(served: Mapping[str, int]) -> Finding:
    """Judge how many partitions each node serves.

    Args:
        served: Partitions by node, those that serve none included.
    """
    mean = sum(served.values()) / max(len(served), 1)
    words = ", ".join(f"{node} {count}" for node, count in sorted(served.items()))
    worst = max((abs(count - mean) for count in served.values()), default=0.0)
    # Where partitions do not divide by nodes, a share that is off by less than one cannot be evened out.
    if worst > max(UNEVEN * mean, 0.99):
        return Finding(
            "partitions",
            Severity.WARN,
            f"nodes serve unequal shares of the bus: {words}",
            "move slots: redis-cli --cluster rebalance, or CLUSTER MIGRATESLOTS",
        )
    return Finding("partitions", Severity.OK, f"partitions by node: {words}")


def _summed(groups: Sequence[Sequence[Finding]], where: str) -> list[Finding]:
    """Return the findings of equal parts: what is well everywhere once, everything else as often as it differs."""
    names = dict.fromkeys(finding.name for group in groups for finding in group)
    found: list[Finding] = []
    for name in names:
        said = [finding for group in groups for finding in group if finding.name == name]
        ill = [finding for finding in said if finding.severity is not Severity.OK]
        if ill:
            found += dict.fromkeys(ill)
        else:
            texts = list(dict.fromkeys(finding.what for finding in said))
            text = f"{texts[0]}, {where}" if len(texts) == 1 else f"well {where}"
            found.append(Finding(name, Severity.OK, text))
    return found


def _name(place: object) -> str:
    return ":".join(map(str, place)) if isinstance(place, tuple) else "?"
