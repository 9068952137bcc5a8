"""Publishing: once, in order, refused in words."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import PublishOutcome
from observatory.bus import client as client_module
from observatory.model.errors import BusBusyError, UsageError
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from observatory.bus import Bus


async def test_a_published_task_is_a_plain_entry_that_any_language_reads(bus: Bus, raw: Any) -> None:
    """The canonical field names stand in the stream, in their canonical order."""
    answer = await bus.publish("deploy", {"app": "api"}, priority="high", sender="harold", ttl=90)
    ((ident, fields),) = raw.xrange("cortex:tasks:high")
    assert ident == answer.entry_id
    assert " ".join(fields) == "id type from to priority payload content_type created_at ttl attempt v"
    assert (fields["id"], fields["type"], fields["from"], fields["ttl"]) == (answer.id, "deploy", "harold", "90")
    assert json.loads(fields["payload"]) == {"app": "api"}


async def test_publishing_an_id_again_is_answered_and_not_repeated(bus: Bus, raw: Any) -> None:
    """A sender that lost the reply and sends again does not make a second task."""
    first = await bus.publish("x", id="once")
    second = await bus.publish("x", id="once")
    assert (first.outcome, second.outcome) == (PublishOutcome.QUEUED, PublishOutcome.DUPLICATE)
    assert second.entry_id == first.entry_id
    assert raw.xlen("cortex:tasks:normal") == 1


async def test_a_hundred_coroutines_share_round_trips(bus: Bus, raw: Any) -> None:
    """Publishing from many coroutines at once needs far fewer commands than tasks."""
    await bus.publish("warm")
    before = raw.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    await asyncio.gather(*(bus.publish("x") for _ in range(100)))
    calls = raw.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert raw.xlen("cortex:tasks:normal") == 101
    assert calls <= 5


async def test_delayed_work_waits_outside_its_lane(bus: Bus, raw: Any) -> None:
    """What is not due stands in no lane, and the bus knows where it is."""
    answer = await bus.publish("x", delay=60)
    assert answer.outcome is PublishOutcome.DELAYED
    assert raw.xlen("cortex:tasks:normal") == 0
    record = await bus.record(answer.id)
    assert record is not None
    assert record.state is TaskState.DELAYED
    page = await bus.delayed()
    assert [waiting.id for waiting in page.items] == [answer.id]


async def test_a_full_lane_refuses_and_drops_nothing(bus: Bus, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its bound a lane answers busy; what stands in it stays."""
    monkeypatch.setattr(client_module, "LANE_BOUND", 2)
    await bus.publish("x")
    await bus.publish("x")
    with pytest.raises(BusBusyError, match="normal is full"):
        await bus.publish("x", id="refused")
    assert raw.xlen("cortex:tasks:normal") == 2
    assert await bus.record("refused") is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"type": ""}, "type"),
        ({"type": "x", "queue": "a:b"}, "queue"),
        ({"type": "x", "queue": "dlq"}, "queue"),
        ({"type": "x", "priority": "soon"}, "priority"),
        ({"type": "x", "ttl": 0}, "ttl"),
        ({"type": "x", "delay": -1}, "delay"),
        ({"type": "x", "id": "i" * 300}, "id"),
        ({"type": "x", "payload": b"x" * 300_000}, "payload"),
        ({"type": "x", "payload": {"a": object()}}, "payload"),
    ],
)
async def test_bad_input_names_its_field(bus: Bus, fields: dict[str, object], named: str) -> None:
    """A field that cannot be taken is named, and nothing is published."""
    with pytest.raises(UsageError, match=f"^{named}: "):
        await bus.publish(**fields)  # type: ignore[arg-type]


async def test_a_binary_payload_arrives_as_it_was(bus: Bus) -> None:
    """The bus never looks into a payload."""
    body = bytes(range(256))
    answer = await bus.publish("x", body)
    (task,) = (await bus.entries(answer.lane)).items
    assert task.fields[5] == (b"payload", body)
