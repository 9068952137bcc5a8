"""What a person types becomes a task, or an error that names the field."""

from __future__ import annotations

import pytest

from observatory.model.clock import ManualClock
from observatory.model.draft import TaskDraft, sortable_id
from observatory.model.errors import UsageError
from observatory.model.task import NewTask, Priority


def parse(**fields: str) -> NewTask:
    return TaskDraft.parse(**{"type": "code_task", **fields}, clock=ManualClock())


def test_a_draft_becomes_the_task_that_was_meant() -> None:
    """Every field of the form arrives in the task, durations as seconds."""
    task = parse(to="@pink", priority="critical", ttl="5m", delay="30s", payload='{"a": 1}')
    assert (task.type, task.queue, task.priority) == ("code_task", "@pink", Priority.CRITICAL)
    assert (task.ttl_s, task.delay_s) == (300.0, 30.0)
    assert (task.payload, task.content_type) == (b'{"a": 1}', "application/json")
    assert task.created_ms == ManualClock().now_ms()


def test_what_is_left_empty_takes_the_defaults() -> None:
    """Only the type must be given."""
    task = parse(to="", ttl="", delay="", payload="")
    assert (task.queue, task.priority, task.ttl_s, task.delay_s) == ("shared", Priority.NORMAL, 3600.0, 0.0)
    assert (task.payload, task.content_type) == (b"", "")


def test_the_first_letters_of_a_priority_are_enough() -> None:
    """`c` is critical, in any case."""
    assert parse(priority="C").priority is Priority.CRITICAL
    assert parse(priority="lo").priority is Priority.LOW


def test_text_that_does_not_start_like_json_is_text() -> None:
    """A plain sentence may be a payload and is labelled as text."""
    assert parse(payload="look at the logs").content_type.startswith("text/plain")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": " "}, "type: say what kind"),
        ({"type": "a\x1b[31m"}, "type: contains characters"),
        ({"type": "x" * 300}, "type: "),
        ({"to": "no queue!"}, "to: 'no queue!' is no queue"),
        ({"to": "dlq"}, "to: 'dlq' is no queue"),
        ({"priority": "soon"}, "priority: 'soon' is none of critical"),
        ({"ttl": "0"}, "ttl: must be longer"),
        ({"ttl": "five minutes"}, "ttl: 'five minutes' is not a duration"),
        ({"ttl": "9999d"}, "ttl: longer than a year"),
        ({"delay": "-5s"}, "delay: '-5s' is not a duration"),
        ({"payload": '{"a": }'}, "payload: not JSON at line 1, column 7"),
        ({"payload": "[NaN]"}, "payload: NaN is not JSON"),
        ({"payload": "[" * 100_000}, "payload: "),
        ({"payload": "x" * 300_000}, "payload: 300,000 bytes"),
        ({"payload": "\ud800"}, "payload: contains characters that UTF-8"),
    ],
)
def test_what_cannot_be_taken_names_field_and_reason(fields: dict[str, str], expected: str) -> None:
    """Each wrong field is one line that starts with its name."""
    with pytest.raises(UsageError) as caught:
        parse(**fields)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_ids_made_later_sort_later() -> None:
    """The id carries the clock, so that a list of ids is a list in time."""
    clock = ManualClock()
    first = sortable_id(clock)
    clock.advance(0.001)
    assert first < sortable_id(clock)
    assert first[14] == "7"
