"""Tasks over HTTP: published, taken and settled by agents that come and go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from observatory.bus import TaskContext  # noqa: TC001 - handlers are looked at when they are made
from observatory.model.task import Task  # noqa: TC001
from tests.conftest import eventually
from tests.edge.gateway.conftest import Rig, error_of

if TYPE_CHECKING:
    import redis


async def take(rig: Rig, agent: str = "pink", **said: Any) -> list[Any]:
    """Take tasks for an agent."""
    answer = await rig.client.post(f"/agents/{agent}/tasks/take", json=said)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["tasks"])


async def settle(rig: Rig, receipt: str, agent: str = "pink", **said: Any) -> Any:
    """Settle a task, and return the answer."""
    return await rig.client.post(f"/agents/{agent}/tasks/settle", json={"settlements": [{"receipt": receipt, **said}]})


async def test_a_task_is_published_taken_and_done(rig: Rig) -> None:
    """Its ticket follows it, and its result is there for whoever asked."""
    published = await rig.client.post("/tasks", json={"type": "sum", "payload": [1, 2], "priority": "high"})
    assert published.status_code == 201
    ident = published.json()["ticketId"]
    waiting = asyncio.create_task(rig.client.get(f"/tasks/{ident}", params={"wait": 10}))
    (task,) = await take(rig)
    assert (task["id"], task["type"], task["payload"], task["priority"]) == (ident, "sum", [1, 2], "high")
    assert (await rig.ticket(ident))["status"] == "delivered"
    assert (await settle(rig, task["receipt"], result={"sum": 3})).json() == {"outcomes": ["settled"]}
    told = (await waiting).json()
    assert (told["ticket"]["status"], told["result"]) == ("acknowledged", {"sum": 3})
    assert (await settle(rig, task["receipt"])).json() == {"outcomes": ["again"]}


async def test_an_idempotency_key_makes_one_task(rig: Rig) -> None:
    """The second request is answered with the first one's ticket."""
    key = {"Idempotency-Key": "job-1"}
    answers = [await rig.client.post("/tasks", json={"type": "sum"}, headers=key) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 200]
    assert len(await take(rig, limit=10)) == 1


async def test_the_most_urgent_is_taken_first(rig: Rig) -> None:
    """The agent's own queue before others of the same priority, and priority before everything."""
    for kind, queue, priority in (
        ("c", "shared", "low"),
        ("b", "shared", "critical"),
        ("d", "@pink", "low"),
        ("a", "@pink", "critical"),
    ):
        await rig.client.post("/tasks", json={"type": kind, "queue": queue, "priority": priority})
    taken = [(await take(rig))[0]["type"] for _ in range(4)]
    assert taken == ["a", "b", "d", "c"]


async def test_a_failed_attempt_is_tried_again_and_a_dead_one_never(rig: Rig) -> None:
    """`fail` waits for its next attempt, `dead` is a dead letter at once."""
    for kind in ("flaky", "hopeless"):
        await rig.client.post("/tasks", json={"type": kind})
    first, second = await take(rig, limit=2)
    await settle(rig, first["receipt"], outcome="fail", error="no network")
    await settle(rig, second["receipt"], outcome="dead", error="no such repository")
    again = await rig.ticket(first["id"])
    assert (again["status"], again["attempt"]) == ("queued", 2)
    dead = await rig.ticket(second["id"])
    assert (dead["status"], dead["reason"]) == ("failed", "error")
    assert dead["settledAt"]
    (letter,) = (await rig.bus.dead_letters()).items
    assert letter.error == "no such repository"
    assert (await rig.client.get(f"/tasks/{second['id']}")).json()["error"] == "no such repository"


async def test_what_passed_to_another_is_a_conflict(rig: Rig, plain: redis.Redis) -> None:
    """A token that is out of date settles nothing."""
    await rig.client.post("/tasks", json={"type": "sum"})
    (task,) = await take(rig)
    plain.xclaim("cortex:tasks:normal", "workers", "harold@x:1:2", 0, [task["entryId"]])
    answer = await settle(rig, task["receipt"])
    assert answer.status_code == 409
    assert error_of(answer)["code"] == "lost"
    renewed = await rig.client.post("/agents/pink/tasks/renew", json={"receipts": [task["receipt"]]})
    assert renewed.json() == {"outcomes": ["lost"]}


async def test_an_agent_settles_only_what_is_its_own(rig: Rig) -> None:
    """The receipt of one agent is worth nothing to another, and one that was made up is none."""
    await rig.client.post("/tasks", json={"type": "sum"})
    (task,) = await take(rig)
    assert (await settle(rig, task["receipt"], agent="harold")).status_code == 409
    made_up = await settle(rig, "cortex:agents/1-1/1/1/x")
    assert made_up.status_code == 422
    assert error_of(made_up)["field"] == "receipt"


async def test_a_running_task_is_told_that_it_was_cancelled(rig: Rig) -> None:
    """Who renews learns of it; what was queued is gone at once, and what is over is a conflict."""
    running, queued = [(await rig.client.post("/tasks", json={"type": kind})).json()["ticketId"] for kind in ("a", "b")]
    (task,) = await take(rig)
    assert (await rig.client.post(f"/tasks/{running}/cancel")).json() == {"outcome": "requested"}
    assert (await rig.client.post(f"/tasks/{queued}/cancel")).json() == {"outcome": "cancelled"}
    renewed = await rig.client.post("/agents/pink/tasks/renew", json={"receipts": [task["receipt"]]})
    assert renewed.json() == {"outcomes": ["cancelled"]}
    await settle(rig, task["receipt"], outcome="fail", error="broken off")
    assert (await rig.ticket(running))["reason"] == "cancelled"
    await rig.client.post("/tasks", json={"type": "c", "id": "quick"})
    (quick,) = await take(rig)
    await settle(rig, quick["receipt"])
    assert (await rig.client.post("/tasks/quick/cancel")).status_code == 409
    assert (await rig.client.post("/tasks/no-such/cancel")).status_code == 404


async def test_foreign_and_broken_entries_do_no_harm(rig: Rig, plain: redis.Redis) -> None:
    """What a foreign agent added is handed out; what can be no task is a dead letter, and nobody sees it."""
    plain.xadd("cortex:tasks:normal", {"task_id": "f-1", "kind": "sum", "data": "[1]"})
    plain.xadd("cortex:tasks:normal", {"nothing": "of", "any": "use"})
    taken = await take(rig, limit=10)
    assert [(one["id"], one["payload"]) for one in taken] == [("f-1", [1])]
    assert (await settle(rig, taken[0]["receipt"])).json() == {"outcomes": ["settled"]}
    (letter,) = (await rig.bus.dead_letters()).items
    assert letter.reason == "malformed"


async def test_the_work_of_a_visitor_that_left_is_done_by_another(rig: Rig, plain: redis.Redis) -> None:
    """Nothing hangs on an agent that took a task and never came back."""
    await rig.client.post("/tasks", json={"type": "sum"})
    (task,) = await take(rig)
    # As after a lease without a word.
    plain.xclaim("cortex:tasks:normal", "workers", "pink@visitor", 0, [task["entryId"]], idle=60_000, justid=True)
    (again,) = await take(rig, agent="harold")
    assert (again["id"], again["deliveries"]) == (task["id"], 2)
    assert (await settle(rig, again["receipt"], agent="harold")).json() == {"outcomes": ["settled"]}


async def test_a_worker_on_the_bus_does_what_was_published_over_http(rig: Rig) -> None:
    """Both kinds of agents share the lanes."""

    async def double(task: Task, _: TaskContext) -> int:
        return 2 * int(task.payload)

    worker = rig.bus.worker("harold", {"double": double})
    running = asyncio.create_task(worker.run())
    ident = (await rig.client.post("/tasks", json={"type": "double", "payload": 21})).json()["ticketId"]
    told = (await rig.client.get(f"/tasks/{ident}", params={"wait": 10})).json()
    assert told["result"] == 42
    worker.stop()
    await running


async def test_a_batch_of_tasks_is_answered_piece_by_piece(rig: Rig) -> None:
    """In order, each with a ticket of its own."""
    said = {"tasks": [{"type": "a", "id": "t-1"}, {"type": "b", "id": "t-1"}, {"type": "c", "queue": "coding"}]}
    results = (await rig.client.post("/tasks/batch", json=said)).json()["results"]
    assert [one["status"] for one in results] == [201, 200, 201]
    assert {one["ticket"]["ticketId"] for one in results[:2]} == {"t-1"}


async def test_take_waits_for_work(rig: Rig) -> None:
    """A long poll is answered when a task comes."""
    waiting = asyncio.create_task(take(rig, wait=15))
    await asyncio.sleep(0.1)
    await rig.bus.publish("late", {})
    assert [one["type"] for one in await waiting] == ["late"]

    async def nobody_waits() -> bool:
        return "observatory_gateway_long_polls 0" in (await rig.client.get("/metrics")).text

    await eventually(nobody_waits)
