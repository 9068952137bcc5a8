"""Long lists in pages: whatever the size of a page and the direction, every row once and in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from observatory.model.errors import BusError, UsageError
from observatory.model.filter import Filter
from observatory.model.filter.listed import ENTRIES, PENDING
from observatory.model.listing import Ask, EntryState, PendingScope, at_time
from observatory.model.task import EntryId
from observatory.model.wire import Malformed
from tests.bus.conftest import working
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.bus import Bus
    from observatory.model.listing import Page
    from observatory.model.task import Task

HIGH, LOW = "cortex:tasks:high", "cortex:tasks:low"


async def walk(read: Callable[[Ask], Awaitable[Page[Any]]], **ask: Any) -> list[str]:
    """Read a list to its end, page by page, and return the keys in the order of the list."""
    keys: list[str] = []
    cursor: str | None = ""
    backwards = ask.get("backwards", False)
    while cursor is not None:
        page = await read(Ask(cursor=cursor, **ask))
        fresh = [row.key for row in page.items]
        keys = fresh + keys if backwards else keys + fresh
        cursor = page.before if backwards else page.after
    return keys


def ids(plain: Any, stream: str) -> list[str]:
    """Return the ids of what truly stands in a stream, oldest first."""
    return [ident.decode() for ident, _ in plain.xrange(stream)]


def give(plain: Any, stream: str, group: str, consumer: str, count: int) -> list[str]:
    """Let a foreign consumer take *count* entries."""
    rows = plain.xreadgroup(group, consumer, {stream: ">"}, count=count)
    return [ident.decode() for ident, _ in rows[0][1]]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 7, 33, 100])
async def test_a_lane_is_read_whole_from_either_end(
    bus: Bus, plain: Any, limit: int, newest_first: bool, backwards: bool
) -> None:
    """Pages of any size, in either order and from either end, together are the stream as it stands."""
    for number in range(70):
        plain.xadd(HIGH, {"type": "t", "id": f"t-{number}"})
    found = await walk(
        lambda ask: bus.reads.entries(HIGH, ask), limit=limit, newest_first=newest_first, backwards=backwards
    )
    expected = ids(plain, HIGH)
    assert found == (expected[::-1] if newest_first else expected)


async def test_a_page_can_be_left_in_both_directions(bus: Bus, plain: Any) -> None:
    """From any row of a page the list goes on downwards and upwards; its two ends are told as ends."""
    for number in range(10):
        plain.xadd(HIGH, {"type": "t", "id": f"t-{number}"})
    read = bus.reads.entries
    top = await read(HIGH, Ask(limit=4))
    assert (top.before, top.total) == (None, 10)
    middle = await read(HIGH, Ask(cursor=top.after or "", limit=4))
    assert [row.task_id for row in middle.items] == ["t-5", "t-4", "t-3", "t-2"]
    up = await read(HIGH, Ask(cursor=middle.items[0].key, backwards=True, limit=3))
    assert [row.task_id for row in up.items] == ["t-8", "t-7", "t-6"]
    again = await read(HIGH, Ask(cursor=up.items[-1].key, limit=1, inclusive=True))
    assert [row.task_id for row in again.items] == ["t-6"]
    bottom = await read(HIGH, Ask(backwards=True, limit=3))
    assert [row.task_id for row in bottom.items] == ["t-2", "t-1", "t-0"]
    assert (bottom.after, bottom.before) == (None, bottom.items[0].key)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_list_opens_at_a_time(bus: Bus, plain: Any, newest_first: bool) -> None:
    """Jumping to a time shows what arrived in that very millisecond first."""
    for ms in (1000, 2000, 2000, 3000):
        plain.xadd(HIGH, {"type": "t"}, id=f"{ms}-*")
    page = await bus.reads.entries(
        HIGH, Ask(cursor=at_time(2000, newest_first=newest_first), newest_first=newest_first)
    )
    shown = [row.key for row in page.items]
    assert shown == (["2000-1", "2000-0", "1000-0"] if newest_first else ["2000-0", "2000-1", "3000-0"])


async def test_who_has_an_entry_is_told_for_every_group(bus: Bus, plain: Any) -> None:
    """Waiting where some group was not given it, held with consumer and count, settled where all have acknowledged."""
    for number in range(4):
        plain.xadd(HIGH, {"type": "t", "id": f"t-{number}"})
    plain.xgroup_create(HIGH, "agents", id="0")
    first, second, third = give(plain, HIGH, "agents", "pink@host:1:a", 3)
    plain.xack(HIGH, "agents", first)
    page = await bus.reads.entries(HIGH, Ask(newest_first=False))
    assert [row.state for row in page.items] == [
        EntryState.SETTLED,
        EntryState.HELD,
        EntryState.HELD,
        EntryState.WAITING,
    ]
    (hold,) = page.items[1].holds
    assert (hold.group, hold.agent, hold.deliveries) == ("agents", "pink", 1)
    plain.xgroup_create(HIGH, "audit", id=second)
    page = await bus.reads.entries(HIGH, Ask(newest_first=False))
    assert [row.waits_for for row in page.items] == [(), (), ("audit",), ("agents", "audit")]
    assert page.items[2].holds[0].consumer == "pink@host:1:a"
    assert page.items[2].key == third


async def test_entries_that_are_no_tasks_stand_in_the_list_with_their_reason(bus: Bus, plain: Any) -> None:
    """A malformed entry is a row like any other."""
    plain.xadd(HIGH, {"foo": "bar"})
    (row,) = (await bus.reads.entries(HIGH, Ask())).items
    assert isinstance(row.item, Malformed)
    assert row.problem == "neither a type nor a payload"


async def test_a_large_payload_is_cut_in_the_list_and_whole_by_itself(bus: Bus, plain: Any) -> None:
    """A list of huge entries stays small; the one that is opened is complete."""
    for _ in range(3):
        plain.xadd(HIGH, {"type": "t", "payload": b"\xff" * 300_000})
    page = await bus.reads.entries(HIGH, Ask())
    assert {(row.cut, row.size > 300_000, len(row.item.fields[1][1])) for row in page.items} == {(True, True, 4096)}
    whole = await bus.reads.entry(HIGH, page.items[0].key)
    assert whole is not None
    assert (whole.cut, whole.item.fields[1][1]) == (False, b"\xff" * 300_000)
    assert await bus.reads.entry(HIGH, "1-1") is None


async def test_a_search_says_how_far_it_looked_and_goes_on_from_there(bus: Bus, plain: Any) -> None:
    """A test that rarely passes ends at its bound with what it found, and the next ask continues behind it."""
    for number in range(1200):
        plain.xadd(HIGH, {"type": "rare" if number % 500 == 0 else "t", "id": f"t-{number}"})

    def rare(row: Any) -> bool:
        return bool(row.type == "rare")

    first = await bus.reads.entries(HIGH, Ask(where=rare, most=700))
    assert ([row.task_id for row in first.items], first.searched, first.total) == (["t-1000", "t-500"], 700, 1200)
    rest = await bus.reads.entries(HIGH, Ask(where=rare, cursor=first.after or "", most=700))
    assert ([row.task_id for row in rest.items], rest.searched, rest.after) == (["t-0"], 500, None)
    one = await bus.reads.entries(HIGH, Ask(where=rare, limit=1))
    two = await bus.reads.entries(HIGH, Ask(where=rare, limit=1, cursor=one.after or ""))
    assert [row.task_id for page in (one, two) for row in page.items] == ["t-1000", "t-500"]


async def test_dead_letters_delayed_work_and_mailboxes_are_lists_like_lanes(bus: Bus, plain: Any) -> None:
    """Each is read from both ends, with what is known of its entries."""
    for number in range(5):
        plain.xadd("cortex:tasks:dlq", {"id": f"d-{number}", "type": "t", "reason": "error"})
        await bus.publish("later", id=f"l-{number}", delay=60 + number)
        await bus.send_message("pink", f"note {number}", id=f"m-{number}")
    for stream, name in ((bus.keys.dead_letters, "d"), (bus.keys.delayed, "l"), (bus.keys.mailbox("pink"), "m")):
        down = await bus.reads.entries(stream, Ask(newest_first=False, limit=3))
        rest = await bus.reads.entries(stream, Ask(newest_first=False, cursor=down.after or ""))
        up = await bus.reads.entries(stream, Ask(newest_first=False, backwards=True, cursor=down.items[1].key))
        shown = [[row.task_id for row in page.items] for page in (down, rest, up)]
        assert shown == [[f"{name}-{n}" for n in range(3)], [f"{name}-3", f"{name}-4"], [f"{name}-0"]]
        assert (down.total, rest.after) == (5, None)
        same = await bus.reads.entry(stream, rest.items[0].key)
        assert same is not None
        assert same.task_id == f"{name}-3"
    letters = await bus.reads.dead_letters(Ask(backwards=True, limit=2))
    assert [letter.task_id for letter in letters.items] == ["d-1", "d-0"]


async def test_delayed_work_opens_at_a_time_and_goes_on_where_a_row_was(bus: Bus, plain: Any) -> None:
    """The row that a table stopped at may have become due meanwhile; the list goes on behind its place."""
    await bus.publish("x", id="a", delay=100)
    first = (await bus.reads.entries(bus.keys.delayed, Ask(newest_first=False))).items[0]
    for number in range(3):
        await bus.publish("x", id=f"b-{number}", delay=200)
    plain.zrem("cortex:tasks:delayed", plain.zrange("cortex:tasks:delayed", 0, 0)[0])
    behind = await bus.reads.entries(bus.keys.delayed, Ask(cursor=first.key, newest_first=False))
    assert sorted(row.task_id for row in behind.items) == ["b-0", "b-1", "b-2"]
    soon = at_time(first.at_ms, newest_first=False)
    assert len((await bus.reads.entries(bus.keys.delayed, Ask(cursor=soon, newest_first=False))).items) == 3


async def test_what_is_no_list_or_no_place_is_refused_by_name(bus: Bus, plain: Any) -> None:
    """A foreign key, a cursor that is none, a lane of the wrong type."""
    plain.xadd("other", {"a": "b"})
    with pytest.raises(UsageError, match="'other' is no lane"):
        await bus.reads.entries("other", Ask())
    with pytest.raises(UsageError, match="'x' is not a place"):
        await bus.reads.entries(HIGH, Ask(cursor="x"))
    with pytest.raises(UsageError, match="at least one row"):
        await bus.reads.entries(HIGH, Ask(limit=0))
    plain.set(LOW, "text")
    with pytest.raises(BusError, match="holds something else"):
        await bus.reads.entries(LOW, Ask())


def spread(plain: Any) -> list[tuple[EntryId, str, str]]:
    """Leave pending entries of several lanes, groups and consumers: in bursts, at equal ids, in one millisecond."""
    rows: list[tuple[EntryId, str, str]] = []
    stamps = [1000, *([5000] * 60), 5001, *range(6000, 6040), *([90_000] * 45), 86_400_000]
    for stream, groups in ((HIGH, ("agents", "two words")), (LOW, ("agents",)), ("cortex:tasks:coding:low", ("x",))):
        for group in groups:
            plain.xgroup_create(stream, group, id="0", mkstream=True)
        for at, ms in enumerate(stamps):
            plain.xadd(stream, {"type": f"t{at % 3}", "id": f"t-{at}"}, id=f"{ms}-*")
        for group in groups:
            for consumer in ("pink", "red@host:1:b"):
                rows += [(EntryId.parse(i), stream, group) for i in give(plain, stream, group, consumer, 70)]
    return sorted(rows)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 9, 64, 1000])
async def test_pending_entries_of_all_lanes_are_one_list(
    bus: Bus, plain: Any, limit: int, newest_first: bool, backwards: bool
) -> None:
    """Merged over lanes and groups by arrival, every one once, in either order and from either end."""
    expected = [f"{ident} {stream} {group}" for ident, stream, group in spread(plain)]
    scope = PendingScope(streams=(LOW, HIGH, "cortex:tasks:coding:low"))
    found = await walk(
        lambda ask: bus.reads.pending(ask, scope), limit=limit, newest_first=newest_first, backwards=backwards
    )
    assert found == (expected[::-1] if newest_first else expected)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pending_entries_of_one_group_or_consumer(bus: Bus, plain: Any, newest_first: bool) -> None:
    """A scope narrows the list and its total to what it names."""
    every = spread(plain)
    scope = PendingScope(streams=(HIGH,), group="two words")
    page = await bus.reads.pending(Ask(limit=500, newest_first=newest_first), scope)
    assert page.total == len(page.items) == sum(row[1:] == (HIGH, "two words") for row in every)
    own = PendingScope(streams=(HIGH, LOW), consumer="red@host:1:b")
    page = await bus.reads.pending(Ask(limit=500, newest_first=newest_first), own)
    assert {row.hold.agent for row in page.items} == {"red"}
    assert page.total == len(page.items) > 0


async def test_a_pending_row_says_whose_it_is_and_what(bus: Bus, plain: Any) -> None:
    """Consumer, agent, idle time, deliveries, task and type; where somebody deleted the body, that."""
    plain.xgroup_create(HIGH, "agents", id="0", mkstream=True)
    plain.xadd(HIGH, {"kind": "deploy", "task_id": "t-1"})
    plain.xadd(HIGH, {"type": "x"})
    kept, lost = give(plain, HIGH, "agents", "pink@host:1:a", 2)
    plain.xclaim(HIGH, "agents", "pink@host:1:a", 0, [kept], idle=60_000, retrycount=4)
    plain.xdel(HIGH, lost)
    await bus.publish("x", queue="coding")  # so that the bus knows a queue that nobody reads
    old, gone = (await bus.reads.pending(Ask(newest_first=False))).items
    assert (old.task_id, old.type, old.lane, old.entry_id, old.gone) == ("t-1", "deploy", "high", kept, False)
    assert (old.hold.agent, old.hold.deliveries, old.hold.idle_ms >= 60_000) == ("pink", 4, True)
    assert old.arrived_ms == EntryId.parse(kept).ms
    assert (gone.entry_id, gone.gone, gone.task_id) == (lost, True, "")
    bare = (await bus.reads.pending(Ask(newest_first=False), PendingScope(bodies=False))).items
    assert [row.hold.deliveries for row in bare] == [4, 1]
    assert {(row.task_id, row.type, row.gone) for row in bare} == {("", "", False)}


async def test_a_pending_list_goes_on_where_a_row_was_settled_meanwhile(bus: Bus, plain: Any) -> None:
    """The row that a table stopped at is gone; what follows it is the same."""
    every = spread(plain)
    scope = PendingScope(streams=(HIGH, LOW))
    page = await bus.reads.pending(Ask(limit=10), scope)
    plain.xack(HIGH, "agents", page.items[-1].entry_id)
    plain.xack(HIGH, "two words", page.items[-1].entry_id)
    plain.xack(LOW, "agents", page.items[-1].entry_id)
    behind = await bus.reads.pending(Ask(cursor=page.after or "", limit=1), scope)
    last = EntryId.parse(page.items[-1].entry_id)
    assert EntryId.parse(behind.items[0].entry_id) == max(ident for ident, *_ in every if ident < last)
    assert (await bus.reads.pending(Ask(), PendingScope(streams=("cortex:tasks:normal",)))).items == ()


async def test_groups_tell_their_consumers(bus: Bus, plain: Any) -> None:
    """Lag, what is pending and since when, what comes next, and every consumer with its idle time."""
    for number in range(5):
        plain.xadd(HIGH, {"type": "t"}, id=f"{1000 + number}-0")
    plain.xgroup_create(HIGH, "agents", id="0")
    give(plain, HIGH, "agents", "pink@host:1:a", 2)
    plain.xgroup_createconsumer(HIGH, "agents", "red")
    plain.xgroup_create(HIGH, "audit", id="$")
    agents, audit = await bus.reads.groups(HIGH)
    assert (agents.view.name, agents.view.lag, agents.view.pending) == ("agents", 3, 2)
    assert (agents.oldest_pending_ms, agents.next_waiting_ms) == (1000, 1002)
    assert [(one.agent, one.pending) for one in agents.consumers] == [("pink", 2), ("red", 0)]
    assert agents.consumers[1].inactive_ms == -1
    assert (audit.view.lag, audit.next_waiting_ms, audit.consumers) == (0, None, ())
    assert await bus.reads.groups("cortex:tasks:normal") == ()


async def test_work_that_waits_for_its_turn_is_nobodys(bus: Bus) -> None:
    """Of two tasks of one ordering key the second is delivered and parked: it waits, and no agent holds it."""
    release = asyncio.Event()

    async def hold(_task: Task) -> None:
        await release.wait()

    for number in range(2):
        await bus.publish("t", id=f"t-{number}", ordering_key="repo-1", priority="high")
    async with working(bus, "pink", {"t": hold}, concurrency=2):
        await eventually(lambda: _pending(bus, 2))
        rows = (await bus.reads.pending(Ask(newest_first=False))).items
        entries = (await bus.reads.entries(HIGH, Ask(newest_first=False))).items
        (group,) = await bus.reads.groups(HIGH)
        release.set()
    assert [(row.task_id, row.hold.agent) for row in rows] == [("t-0", "pink"), ("t-1", "")]
    assert [row.state for row in entries] == [EntryState.HELD, EntryState.WAITING]
    assert [one.agent for one in group.consumers] == ["pink"]
    assert group.view.consumers == 1


async def _pending(bus: Bus, count: int) -> bool:
    return (await bus.reads.pending(Ask())).total == count


def compiled(text: str, fields: Any) -> Any:
    """Return a filter, at a present long after all that these tests write."""
    return Filter(text, fields, now_ms=10**12)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_filter_that_names_a_time_reads_only_there(bus: Bus, plain: Any, newest_first: bool) -> None:
    """Of two thousand entries, those of a stretch are found by looking at little more than them."""
    with plain.pipeline(transaction=False) as pipe:
        for number in range(2000):
            pipe.xadd(HIGH, {"type": "t", "id": f"t-{number}"}, id=f"{100_000_000_000 + number * 1000}-0")
        pipe.execute()
    plain.xgroup_create(HIGH, "agents", id="0")
    give(plain, HIGH, "agents", "pink", 2000)
    stretch = f"{100_000_700_000}..{100_000_704_000}"
    entries = Ask(where=compiled(f"at:{stretch}", ENTRIES), newest_first=newest_first)
    pending = Ask(where=compiled(f"arrived:{stretch}", PENDING), newest_first=newest_first)
    for page in (await bus.reads.entries(HIGH, entries), await bus.reads.pending(pending)):
        assert sorted(row.task_id for row in page.items) == [f"t-{number}" for number in range(700, 705)]
        assert page.searched is not None
        assert page.searched <= 7
        assert (page.total, page.after) == (2000, None)
    nowhere = Ask(where=compiled("arrived>100000704000 arrived<100000700000", PENDING))
    assert (await bus.reads.pending(nowhere)).searched == 0


async def test_a_filter_that_names_a_lane_leaves_the_others_alone(bus: Bus, plain: Any) -> None:
    """They are counted and not searched; what an entry says decides only where who holds it does not."""
    spread(plain)
    scope = PendingScope(streams=(LOW, HIGH, "cortex:tasks:coding:low"))
    every = (await bus.reads.pending(Ask(), scope)).total
    low = await bus.reads.pending(Ask(limit=1000, where=compiled("queue:coding", PENDING)), scope)
    assert {row.lane for row in low.items} == {"coding:low"}
    assert (low.searched, low.total) == (len(low.items), every)
    both = await bus.reads.pending(Ask(limit=1000, where=compiled("agent:pink type:t1", PENDING)), scope)
    plainly = await bus.reads.pending(
        Ask(limit=1000, where=lambda row: row.hold.agent == "pink" and row.type == "t1"), scope
    )
    assert [row.key for row in both.items] == [row.key for row in plainly.items] != []
