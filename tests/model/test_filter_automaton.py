"""Expressions that cannot hang: they find what Python's own find, and patterns that kill those end at once."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from observatory.model.filter.automaton import LONGEST, Pattern

characters = st.sampled_from(list("aAb1_ -.]^"))
escaped = characters.map(re.escape)
members = st.lists(st.sampled_from([r"\d", r"\w", "a-c", "0-9", "b", r"\]", r"\-"]), min_size=1, max_size=3).map(
    "".join
)
atoms = st.one_of(
    escaped,
    st.sampled_from([".", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", "^", "$"]),
    st.tuples(st.sampled_from(["", "^"]), members).map(lambda pair: f"[{pair[0]}{pair[1]}]"),
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@given(patterns, st.text(characters, max_size=8))
@settings(max_examples=500)
@example("^$", "")
@example("$^", "")
@example("(|a)b", "b")
@example("a{2,3}$", "baaa")
@example("[]a]", "]")
@example("x{,2}", "x{,2}")
def test_it_finds_what_the_library_finds(pattern: str, text: str) -> None:
    """For every pattern of the dialect and every text the answer is that of `re`, ignoring case."""
    if pattern != "x{,2}":
        assert Pattern(pattern).search(text) == bool(re.search(pattern, text, re.IGNORECASE | re.DOTALL))
    else:
        assert Pattern(pattern).search(text)


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(a*)*b", "(.*)*x", "a?" * 60 + "a{60}$", "(((a*)*)*)*b"])
def test_a_pattern_that_would_hang_ends(pattern: str) -> None:
    """Sixteen thousand characters that make backtracking explode are read once."""
    assert not Pattern(pattern).search("a" * 16_000 + "!")


def test_a_text_of_many_characters_does_not_fill_the_memory() -> None:
    """What is remembered is bounded: every character there is still leaves a few thousand transitions."""
    pattern = Pattern(r"(\d\w\s){40}$")
    every = "".join(map(chr, range(0x20, 0xD800)))
    assert not pattern.search(every)
    assert sum(len(state.moves) for state in pattern._states.values()) <= 4096


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "this parenthesis is never closed (character 1"),
        ("a)", "this parenthesis was never opened (character 2"),
        ("[a", "this bracket is never closed (character 1"),
        ("*a", "there is nothing before * that could be repeated (character 1"),
        ("a|+", "there is nothing before +"),
        ("a\\", "nothing follows the backslash"),
        ("[a\\", "nothing follows the backslash"),
        (r"\bword", r"there is no \b; there are"),
        ("(?=a)", "groups are ( ) or (?: )"),
        ("[z-a]", "the range goes backwards"),
        ("a{3,2}", "the second number is smaller"),
        ("(a{99}){99}", "too large"),
        ("a{9999}", "too large"),
        ("((a{30}){30}){30}", "too large"),
        ("(" * 50 + "a" + ")" * 50, "more than 20 groups"),
        ("a" * (LONGEST + 1), "longer than 400"),
    ],
)
def test_a_pattern_that_is_none_is_said(pattern: str, said: str) -> None:
    """What the dialect has not, and what would grow too large, is refused in words."""
    with pytest.raises(ValueError, match=re.escape(said)):
        Pattern(pattern)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, text: str) -> None:
    """Whatever is typed between slashes, nothing but ValueError comes of it."""
    try:
        found = Pattern(pattern)
    except ValueError:
        return
    assert found.search(text) in {True, False}
