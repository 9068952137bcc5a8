"""Rows of long lists that stand still: entries, groups, and what is pending."""

from __future__ import annotations

from observatory.model.listing import ConsumerRow, EntryRow, EntryState, GroupRow, Hold, PendingRow
from observatory.model.snapshot import GroupView
from observatory.model.task import Lane, Priority, Task
from observatory.model.wire import Malformed

NOW_MS = 1_770_389_103_000
"""2026-02-06 14:45:03 UTC."""

HIGH = "cortex:tasks:high"
"""Key of the lane that has entries."""

LANE = Lane("shared", Priority.HIGH)
HOLDERS = ("pink", "iris", "cursor")
PAYLOAD = b'{"repo": "core/api", "branch": "agent/limits-214", "prompt": "replace the polling loop by a blocking read"}'


def entries() -> tuple[EntryRow, ...]:
    """Return 41 entries of a lane, newest first: some held, one that cannot be read, the rest waiting."""
    found = []
    for number in range(41):
        name = HOLDERS[number % 3]
        at = NOW_MS - 900 - number * 1_300
        ident = f"{at}-0"
        item: Task | Malformed = Task(
            f"review-pr-{540 - number}", "review" if number % 3 else "code_task", PAYLOAD, LANE,
            ident, sender="harold", created_ms=at - 40, arrived_ms=at, correlation_id=f"plan-release-{number % 4}",
            fields=((b"id", f"review-pr-{540 - number}".encode()), (b"type", b"review"), (b"payload", b"{}")),
        )  # fmt: skip
        if number == 5:
            item = Malformed(LANE, ident, "neither a type nor a payload", ((b"hello", b"world"),))
        holds = (Hold("workers", f"{name}@node-1:4127:7f3a", name, 900 * number, 1),)
        waits = number < 33
        found.append(
            EntryRow(ident, HIGH, at, item, EntryState.WAITING if waits else EntryState.HELD,
                     () if waits else holds, ("workers",) if waits else (), 412 + number)
        )  # fmt: skip
    return tuple(found)


def groups() -> tuple[GroupRow, ...]:
    """Return the two groups of that lane, one of which lags."""
    consumers = tuple(
        ConsumerRow(f"{name}@node-1:4127:7f3a", name, 3 - place, 900 + 4_000 * place, 60_000 * place)
        for place, name in enumerate(HOLDERS)
    )
    return (
        GroupRow(GroupView("audit", 41, 0, 1, "0-0"), consumers[:1], None, NOW_MS - 53_000),
        GroupRow(GroupView("workers", 33, 8, 3, f"{NOW_MS - 44_000}-0"), consumers, NOW_MS - 53_000, NOW_MS - 43_000),
    )


def held() -> tuple[PendingRow, ...]:
    """Return 60 pending entries, the oldest first, most of them fresh."""
    found = []
    lanes_ = ((HIGH, "high"), ("cortex:tasks:coding:high", "coding:high"), ("cortex:tasks:normal", "normal"))
    for number in range(60):
        at = NOW_MS - 8_000_000 // (number + 1) - 400
        stream, lane = lanes_[number % 3]
        name = HOLDERS[number // 3 % len(HOLDERS)]
        deliveries = 1 + (number < 9) + (number < 4)
        hold = Hold("workers", f"{name}@node-1:4127:7f3a", name, 7_900_000 // (number + 1), deliveries)
        found.append(
            PendingRow(f"{at}-0 {stream} workers", stream, lane, f"{at}-0", hold, f"migrate-db-{number}",
                       ("code_task", "review", "deploy")[number % 3], number == 2)
        )  # fmt: skip
    return tuple(found)
