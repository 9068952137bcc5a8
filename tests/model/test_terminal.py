"""What may be typed to an agent in a terminal, and when its screen says that it waits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.message import Message
from observatory.model.terminal import DEFAULT_KINDS, MOST_TYPED, AgentKind, Newlines, TooLongError, kind_of, typed

LINES = AgentKind("lines", (re.compile(r"\$$"),))
EDITOR = AgentKind("editor", (re.compile(r"\$$"),), newlines=Newlines.KEEP, format="{id} {type} {from}: {text}")


def message(payload: bytes, **said: str) -> Message:
    """A message as it came from anybody."""
    fields = ((name.rstrip("_").encode(), value.encode("utf-8", "replace")) for name, value in said.items())
    return Message.read("pink", "1-0", (*fields, (b"payload", payload)))


@given(st.binary(max_size=300), st.text(max_size=20), st.sampled_from([LINES, EDITOR]))
def test_whatever_is_sent_only_printable_characters_are_typed(payload: bytes, sender: str, kind: AgentKind) -> None:
    """No byte sequence in payload, sender or type becomes a control character; line breaks stay only where wanted."""
    text = typed(kind, message(payload, from_=sender, type=sender))
    assert text.replace("\n", "").isprintable()
    assert kind is EDITOR or "\n" not in text


def test_line_breaks_go_where_nothing_would_hold_them_together() -> None:
    """A program that keeps line breaks gets none while it does not take bracketed pastes."""
    two = message(b"one\r\ntwo", id="7", type="note", from_="red")
    assert typed(EDITOR, two) == "7 note red: one\ntwo"
    assert typed(EDITOR, two, brackets=False) == "7 note red: one two"
    assert typed(LINES, two) == "[from red] one two"


def test_braces_in_a_message_are_no_fields() -> None:
    """What a message says is never taken for a part of the format."""
    assert typed(EDITOR, message(b"{id} {from} {0}", id="7", from_="{text}")) == "7 ? {text}: {id} {from} {0}"


def test_a_message_that_is_too_long_is_refused_whole() -> None:
    """Nothing is cut off silently."""
    assert len(typed(LINES, message(b"x" * (MOST_TYPED - 20)))) < MOST_TYPED
    with pytest.raises(TooLongError):
        typed(LINES, message("\N{SNOWMAN}".encode() * (MOST_TYPED // 3)))
    with pytest.raises(TooLongError):
        typed(LINES, message(b"x" * MOST_TYPED))


@pytest.mark.parametrize(
    ("kind", "screen", "ready"),
    [
        ("claude", ["│ >            │", "╰──────╯", "  ? for shortcuts"], True),
        ("claude", ["✻ Thinking… (12s · esc to interrupt)", "│ >            │"], False),
        ("claude", ["│ > half a thought │"], False),
        ("aider", ["Tokens: 2k sent", "> "], True),
        ("aider", ["> add a test", "Thinking"], False),
        ("line", ["ok", "name: ", "", ""], True),
        ("line", ["name: Jo"], False),
        ("line", [], False),
    ],
)
def test_a_screen_says_whether_its_agent_waits(kind: str, screen: list[str], ready: bool) -> None:
    """An empty prompt is ready; a busy word, half a line behind the prompt, or no prompt is not, and says why."""
    assert (not DEFAULT_KINDS[kind].why_not_ready(screen)) is ready


def test_a_shell_is_never_taken_for_an_agent() -> None:
    """Only programs that are agents are recognised; `line` must be named."""
    assert [kind_of(DEFAULT_KINDS, "", command) for command in ("bash", "zsh", "sh", "fish", "python")] == [None] * 5
    assert kind_of(DEFAULT_KINDS, "line", "bash") is DEFAULT_KINDS["line"]
    assert kind_of(DEFAULT_KINDS, "", "claude") is DEFAULT_KINDS["claude"]
    assert kind_of(DEFAULT_KINDS, "nonsense", "claude") is None
