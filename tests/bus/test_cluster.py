"""A bus on a cluster: partitions, one bus made of many, and the loss and the moving of nodes under load."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import pytest
from redis.crc import key_slot

from observatory.bus import Bus, PublishOutcome, TaskContext
from observatory.bus.care.acl import CLUSTER, ROLES, rules
from observatory.bus.links.address import cluster_of
from observatory.bus.links.topology import read_slots
from observatory.bus.partitions import count_for, tags
from observatory.bus.tasks.publishers import deciding
from observatory.model.errors import BusError, BusUnreachableError, NotDurableError, UsageError
from observatory.model.event import event_order
from observatory.model.health import Severity
from observatory.model.listing import Ask
from observatory.model.snapshot import LinkState
from observatory.model.task import Lane, NewTask, Priority, Task
from tests.bus.conftest import working
from tests.conftest import eventually
from tests.rigs import PASSWORD, QUIET, ClusterRig, Server, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from observatory.bus.tasks.delivery import Settlement

NORMAL = Lane("shared", Priority.NORMAL)

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def calm() -> Iterator[ClusterRig]:
    """A cluster that nobody breaks."""
    with ClusterRig() as running:
        yield running


@pytest.fixture
def rig() -> Iterator[ClusterRig]:
    """A cluster to break."""
    with ClusterRig() as running:
        yield running


@pytest.fixture
def url(calm: ClusterRig) -> str:
    """The URL of a cluster that holds nothing."""
    calm.clear()
    return calm.url


@pytest.mark.parametrize("prefix", ["cortex", "bus", "prod", "a.b"])
@pytest.mark.parametrize("primaries", [1, 2, 3, 4, 5, 6, 8])
def test_every_primary_of_a_new_bus_serves_equally_many_partitions(prefix: str, primaries: int) -> None:
    """Whatever the prefix, partitions lie evenly on nodes that share the slots evenly."""
    count = count_for(primaries)
    numbers = tags(prefix, count)
    shares = Counter(key_slot(f"{{{prefix}:{number}}}:tasks:high".encode()) * primaries // 16384 for number in numbers)
    assert len(set(numbers)) == count
    assert set(shares.values()) == {count // primaries}


def test_what_must_meet_its_like_is_in_one_partition() -> None:
    """An ordering key decides before a dedupe key, and that before the id."""
    task = NewTask("x", b"", "id")
    assert deciding(task) == "id"
    assert deciding(task, "once") == "once"
    assert deciding(NewTask("x", b"", "id", ordering_key="k"), "once") == "k"


def test_a_cluster_url_is_read() -> None:
    """Hosts, credentials, TLS and the number of partitions are understood; what cannot be is named."""
    address = cluster_of("rediss+cluster://u:p@one:7000,[::1]:7001,three?partitions=16&ssl_cert_reqs=none")
    assert address is not None
    assert (address.hosts, address.partitions) == ((("one", 7000), ("::1", 7001), ("three", 6379)), 16)
    assert address.engine_url == "rediss://u:p@localhost?ssl_cert_reqs=none"
    assert cluster_of("redis://one") is None
    for wrong in ("redis+cluster://", "redis+cluster://one/3", "redis+cluster://one?partitions=0", "x+cluster://one"):
        with pytest.raises(UsageError):
            cluster_of(wrong)


def test_a_node_that_does_not_know_its_own_address_is_where_it_was_asked() -> None:
    """An empty or unknown host in CLUSTER SLOTS stands for the node that answers."""
    rows = [[8192, 16383, [b"", 7001]], [0, 8191, [b"10.0.0.1", 7000], [b"?", 7002]]]
    first, second = read_slots(rows, asked=("here", 1))
    assert (first.primary, first.replicas) == (("10.0.0.1", 7000), (("here", 7002),))
    assert (second.first, second.primary) == (8192, ("here", 7001))


async def test_the_number_of_partitions_is_fixed_when_the_bus_is_made(url: str) -> None:
    """The first client decides; who asks for another number later is told, who names none follows."""
    async with Bus.connect(f"{url}?partitions=6") as bus:
        assert len(bus.partitions) == 6
    async with Bus.connect(url) as bus:
        assert len(bus.partitions) == 6
    with pytest.raises(UsageError, match="has 6 partitions"):
        await Bus.connect(f"{url}?partitions=7").open()


async def test_clients_that_make_a_bus_at_once_agree(url: str) -> None:
    """Whoever comes first decides for all."""
    buses = [Bus.connect(url) for _ in range(5)]
    await asyncio.gather(*(bus.open() for bus in buses))
    assert len({tuple(part.number for part in bus.partitions) for bus in buses}) == 1
    assert len(buses[0].partitions) == 12
    await asyncio.gather(*(bus.close() for bus in buses))


async def test_wrong_addresses_are_named(calm: ClusterRig, tmp_path: Path) -> None:
    """A single engine is no cluster, a node of a cluster no single engine, and nobody nothing."""
    (port,) = free_ports(1)
    alone = Server(port, [*QUIET, "--port", str(port)], tmp_path, {})
    await asyncio.to_thread(alone.start)
    try:
        with pytest.raises(BusUnreachableError, match="single engine"):
            await Bus.connect(f"redis+cluster://127.0.0.1:{port}").open()
    finally:
        alone.kill()
    with pytest.raises(BusUnreachableError, match="no node of the cluster answers"):
        await Bus.connect("redis+cluster://127.0.0.1:1,127.0.0.1:2").open(deadline_s=0.1)
    node = f"redis://:{PASSWORD}@127.0.0.1:{calm.engines[0].port}"
    with pytest.raises(BusUnreachableError, match="node of a cluster"):
        await Bus.connect(node).open()
    with pytest.raises(BusUnreachableError, match="refuses the credentials"):
        await Bus.connect(calm.url.replace(PASSWORD, "wrong")).open()


async def test_a_few_workers_serve_all_partitions_and_what_is_urgent_first(url: str) -> None:
    """Two workers on twelve partitions do everything, the critical tasks of all partitions before the others."""
    order: list[str] = []

    async def note(task: Task, _context: TaskContext) -> None:
        order.append(str(task.lane.priority))

    async with Bus.connect(url) as bus:
        for priority in reversed(Priority):
            await bus.publish_many(NewTask("x", b"", f"{priority}-{n}", priority=priority) for n in range(60))
        lanes = {lane.lane: lane for lane in (await bus.observe()).lanes}
        assert lanes[NORMAL].length == 60
        async with working(bus, "pink", {"x": note}), working(bus, "red", {"x": note}):
            await eventually(lambda: len(order) == 240)
        assert order == sorted(order, key=list(map(str, Priority)).index)
        assert (await bus.audit()).equal


async def test_a_full_home_keeps_no_partition_waiting(url: str) -> None:
    """While one partition is flooded for ever, a task of equal urgency in another is done."""
    done: set[str] = set()
    async with Bus.connect(url) as bus:
        flooded = bus.partitions.of("flood")
        others = [name for name in map(str, range(200)) if bus.partitions.of(name) is not flooded][:20]

        async def again(task: Task, _context: TaskContext) -> None:
            done.add(task.id)
            if task.id not in others:
                await bus.publish("x", id=f"{task.id}+", ordering_key="flood")

        for number in range(4):
            await bus.publish("x", id=f"f{number}", ordering_key="flood")
        async with working(bus, "pink", {"x": again}):
            for name in others:
                await bus.publish("x", id=name)
            await eventually(lambda: done.issuperset(others))


async def test_a_task_is_found_wherever_its_key_has_put_it(url: str) -> None:
    """Record, trace and cancel find a task by its id in the partition that an ordering key decided."""
    async with Bus.connect(url) as bus:
        names = [f"t{number}" for number in range(20)]
        for name in names:
            await bus.publish("x", id=name, ordering_key="one")
        assert len({bus.partitions.of(name).number for name in names}) > 1
        assert all([await bus.record(name) for name in names])
        assert (await bus.reads.trace(names[3])).found
        assert await bus.cancel(names[3]) == "cancelled"
        assert await bus.cancel("nobody") == "unknown"
        assert (await bus.publish("x", dedupe="d")).outcome is PublishOutcome.QUEUED
        assert (await bus.publish("x", dedupe="d")).outcome is PublishOutcome.DUPLICATE


async def test_pages_of_all_partitions_are_one_list(url: str) -> None:
    """Entries, dead letters, delayed work and events come in one order, each once, page by page, up and down."""
    async with Bus.connect(url, name="tester") as bus:
        await bus.publish_many(NewTask("x", b"", f"t{number:02}") for number in range(50))
        await asyncio.gather(*(bus.publish("y", id=f"d{number:02}", delay=100 + number) for number in range(30)))
        stream = bus.keys.lane(NORMAL)
        for newest_first in (True, False):
            ask = Ask(limit=7, newest_first=newest_first)
            assert sorted(await _all(lambda a: bus.reads.entries(stream, a), ask)) == [f"t{n:02}" for n in range(50)]
        assert await _all(lambda a: bus.reads.entries(bus.keys.delayed, a), Ask(limit=7, newest_first=False)) == [
            f"d{number:02}" for number in range(30)
        ]
        rows = (await bus.reads.entries(stream, Ask(limit=50, newest_first=False))).items
        up = await bus.reads.entries(stream, Ask(rows[20].key, newest_first=False, backwards=True, limit=20))
        assert [row.key for row in up.items] == [row.key for row in rows[:20]]
        whole = await bus.reads.entry(stream, rows[20].key)
        assert whole is not None
        assert whole.task_id == rows[20].task_id
        events: list[str] = []
        after = None
        while True:
            page = await bus.events(after=after, limit=9)
            events += [event.id for event in page.items]
            after = page.after
            if after is None:
                break
        assert len(events) == len(set(events)) == 80
        assert events == sorted(events, key=event_order, reverse=True)


async def _all(read: Any, ask: Ask) -> list[str]:
    found: list[str] = []
    while True:
        page = await read(ask)
        found += [row.task_id for row in page.items]
        if page.after is None:
            return found
        ask = Ask(page.after, limit=ask.limit, newest_first=ask.newest_first)


async def test_dead_letters_of_all_partitions_are_listed_and_requeued(url: str) -> None:
    """Their ids name their partition, and each goes back to its own lane."""
    fail = True

    async def handle(_task: Task, _context: TaskContext) -> None:
        if fail:
            raise ValueError("no")

    async with Bus.connect(url) as bus, working(bus, "pink", {"x": handle}, retry_delays=(), concurrency=4):
        await bus.publish_many(NewTask("x", b"", f"t{number}") for number in range(20))
        await eventually(lambda: _dead(bus, 20))
        page = await bus.dead_letters(limit=8)
        rest = await bus.dead_letters(after=page.after, limit=100)
        letters = (*page.items, *rest.items)
        assert {letter.task_id for letter in letters} == {f"t{number}" for number in range(20)}
        assert all("@" in letter.entry_id for letter in letters)
        one = await bus.dead_letter(letters[5].entry_id)
        assert one is not None
        assert one.task_id == letters[5].task_id
        fail = False
        answers = await bus.requeue(letter.entry_id for letter in letters)
        assert {answer.outcome for answer in answers} == {"requeued"}
        await eventually(lambda: _dead(bus, 0))


async def _dead(bus: Bus, count: int) -> bool:
    return (await bus.observe()).dead_letters.total == count


async def test_the_log_of_all_partitions_is_followed_in_order_from_any_fact(url: str) -> None:
    """Whoever stops at a fact and goes on from it has seen each fact once."""
    async with Bus.connect(url, name="tester") as bus:
        first = [event async for event in _first(bus.tail("0-0"), await _published(bus, 30, "a"))]
        await _published(bus, 30, "b")
        second = [event async for event in _first(bus.tail(first[17].id), 42)]
        seen = [event.task for event in first[:18]] + [event.task for event in second]
        assert Counter(seen) == Counter([*(f"a{n}" for n in range(30)), *(f"b{n}" for n in range(30))])
        order = [event_order(event.id) for event in second]
        assert order == sorted(order)


async def _published(bus: Bus, count: int, name: str) -> int:
    await bus.publish_many(NewTask("x", b"", f"{name}{number}") for number in range(count))
    return count


async def _first(events: Any, count: int) -> Any:
    async with contextlib.aclosing(events):
        async for event in events:
            yield event
            count -= 1
            if count == 0:
                return


async def test_agents_converse_across_partitions(url: str) -> None:
    """Mail, broadcasts and requests work whatever partition an agent, or a task, belongs to."""

    async def answer(task: Task, _context: TaskContext) -> bytes:
        return task.payload

    async with Bus.connect(url, name="tester") as bus, working(bus, "pink", {"ask": answer}, concurrency=4):
        await eventually(lambda: _beats(bus))
        replies = await asyncio.gather(*(bus.request("ask", str(number), timeout=10) for number in range(20)))
        assert [reply.payload for reply in replies] == [str(number).encode() for number in range(20)]
        for agent in ("red", "harold", "blue"):
            sent = await bus.send_message(agent, f"to {agent}")
            assert not sent.known
            async with bus.inbox(agent) as inbox:
                message = await anext(aiter(inbox))
                assert (message.payload.decode(), await message.ack()) == (f"to {agent}", True)
        assert (await bus.send_message("pink", "hi")).known
        async with bus.broadcasts("red", since="0") as hearing:
            await bus.broadcast("all")
            assert getattr(await anext(aiter(hearing)), "payload", b"") == b"all"


async def _beats(bus: Bus) -> bool:
    return any(beat.agent == "pink" for beat in (await bus.observe()).beats)


async def test_a_pause_holds_in_every_partition(url: str) -> None:
    """A paused lane rests everywhere, and goes on everywhere."""
    done: list[str] = []

    async def note(task: Task, _context: TaskContext) -> None:
        done.append(task.type)

    async with Bus.connect(url) as bus, working(bus, "pink", {"*": note}, concurrency=2):
        await bus.pause([NORMAL])
        assert await bus.paused() == {NORMAL: 0}
        await bus.publish_many(NewTask("late", b"", f"n{number}") for number in range(20))
        await bus.publish_many(NewTask("x", b"", f"h{n}", priority=Priority.HIGH) for n in range(20))
        await eventually(lambda: done.count("x") == 20)
        # A read that was blocked when the pause came may bring one more.
        assert done.count("late") <= 1
        await bus.resume([NORMAL])
        await eventually(lambda: done.count("late") == 20)


async def test_the_doctor_sees_every_node(calm: ClusterRig, url: str) -> None:
    """What is wrong with one node is a finding that names it; shares and slots are judged."""
    async with Bus.connect(url) as bus:
        node = calm.primaries[1]
        node.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            found = {finding.name: finding for finding in await bus.doctor()}
        finally:
            node.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert found["eviction"].severity is Severity.CRIT
        assert f":{node.port}" in found["eviction"].what
        assert found["cluster"].severity is Severity.OK
        assert found["partitions"].what.count(" 4") == 3


@pytest.mark.parametrize("role", ["agent", "observer"])
async def test_roles_suffice_on_a_cluster_and_need_what_they_have_for_it(calm: ClusterRig, url: str, role: str) -> None:
    """A user of a role does its duties on every node; without a right for clusters, some duty fails."""
    async with Bus.connect(url) as made:
        await made.publish("x", id="t")
    limited = re.sub(r"//:[^@]*@", f"//{role}:secret@", url)

    async def duties() -> None:
        async with Bus.connect(limited) as bus:
            if role == "agent":
                assert (await bus.publish("x")).outcome is PublishOutcome.QUEUED
                return
            found = {finding.name: finding for finding in await bus.doctor()}
            assert found["cluster"].severity is Severity.OK
            assert (await bus.reads.entries(bus.keys.lane(NORMAL), Ask())).total == 1

    allowed = ROLES[role].commands
    for engine in calm.engines:
        engine.ask("ACL", "SETUSER", role, *rules(ROLES[role], "cortex", "secret"))
    await duties()
    # Who may not publish rings no bell, and fails in nothing: see below.
    for grant in (grant for grant in CLUSTER if grant.command in allowed - {"hsetnx", "publish"}):
        for engine in calm.engines:
            engine.ask("ACL", "SETUSER", role, f"-{grant.command}")
        with pytest.raises((BusError, AssertionError)):
            await duties()
        for engine in calm.engines:
            engine.ask("ACL", "SETUSER", role, f"+{grant.command}")


class Flood:
    """Publishes durably on and on, and writes down what was confirmed.

    Attributes:
        safe: Ids of which disk and replicas had confirmed that they have them.
        problems: What any call raised, apart from "not confirmed".
    """

    def __init__(self, bus: Bus, rate: float = 150.0) -> None:
        self.safe: list[str] = []
        self.answered: list[float] = []
        self.problems: list[str] = []
        self._bus = bus
        self._rate = rate
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})

    async def stop(self) -> None:
        """Publish no more, and wait for what is under way."""
        self._stopping = True
        await self._running

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if self._stopping:
                    break
                group.create_task(self._publish(f"t-{number}"))
                await asyncio.sleep(1 / self._rate)

    async def _publish(self, task_id: str) -> None:
        try:
            await self._bus.publish("x", id=task_id, durable=True)
            self.safe.append(task_id)
        except NotDurableError:
            pass
        except BusError as error:
            self.problems.append(str(error))
        self.answered.append(time.monotonic())


async def _kill(rig: ClusterRig, victim: Server) -> None:
    await asyncio.to_thread(victim.kill)
    await eventually(lambda: victim not in rig.primaries, timeout=20)


async def _fail_over(rig: ClusterRig, victim: Server) -> None:
    replica = rig.replica_of(victim)
    replica.ask("CLUSTER", "FAILOVER")
    await eventually(lambda: replica in rig.primaries, timeout=20)


async def _move_a_partition(rig: ClusterRig, victim: Server) -> None:
    """Move every slot of *victim* to another primary, as Valkey 9 does it: each slot as a whole."""
    other = next(primary for primary in rig.primaries if primary is not victim)
    first, last = next(row[:2] for row in victim.ask("CLUSTER", "SLOTS") if row[2][1] == victim.port)
    ident = other.ask("CLUSTER", "MYID")
    victim.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, last, "NODE", ident)
    await eventually(lambda: rig.primary_of(first) is other, timeout=30)


@pytest.mark.parametrize("disturb", [_kill, _fail_over, _move_a_partition])
async def test_what_happens_to_a_node_under_load_loses_and_doubles_nothing(rig: ClusterRig, disturb: Any) -> None:
    """Everything confirmed is done, nothing is settled twice, work goes on everywhere, and nobody sees a MOVED."""
    done: Counter[str] = Counter()

    def note(settlement: Settlement, answer: str) -> None:
        done[settlement.task_id] += answer == "settled"

    async def handle(_task: Task, _context: TaskContext) -> None:
        await asyncio.sleep(0.001)

    async with (
        Bus.connect(rig.url, name="agents") as agents,
        Bus.connect(rig.url, name="producer") as producer,
        working(agents, "pink", {"x": handle}, concurrency=8, lease_s=4.0, on_settled=note),
        working(agents, "red", {"x": handle}, concurrency=1, lease_s=4.0, on_settled=note),
        Flood(producer) as flood,
    ):
        await eventually(lambda: len(done) > 100)
        victim = rig.primaries[0]
        began = time.monotonic()
        await disturb(rig, victim)
        turned = time.monotonic()
        await eventually(lambda: flood.answered[-1] > turned, timeout=20)
        numbers = {part.number: f"after-{part.number}" for part in producer.partitions}
        for part in producer.partitions:
            name = next(name for n in itertools.count() if producer.partitions.of(name := f"after-{n}") is part)
            numbers[part.number] = name
            await producer.publish("x", id=name)
        await eventually(lambda: set(numbers.values()) <= done.keys(), timeout=20)
        print("work in every partition again after", round(time.monotonic() - began, 2), "s")
        await flood.stop()
        await eventually(lambda: set(flood.safe) <= done.keys(), timeout=20)
        assert flood.problems == []
        assert [task for task, times in done.items() if times > 1] == []
        await eventually(lambda: producer.link.state is LinkState.READY, timeout=10)
        assert len(flood.safe) > 100
