"""Judgement: what a lane's readings mean for an operator, and which settings of a server endanger its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.snapshot import LaneState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observatory.model.snapshot import GroupView

DELETING_GROUPS = frozenset({"workers"})
"""Groups of the bus client's own workers, which delete what they settle where they are alone on a lane."""

SAFE_POLICY = "noeviction"
"""The only `maxmemory-policy` under which a server that is full refuses work instead of dropping some."""


def backlog(length: int, groups: Sequence[GroupView], *, waits: bool) -> int | None:
    """Count the entries of a lane that the group furthest behind has not settled.

    That is lag + pending, greatest over the groups, where the engine knows every lag. Without a group it is the
    length: nobody has taken anything. Where a lag is unknown it can still follow from something else: nothing
    waits, so every lag is 0; or the one group belongs to our workers, which delete what they settle, so that
    whatever is still there is unsettled and backlog = length (lag = length - pending).

    Args:
        length: Entries in the stream.
        groups: Its groups.
        waits: Whether some group was not given some entry yet.

    Returns:
        The count, or None where it cannot be known.
    """
    if not groups:
        return length
    if not waits or all(group.lag is not None for group in groups):
        return max((group.lag or 0) + group.pending for group in groups)
    return length if len(groups) == 1 and groups[0].name in DELETING_GROUPS else None


def lane_state(
    length: int | None, backlog: int | None, groups: Sequence[GroupView], *, waits: bool, bound: int
) -> LaneState:
    """Find the one word for a lane.

    Args:
        length: Entries in the stream; None where it cannot be read, which is `BROKEN`.
        backlog: Entries not yet settled; None where unknown.
        groups: Its groups.
        waits: Whether some group was not given some entry yet.
        bound: Length at which publishing is refused.

    Returns:
        The worst that is true: broken, full, nobody to take what waits. `NO_CONSUMERS` only where work waits and
        nobody is registered to take it: consumers that a group once had and that are gone still count, because
        the engine keeps them.
    """
    if length is None:
        return LaneState.BROKEN
    if length >= bound:
        return LaneState.FULL
    waiting = waits if groups else length > 0
    if waiting and not any(group.consumers for group in groups):
        return LaneState.NO_CONSUMERS
    return LaneState.IDLE if backlog == 0 else LaneState.OK


def engine_warnings(policy: str, *, aof: bool | None, memory_limit: int | None) -> tuple[str, ...]:
    """Name the settings of a server that can lose work, each with its fix.

    Args:
        policy: `maxmemory-policy`; empty where unknown.
        aof: Whether it writes an append-only file; None where unknown.
        memory_limit: `maxmemory` in bytes, 0 for none; None where unknown.

    Returns:
        One line per danger; nothing is said about what is unknown.
    """
    found = []
    if policy and policy != SAFE_POLICY:
        found.append(
            f"maxmemory-policy {policy} drops whole lanes when full: CONFIG SET maxmemory-policy {SAFE_POLICY}"
        )
    if aof is False:
        found.append("appendonly is off, a crash loses tasks: CONFIG SET appendonly yes")
    if memory_limit == 0:
        found.append("maxmemory has no limit, the system may kill the engine: CONFIG SET maxmemory <bytes>")
    return tuple(found)
