"""Foreign agents: plain XADD, XREADGROUP and XACK beside the bus client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.tasks.delivery import Outcome, Settlement, settle_arguments
from tests.bus.conftest import working
from tests.bus.test_worker import Notebook
from tests.conftest import eventually

if TYPE_CHECKING:
    from observatory.bus import Bus

pytestmark = pytest.mark.everywhere(soak=True)


async def test_a_plain_producer_is_served(bus: Bus, raw: Any) -> None:
    """A task added by XADD in any field order, under any known name, runs once and is in the log."""
    notebook = Notebook()
    async with working(bus, "pink", {"*": notebook}):
        raw.xadd("cortex:tasks:high", {"ttl": "5m", "payload": "{}", "type": "code_task", "from": "go", "id": "g-1"})
        raw.xadd("cortex:tasks:low", {"body": "hi", "kind": "note", "task_id": "j-1"})
        raw.xadd("cortex:tasks:low", {"type": "nameless"})
        await eventually(lambda: len(notebook.tasks) == 3)
    assert {task.id for task in notebook.tasks} >= {"g-1", "j-1"}
    kinds = [event.kind for event in (await bus.events()).items]
    assert (kinds.count("observed"), kinds.count("completed")) == (3, 3)


async def test_two_foreign_tasks_of_one_id_both_run(bus: Bus, raw: Any) -> None:
    """The stream id is the identity; a sender that repeats an id loses nothing."""
    notebook = Notebook()
    for _ in range(2):
        raw.xadd("cortex:tasks:normal", {"id": "same", "type": "x"})
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: len(notebook.tasks) == 2)


async def test_another_group_still_gets_what_ours_has_settled(bus: Bus, raw: Any) -> None:
    """With a second group on a lane nothing is deleted before it was delivered there."""
    notebook = Notebook()
    raw.xgroup_create("cortex:tasks:normal", "auditors", id="0", mkstream=True)
    async with working(bus, "pink", {"x": notebook}):
        for _ in range(5):
            await bus.publish("x")
        await eventually(lambda: len(notebook.tasks) == 5)
        await eventually(lambda: raw.xpending("cortex:tasks:normal", "workers")["pending"] == 0)
    ((_, rows),) = raw.xreadgroup("auditors", "a", {"cortex:tasks:normal": ">"}, count=10)
    assert len(rows) == 5


async def test_a_dead_letter_added_back_by_hand_is_a_valid_task(bus: Bus, raw: Any) -> None:
    """Dead letters are plain enough that XADD back is a replay."""
    notebook = Notebook()
    await bus.publish("unknown", {"a": 1}, id="back")
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 1)
    ((_, fields),) = raw.xrange("cortex:tasks:dlq")
    raw.xadd("cortex:tasks:normal", {**fields, "type": "x"})
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: len(notebook.tasks) == 1)
    assert (notebook.tasks[0].id, notebook.tasks[0].payload) == ("back", b'{"a":1}')


async def test_a_requeued_task_keeps_its_id_and_says_how_often(bus: Bus, raw: Any) -> None:
    """Requeueing twice counts to two, and a repeated requeue of a letter that is gone says so."""
    notebook = Notebook()
    await bus.publish("unknown", id="again", correlation_id="family")
    for round_ in (1, 2):
        async with working(bus, "pink", {"x": notebook}):
            await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 1)
        (letter,) = (await bus.dead_letters()).items
        assert (letter.task_id, letter.requeues, letter.source) == ("again", round_ - 1, "cortex:tasks:normal")
        (answer,) = await bus.requeue([letter.entry_id])
        assert answer.outcome == "requeued"
        assert (await bus.requeue([letter.entry_id]))[0].outcome == "gone"
    ((_, fields),) = raw.xrange("cortex:tasks:normal")
    assert (fields["id"], fields["requeues"], fields["attempt"]) == ("again", "2", "1")
    assert fields["correlation_id"] == "family"
    assert "last_error" not in fields


async def test_the_lag_of_a_lane_stays_known_while_its_work_is_settled(bus: Bus, raw: Any) -> None:
    """Settling the newest delivered task while others wait does not make the engine lose count of them."""
    for _ in range(9):
        await bus.publish("x")
    for left in range(8, -1, -1):
        (row,) = (await bus.connection.call("take", ("workers", "me", 1), ("cortex:tasks:normal",)))[0]
        done = Settlement("cortex:tasks:normal", row[1].decode(), 1, Outcome.DONE, row[2][1].decode(), "x", 1)
        await bus.connection.call("settle", settle_arguments("workers", "me", [done]))
        (group,) = raw.xinfo_groups("cortex:tasks:normal")
        assert (group["lag"], group["pending"]) == (left, 0)
    assert raw.xlen("cortex:tasks:normal") == 0
