"""Rows of long lists that stand still: entries, groups, what is pending, tasks, one trace, one agent, the server."""

from __future__ import annotations

from observatory.model.agent import AgentState
from observatory.model.engine import (
    ClientRow,
    CommandCost,
    EngineReport,
    MemoryInfo,
    PersistenceInfo,
    ReplicaInfo,
    ReplicationInfo,
    ServerInfo,
    SlowCommand,
)
from observatory.model.event import Event, EventKind
from observatory.model.health import Finding, Severity
from observatory.model.listing import (
    AgentDetail,
    ConsumerRow,
    EntryRow,
    EntryState,
    GroupRow,
    Held,
    Hold,
    Mailbox,
    PendingRow,
    ProcessRow,
    TaskRow,
)
from observatory.model.snapshot import GroupView
from observatory.model.task import Lane, Priority, Task, TaskRecord, TaskState
from observatory.model.trace import Clues, Trace, trace_of
from observatory.model.wire import Malformed

NOW_MS = 1_770_389_103_000
"""2026-02-06 14:45:03 UTC."""

HIGH = "cortex:tasks:high"
"""Key of the lane that has entries."""

TRACED = "deploy-api-41"
"""Id of the task that has a long story."""

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


def tasks() -> tuple[TaskRow, ...]:
    """Return 40 tasks, newest first, in every state."""
    states = (
        (TaskState.RUNNING, EventKind.TAKEN, ""), (TaskState.DONE, EventKind.COMPLETED, ""),
        (TaskState.DEAD, EventKind.DEAD_LETTERED, "ConnectionError: registry.internal:5000 refused the connection"),
        (TaskState.QUEUED, EventKind.PUBLISHED, ""), (TaskState.DELAYED, EventKind.RETRIED, "TimeoutError"),
        (TaskState.CANCELLED, EventKind.CANCELLED, ""), (None, "waiting", ""),
    )  # fmt: skip
    found = []
    for number in range(40):
        state, what, reason = states[number % len(states)]
        agent = "" if state in (TaskState.QUEUED, None) else HOLDERS[number % 3]
        stream = HIGH if number % 2 else "cortex:tasks:deploy:high"
        ident = TRACED if number == 2 else f"deploy-api-{90 - number}"
        found.append(
            TaskRow(ident, "deploy", state, stream, agent, 1 + number % 3 if agent else None, NOW_MS - 2_100 * number,
                    what, reason, observed=state is None)
        )  # fmt: skip
    return tuple(found)


def trace() -> Trace:
    """Return the life of a task that failed twice, died, was requeued, and runs again."""
    error = "ConnectionError: registry.internal:5000 refused the connection"
    lane = "cortex:tasks:deploy:high"
    pink, iris = "pink@node-1:4127:7f3a", "iris@node-2:2210:19cc"
    start = NOW_MS - 96_000
    story = (
        (0, EventKind.PUBLISHED, "harold", 1, None, ""), (4_200, EventKind.TAKEN, pink, 1, 4_200, ""),
        (8_150, EventKind.RETRIED, pink, 1, 3_950, error), (13_400, EventKind.PROMOTED, "", 2, None, ""),
        (13_900, EventKind.TAKEN, pink, 2, 500, ""), (21_000, EventKind.RETRIED, pink, 2, 7_100, error),
        (36_200, EventKind.PROMOTED, "", 3, None, ""), (37_000, EventKind.TAKEN, iris, 3, 800, ""),
        (40_100, EventKind.DEAD_LETTERED, iris, 3, 3_100, error), (71_000, EventKind.REQUEUED, "operator", 1, None, ""),
        (74_500, EventKind.TAKEN, pink, 1, 3_500, ""),
    )  # fmt: skip
    facts = tuple(
        Event(f"{start + at}-{place}", kind, start + at, TRACED, "deploy", lane, who, attempt,
              "error" if kind is EventKind.DEAD_LETTERED else "", ms, detail)
        for place, (at, kind, who, attempt, ms, detail) in enumerate(story)
    )  # fmt: skip
    record = TaskRecord(TRACED, TaskState.RUNNING, lane, f"{NOW_MS - 25_000}-0", 1, pink, "", False, "deploy")
    return trace_of(Clues(TRACED, NOW_MS, facts, record, None, 4_210))


def pink() -> AgentDetail:
    """Return one agent in full."""
    return AgentDetail(
        "pink",
        (
            ProcessRow(
                "pink@node-1:4127:7f3a", AgentState.ALIVE, 1.1, "busy", "deploy-api-42", 252.0, 1.0, 5.0, "2.4.1"
            ),
            ProcessRow("pink@node-2:611:02c1", AgentState.LATE, 14.0, "busy", "", None, 0.5, 5.0, "2.4.1"),
        ),
        (Held("cortex:tasks:deploy:high", "pink@node-1:4127:7f3a", 3), Held(HIGH, "pink@node-2:611:02c1", 2)),
        Mailbox(4, 1, NOW_MS - 321_000),
        (TaskRow("deploy-api-42", "deploy", TaskState.RUNNING, HIGH, "pink", 2, NOW_MS - 252_000, "taken"),),
    )


def engine() -> EngineReport:
    """Return a server with two things wrong."""
    return EngineReport(
        NOW_MS,
        ServerInfo("valkey", "9.1.2", "standalone", 1_203_400, 411, "Linux 6.18", 1_240, 8_120_400, 912.0),
        MemoryInfo(34_900_000, 41_000_000, 52_100_000, 48_000_000, "noeviction", 1.49, 0),
        PersistenceInfo(True, True, 9_300_000, False, 4_211, NOW_MS - 3_600_000, True, False),
        ReplicationInfo("master", "", None, (ReplicaInfo("10.0.0.7:6379", "online", 1_284, 0),)),
        31, 10_000,
        tuple(
            ClientRow(str(place), name, f"10.0.0.{place + 2}:51{place}14", 8_000 - place * 900, place, command,
                      command == "xreadgroup", 24_000 - 3_000 * place, "default")
            for place, (name, command) in enumerate(
                (("observatory", "info"), ("pink", "xreadgroup"), ("harold", "evalsha"), ("", "scan"))
            )
        ),
        (SlowCommand("7", NOW_MS - 61_000, 41.2, ("KEYS", "cortex:*"), "10.0.0.6:51414"),),
        tuple(CommandCost(name, calls, total, failed) for name, calls, total, failed in (
            ("evalsha", 48_210, 5_911.0, 12), ("xreadgroup", 91_333, 812.0, 0), ("keys", 3, 122.0, 0),
        )),
        (
            Finding("memory", Severity.WARN, "73% of 46 MiB in use", "raise maxmemory, or let agents drain the lanes"),
            Finding("slow command", Severity.WARN, "KEYS took 41 ms and held everybody up", "use SCAN instead"),
            Finding("eviction", Severity.OK, "maxmemory-policy noeviction"),
        ),
    )  # fmt: skip
