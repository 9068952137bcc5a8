"""The outbox: publishers that go on while the bus is away, and are killed, lose nothing and send nothing twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from observatory.bus import Bus, PublishOutcome
from observatory.bus.tasks import outbox as outbox_module
from observatory.model.errors import BusBusyError, BusUnreachableError, UsageError
from observatory.model.snapshot import LinkState
from observatory.model.task import NewTask
from tests.conftest import eventually
from tests.faults.rig import ROOT, Notes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.rig import Rig

PUBLISHER = """
import asyncio, sys
from observatory.bus import Bus

async def main(url, folder, first, count):
    async with Bus.connect(url, outbox=folder) as bus:
        print("up", flush=True)
        for number in range(first, first + count):
            answer = await bus.publish("x", str(number), id=f"t-{number:04}")
            print(answer.id, flush=True)
        while bus.stored:
            await asyncio.sleep(0.01)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


async def lost(bus: Bus) -> None:
    """Wait until the link knows that the engine is gone."""

    async def noticed() -> bool:
        try:
            await bus.connection.command("PING", deadline_s=0.1)
        except BusUnreachableError:
            return bus.link.state is LinkState.LOST
        return False

    await eventually(noticed)


def in_lane(rig: Rig) -> list[str]:
    """Ids of the tasks in the shared normal lane, in the order of their arrival."""
    return [fields["id"] for _, fields in rig.raw.xrange("cortex:tasks:normal")]


async def test_what_is_published_meanwhile_arrives_in_order_when_the_bus_is_back(any_rig: Rig, tmp_path: Path) -> None:
    """Before, during and after an absence: every task once, in the order of publishing, with all that it said."""
    async with Bus.connect(any_rig.url, outbox=tmp_path / "outbox") as bus:
        assert (await bus.publish("x", id="t-0")).outcome is PublishOutcome.QUEUED
        await asyncio.to_thread(any_rig.kill_engine)
        await lost(bus)
        answer = await bus.publish("x", {"n": 1}, id="t-1", ordering_key="k", dedupe="once", ttl=90)
        assert (answer.outcome, answer.entry_id) == (PublishOutcome.STORED, "")
        more = await bus.publish_many([NewTask("x", b"{}", "t-2"), NewTask("x", b"", "t-3")])
        assert {one.outcome for one in more} == {PublishOutcome.STORED}
        assert bus.stored == 3
        await any_rig.start_engine()
        await eventually(lambda: bus.stored == 0)
        assert (await bus.publish("x", id="t-4")).outcome is PublishOutcome.QUEUED
        assert (await bus.publish("x", dedupe="once")).id == "t-1"
    any_rig.reconnect()
    assert in_lane(any_rig) == [f"t-{number}" for number in range(5)]
    first = any_rig.raw.xrange("cortex:tasks:normal")[1][1]
    assert (first["payload"], first["ordering_key"], first["ttl"]) == ('{"n":1}', "k", "90")
    assert list((tmp_path / "outbox").glob("*.task")) == []


async def test_a_publisher_may_begin_before_the_bus(any_rig: Rig, tmp_path: Path) -> None:
    """With an outbox opening does not fail, and what waits is handled once the bus is there."""
    notes = Notes()
    await asyncio.to_thread(any_rig.kill_engine)
    bus = Bus.connect(any_rig.url, outbox=tmp_path / "outbox")
    await bus.open(deadline_s=0.2)
    assert (await bus.publish("x", id="early")).outcome is PublishOutcome.STORED
    await any_rig.start_engine()
    async with any_rig.working(bus, "pink", notes):
        await eventually(lambda: notes.begun == {"early": 1})
    await bus.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_publisher_that_is_killed_loses_nothing_that_it_was_told_of(
    rig: Rig, tmp_path: Path, seed: int
) -> None:
    """Killed while it stores, and killed again while it sends: each acknowledged task is on the bus once, in order."""
    dice = random.Random(seed)
    folder = str(tmp_path / "outbox")
    told: list[str] = []

    async def run_and_kill(first: int, count: int, after: int) -> None:
        words = [sys.executable, "-c", PUBLISHER, rig.url, folder, str(first), str(count)]
        told.extend(await asyncio.to_thread(_said_before_death, words, after))

    await asyncio.to_thread(rig.kill_engine)
    await run_and_kill(0, 100, dice.randint(5, 80))
    await rig.start_engine()
    rig.reconnect()
    # It sends what the first one left, and is killed in the middle.
    await run_and_kill(100, 100, dice.randint(1, 60))
    async with Bus.connect(rig.url, outbox=folder) as bus:
        await eventually(lambda: bus.stored == 0)
    arrived = in_lane(rig)
    assert len(arrived) == len(set(arrived))
    assert [task for task in arrived if task in set(told)] == told
    # What was killed between its file and its answer is there as well, and nothing else.
    assert len(set(arrived) - set(told)) <= 2


def _said_before_death(words: list[str], lines: int) -> list[str]:
    """Run a publisher, kill it after so many lines, and return the ids of which it heard that they are accepted."""
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    return [word.strip() for word in said if word.startswith("t-") and word.endswith("\n")]


async def test_a_task_whose_answer_was_lost_is_not_sent_as_another(
    any_rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus has it, the publisher never heard; kept in the outbox and sent again it stays one task."""
    async with Bus.connect(any_rig.url, outbox=tmp_path / "outbox") as bus:
        send = bus._publish_now

        async def deaf(order: outbox_module.Order) -> object:
            await send(order)
            raise BusUnreachableError("the answer is lost")

        assert bus._outbox is not None
        monkeypatch.setattr(bus._outbox, "_send", deaf)
        assert (await bus.publish("x", id="once")).outcome is PublishOutcome.STORED
        assert in_lane(any_rig) == ["once"]
        monkeypatch.setattr(bus._outbox, "_send", send)
        await eventually(lambda: bus.stored == 0)
    assert in_lane(any_rig) == ["once"]


async def test_a_full_outbox_refuses_and_a_folder_has_one_owner(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds are said, wrong tasks are refused at once, and two processes cannot mix their orders."""
    monkeypatch.setattr(outbox_module, "MOST", 3)
    await asyncio.to_thread(rig.kill_engine)
    bus = Bus.connect(rig.url, outbox=tmp_path / "outbox")
    await bus.open(deadline_s=0.1)
    for _ in range(3):
        await bus.publish("x")
    with pytest.raises(BusBusyError, match=r"outbox .* is full"):
        await bus.publish("x")
    with pytest.raises(UsageError, match="type: a task needs one"):
        await bus.publish("")
    other = Bus.connect(rig.url, outbox=tmp_path / "outbox")
    with pytest.raises(UsageError, match="another process uses it"):
        await other.open(deadline_s=0.1)
    await bus.close()
    await rig.start_engine()


async def test_a_damaged_file_is_set_aside_and_holds_up_nothing(rig: Rig, tmp_path: Path) -> None:
    """What cannot be read stays for a person, under another name; the next one is sent."""
    folder = tmp_path / "outbox"
    folder.mkdir()
    (folder / f"{1:016}.task").write_text("not an order")
    (folder / f"{2:016}.task").write_text(json.dumps({"v": 1, "task": {"id": "half"}}))
    (folder / f"{3:016}.draft").write_text("half a file")
    async with Bus.connect(rig.url, outbox=folder) as bus:
        await eventually(lambda: bus.stored == 0)
        await bus.publish("x", id="next")
    assert in_lane(rig) == ["next"]
    assert sorted(path.name for path in folder.iterdir()) == [".lock", f"{1:016}.damaged", f"{2:016}.damaged"]
