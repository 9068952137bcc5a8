"""A Redis that others use, too: their keys are counted, and named where they stand in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.care.neighbours import judged, neighbours_of
from observatory.model.health import Severity
from tests.bus.conftest import working

if TYPE_CHECKING:
    from observatory.bus import Bus, TaskContext
    from observatory.model.task import Task

pytestmark = pytest.mark.everywhere(soak=True)


async def _live(bus: Bus) -> None:
    """Leave every kind of key that the bus makes by itself."""

    async def handle(task: Task, context: TaskContext) -> None:
        if task.type == "bad":
            raise ValueError("bad")

    await bus.publish("later", delay=60)
    await bus.publish("paused", queue="coding", ordering_key="k")
    await bus.publish("bad")
    async with working(bus, "pink", {"*": handle}, retry_delays=()):
        await bus.request("work", timeout=5)
    await bus.send_message("red", "hello")
    await bus.broadcast("all")
    await bus.heartbeat("blue")
    await bus.journal("old").intend("x", ["d"])


async def test_a_bus_finds_nothing_strange_in_what_it_writes_itself(bus: Bus) -> None:
    """After a life with tasks, mail, requests, broadcasts and journals every key under the prefix is known."""
    await _live(bus)
    found = await bus.neighbours()
    assert (found.strangers, found.wrong, found.collides) == ([], [], False)
    assert found.ours > 10
    assert found.is_whole
    assert all(finding.severity is not Severity.CRIT for finding in judged(found, "cortex"))


async def test_foreign_keys_are_named_under_the_prefix_and_counted_beside_it(bus: Bus, raw: Any) -> None:
    """A key that the bus does not know, one of a wrong type, and those of other programs are three different things."""
    prefix = bus.partitions.seat.keys.prefix
    raw.set(f"{prefix}:session:7\x1b[0m", "x")
    raw.set(f"{prefix}:tasks:high", "x")
    for number in range(30):
        raw.set(f"celery:{number}", "x")
    raw.set("lonely", "x")
    raw.set(f"{bus.partitions.prefix}2:tasks:high", "another bus, not ours")
    found = await bus.neighbours()
    assert [(name, kind) for name, kind in found.strangers] == [(f"{prefix}:session:7\x1b[0m", "string")]
    assert found.wrong == [(f"{prefix}:tasks:high", "string", "stream")]
    assert found.others == {"celery:*": 30, "*": 1, "cortex2:*": 1}
    assert found.collides
    said = [finding.what for finding in judged(found, "cortex")]
    assert any("session:7␛[0m" in what for what in said)
    assert any("32 keys of others: celery:* 30" in what for what in said)


async def test_a_look_has_an_end(bus: Bus, raw: Any) -> None:
    """In a huge Redis it stops at its bound, and says so."""
    for number in range(3000):
        raw.set(f"{{x}}:{number}", "x")
    found = await neighbours_of(bus.partitions, most=500)
    if bus.partitions.topology is None:
        assert not found.is_whole
        assert found.looked_at < 3000
        assert any("only the first" in finding.what for finding in judged(found, "cortex"))
