"""What is asked for beside the snapshot: one agent in full, tasks lately, and pages over all lanes that were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.live import LiveSource
from observatory.model.agent import AgentState
from observatory.model.errors import UsageError
from observatory.model.listing import Ask, PendingScope
from tests.live.test_source import watch

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus

FOREIGN_LANE = "cortex:tasks:unregistered:high"


async def seen(bus: Bus) -> LiveSource:
    """Return a source that has looked twice: queues that nobody registered are found by a slice of the keys a look."""
    source = LiveSource(bus, refresh_s=0.25)
    async with watch(source) as shots:
        await anext(shots)
        await anext(shots)
    return source


async def test_an_agent_is_told_in_full(bus: Bus, plain: redis.Redis) -> None:
    """Its processes, what it holds in each lane, its mailbox, and the task that it says it runs."""
    await bus.publish("deploy", id="t-1", priority="high")
    plain.xgroup_create("cortex:tasks:high", "agents", id="0")
    plain.xreadgroup("agents", "pink@host:1:a", {"cortex:tasks:high": ">"})
    await bus.heartbeat("pink", consumer="pink@host:1:a", status="busy", task="t-1", load=0.5)
    await bus.heartbeat("pink", consumer="pink@host:2:b")
    await bus.send_message("pink", "hello")
    detail = await (await seen(bus)).agent("pink")
    assert detail is not None
    assert {(one.consumer, one.state, one.task, one.load) for one in detail.processes} == {
        ("pink@host:1:a", AgentState.ALIVE, "t-1", 0.5),
        ("pink@host:2:b", AgentState.ALIVE, "", None),
    }
    assert [(one.stream, one.consumer, one.pending) for one in detail.held] == [
        ("cortex:tasks:high", "pink@host:1:a", 1)
    ]
    assert detail.mailbox is not None
    assert (detail.mailbox.length, detail.mailbox.pending) == (1, None)
    assert [(task.key, task.type, task.state, task.agent) for task in detail.tasks] == [
        ("t-1", "deploy", "running", "pink")
    ]
    assert await (await seen(bus)).agent("nobody") is None


async def test_lists_cover_the_lanes_that_were_seen(bus: Bus, plain: redis.Redis) -> None:
    """A queue that only foreign agents use is in the pending list and in the tasks as soon as it is on the screen."""
    plain.xadd(FOREIGN_LANE, {"type": "scan", "id": "f-1"})
    plain.xgroup_create(FOREIGN_LANE, "agents", id="0")
    plain.xreadgroup("agents", "go-1", {FOREIGN_LANE: ">"})
    source = await seen(bus)
    (row,) = (await source.pending(Ask(), PendingScope())).items
    assert (row.stream, row.hold.agent) == (FOREIGN_LANE, "go-1")
    (task,) = (await source.tasks(Ask())).items
    assert (task.key, task.agent, task.observed) == ("f-1", "go-1", True)
    assert (await source.trace("f-1")).entry is not None
    assert [group.view.name for group in await source.groups(FOREIGN_LANE)] == ["agents"]


async def test_a_search_for_tasks_stays_the_same_while_it_is_paged(bus: Bus) -> None:
    """What arrives meanwhile does not move the rows; a new search begins at the top."""
    for number in range(5):
        await bus.publish("x" if number % 2 else "y", id=f"t-{number}")
    source = await seen(bus)

    def is_y(row: Any) -> bool:
        return bool(row.type == "y")

    first = await source.tasks(Ask(limit=2, where=is_y))
    await bus.publish("y", id="new")
    rest = await source.tasks(Ask(cursor=first.after or "", limit=2, where=is_y))
    assert [row.key for page in (first, rest) for row in page.items] == ["t-4", "t-2", "t-0"]
    assert (rest.after, first.searched) == (None, 10)
    assert (await source.tasks(Ask(limit=1))).items[0].key == "new"
    with pytest.raises(UsageError, match="this search is over"):
        await source.tasks(Ask(cursor="gone"))


async def test_a_lane_that_cannot_be_read_is_named_and_hides_no_other(bus: Bus, plain: redis.Redis) -> None:
    """With one lane of a wrong type the tasks of the others are listed, and the page says which was not read."""
    await bus.publish("deploy", id="still-here", priority="low")
    plain.set("cortex:tasks:high", "no stream")
    page = await (await seen(bus)).tasks(Ask(limit=10))
    assert [row.key for row in page.items] == ["still-here"]
    (words,) = page.broken
    assert words.startswith("cortex:tasks:high: ")
    assert page.total is None
