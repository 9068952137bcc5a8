"""Foreign agents: plain XADD, XREADGROUP and XACK beside the bus client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.tasks.delivery import Outcome, Settlement, settle_arguments
from observatory.model.task import NewTask
from tests.bus.conftest import lane_of, lanes_of, together, working
from tests.bus.test_worker import Notebook
from tests.conftest import eventually

if TYPE_CHECKING:
    from observatory.bus import Bus

pytestmark = pytest.mark.everywhere


async def test_a_plain_producer_is_served(bus: Bus, raw: Any) -> None:
    """A task added by XADD in any field order, under any known name, runs once and is in the log."""
    notebook = Notebook()
    async with working(bus, "pink", {"*": notebook}):
        raw.xadd(
            lane_of(bus, "g-1", "high"), {"ttl": "5m", "payload": "{}", "type": "code_task", "from": "go", "id": "g-1"}
        )
        raw.xadd(lane_of(bus, "j-1", "low"), {"body": "hi", "kind": "note", "task_id": "j-1"})
        for lane in lanes_of(bus, "low"):
            raw.xadd(lane, {"type": "nameless"})
        many = 2 + len(lanes_of(bus))
        await eventually(lambda: len(notebook.tasks) == many)
    assert {task.id for task in notebook.tasks} >= {"g-1", "j-1"}
    kinds = [event.kind for event in (await bus.events()).items]
    assert (kinds.count("observed"), kinds.count("completed")) == (many, many)


async def test_two_foreign_tasks_of_one_id_both_run(bus: Bus, raw: Any) -> None:
    """The stream id is the identity; a sender that repeats an id loses nothing."""
    notebook = Notebook()
    for _ in range(2):
        raw.xadd(lane_of(bus, "same"), {"id": "same", "type": "x"})
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: len(notebook.tasks) == 2)


async def test_another_group_still_gets_what_ours_has_settled(bus: Bus, raw: Any) -> None:
    """With a second group on a lane nothing is deleted before it was delivered there."""
    notebook = Notebook()
    for lane in lanes_of(bus):
        raw.xgroup_create(lane, "auditors", id="0", mkstream=True)
    async with working(bus, "pink", {"x": notebook}):
        lanes = {lane_of(bus, (await bus.publish("x")).id) for _ in range(20)}
        await eventually(lambda: len(notebook.tasks) == 20)
        await eventually(lambda: not any(raw.xpending(lane, "workers")["pending"] for lane in lanes))
    read = [raw.xreadgroup("auditors", "a", {lane: ">"}, count=30) for lane in lanes_of(bus)]
    seen = [fields["id"] for answer in read for _, rows in answer for _, fields in rows]
    assert sorted(seen) == sorted(task.id for task in notebook.tasks)


async def test_plain_consumers_share_the_work_of_a_lane_with_our_workers(bus: Bus, raw: Any) -> None:
    """Who takes by XREADGROUP, in the group of our workers, and settles by XACK gets some of it, and each task once."""
    notebook = Notebook()
    names = [f"t{number}" for number in range(24)]
    await bus.publish_many(NewTask("x", b"", name) for name in names)
    theirs = []
    for lane in lanes_of(bus):
        raw.xgroup_create(lane, "workers", id="0", mkstream=True)
        for _, rows in raw.xreadgroup("workers", "go-agent", {lane: ">"}, count=1):
            theirs += [fields["id"] for _, fields in rows]
            raw.xack(lane, "workers", *[ident for ident, _ in rows])
    async with working(bus, "pink", {"x": notebook}, concurrency=4):
        await eventually(lambda: len(theirs) + len(notebook.tasks) == len(names))
        await eventually(lambda: not any(raw.xpending(lane, "workers")["pending"] for lane in lanes_of(bus)))
    assert theirs
    assert sorted([*theirs, *(task.id for task in notebook.tasks)]) == sorted(names)


async def test_a_dead_letter_added_back_by_hand_is_a_valid_task(bus: Bus, raw: Any) -> None:
    """Dead letters are plain enough that XADD back is a replay."""
    notebook = Notebook()
    dead = bus.partitions.of("back").keys.dead_letters
    await bus.publish("unknown", {"a": 1}, id="back")
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: raw.xlen(dead) == 1)
    ((_, fields),) = raw.xrange(dead)
    raw.xadd(lane_of(bus, "back"), {**fields, "type": "x"})
    async with working(bus, "pink", {"x": notebook}):
        await eventually(lambda: len(notebook.tasks) == 1)
    assert (notebook.tasks[0].id, notebook.tasks[0].payload) == ("back", b'{"a":1}')


async def test_a_requeued_task_keeps_its_id_and_says_how_often(bus: Bus, raw: Any) -> None:
    """Requeueing twice counts to two, and a repeated requeue of a letter that is gone says so."""
    notebook = Notebook()
    dead = bus.partitions.of("again").keys.dead_letters
    await bus.publish("unknown", id="again", correlation_id="family")
    for round_ in (1, 2):
        async with working(bus, "pink", {"x": notebook}):
            await eventually(lambda: raw.xlen(dead) == 1)
        (letter,) = (await bus.dead_letters()).items
        assert (letter.task_id, letter.requeues, letter.source) == ("again", round_ - 1, lane_of(bus, "again"))
        (answer,) = await bus.requeue([letter.entry_id])
        assert answer.outcome == "requeued"
        assert (await bus.requeue([letter.entry_id]))[0].outcome == "gone"
    ((_, fields),) = raw.xrange(lane_of(bus, "again"))
    assert (fields["id"], fields["requeues"], fields["attempt"]) == ("again", "2", "1")
    assert fields["correlation_id"] == "family"
    assert "last_error" not in fields


async def test_the_lag_of_a_lane_stays_known_while_its_work_is_settled(bus: Bus, raw: Any) -> None:
    """Settling the newest delivered task while others wait does not make the engine lose count of them."""
    names = together(bus, 9)
    home, lane = bus.partitions.of(names[0]), lane_of(bus, names[0])
    for name in names:
        await bus.publish("x", id=name)
    for left in range(8, -1, -1):
        (row,) = (await home.link.call("take", ("workers", "me", 1), (lane,)))[0]
        done = Settlement(lane, row[1].decode(), 1, Outcome.DONE, row[2][1].decode(), "x", 1)
        await home.link.call("settle", settle_arguments("workers", "me", [done]))
        (group,) = raw.xinfo_groups(lane)
        assert (group["lag"], group["pending"]) == (left, 0)
    assert raw.xlen(lane) == 0
