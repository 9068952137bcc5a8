"""The event log, and the link: what a reader is told."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from observatory.bus import Bus
from observatory.bus.keys import day_of
from observatory.model.errors import BusError, BusUnreachableError, UsageError
from observatory.model.snapshot import LinkState
from observatory.model.task import NewTask

if TYPE_CHECKING:
    from collections.abc import Iterator


async def test_pages_go_back_in_time_across_days(bus: Bus, raw: Any) -> None:
    """Walking back page by page shows every fact once, newest first, through midnight."""
    raw.xadd("cortex:events:2001-09-09", {"kind": "published", "task": "ancient"})
    for number in range(5):
        await bus.publish("x", id=f"t-{number}")
    seen: list[str] = []
    after = None
    while True:
        page = await bus.events(after=after, limit=2)
        seen += [event.task for event in page.items]
        if (after := page.after) is None:
            break
    assert seen == ["t-4", "t-3", "t-2", "t-1", "t-0"]


async def test_following_the_log_shows_what_happens_from_now_on(bus: Bus) -> None:
    """A follower sees new facts in order, and none from before."""
    await bus.publish("x", id="before")
    seen: list[int] = []

    async def publish_on_and_on() -> None:
        for number in itertools.count():
            await bus.publish("x", id=str(number))

    publishing = asyncio.create_task(publish_on_and_on())
    try:
        async for event in bus.tail():
            seen.append(int(event.task))
            if len(seen) == 50:
                break
    finally:
        publishing.cancel()
        await asyncio.wait({publishing})
    assert seen == list(range(seen[0], seen[0] + 50))


async def test_the_view_of_an_agent_is_what_it_did_and_what_came_to_it(bus: Bus, raw: Any) -> None:
    """Its own deeds, its queue and its mailbox; not the deeds of others, nor those of whom its name begins with."""
    await bus.publish("x", id="to-pink", queue="@pink")
    await bus.publish("x", id="from-pink", sender="pink")
    await bus.publish("x", id="of-pinkerton", sender="pinkerton", queue="@pinkerton")
    await bus.send_message("pink", "hello", id="note")
    worker = bus.worker("pink", {})
    await worker.intake.take(1)
    await worker.intake.close()
    page = await bus.events(agent="pink")
    told = [(event.kind, event.task) for event in page.items]
    wanted = [("taken", "to-pink"), ("message_sent", "note"), ("published", "from-pink"), ("published", "to-pink")]
    assert (told, page.after, page.searched) == (wanted, None, 5)
    assert [event.kind for event in (await bus.events(agent=worker.consumer)).items] == ["taken"]
    first = await bus.events(agent="pink", limit=1)
    assert (await bus.events(agent="pink", after=first.after)).items == page.items[1:]


async def test_the_view_of_an_agent_says_how_far_it_looked(bus: Bus) -> None:
    """A page ends after ten thousand facts of others, and goes on from there."""
    await bus.publish("x", id="long-ago", sender="pink")
    for first in range(0, 10_240, 1024):
        await bus.publish_many([NewTask("x", b"", f"t-{first + number}") for number in range(1024)])
    page = await bus.events(agent="pink")
    assert (page.items, page.searched) == ((), 10_000)
    assert [event.task for event in (await bus.events(agent="pink", after=page.after)).items] == ["long-ago"]


async def test_following_an_agent_shows_nothing_of_others(bus: Bus) -> None:
    """The rest of the log goes by unseen."""
    start = await bus.publish("x")
    for sender in ("red", "pink", "red", "pink"):
        await bus.publish("x", id=f"{sender}-{uuid.uuid4().hex}", sender=sender)
    following = bus.tail(f"{int(start.entry_id.partition('-')[0]) - 1}-0", agent="pink")
    assert [(await anext(following)).task.partition("-")[0] for _ in range(2)] == ["pink", "pink"]


async def test_days_without_events_are_passed_at_once(bus: Bus) -> None:
    """Following from two weeks ago comes to what happens now without waiting a second for each empty day."""
    await bus.publish("x", id="now")
    fortnight = bus.clock.now_ms() - 13 * 86_400_000
    assert (await asyncio.wait_for(anext(bus.tail(f"{fortnight}-0")), 8)).task == "now"


async def test_a_malformed_event_is_shown_as_far_as_it_can_be(bus: Bus, raw: Any) -> None:
    """A foreign entry in the log does not stop its reader."""
    await bus.publish("x")
    day = next(key for key in raw.keys("cortex:events:*"))
    raw.xadd(day, {"kind": "strange\x1b", "ms": "soon", "attempt": "many"})
    newest = (await bus.events(limit=1)).items[0]
    assert (newest.kind, newest.ms, newest.attempt) == ("strange\x1b", None, 0)


@pytest.mark.parametrize(
    "url", ["", "ftp://127.0.0.1:6379", "127.0.0.1:6379", "redis://host:port", "unix://", "redis://h/not-a-number"]
)
def test_a_wrong_url_is_named_before_anything_is_tried(url: str) -> None:
    """What cannot be an address is said to be none."""
    with pytest.raises(UsageError, match="URL"):
        Bus.connect(url)


def test_a_password_in_a_url_is_never_shown(bus_url: str) -> None:
    """Errors and screens show addresses, not secrets."""
    secret = bus_url.partition("password=")[2]
    assert secret
    assert secret not in Bus.connect(bus_url).url
    assert Bus.connect("redis://me:s3cr:t@h:1/0").url == "redis://me:***@h:1/0"
    assert Bus.connect("redis://:s3cret@h:1/0").url == "redis://:***@h:1/0"


@pytest.fixture
def http_server() -> Iterator[int]:
    """The port of something that speaks HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


async def test_something_else_behind_the_port_is_said_to_be_no_redis(http_server: int) -> None:
    """Connecting to a web server says what is wrong."""
    with pytest.raises(BusUnreachableError, match="not a Redis"):
        await Bus.connect(f"redis://127.0.0.1:{http_server}").open(deadline_s=3)


async def test_a_wrong_password_is_said_at_once(bus_url: str) -> None:
    """Refused credentials are not retried."""
    url = bus_url.partition("password=")[0] + "password=wrong"
    with pytest.raises(BusUnreachableError, match="refuses the credentials"):
        await Bus.connect(url).open(deadline_s=60)


async def test_nobody_listening_is_unreachable(unused_tcp_port: int) -> None:
    """A refused connection names the address."""
    bus = Bus.connect(f"redis://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(BusUnreachableError, match=str(unused_tcp_port)):
        await bus.open(deadline_s=0.2)
    assert bus.link.state is LinkState.LOST


@pytest.mark.parametrize(
    "url", ["redis://me:hun/ter2@host:1", "redis://me:a@hunter2@host", "redis://:x:hunter2@h:port"]
)
def test_a_password_that_breaks_the_url_is_not_told_either(url: str) -> None:
    """Neither the address nor the error shows any part of an ill-written secret."""
    try:
        shown = Bus.connect(url).url
    except UsageError as error:
        shown = str(error)
    assert "hun" not in shown
    assert "ter2" not in shown


async def test_following_from_days_back_shows_the_days_between(bus: Bus, raw: Any) -> None:
    """A follower that was away catches up day by day."""
    now = datetime.now(UTC)
    start = ""
    for back in (2, 1):
        day = (now - timedelta(days=back)).date()
        moment = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1000)
        raw.xadd(f"cortex:events:{day.isoformat()}", {"kind": "published", "task": f"back-{back}"}, id=f"{moment}-1")
        start = start or f"{moment}-0"
    await bus.publish("x", id="today")
    seen = []
    async for event in bus.tail(start):
        seen.append(event.task)
        if event.task == "today":
            break
    assert seen == ["back-2", "back-1", "today"]


async def test_a_key_that_is_no_stream_is_named(bus: Bus, raw: Any) -> None:
    """Whoever reads the log learns which key is in its place."""
    today = day_of(int(raw.time()[0]) * 1000)
    raw.set(f"cortex:events:{today}", "x")
    with pytest.raises(BusError, match=f"the key cortex:events:{today} holds something else"):
        await bus.events()
