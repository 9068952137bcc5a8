"""Entries on the wire: what we write, and what we make of what others write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.task import DEFAULT_TTL_S, Lane, NewTask, Priority, Task
from observatory.model.wire import Malformed, duration_s, encode, read_any_entry, read_dead_letter, read_entry, rfc3339

HIGH = Lane("shared", Priority.HIGH)
ARRIVED = 1_770_378_300_000
ENTRY = f"{ARRIVED}-0"

NAMES = st.sampled_from(
    [
        b"id",
        b"task_id",
        b"ID",
        b"type",
        b"kind",
        b"from",
        b"payload",
        b"data",
        b"ttl",
        b"created_at",
        b"ts",
        b"priority",
        b"attempt",
        b"arrived",
        b"v",
        b"json",
        b"mine",
    ]
) | st.binary(max_size=6)
VALUES = st.binary(max_size=40) | st.sampled_from(
    [
        b"",
        b"null",
        b"30s",
        b"5m",
        b"1e3",
        b"-1",
        b"nan",
        b"inf",
        b"1e999",
        b"2026-02-06T11:45:00Z",
        b"9" * 30,
        b'{"id": "a", "type": "b"}',
        b"[object Object]",
        b"\xff\xfe",
    ]
)


def read(**fields: str | bytes) -> Task:
    """Read an entry that must be a task."""
    raw = tuple(
        (name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in fields.items()
    )
    task = read_entry(HIGH, ENTRY, raw)
    assert isinstance(task, Task)
    return task


def test_what_we_write_is_read_back_as_it_was() -> None:
    """Every field of a published task survives the way through a stream."""
    new = NewTask(
        "code_task",
        b'{"a": 1}',
        "t-1",
        queue="@pink",
        priority=Priority.HIGH,
        sender="harold",
        content_type="application/json",
        created_ms=ARRIVED - 5,
        ttl_s=90,
        correlation_id="c",
        reply_to="r",
        trace="t",
        role="dev",
        extra={b"mine": b"\xff"},
    )
    task = read_entry(new.lane, ENTRY, zip(*encode(new), strict=True))
    assert isinstance(task, Task)
    assert (task.id, task.type, task.payload, task.sender, task.to) == (
        "t-1",
        "code_task",
        b'{"a": 1}',
        "harold",
        "pink",
    )
    assert (task.created_ms, task.arrived_ms, task.ttl_s, task.attempt) == (ARRIVED - 5, ARRIVED, 90, 1)
    assert (task.correlation_id, task.reply_to, task.trace, task.role) == ("c", "r", "t", "dev")
    assert task.extra == {b"mine": b"\xff"}
    assert task.notes == ()


def test_the_example_of_the_wire_format_is_read() -> None:
    """The entry that agents in the field send today needs no forgiveness."""
    task = read(
        id="task-001",
        type="code_task",
        **{"from": "harold"},
        to="pink",
        priority="high",
        payload="{}",
        created_at="2026-02-06T11:45:00Z",
        ttl="3600",
    )
    assert (task.id, task.sender, task.to, task.ttl_s, task.notes) == ("task-001", "harold", "pink", 3600.0, ())
    assert task.created_ms == ARRIVED


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"task_id": "a", "kind": "deploy", "sender": "red", "body": "x"}, ("a", "deploy", "red", b"x")),
        ({"MESSAGE_ID": "a", "Type": "deploy", "Source": "red", "Data": "x"}, ("a", "deploy", "red", b"x")),
        ({"data": '{"id": "a", "type": "deploy", "from": "red", "payload": "x"}'}, ("a", "deploy", "red", b"x")),
        ({"json": '{"uuid": "a", "event": "deploy", "agent": "red", "message": "x"}'}, ("a", "deploy", "red", b"x")),
        (
            {"type": "deploy", "id": "null", "from": "undefined", "payload": "x"},
            (f"x-high-{ENTRY}", "deploy", "", b"x"),
        ),
    ],
)
def test_other_names_are_understood(fields: dict[str, str], expected: tuple[str, str, str, bytes]) -> None:
    """Aliases in any case, one level of JSON around them, and words for nothing are read for what they mean."""
    task = read(**fields)
    assert (task.id, task.type, task.sender, task.payload) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("5m", 300), ("500ms", 0.5), ("2h", 7200), ("1d", 86400), ("1e3", 1000), ("1.5 h", 5400)],
)
def test_durations_are_read_with_their_units(text: str, seconds: float) -> None:
    """A ttl may carry a unit."""
    assert duration_s(text) == seconds
    assert read(type="x", ttl=text).ttl_s == seconds


@pytest.mark.parametrize("text", ["soon", "-5", "0", "", "[object Object]"])
def test_a_ttl_that_means_nothing_is_the_default(text: str) -> None:
    """An unreadable time to live does not lose the task."""
    assert read(type="x", ttl=text).ttl_s == DEFAULT_TTL_S


@pytest.mark.parametrize(
    "text",
    [
        "1770378300",
        "1770378300000",
        "1770378300000000",
        "1770378300000000000",
        "2026-02-06T11:45:00.000000000Z",
        "2026-02-06T12:45:00+01:00",
    ],
)
def test_times_are_read_by_magnitude(text: str) -> None:
    """Seconds, milliseconds, microseconds, nanoseconds and RFC 3339 name the same moment."""
    assert read(type="x", timestamp=text).created_ms == ARRIVED


def test_a_creation_time_in_the_future_is_not_believed() -> None:
    """A sender whose clock runs ahead cannot make its task younger than its arrival."""
    task = read(type="x", created_at=str(ARRIVED + 3_600_000))
    assert task.created_ms == ARRIVED
    assert "creation time is in the future" in task.notes


def test_the_lane_beats_the_priority_field() -> None:
    """A task is as urgent as the lane it stands in, and the disagreement is told."""
    task = read(type="x", priority="low")
    assert task.lane.priority is Priority.HIGH
    assert task.notes == ("says priority low, stands in high",)


@pytest.mark.parametrize("fields", [(), ((b"foo", b"bar"),), ((b"id", b"a"),)])
def test_what_cannot_be_a_task_is_kept_as_it_is(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    """An entry with neither type nor payload is malformed, and its raw fields stay with it."""
    entry = read_entry(HIGH, ENTRY, fields)
    assert isinstance(entry, Malformed)
    assert entry.fields == fields


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_reading_never_raises_and_loses_nothing(fields: list[tuple[bytes, bytes]]) -> None:
    """Whatever stands in a lane is read the same way twice, and its raw fields survive verbatim."""
    entry = read_entry(HIGH, ENTRY, fields)
    assert entry == read_entry(HIGH, ENTRY, fields)
    assert entry.fields == tuple(fields)
    letter = read_dead_letter(ENTRY, fields)
    assert letter.fields == tuple(fields)


@given(st.lists(VALUES, min_size=10, max_size=10), st.booleans(), st.sampled_from(["shared", "@red"]), st.booleans())
def test_the_short_way_leads_to_the_same_task(values: list[bytes], usual: bool, queue: str, typed: bool) -> None:
    """An entry in our own form is read as the full rules read it, whatever its values."""
    kind = "application/json" if typed else ""
    task = NewTask("x", b"{}", "i", queue, Priority.HIGH, sender="s", content_type=kind, created_ms=ARRIVED)
    names, own = encode(task)
    odd = dict(zip(names, values, strict=False))
    if usual:
        odd = dict(zip(names, own, strict=True)) | {name: odd[name] for name in odd if name in {b"payload", b"to"}}
    fields = tuple(odd.items())
    assert read_entry(HIGH, ENTRY, fields) == read_any_entry(HIGH, ENTRY, fields)


def test_of_a_repeated_field_of_a_dead_letter_ours_counts() -> None:
    """An original field named like one of ours stays, and does not pass for ours."""
    letter = read_dead_letter(ENTRY, ((b"id", b"a"), (b"reason", b"because"), (b"reason", b"error")))
    assert letter.reason == "error"
    assert (b"reason", b"because") in letter.fields


def test_times_are_written_in_utc_with_milliseconds() -> None:
    """What we write is what any language reads."""
    assert rfc3339(ARRIVED + 7) == "2026-02-06T11:45:00.007Z"
