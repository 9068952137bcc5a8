"""Completion: what is offered while a filter is being typed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.filter import Filter, FilterError, complete
from observatory.model.filter.rows import AGENTS, DEAD_LETTERS

LIVE = {
    "agent": ["harold", "pink", "two words", "\x1b[31mred", "pi*"],
    "type": ["deploy", "code_task"],
    "payload": ["repo", "repo.name", "n"],
    "payload.repo": ["api", "web"],
}


def offered(text: str, fields: Any = DEAD_LETTERS) -> list[str]:
    """Return what the text becomes with each choice at the bar, the cursor."""
    cursor = text.index("|")
    bare = text.replace("|", "")
    found = complete(bare, cursor, fields, LIVE)
    return [found.apply(bare, choice)[0] for choice in found.choices]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("|", ["type:", "reason:", "error~"]),
        ("ty|", ["type:"]),
        ("TY|", ["type:"]),
        ("-ty|", ["-type:"]),
        ("(ty|", ["(type:"]),
        ("type:x ag|", ["type:x agent:"]),
        ("ag| type:x", ["agent: type:x"]),
        ("died|", ["died>", "died>=", "died<", "died<=", "died:", "died="]),
        ("type|", ["type:", "type=", "type~"]),
        ("payl|", ["payload."]),
        ("payload.|", ["payload.repo:", "payload.repo.name:", "payload.n:"]),
        ("payload.re|", ["payload.repo:", "payload.repo.name:"]),
        ("payload.repo:|", ["payload.repo:api", "payload.repo:web", "payload.repo:*"]),
        ("agent:|", ["agent:harold", "agent:pink", 'agent:"two words"', 'agent:"pi*"', "agent:*"]),
        ("agent:P|", ["agent:pink", 'agent:"pi*"']),
        ('agent:"two|', ['agent:"two words"']),
        ('agent:"t|wo" type:x', ['agent:"two words" type:x']),
        ("agent:harold,|", ["agent:harold,harold", "agent:harold,pink"]),
        ("agent:harold,pi|", ["agent:harold,pink", 'agent:harold,"pi*"']),
        ("agent!=pi|", ["agent!=pink"]),
        ("agent:p|nk type:x", ["agent:pink type:x"]),
        ("priority:|", ["priority:critical", "priority:high", "priority:normal", "priority:low"]),
        ("died>|", ["died>-5m"]),
        ("size>6|", ["size>64KB", "size>256KB"]),
        ("x o|", ["x or "]),
    ],
)
def test_what_is_offered_first(text: str, first: list[str]) -> None:
    """At the cursor stand fields, then operators of a field, then live values, written so that they can be read."""
    assert offered(text)[: len(first)] == first


@pytest.mark.parametrize("text", ['"agent|', "nofield:|", "agent.x|", "deploy |", "payload.nothing:x|"])
def test_where_nothing_is_known_nothing_wrong_is_offered(text: str) -> None:
    """In quotes and for unknown fields there is no choice; after a word, another condition or `or` may follow."""
    found = offered(text)
    assert found == [] or text == "deploy |"
    assert all(new.startswith("deploy ") for new in found)


def test_or_is_not_offered_where_it_cannot_stand() -> None:
    """At the beginning and after another `or` there is nothing that it could join."""
    assert not any(new.endswith("or ") for new in offered("|"))
    assert "deploy or " in offered("deploy |")


def test_control_characters_of_foreign_names_are_never_typed() -> None:
    """An agent with an escape sequence in its name is not offered."""
    assert all(new.isprintable() for new in offered("agent:|"))


def test_the_cursor_stands_behind_what_was_taken() -> None:
    """The next key goes on where the choice ends."""
    found = complete("ag type:x", 2, AGENTS, LIVE)
    assert found.apply("ag type:x", found.choices[0]) == ("agent: type:x", 6)


@given(st.text(st.sampled_from("agent:pik\"' ,()-.~>/*"), max_size=20), st.integers(0, 20))
def test_any_text_can_be_completed(text: str, cursor: int) -> None:
    """Whatever stands there, the answer lies within the text, and a value that is taken can be read."""
    found = complete(text, cursor, AGENTS, LIVE)
    assert 0 <= found.start <= found.end <= len(text)
    assert len(found.choices) <= 50


@pytest.mark.parametrize("text", ["agent:|", "state:|", "silent>|", "pending>3 queue:|"])
def test_every_value_that_is_offered_can_be_read(text: str) -> None:
    """Taking a choice for a value gives a filter without errors."""
    for new in offered(text, AGENTS):
        try:
            Filter(new, AGENTS, now_ms=0)
        except FilterError as error:
            pytest.fail(f"{new}: {error}")
