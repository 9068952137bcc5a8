"""Mailboxes: notes to one agent, from anybody, read once and acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.bus.talk.mail import MAILBOX_BOUND, Inbox, Letter, Mail, SendOutcome
from observatory.engine import Engine
from observatory.model.clock import ManualClock, SystemClock
from observatory.model.errors import BusBusyError, BusError, UsageError
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from observatory.model.clock import Clock

pytestmark = pytest.mark.everywhere(soak=True)

READER_THAT_HANGS = """
import asyncio, os
from observatory.bus import Bus
async def main():
    async with Bus.connect(os.environ["TEST_URL"]) as bus:
        async for letter in bus.inbox("pink", lease_s=1.0):
            print(letter.id, flush=True)
            await asyncio.sleep(3600)
asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def mailing(bus: Bus, *, clock: Clock | None = None, consumer: str = "") -> AsyncIterator[Mail]:
    """Mail in the partition of pink, over a link of *bus*, as another process would have it."""
    home = bus.partitions.of("pink")
    mail = Mail(home.link, home.keys, "tester", clock or SystemClock(), consumer=consumer)
    try:
        yield mail
    finally:
        await mail.close()


@pytest.fixture
async def mail(bus: Bus) -> AsyncIterator[Mail]:
    """Mail on a clean engine."""
    async with mailing(bus) as opened:
        yield opened


@pytest.fixture
def box(bus: Bus) -> str:
    """The stream of the messages to pink."""
    return bus.partitions.of("pink").keys.mailbox("pink")


async def take(inbox: Inbox, count: int) -> list[Letter]:
    """Read *count* letters; the time limit only keeps a failing test from hanging."""
    async with asyncio.timeout(20):
        return [await anext(inbox) for _ in range(count)]


async def kinds(bus: Bus) -> list[str]:
    """Kinds of all events, oldest first."""
    return [event.kind for event in reversed((await bus.events(limit=1000)).items)]


def hanging_reader(url: str) -> subprocess.Popen[str]:
    """Start a real process that takes a message and never acknowledges it."""
    return subprocess.Popen(
        [sys.executable, "-c", READER_THAT_HANGS],
        env={**os.environ, "TEST_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.everywhere
async def test_a_message_is_read_once_and_leaves_the_mailbox_when_acknowledged(bus: Bus, raw: Any, box: str) -> None:
    """Sent, read, acknowledged, gone, with an event for what happened."""
    async with mailing(bus) as mail, mail.inbox("pink") as inbox:
        sent = await mail.send("pink", {"say": "hello"}, type="greeting", sender="harold")
        (letter,) = await take(inbox, 1)
        assert (letter.id, letter.entry_id, letter.to) == (sent.id, sent.entry_id, "pink")
        assert (letter.type, letter.sender, letter.payload) == ("greeting", "harold", b'{"say":"hello"}')
        assert (letter.content_type, letter.deliveries) == ("application/json", 1)
        assert raw.xlen(box) == 1
        assert await letter.ack() is True
        assert raw.xlen(box) == 0
        assert await kinds(bus) == ["message_sent", "message_acknowledged"]


@pytest.mark.everywhere
async def test_messages_are_read_in_the_order_in_which_they_were_sent(mail: Mail) -> None:
    """A mailbox longer than any window is read to its end, in order, while it is acknowledged."""
    await asyncio.gather(*(mail.send("pink", str(number)) for number in range(300)))
    async with mail.inbox("pink", window=10) as inbox:
        seen = []
        async for letter in inbox:
            seen.append(int(letter.payload))
            await letter.ack()
            if len(seen) == 300:
                break
    assert seen == list(range(300))


@pytest.mark.everywhere
async def test_a_plain_producer_writes_into_a_mailbox(mail: Mail, raw: Any, box: str) -> None:
    """An entry by XADD from any language, under any known name, is a message."""
    async with mail.inbox("pink") as inbox:
        raw.xadd(box, {"body": "hi", "sender": "go", "id": "g-1"})
        raw.xadd(box, {"strange": "entry"})
        known, strange = await take(inbox, 2)
        assert (known.id, known.sender, known.payload) == ("g-1", "go", b"hi")
        assert strange.notes == ("neither a type nor a payload",)
        assert await strange.ack()


@pytest.mark.everywhere
async def test_a_repeated_send_is_answered_and_not_repeated(bus: Bus, mail: Mail, raw: Any, box: str) -> None:
    """A sender that lost the reply sends again, and one message stands in the mailbox."""
    first = await mail.send("pink", "x", id="once")
    again = await mail.send("pink", "x", id="once")
    other = await mail.send("harold", "x", id="once")
    assert (first.outcome, again.outcome, other.outcome) == ("sent", SendOutcome.DUPLICATE, "sent")
    assert again.entry_id == first.entry_id
    assert raw.xlen(box) == 1
    assert raw.ttl(f"{bus.partitions.of('pink').keys.prefix}:dedupe:once") > 0


@pytest.mark.everywhere
async def test_sending_says_whether_the_agent_was_ever_heard_of(bus: Bus) -> None:
    """A stranger has a mailbox from the first message on, but the answer says that it is a stranger."""
    assert (await bus.send_message("pink", "x")).known is False
    await bus.heartbeat("pink", consumer="pink@host:1:abc")
    assert (await bus.send_message("pink", "x")).known is True
    await bus.heartbeat("plain")
    assert (await bus.send_message("plain", "x")).known is True
    assert (await bus.send_message("pin", "x")).known is False
    async with bus.inbox("reader") as inbox:
        await bus.send_message("reader", "x")
        await take(inbox, 1)
        assert (await bus.send_message("reader", "x")).known is True


async def test_a_full_mailbox_refuses_and_drops_nothing(mail: Mail, raw: Any, box: str) -> None:
    """At its bound a mailbox says so; what stands in it stays."""
    pipe = raw.pipeline(transaction=False)
    for _ in range(MAILBOX_BOUND):
        pipe.xadd(box, {"type": "x", "ttl": "1h"})
    pipe.execute()
    with pytest.raises(BusBusyError, match="mailbox of pink"):
        await mail.send("pink", "x", id="refused")
    assert raw.xlen(box) == MAILBOX_BOUND
    raw.xtrim(box, maxlen=10, approximate=False)
    assert (await mail.send("pink", "x", id="refused")).outcome == "sent"


@pytest.mark.parametrize("opened", [True, False])
async def test_a_full_mailbox_makes_room_by_what_has_expired(
    bus: Bus, mail: Mail, raw: Any, opened: bool, box: str
) -> None:
    """Nobody reads, everything has expired: a new message gets in, and what went is in the log."""
    if opened:
        raw.xgroup_create(box, "inbox", id="0", mkstream=True)
    pipe = raw.pipeline(transaction=False)
    for number in range(MAILBOX_BOUND):
        pipe.xadd(box, {"type": "x", "ttl": "1" if number < 30 else ""}, id=f"{1_700_000_000_000 + number}-0")
    pipe.execute()
    assert (await mail.send("pink", "x")).outcome == "sent"
    gone = 100  # a page: those that name no ttl expire by the usual one
    assert raw.xlen(box) == MAILBOX_BOUND - gone + 1
    assert (await kinds(bus)).count("message_expired") == gone
    if opened:
        (group,) = raw.xinfo_groups(box)
        assert (group["lag"], group["pending"], group["consumers"]) == (MAILBOX_BOUND - gone + 1, 0, 0)


@pytest.mark.everywhere
async def test_an_expired_message_is_dropped_with_an_event(bus: Bus, mail: Mail, raw: Any, box: str) -> None:
    """What nobody read in time is not read at all, and the log and the inbox say so."""
    raw.xadd(box, {"type": "old", "ttl": "1"}, id="1700000000000-0")
    await mail.send("pink", "fresh")
    async with mail.inbox("pink") as inbox:
        (letter,) = await take(inbox, 1)
        assert letter.payload == b"fresh"
        await eventually(lambda: inbox.expired == 1)
        assert raw.xlen(box) == 1
    assert "message_expired" in await kinds(bus)


async def test_a_message_that_expires_in_the_hands_of_a_slow_reader_is_not_read(bus: Bus) -> None:
    """The time to live is looked at again when the reader comes to the message; the engine has the last word."""
    clock = ManualClock()
    async with mailing(bus, clock=clock) as mail, mail.inbox("pink") as inbox:
        await mail.send("pink", "first")
        await mail.send("pink", "second", ttl=3600)
        await mail.send("pink", "third", ttl=7200)
        await take(inbox, 1)
        await eventually(lambda: len(inbox.holds) == 3)
        # Only this process believes that an hour has passed: the engine disagrees, and both are read after all.
        clock.advance(3601)
        assert {letter.payload for letter in await take(inbox, 2)} == {b"second", b"third"}
        assert inbox.expired == 0


@pytest.mark.everywhere(but="cluster", soak=True)  # An engine knows its own clients only.
async def test_one_connection_serves_many_mailboxes(bus: Bus, raw: Any) -> None:
    """A process with two hundred agents reads all their mail over one waiting connection."""
    agents = [f"agent-{number}" for number in range(200)]
    async with mailing(bus) as mail, contextlib.AsyncExitStack() as stack:
        inboxes = [await stack.enter_async_context(mail.inbox(agent)) for agent in agents]
        await asyncio.gather(*(mail.send(agent, agent) for agent in agents))
        letters = [letter for inbox in inboxes for letter in await take(inbox, 1)]
        assert [letter.payload.decode() for letter in letters] == agents
        assert sum("xreadgroup" in client["cmd"] for client in raw.client_list()) <= 1
        assert all(await asyncio.gather(*(letter.ack() for letter in letters)))


async def test_a_mailbox_opened_later_is_read_at_once(mail: Mail) -> None:
    """An inbox that opens while the process waits for others gets its mail too."""
    async with mail.inbox("first") as first:
        await mail.send("first", "1")
        await take(first, 1)
        async with mail.inbox("second") as second:
            await mail.send("second", "2")
            assert (await take(second, 1))[0].payload == b"2"


async def test_a_reader_that_acknowledges_nothing_is_given_no_more(mail: Mail, raw: Any, box: str) -> None:
    """At its window an inbox stops reading, and goes on when something is acknowledged."""
    for number in range(10):
        await mail.send("pink", str(number))
    async with mail.inbox("pink", window=4) as inbox:
        letters = await take(inbox, 4)
        assert raw.xpending(box, "inbox")["pending"] == 4
        for letter in letters:
            await letter.ack()
        assert [letter.payload for letter in await take(inbox, 4)] == [b"4", b"5", b"6", b"7"]


async def test_a_reader_that_waits_for_itself_is_said_to(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """A full window in which nothing is acknowledged any more is a line in the log, and a busy one is none."""
    async with mailing(bus) as mail, mail.inbox("pink", window=2, lease_s=0.2) as inbox:
        for number in range(6):
            await mail.send("pink", str(number))
        for _ in range(4):
            await (await take(inbox, 1))[0].ack()
        assert caplog.messages == []
        await take(inbox, 2)
        await eventually(lambda: "2 messages wait to be acknowledged" in caplog.text)


@pytest.mark.everywhere
async def test_what_a_closed_inbox_held_is_read_by_the_next_at_once(bus: Bus) -> None:
    """Closing gives back what was not acknowledged; what was never looked at counts as never delivered."""
    async with mailing(bus) as one, mailing(bus) as two:
        for number in range(3):
            await one.send("pink", str(number))
        async with one.inbox("pink", lease_s=3600) as inbox:
            await take(inbox, 1)
            await eventually(lambda: len(inbox.holds) == 3)
        async with two.inbox("pink", lease_s=3600) as inbox:
            letters = await take(inbox, 3)
    assert sorted((letter.payload, letter.deliveries) for letter in letters) == [(b"0", 2), (b"1", 1), (b"2", 1)]


@pytest.mark.everywhere
async def test_two_readers_of_one_mailbox_share_its_messages(bus: Bus, raw: Any, box: str) -> None:
    """Each message goes to one of them."""
    seen: list[bytes] = []

    async def read(mail: Mail) -> None:
        async for letter in mail.inbox("pink", window=2):
            seen.append(letter.payload)
            await letter.ack()

    async with mailing(bus) as one, mailing(bus) as two:
        readers = [asyncio.create_task(read(mail)) for mail in (one, two)]
        await asyncio.gather(*(one.send("pink", str(number)) for number in range(100)))
        await eventually(lambda: len(seen) == 100)
        await eventually(lambda: raw.xlen(box) == 0)
    await asyncio.wait_for(asyncio.gather(*readers), 5)
    assert len(set(seen)) == 100


@pytest.mark.everywhere
async def test_a_killed_reader_loses_nothing(bus: Bus, bus_url: str, mail: Mail) -> None:
    """What a reader had taken when it was killed is read by another when its lease is over."""
    await mail.send("pink", "x", id="precious")
    process = hanging_reader(bus_url)
    try:
        assert process.stdout is not None
        assert (await asyncio.to_thread(process.stdout.readline)).strip() == "precious"
        process.send_signal(signal.SIGKILL)
        async with mail.inbox("pink", lease_s=1.0) as inbox:
            (letter,) = await take(inbox, 1)
            assert (letter.id, letter.deliveries) == ("precious", 2)
            assert await letter.ack()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def test_a_reader_under_a_lasting_name_finds_its_own_mail_first(bus: Bus, raw: Any, box: str) -> None:
    """An agent that comes back under its name reads what it had in hand, before anything new, without waiting."""
    raw.xgroup_create(box, "inbox", id="0", mkstream=True)
    async with mailing(bus, consumer="pink@here") as mail:
        await mail.send("pink", "in hand")
        raw.xreadgroup("inbox", "pink@here", {box: ">"})
        await mail.send("pink", "new")
        async with mail.inbox("pink") as inbox:
            letters = await take(inbox, 2)
    assert [(letter.payload, letter.deliveries) for letter in letters] == [(b"in hand", 2), (b"new", 1)]


@pytest.mark.everywhere(but="cluster", soak=True)  # An engine knows its own clients only.
async def test_messages_whose_reply_was_lost_are_read_all_the_same(bus: Bus, raw: Any, box: str) -> None:
    """What the engine delivered to this process and never reached it is found in its own books."""
    async with mailing(bus) as mail, mail.inbox("pink", lease_s=0.4) as inbox:
        await eventually(lambda: raw.exists(box))
        raw.client_kill_filter(_type="normal", skipme=True)
        pipe = raw.pipeline()
        pipe.xadd(box, {"type": "x"})
        pipe.xreadgroup("inbox", mail._postman.consumer, {box: ">"})
        entry, _ = pipe.execute()
        (letter,) = await take(inbox, 1)
        assert letter.entry_id == entry


@pytest.mark.everywhere
async def test_a_reader_that_comes_back_from_the_dead_acknowledges_nothing(bus: Bus, raw: Any, box: str) -> None:
    """Whose message passed to another is told so, and the other keeps it."""
    async with mailing(bus) as mail, mail.inbox("pink") as inbox:
        await mail.send("pink", "x")
        (letter,) = await take(inbox, 1)
        raw.xclaim(box, "inbox", "somebody", 0, [letter.entry_id])
        assert await letter.ack() is False
        assert raw.xlen(box) == 1
        assert inbox.holds == ()


async def test_a_message_in_hand_is_not_given_to_another_however_long_it_takes(bus: Bus, raw: Any, box: str) -> None:
    """A live reader renews what it holds: its messages never look abandoned."""
    async with mailing(bus) as mail, mail.inbox("pink", lease_s=0.4) as inbox:
        await mail.send("pink", "x")
        (letter,) = await take(inbox, 1)
        taken_over = []
        for _ in range(20):
            await asyncio.sleep(0.05)
            taken_over += raw.xautoclaim(box, "inbox", "somebody", 400, count=10)[1]
        assert taken_over == []
        assert await letter.ack()


@pytest.mark.everywhere
async def test_a_payload_deleted_while_it_was_pending_is_counted(bus: Bus, raw: Any, box: str) -> None:
    """Somebody deletes an entry that a dead reader held: it is not silently forgotten."""
    async with mailing(bus) as mail:
        await mail.send("pink", "x")
        raw.xgroup_create(box, "inbox", id="0")
        ((_, ((entry, _),)),) = raw.xreadgroup("inbox", "dead", {box: ">"})
        raw.xdel(box, entry)
        async with mail.inbox("pink", lease_s=0.4) as inbox:
            await eventually(lambda: inbox.lost == 1)
            assert raw.xpending(box, "inbox")["pending"] == 0
    assert "lost_payload" in await kinds(bus)


async def test_readers_that_died_long_ago_leave_the_group(bus: Bus, raw: Any, box: str) -> None:
    """A consumer that holds nothing and has been silent for an hour is removed when the mailbox is opened."""
    raw.xgroup_create(box, "inbox", id="0", mkstream=True)
    raw.xgroup_createconsumer(box, "inbox", "young")
    async with mailing(bus) as mail, mail.inbox("pink") as inbox:
        await mail.send("pink", "x")
        await (await take(inbox, 1))[0].ack()
        assert len(raw.xinfo_consumers(box, "inbox")) == 2
    assert [consumer["name"] for consumer in raw.xinfo_consumers(box, "inbox")] == ["young"]


@pytest.mark.everywhere
async def test_a_deleted_mailbox_is_served_again(mail: Mail, raw: Any) -> None:
    """When somebody deletes everything under a waiting reader, new mail flows at once."""
    async with mail.inbox("pink") as inbox:
        await mail.send("pink", "1")
        await (await take(inbox, 1))[0].ack()
        raw.flushall()
        raw.script_flush()
        await mail.send("pink", "2")
        assert (await take(inbox, 1))[0].payload == b"2"


async def test_a_mailbox_of_the_wrong_type_does_not_stop_the_others(mail: Mail, raw: Any, box: str) -> None:
    """The reader of a broken mailbox is told which key it is; the others read on."""
    raw.set(box, "mine")
    async with mail.inbox("harold") as well, mail.inbox("pink") as broken:
        with pytest.raises(BusError, match=re.escape(box)):
            await anext(broken)
        await mail.send("harold", "x")
        assert len(await take(well, 1)) == 1
    assert raw.get(box) == "mine"


@pytest.mark.everywhere
async def test_a_key_of_the_wrong_type_fails_the_message_for_it_alone(mail: Mail, raw: Any, box: str) -> None:
    """Messages that travel together do not fail together: the one that cannot be sent is named."""
    raw.set(box, "mine")
    answers = await asyncio.gather(
        *(mail.send(agent, "x", id=agent) for agent in ("brain", "pink", "harold")), return_exceptions=True
    )
    assert [getattr(answer, "outcome", None) for answer in answers] == ["sent", None, "sent"]
    assert "message pink to pink was not sent: WRONGTYPE" in str(answers[1])


async def test_readers_go_on_when_the_engine_was_killed(tmp_path: Path) -> None:
    """After kill -9 and a restart every message that was sent is read, and nobody had to reconnect by hand."""
    engine = Engine(tmp_path / "engine")
    engine.start()
    seen: set[bytes] = set()

    async def read(mail: Mail) -> None:
        async for letter in mail.inbox("pink", lease_s=1.0):
            seen.add(letter.payload)
            await letter.ack()

    async def produce(mail: Mail) -> None:
        for number in range(200):
            await mail.send("pink", str(number), id=str(number))

    try:
        async with Bus.connect(engine.url) as bus, mailing(bus) as mail:
            reader, producer = asyncio.create_task(read(mail)), asyncio.create_task(produce(mail))
            await eventually(lambda: len(seen) > 30)
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            await asyncio.to_thread(engine.stop)
            await asyncio.to_thread(engine.start)
            await producer
            await eventually(lambda: len(seen) == 200, timeout=30)
            await eventually(lambda: _length(bus), timeout=30)
            await mail.close()
            await reader
    finally:
        engine.stop()


async def _length(bus: Bus) -> bool:
    return bool(await bus.connection.command("XLEN", bus.keys.mailbox("pink")) == 0)


@pytest.mark.everywhere
async def test_closing_ends_the_iteration_and_leaves_nothing_behind(bus: Bus, raw: Any, box: str) -> None:
    """Whoever waits for the next message when the bus closes is let go; the process leaves the group."""
    async with mailing(bus) as mail:
        inbox = mail.inbox("pink")
        waiting = asyncio.create_task(_drain(inbox))
        await eventually(lambda: raw.exists(box))
    await asyncio.wait_for(waiting, 5)
    assert raw.xinfo_consumers(box, "inbox") == []
    with pytest.raises(BusError, match="closed"):
        await anext(mail.inbox("pink"))


async def _drain(inbox: Inbox) -> None:
    async for _ in inbox:
        pass


@pytest.mark.parametrize(
    ("agent", "options", "problem"),
    [
        ("", {}, "to"),
        ("@pink", {}, "to"),
        ("a b", {}, "to"),
        ("pink", {"ttl": 0}, "ttl"),
        ("pink", {"id": ""}, "id"),
        ("pink", {"id": "x" * 201}, "id"),
        ("pink", {"payload": b"x" * (256 * 1024 + 1)}, "payload"),
        ("pink", {"payload": {1, 2}}, "payload"),
    ],
)
async def test_what_cannot_be_sent_is_named(mail: Mail, agent: str, options: dict[str, Any], problem: str) -> None:
    """A field that cannot be taken is refused before anything is sent, and named."""
    with pytest.raises(UsageError, match=f"^{problem}:"):
        await mail.send(agent, **options)


async def test_one_mailbox_is_read_by_one_inbox_of_a_process(mail: Mail) -> None:
    """A second inbox of the same agent in one process is refused instead of silently sharing."""
    async with mail.inbox("pink"):
        with pytest.raises(UsageError, match="already"):
            await anext(mail.inbox("pink"))
    async with mail.inbox("pink"):
        pass
