"""Broadcasts: what all agents are told, read by each from where it had come to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.bus.talk.broadcasts import KEPT, Broadcasts, Hearing
from observatory.engine import Engine
from observatory.model.clock import SystemClock
from observatory.model.errors import BusError, UsageError
from observatory.model.message import Broadcast, Gap
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.everywhere(soak=True)


@contextlib.asynccontextmanager
async def broadcasting(bus: Bus) -> AsyncIterator[Broadcasts]:
    """Broadcasts over the link of *bus*, as another process would have them."""
    broadcasts = Broadcasts(bus.connection, bus.keys, "tester", SystemClock())
    try:
        yield broadcasts
    finally:
        await broadcasts.close()


@pytest.fixture
async def broadcasts(bus: Bus) -> AsyncIterator[Broadcasts]:
    """Broadcasts on a clean engine."""
    async with broadcasting(bus) as opened:
        yield opened


@pytest.fixture
def stream(bus: Bus) -> str:
    """The stream of what is told to all."""
    return bus.keys.broadcasts


@pytest.fixture
def cursors(bus: Bus) -> str:
    """The hash of who has come how far."""
    return bus.keys.cursors


async def hear(hearing: Hearing, count: int) -> list[str]:
    """Hear *count* things: what was said, or `gap`. The time limit only keeps a failing test from hanging."""
    async with asyncio.timeout(20):
        return [said(await anext(hearing)) for _ in range(count)]


def said(item: Broadcast | Gap) -> str:
    """What a broadcast says."""
    return "gap" if isinstance(item, Gap) else item.payload.decode()


async def begin(broadcasts: Broadcasts, agent: str) -> None:
    """Let *agent* be there for the first time, and go."""
    async with broadcasts.hear(agent) as hearing:
        waiting = asyncio.create_task(hear(hearing, 1))
        await eventually(lambda: _has_cursor(broadcasts, agent))
        waiting.cancel()
        await asyncio.wait({waiting})


async def _has_cursor(broadcasts: Broadcasts, agent: str) -> bool:
    return await broadcasts._link.command("HGET", broadcasts._keys.cursors, agent) is not None


@pytest.mark.everywhere
async def test_every_agent_hears_every_broadcast(bus: Bus) -> None:
    """Two agents of one process and one of another hear all of it, in order."""
    async with (
        broadcasting(bus) as one,
        broadcasting(bus) as two,
        one.hear("pink") as pink,
        one.hear("brain") as brain,
        two.hear("harold") as harold,
    ):
        listening = [asyncio.create_task(hear(each, 50)) for each in (pink, brain, harold)]
        for agent in ("pink", "brain", "harold"):
            await eventually(lambda agent=agent: _has_cursor(one, agent))  # type: ignore[misc]
        await asyncio.gather(*(one.tell(str(number), type="news") for number in range(50)))
        assert await asyncio.gather(*listening) == [[str(number) for number in range(50)]] * 3
        assert [event.kind for event in (await bus.events(limit=50)).items] == ["broadcast"] * 50


@pytest.mark.everywhere
async def test_an_agent_begins_at_now_and_goes_on_where_it_was(broadcasts: Broadcasts) -> None:
    """What was said before an agent was ever there is not for it; what is said while it is away is."""
    await broadcasts.tell("before")
    await begin(broadcasts, "pink")
    await broadcasts.tell("away")
    async with broadcasts.hear("pink") as hearing:
        assert await hear(hearing, 1) == ["away"]


async def test_an_agent_may_begin_at_the_beginning(broadcasts: Broadcasts) -> None:
    """On its first start an agent may ask for all there is; afterwards its cursor counts."""
    for word in ("a", "b", "c"):
        await broadcasts.tell(word)
    async with broadcasts.hear("pink", since="0") as hearing:
        assert await hear(hearing, 3) == ["a", "b", "c"]
    async with broadcasts.hear("pink", since="0") as hearing:
        assert await hear(hearing, 1) == ["c"]


@pytest.mark.everywhere
async def test_the_cursor_moves_when_the_next_is_asked_for(broadcasts: Broadcasts, raw: Any, cursors: str) -> None:
    """What was in hand when a reader died comes again; what was handled does not."""
    told = [await broadcasts.tell(word) for word in ("a", "b", "c")]
    async with broadcasts.hear("pink", since="0") as hearing:
        await hear(hearing, 2)
        await eventually(lambda: raw.hget(cursors, "pink") == told[0].entry_id)
    async with broadcasts.hear("pink") as hearing:
        assert await hear(hearing, 2) == ["b", "c"]


@pytest.mark.everywhere
async def test_a_repeated_broadcast_is_answered_and_not_repeated(broadcasts: Broadcasts, raw: Any, stream: str) -> None:
    """A sender that lost the reply tells it again, and it stands in the stream once."""
    first, again = [await broadcasts.tell("x", id="once") for _ in range(2)]
    assert (first.outcome, again.outcome, again.entry_id) == ("sent", "duplicate", first.entry_id)
    assert raw.xlen(stream) == 1


async def test_the_stream_keeps_the_newest(broadcasts: Broadcasts, raw: Any, stream: str) -> None:
    """Old broadcasts make room for new ones, about ten thousand are kept."""
    pipe = raw.pipeline(transaction=False)
    for _ in range(KEPT + 300):
        pipe.xadd(stream, {"payload": "old"})
    pipe.execute()
    await broadcasts.tell("new")
    assert KEPT <= raw.xlen(stream) <= KEPT + 200


@pytest.mark.everywhere
async def test_a_reader_that_was_away_too_long_is_told_of_the_gap(
    broadcasts: Broadcasts, raw: Any, stream: str, cursors: str
) -> None:
    """Where the stream went on without it, an agent hears of a gap, with its begin and end, and goes on."""
    told = [await broadcasts.tell(str(number)) for number in range(7)]
    async with broadcasts.hear("pink", since="0") as hearing:
        await hear(hearing, 2)
        await eventually(lambda: raw.hget(cursors, "pink") == told[0].entry_id)
    raw.xtrim(stream, maxlen=2, approximate=False)
    async with broadcasts.hear("pink") as hearing:
        async with asyncio.timeout(10):
            gap = await anext(hearing)
        assert gap == Gap(told[0].entry_id, told[5].entry_id)
        assert await hear(hearing, 2) == ["5", "6"]


@pytest.mark.everywhere
async def test_a_slow_reader_is_told_of_the_gap_behind_what_it_had_read(
    broadcasts: Broadcasts, raw: Any, stream: str
) -> None:
    """A reader that fell behind while it ran hears what it had fetched, then the gap, then what there is."""
    for number in range(150):
        await broadcasts.tell(str(number))
    async with broadcasts.hear("pink", since="0") as hearing:
        await hear(hearing, 1)
        for number in range(150, 200):
            await broadcasts.tell(str(number))
        raw.xtrim(stream, maxlen=10, approximate=False)
        heard = await hear(hearing, 99 + 1 + 10)
    assert heard == [*map(str, range(1, 100)), "gap", *map(str, range(190, 200))]


@pytest.mark.everywhere
async def test_nothing_removed_is_no_gap(broadcasts: Broadcasts, raw: Any) -> None:
    """An agent that was there before the first broadcast hears it without any talk of gaps."""
    await begin(broadcasts, "pink")
    await broadcasts.tell("first")
    async with broadcasts.hear("pink") as hearing:
        assert await hear(hearing, 1) == ["first"]


@pytest.mark.everywhere
async def test_a_deleted_stream_is_a_gap_and_not_the_end(broadcasts: Broadcasts, raw: Any, stream: str) -> None:
    """When somebody deletes the broadcasts under a waiting reader, it hears of the gap and of what is said next."""
    async with broadcasts.hear("pink", since="0") as hearing:
        await broadcasts.tell("a")
        await hear(hearing, 1)
        listening = asyncio.create_task(hear(hearing, 2))
        raw.delete(stream)
        await broadcasts.tell("b")
        assert await listening == ["gap", "b"]


@pytest.mark.everywhere(but="cluster", soak=True)  # An engine knows its own clients only.
async def test_a_stream_made_anew_with_older_ids_is_read_from_its_beginning(
    broadcasts: Broadcasts, raw: Any, stream: str
) -> None:
    """After the engine's clock went back, a waiting reader does not wait for its old time to come again."""
    raw.xadd(stream, {"payload": "future"}, id="99999999999999-0")
    async with broadcasts.hear("pink", since="0") as hearing:
        assert await hear(hearing, 1) == ["future"]
        listening = asyncio.create_task(hear(hearing, 2))
        await eventually(lambda: any("xread" in client["cmd"] for client in raw.client_list()))
        raw.delete(stream)
        await broadcasts.tell("now")
        assert await listening == ["gap", "now"]


async def test_a_broadcast_taken_back_is_not_a_reason_to_repeat_the_others(
    broadcasts: Broadcasts, raw: Any, stream: str
) -> None:
    """Deleting the newest entry by hand does not send readers back to the beginning."""
    told = [await broadcasts.tell(word) for word in ("a", "b")]
    async with broadcasts.hear("pink", since="0") as hearing:
        await hear(hearing, 2)
        listening = asyncio.create_task(hear(hearing, 1))
        raw.xdel(stream, told[1].entry_id)
        await broadcasts.tell("c")
        assert await listening == ["c"]


async def test_an_overwritten_cursor_begins_at_now(broadcasts: Broadcasts, raw: Any, cursors: str) -> None:
    """A cursor that is no id is replaced instead of failing for ever."""
    raw.hset(cursors, "pink", "nonsense")
    await broadcasts.tell("before")
    async with broadcasts.hear("pink") as hearing:
        listening = asyncio.create_task(hear(hearing, 1))
        await eventually(lambda: raw.hget(cursors, "pink") != "nonsense")
        await broadcasts.tell("after")
        assert await listening == ["after"]


@pytest.mark.everywhere
async def test_a_plain_producer_is_heard(broadcasts: Broadcasts, raw: Any, stream: str) -> None:
    """An entry by XADD from any language is a broadcast."""
    async with broadcasts.hear("pink", since="0") as hearing:
        raw.xadd(stream, {"message": "hi", "source": "go"})
        async with asyncio.timeout(10):
            item = await anext(hearing)
    assert isinstance(item, Broadcast)
    assert (item.payload, item.sender, item.id) == (b"hi", "go", f"x-all-{item.entry_id}")


@pytest.mark.everywhere(but="cluster", soak=True)  # An engine knows its own clients only.
async def test_many_agents_of_a_process_wait_on_one_connection(broadcasts: Broadcasts, raw: Any, cursors: str) -> None:
    """A hundred agents hear the same word over one waiting connection."""
    hearings = [broadcasts.hear(f"agent-{number}", since="0") for number in range(100)]
    listening = [asyncio.create_task(hear(hearing, 1)) for hearing in hearings]
    await eventually(lambda: raw.hlen(cursors) == 100)
    assert sum(client["cmd"] == "xread" for client in raw.client_list()) <= 1
    await broadcasts.tell("all")
    assert await asyncio.gather(*listening) == [["all"]] * 100


async def test_the_wrong_type_is_named(broadcasts: Broadcasts, raw: Any, stream: str) -> None:
    """A foreign key in the place of the broadcasts is an error that names what is wrong."""
    raw.set(stream, "mine")
    with pytest.raises(BusError, match="something else"):
        await hear(broadcasts.hear("pink"), 1)


@pytest.mark.everywhere
async def test_closing_ends_the_iteration(bus: Bus, raw: Any, cursors: str) -> None:
    """Whoever waits for the next broadcast when the bus closes is let go, and its cursor is written."""
    heard: list[str] = []
    async with broadcasting(bus) as broadcasts:
        listening = asyncio.create_task(_listen(broadcasts, heard.append))
        told = await broadcasts.tell("x")
        await eventually(lambda: heard == ["x"])
    await asyncio.wait_for(listening, 5)
    assert raw.hget(cursors, "pink") == told.entry_id
    with pytest.raises(BusError, match="closed"):
        await anext(broadcasts.hear("pink"))


async def _listen(broadcasts: Broadcasts, tell: Callable[[str], object]) -> None:
    async for item in broadcasts.hear("pink", since="0"):
        tell(said(item))


async def test_readers_go_on_when_the_engine_was_killed(tmp_path: Path) -> None:
    """After kill -9 and a restart a reader hears every broadcast that was accepted, and no gap."""
    engine = Engine(tmp_path / "engine")
    engine.start()
    heard: list[str] = []
    try:
        async with Bus.connect(engine.url) as bus, broadcasting(bus) as broadcasts:
            listening = asyncio.create_task(_listen(broadcasts, heard.append))
            telling = asyncio.create_task(_tell_many(broadcasts))
            await eventually(lambda: len(heard) > 30)
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            await asyncio.to_thread(engine.stop)
            await asyncio.to_thread(engine.start)
            await telling
            await eventually(lambda: len(heard) == 200, timeout=30)
        await listening
    finally:
        engine.stop()
    assert heard == [str(number) for number in range(200)]


async def _tell_many(broadcasts: Broadcasts) -> None:
    for number in range(200):
        await broadcasts.tell(str(number), id=str(number))


@pytest.mark.parametrize("agent", ["", "@pink", "a b"])
def test_what_cannot_name_an_agent_is_refused(broadcasts: Broadcasts, agent: str) -> None:
    """A cursor needs a name."""
    with pytest.raises(UsageError, match="agent:"):
        broadcasts.hear(agent)


def test_what_is_no_entry_is_refused(broadcasts: Broadcasts) -> None:
    """A place to begin at is an entry id."""
    with pytest.raises(UsageError, match="since:"):
        broadcasts.hear("pink", since="yesterday")
