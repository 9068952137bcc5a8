"""Retention: the log, the dead letters and the mailboxes stay within their bounds, and nothing unsettled goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus.keys import day_of
from observatory.bus.tasks.intake import RETAIN_DEFAULTS
from observatory.model.errors import BusBusyError, UsageError
from observatory.model.health import Severity
from observatory.model.retention import Retention
from observatory.model.task import NewTask
from tests.bus.conftest import working
from tests.conftest import eventually

if TYPE_CHECKING:
    from observatory.bus import Bus

MIB = 1 << 20


async def retain(bus: Bus) -> tuple[int, int]:
    """Let go of what is too much, as a worker does once a minute; return how many facts' entries and letters went."""
    entries, letters = await bus.connection.call("retain", RETAIN_DEFAULTS)
    return entries, letters


async def fill_log(bus: Bus, entries: int) -> None:
    """Write facts, an entry each."""
    for number in range(entries):
        await bus.publish_many([NewTask("x" * 100, b"", f"t-{number}")])


def day_stream(raw: Any) -> str:
    """The log of today, which may be yesterday's by now."""
    return str(max(raw.scan_iter("cortex:events:2*")))


async def test_a_bus_says_itself_what_it_keeps(bus: Bus) -> None:
    """Defaults hold until somebody says otherwise; a bound below zero is none."""
    assert await bus.retention() == Retention()
    await bus.retain(Retention(events_bytes=5 * MIB, dead_days=7))
    assert await bus.retention() == Retention(events_bytes=5 * MIB, dead_days=7)
    with pytest.raises(UsageError, match="dead_days"):
        Retention(dead_days=-1)


async def test_the_log_loses_its_beginning_and_only_above_its_bound(bus: Bus, raw: Any) -> None:
    """The newest facts stay, older ones go until it fits."""
    await fill_log(bus, 1500)
    assert await retain(bus) == (0, 0)
    half = raw.memory_usage(day_stream(raw)) // 2
    await bus.retain(Retention(events_bytes=half))
    entries, _ = await retain(bus)
    assert 300 < entries < 1200
    assert raw.memory_usage(day_stream(raw)) < half * 1.2
    assert (await bus.events(limit=1)).items[0].task == "t-1499"


async def test_older_days_of_the_log_go_first(bus: Bus, raw: Any) -> None:
    """Today is not touched while yesterday can make room."""
    await fill_log(bus, 300)
    today = day_stream(raw)
    before = raw.xlen(today)
    yesterday = bus.keys.events(day_of((raw.time()[0] - 86_400) * 1000))
    for number in range(500):
        raw.xadd(yesterday, {"kind": "published", "task": f"old-{number}"})
    await bus.retain(Retention(events_bytes=raw.memory_usage(today) + raw.memory_usage(yesterday) // 2))
    entries, _ = await retain(bus)
    assert entries > 0
    assert raw.xlen(today) == before


async def test_what_a_group_of_the_log_has_not_read_stays(bus: Bus, raw: Any) -> None:
    """A recorder that reads the log as a group loses nothing, whatever the bound."""
    await fill_log(bus, 300)
    raw.xgroup_create(day_stream(raw), "recorder", id="0")
    await bus.retain(Retention(events_bytes=1))
    assert await retain(bus) == (0, 0)


async def bury(raw: Any, count: int, payload: str = "x") -> None:
    """Leave dead letters."""
    for number in range(count):
        fields = {"id": f"d-{number}", "type": "deploy", "payload": payload, "reason": "error"}
        raw.xadd("cortex:tasks:dlq", fields)


async def test_too_many_dead_letters_lose_the_oldest_each_with_an_event(bus: Bus, raw: Any) -> None:
    """What goes is named in the log, and the newest stays."""
    await bury(raw, 40, "x" * 50_000)
    await bus.retain(Retention(dead_bytes=MIB))
    _, letters = await retain(bus)
    assert 0 < letters < 40
    assert raw.memory_usage("cortex:tasks:dlq") <= MIB
    dropped = [event.task for event in (await bus.events()).items if event.kind == "dropped"]
    assert dropped[::-1] == [f"d-{number}" for number in range(letters)]


async def test_dead_letters_go_when_they_are_too_old(bus: Bus, raw: Any) -> None:
    """Days count from their death; younger ones stay."""
    raw.xadd("cortex:tasks:dlq", {"id": "ancient", "type": "x"}, id=f"{(raw.time()[0] - 8 * 86_400) * 1000}-0")
    await bury(raw, 1)
    await bus.retain(Retention(dead_days=7))
    assert await retain(bus) == (0, 1)
    assert [fields["id"] for _, fields in raw.xrange("cortex:tasks:dlq")] == ["d-0"]


async def test_a_dropped_dead_letter_leaves_the_books(bus: Bus, raw: Any) -> None:
    """The audit finds log and engine equal after letters have gone."""
    await bus.publish("x", id="gone")
    async with working(bus, "pink", {}):
        await eventually(lambda: raw.xlen("cortex:tasks:dlq") == 1)
    await bus.retain(Retention(dead_bytes=1))
    assert (await retain(bus))[1] == 1
    assert (await bus.audit()).differences == ()


async def test_a_mailbox_that_is_too_large_is_full(bus: Bus) -> None:
    """Sending is refused, and nothing that is unread is dropped to make room."""
    await bus.retain(replace(Retention(), mailbox_bytes=MIB))
    answers = [await _sent(bus) for _ in range(40)]
    sent = sum(answers)
    assert answers == [True] * sent + [False] * (40 - sent)
    assert 8 <= sent <= 14
    async with bus.inbox("pink") as inbox:
        for _ in range(sent):
            await (await anext(inbox)).ack()
    await bus.send_message("pink", bytes(100_000))


async def _sent(bus: Bus) -> bool:
    """Send a tenth of what the mailbox may hold; say whether it was taken."""
    try:
        await bus.send_message("pink", bytes(100_000))
    except BusBusyError:
        return False
    return True


async def test_the_doctor_names_what_is_about_to_go(bus: Bus, raw: Any) -> None:
    """A log near its bound is a warning that names the bound; with room it is well."""
    await fill_log(bus, 300)
    assert {one.severity for one in await bus.doctor() if one.name == "retention"} == {Severity.OK}
    await bus.retain(Retention(events_bytes=raw.memory_usage(day_stream(raw)) + 1000))
    (warned,) = (one for one in await bus.doctor() if one.name == "retention" and one.severity is Severity.WARN)
    assert "event log" in warned.what
    assert "events_bytes" in warned.fix
