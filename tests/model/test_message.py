"""Messages on the wire: what we write, and what we make of what others write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.message import Broadcast, Gap, Message, NewMessage, ReplyStatus, encode_message, read_reply
from observatory.model.task import DEFAULT_TTL_S
from observatory.model.wire import pairs

ARRIVED = 1_770_378_300_000
ENTRY = f"{ARRIVED}-0"

NAMES = st.sampled_from(
    b"id task_id ID type from to payload data ttl created_at priority attempt arrived trace role v json mine".split()
) | st.binary(max_size=6)
VALUES = st.binary(max_size=40) | st.sampled_from(
    [b"", b"null", b"30s", b"-1", b"nan", b"inf", b"1e999", b"2026-02-06T11:45:00Z", b'{"id": "a", "type": "b"}']
)
ENTRIES = st.lists(st.tuples(NAMES, VALUES), max_size=12)


def read(**fields: str) -> Message:
    """Read an entry in pink's mailbox."""
    return Message.read("pink", ENTRY, [(name.encode(), value.encode()) for name, value in fields.items()])


def test_a_message_is_read_back_as_it_was_sent() -> None:
    """Every field of a message survives the way through a mailbox."""
    new = NewMessage(
        payload=b"\x00\xff",
        id="m-1",
        to="pink",
        type="note",
        sender="harold",
        content_type="image/png",
        created_ms=ARRIVED - 5,
        ttl_s=1.5,
        correlation_id="c",
        reply_to="r",
    )
    message = Message.read("pink", ENTRY, pairs(encode_message(new)))
    assert (message.id, message.to, message.type, message.sender) == ("m-1", "pink", "note", "harold")
    assert (message.payload, message.content_type, message.ttl_s) == (b"\x00\xff", "image/png", 1.5)
    assert (message.created_ms, message.arrived_ms) == (ARRIVED - 5, ARRIVED)
    assert (message.correlation_id, message.reply_to) == ("c", "r")
    assert (message.notes, message.extra) == ((), {})


def test_fields_stand_in_the_documented_order() -> None:
    """Whoever reads a mailbox by hand finds the fields of the README, in its order."""
    flat = encode_message(NewMessage(payload=b"", id="m", to="pink"))
    assert b" ".join(flat[::2]) == (b"id from to type payload content_type created_at ttl correlation_id reply_to v")
    assert dict(pairs(flat))[b"ttl"] == b"3600"


def test_a_broadcast_carries_no_time_to_live() -> None:
    """What is said to all is bounded by the length of the stream alone."""
    assert dict(pairs(encode_message(NewMessage(payload=b"", id="m"))))[b"ttl"] == b""


def test_a_foreign_message_is_understood() -> None:
    """Other names, another unit of time and no id are forgiven, and said to be."""
    message = read(body="hi", sender="go", max_age="5m", mine="kept", priority="high", role="dev")
    assert (message.payload, message.sender, message.ttl_s) == (b"hi", "go", 300.0)
    assert message.id == f"x-pink-{ENTRY}"
    assert message.extra == {b"mine": b"kept", b"priority": b"high", b"role": b"dev"}
    assert len(message.notes) == 1


def test_the_mailbox_decides_whom_a_message_is_for() -> None:
    """A message that names somebody else still belongs to the mailbox that it stands in."""
    assert read(to="harold", type="x").to == "pink"


def test_an_entry_that_says_nothing_is_still_a_message() -> None:
    """What has neither type nor payload reaches the reader, with a note."""
    message = read(id="empty", mine="kept")
    assert (message.id, message.payload, message.extra) == ("empty", b"", {b"mine": b"kept"})
    assert message.notes == ("neither a type nor a payload",)
    assert Message.read("pink", ENTRY, ()).notes == ("an empty entry",)


def test_a_message_expires_when_its_time_from_arrival_is_over() -> None:
    """The end of the time to live is counted from arrival, by the time of the server."""
    message = read(type="x", ttl="2")
    assert not message.is_expired(ARRIVED + 2000)
    assert message.is_expired(ARRIVED + 2001)
    assert read(type="x").ttl_s == DEFAULT_TTL_S


@given(ENTRIES)
def test_reading_a_mailbox_never_fails(fields: list[tuple[bytes, bytes]]) -> None:
    """Whatever stands in a mailbox or among the broadcasts is read, keeps its raw form, and reads the same again."""
    message = Message.read("pink", ENTRY, fields)
    assert message.fields == tuple(fields)
    assert message.id
    assert message == Message.read("pink", ENTRY, fields)
    assert Broadcast.read(ENTRY, fields).payload == message.payload


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({}, ReplyStatus.DONE, ""),
        ({"STATUS": "dead", "Error": "boom"}, ReplyStatus.DEAD, "boom"),
        ({"status": "snoozed"}, "snoozed", ""),
    ],
)
def test_a_reply_says_how_the_task_ended(fields: dict[str, str], status: str, error: str) -> None:
    """A reply without a status is an answer; a status that we do not know is kept as it is."""
    reply = read_reply(ENTRY, [(name.encode(), value.encode()) for name, value in fields.items()])
    assert (reply.status, reply.error) == (status, error)


@given(ENTRIES)
def test_reading_a_reply_never_fails(fields: list[tuple[bytes, bytes]]) -> None:
    """Whatever a foreign worker answers is read."""
    assert read_reply(ENTRY, fields).entry_id == ENTRY


def test_a_gap_says_what_it_knows() -> None:
    """A gap has a begin and an end in time where they are known, and no count."""
    gap = Gap("5-1", "9-0")
    assert (gap.since_ms, gap.until_ms) == (5, 9)
    assert (Gap("0-0", "").since_ms, Gap("0-0", "").until_ms) == (None, None)
