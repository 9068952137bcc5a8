"""One task, and tasks lately: by the log, and by the lanes where foreign agents wrote nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.bus import Bus
from observatory.model.task import TaskState
from observatory.model.trace import ACKNOWLEDGED, GONE, SpanKind
from tests.bus.conftest import working
from tests.bus.test_acl import user_of
from tests.conftest import eventually

if TYPE_CHECKING:
    from observatory.model.task import Task

HIGH = "cortex:tasks:high"


async def state_of(bus: Bus, ident: str) -> TaskState | None:
    """Return what the bus remembers."""
    record = await bus.record(ident)
    return record.state if record else None


async def test_a_task_is_traced_through_failure_delay_death_and_requeue(bus: Bus) -> None:
    """Every stretch of its life with its attempt, its agent and how it ended, in order and without a hole."""

    async def fail(task: Task) -> None:
        raise ValueError("no such repository")

    await bus.publish("deploy", {"a": 1}, id="t-1", priority="high")
    async with working(bus, "pink", {"deploy": fail}, retry_delays=(0.01,)):
        await eventually(lambda: _is(bus, "t-1", TaskState.DEAD))
    dead = await bus.reads.trace("t-1")
    assert [(span.kind, span.attempt, span.agent, span.outcome) for span in dead.spans] == [
        (SpanKind.WAITING, 1, "", "taken"),
        (SpanKind.RUNNING, 1, "pink", "retried"),
        (SpanKind.DELAYED, 2, "", "promoted"),
        (SpanKind.WAITING, 2, "", "taken"),
        (SpanKind.RUNNING, 2, "pink", "dead_lettered"),
        (SpanKind.DEAD, 2, "", ""),
    ]
    assert all(a.to_ms == b.from_ms for a, b in zip(dead.spans, dead.spans[1:], strict=False))
    assert "no such repository" in dead.spans[1].detail
    assert (dead.type, dead.state, dead.complete) == ("deploy", TaskState.DEAD, True)
    assert dead.letter is not None
    assert dead.letter.error == "ValueError: no such repository"
    await bus.requeue([dead.letter.entry_id])
    again = await bus.reads.trace("t-1")
    assert [span.kind for span in again.spans[-2:]] == [SpanKind.DEAD, SpanKind.WAITING]
    assert (again.state, again.letter, again.entry is not None) == (TaskState.QUEUED, None, True)


async def _is(bus: Bus, ident: str, state: TaskState) -> bool:
    return await state_of(bus, ident) is state


async def test_a_trace_is_found_in_a_log_full_of_others(bus: Bus) -> None:
    """Thousands of facts about other tasks, before and after, do not hide it; ids that contain it are not it."""
    for number in range(600):
        await bus.publish("x", id=f"before-{number}")
    await bus.publish("x", id="needle")
    await bus.publish("x", id="needle-2")
    for number in range(600):
        await bus.publish("x", id=f"after-{number}")
    found = await bus.reads.trace("needle")
    assert [(event.kind, event.task) for event in found.events] == [("published", "needle")]
    assert found.complete
    assert found.entry is not None
    nothing = await bus.reads.trace("nobody")
    assert (nothing.found, nothing.spans, nothing.state) == (False, (), None)


async def test_a_foreign_task_is_traced_by_its_entry(bus: Bus, plain: Any) -> None:
    """Added, taken and acknowledged by plain commands: waiting, then held by whom and for how long, then settled."""
    entry = plain.xadd(HIGH, {"type": "deploy", "task_id": "f-1"}).decode()
    plain.xgroup_create(HIGH, "agents", id="0")
    waiting = await bus.reads.trace("f-1")
    assert [(span.kind, span.lasts) for span in waiting.spans] == [(SpanKind.WAITING, True)]
    assert (waiting.state, waiting.type, waiting.complete) == (TaskState.QUEUED, "deploy", True)
    plain.xreadgroup("agents", "go-1", {HIGH: ">"})
    running = await bus.reads.trace("f-1")
    assert [(span.kind, span.consumer, span.lasts) for span in running.spans] == [
        (SpanKind.WAITING, "", False),
        (SpanKind.RUNNING, "go-1", True),
    ]
    assert running.state is TaskState.RUNNING
    plain.xack(HIGH, "agents", entry)
    done = await bus.reads.trace("f-1")
    assert [(span.outcome, span.to_ms) for span in done.spans] == [(ACKNOWLEDGED, None)]
    assert done.state is TaskState.DONE


async def test_a_task_without_an_id_is_found_by_the_id_that_it_is_given(bus: Bus, plain: Any) -> None:
    """The id that lists show for such an entry leads back to it."""
    entry = plain.xadd("cortex:tasks:coding:low", {"type": "x"}).decode()
    found = await bus.reads.trace(f"x-coding:low-{entry}")
    assert found.entry is not None
    assert found.entry.key == entry
    assert not (await bus.reads.trace(f"x-high-{entry}")).found


async def test_our_task_in_foreign_hands_is_told_by_its_entry(bus: Bus, plain: Any) -> None:
    """Published by the bus client, taken by a plain consumer, then deleted by it without a word."""
    answer = await bus.publish("deploy", id="t-1", priority="high")
    plain.xgroup_create(HIGH, "agents", id="0")
    plain.xreadgroup("agents", "go-1", {HIGH: ">"})
    held = await bus.reads.trace("t-1")
    assert [(span.kind, span.agent) for span in held.spans] == [(SpanKind.WAITING, ""), (SpanKind.RUNNING, "go-1")]
    assert held.state is TaskState.RUNNING
    plain.xack(HIGH, "agents", answer.entry_id)
    plain.xdel(HIGH, answer.entry_id)
    gone = await bus.reads.trace("t-1")
    assert [(span.kind, span.outcome) for span in gone.spans] == [(SpanKind.WAITING, GONE)]
    assert gone.state is None


async def test_tasks_lately_are_listed_with_the_newest_that_is_known(bus: Bus, plain: Any) -> None:
    """Ours by the log, foreign ones by their entries, and ours in foreign hands by theirs."""
    await bus.publish("deploy", id="waits", priority="low")
    await bus.publish("deploy", id="later", delay=60)
    plain.xadd(HIGH, {"type": "scan", "id": "foreign"})
    await bus.publish("deploy", id="taken", priority="high")
    plain.xgroup_create(HIGH, "agents", id="0")
    plain.xreadgroup("agents", "go-1", {HIGH: ">"})
    search = await bus.reads.recent_tasks(most=100)
    assert {row.key: (row.state, row.agent, row.type, row.observed) for row in search.rows} == {
        "waits": (TaskState.QUEUED, "", "deploy", False),
        "later": (TaskState.DELAYED, "", "deploy", False),
        "foreign": (TaskState.RUNNING, "go-1", "scan", True),
        "taken": (TaskState.RUNNING, "go-1", "deploy", False),
    }
    assert search.whole
    assert [row.at_ms for row in search.rows] == sorted((row.at_ms for row in search.rows), reverse=True)
    short = await bus.reads.recent_tasks(most=1)
    assert not short.whole


async def test_the_engine_report_holds_what_the_server_says(bus: Bus, plain: Any) -> None:
    """Server, memory, disk, connections and slow commands are those of INFO, CLIENT LIST and SLOWLOG."""
    plain.config_set("slowlog-log-slower-than", 0)
    plain.client_setname("careless")
    plain.set("cortex:x", "y" * 500)
    plain.config_set("slowlog-log-slower-than", 10_000)
    report = await bus.reads.engine()
    info = plain.info()
    assert (report.server.version, report.server.mode) == (
        info.get("valkey_version", info["redis_version"]),
        "standalone",
    )
    assert report.memory.policy == info["maxmemory_policy"]
    assert report.persistence.aof == bool(info["aof_enabled"])
    assert report.clients is not None
    assert "careless" in {client.name for client in report.clients}
    assert report.slow is not None
    slow = next(one for one in report.slow if one.words[:2] == ("SET", "cortex:x"))
    assert len(slow.words[2]) <= 128
    assert "set" in {cost.name for cost in report.commands}
    assert {finding.name for finding in report.findings} >= {"eviction", "memory"}
    assert report.missing == ()


async def test_what_a_user_may_not_ask_is_unknown_and_named(plain: Any, bus_url: str) -> None:
    """An observer without the rights of an administrator gets the rest, and hears which rules are missing."""
    async with Bus.connect(user_of(plain, bus_url, "observer")) as eye:
        report = await eye.reads.engine()
    plain.execute_command("ACL", "DELUSER", "observer")
    assert (report.clients, report.slow) == (None, None)
    assert set(report.missing) == {"+client|list", "+slowlog|get"}
    assert report.server.version
