"""Publishing: once, in order, refused in words."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from observatory.bus import Bus, PublishOutcome
from observatory.bus.tasks import durable as durable_module
from observatory.bus.tasks import publisher as publisher_module
from observatory.model.clock import SystemClock
from observatory.model.errors import BusBusyError, BusError, NotDurableError, UsageError
from observatory.model.listing import Ask
from observatory.model.task import DelayedTask, TaskState
from tests.bus.conftest import held, lane_of, lanes_of, together

pytestmark = pytest.mark.everywhere


async def test_a_published_task_is_a_plain_entry_that_any_language_reads(bus: Bus, raw: Any) -> None:
    """The canonical field names stand in the stream, in their canonical order."""
    answer = await bus.publish("deploy", {"app": "api"}, priority="high", sender="harold", ttl=90)
    ((ident, fields),) = raw.xrange(lane_of(bus, answer.id, "high"))
    assert ident == answer.entry_id
    assert " ".join(fields) == "id type from priority payload content_type created_at ttl v"
    assert (fields["id"], fields["type"], fields["from"], fields["ttl"]) == (answer.id, "deploy", "harold", "90")
    assert json.loads(fields["payload"]) == {"app": "api"}


async def test_publishing_an_id_again_is_answered_and_not_repeated(bus: Bus, raw: Any) -> None:
    """A sender that lost the reply and sends again does not make a second task."""
    first = await bus.publish("x", id="once")
    second = await bus.publish("x", id="once")
    assert (first.outcome, second.outcome) == (PublishOutcome.QUEUED, PublishOutcome.DUPLICATE)
    assert second.entry_id == first.entry_id
    assert held(raw, lanes_of(bus)) == 1


@pytest.mark.everywhere(but="cluster")  # An engine counts its own commands only.
async def test_a_hundred_coroutines_share_round_trips(bus: Bus, raw: Any) -> None:
    """Publishing from many coroutines at once needs far fewer commands than tasks."""
    await bus.publish("warm")
    before = raw.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    await asyncio.gather(*(bus.publish("x") for _ in range(100)))
    calls = raw.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert held(raw, lanes_of(bus)) == 101
    assert calls <= 5


async def test_delayed_work_waits_outside_its_lane(bus: Bus, raw: Any) -> None:
    """What is not due stands in no lane, and the bus knows where it is."""
    answer = await bus.publish("x", delay=60)
    assert answer.outcome is PublishOutcome.DELAYED
    assert held(raw, lanes_of(bus)) == 0
    record = await bus.record(answer.id)
    assert record is not None
    assert record.state is TaskState.DELAYED
    page = await bus.reads.entries(bus.keys.delayed, Ask())
    assert [waiting.task_id for waiting in page.items] == [answer.id]


async def test_a_full_lane_refuses_and_drops_nothing(bus: Bus, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its bound a lane answers busy; what stands in it stays."""
    monkeypatch.setattr(publisher_module, "LANE_BOUND", 2)
    *some, refused = together(bus, 3)
    for name in some:
        await bus.publish("x", id=name)
    with pytest.raises(BusBusyError, match="normal is full"):
        await bus.publish("x", id=refused)
    assert held(raw, lanes_of(bus)) == 2
    assert await bus.record(refused) is None


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
    (row,) = (await bus.reads.entries(bus.keys.lane(answer.lane), Ask())).items
    assert dict(row.item.fields)[b"payload"] == body


async def test_a_dedupe_key_makes_the_second_publish_a_duplicate_of_the_first(bus: Bus, raw: Any) -> None:
    """Under one key there is one task, whatever id the second one brings; the key ends by itself."""
    first = await bus.publish("x", dedupe="order-7", dedupe_ttl=60)
    second = await bus.publish("x", dedupe="order-7", id="another")
    assert (second.outcome, second.id, second.entry_id) == (PublishOutcome.DUPLICATE, first.id, first.entry_id)
    assert held(raw, lanes_of(bus)) == 1
    assert 0 < raw.ttl(f"{bus.partitions.of('order-7').keys.prefix}:dedupe:order-7") <= 60
    assert await bus.record("another") is None


@pytest.mark.parametrize("ahead_h", [-1, 0, 1])
async def test_the_servers_clock_decides_when_work_is_due(bus_url: str, ahead_h: int) -> None:
    """A publisher whose clock is an hour off schedules and expires at the same moment as everybody else."""

    class WrongClock(SystemClock):
        def now_ms(self) -> int:
            return super().now_ms() + ahead_h * 3_600_000

    clock = WrongClock()
    async with Bus.connect(bus_url, clock=clock) as bus:
        real = datetime.now(UTC)
        await bus.publish("x", at=real + timedelta(seconds=60), deadline=real + timedelta(seconds=90))
        (row,) = (await bus.reads.entries(bus.keys.delayed, Ask())).items
    waiting = row.item
    assert isinstance(waiting, DelayedTask)
    assert abs(waiting.due_ms - (real.timestamp() + 60) * 1000) < 2000
    assert 25 < float(dict(waiting.fields)[b"ttl"]) <= 30


@pytest.mark.everywhere(but="cluster", make="valkey")  # Debian's Redis is older than WAITAOF.
async def test_a_durable_publish_is_answered_when_it_is_on_disk(bus: Bus, raw: Any) -> None:
    """Durable mode waits for the sync and says the same as any other publish."""
    answer = await bus.publish("x", durable=True)
    assert answer.outcome is PublishOutcome.QUEUED
    assert raw.info("persistence")["aof_pending_bio_fsync"] == 0
    raw.config_set("appendonly", "no")
    try:
        with pytest.raises(BusError, match="cannot tell when it is on disk"):
            await bus.publish("x", durable=True)
    finally:
        raw.config_set("appendonly", "yes")
    assert held(raw, lanes_of(bus)) == 2


@pytest.mark.parametrize("bad", ["null", "None", "🚀" * 60])
async def test_an_id_that_readers_would_not_believe_is_refused(bus: Bus, bad: str) -> None:
    """What readers take for no id, or for too long a one, cannot be published."""
    with pytest.raises(UsageError, match=r"^id: "):
        await bus.publish("x", id=bad)


async def test_one_task_that_cannot_be_sent_fails_alone(bus: Bus, raw: Any) -> None:
    """Of tasks that travel together, one with text that is no Unicode and one whose lane is no stream fail alone."""
    raw.set(lane_of(bus, "stuck", "low"), "mine")
    answers = await asyncio.gather(
        bus.publish("x"),
        bus.publish("\ud800"),
        bus.publish("x", id="stuck", priority="low"),
        bus.publish("x"),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == ["Published", "UsageError", "BusError", "Published"]
    assert "WRONGTYPE" in str(answers[2])
    assert held(raw, lanes_of(bus)) == 2


@pytest.mark.everywhere(but="cluster", make="valkey")  # Debian's Redis is older than WAITAOF.
async def test_a_repeated_durable_publish_waits_as_the_first_one_did(
    bus: Bus, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duplicate is not called durable while the server's disk is behind."""
    await bus.publish("x", id="once", durable=True)
    monkeypatch.setattr(durable_module, "SYNC_TIMEOUT_MS", 100)
    raw.config_set("appendfsync", "no")
    try:
        with pytest.raises(NotDurableError):
            await bus.publish("x", id="once", durable=True)
    finally:
        raw.config_set("appendfsync", "everysec")
    assert raw.ttl(bus.partitions.of("once").keys.durable) > 0
