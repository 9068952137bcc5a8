"""The one door for foreign text."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from observatory.model.text import block, line


@given(st.text(max_size=300) | st.binary(max_size=300), st.integers(1, 80))
def test_a_line_is_printable_and_bounded(value: str | bytes, limit: int) -> None:
    """Whatever comes in, no control, escape or bidirectional character goes out, and no more than was asked for."""
    shown = line(value, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert not any(unicodedata.bidirectional(char) in {"RLO", "LRO", "RLE", "LRE", "PDF"} for char in shown)


@given(st.text(max_size=300) | st.binary(max_size=300), st.integers(1, 200))
def test_a_block_keeps_only_its_line_breaks(value: str | bytes, limit: int) -> None:
    """A block is a line whose breaks survive."""
    shown = block(value, limit)
    assert shown.replace("\n", "").isprintable()
    assert len(shown) <= limit


def test_an_escape_sequence_is_made_visible() -> None:
    """A payload that would write to the clipboard is shown as what it is."""
    assert line("\x1b]52;c;aGk=\x07") == "␛]52;c;aGk=␇"
    assert line(b"\x9b31m\xe2\x80\xae") == "\N{REPLACEMENT CHARACTER}31m\N{REPLACEMENT CHARACTER}"


def test_ordinary_text_of_any_script_passes() -> None:
    """People write in their own scripts."""
    for text in ("naïve café", "日本語", "Ελληνικά", "emoji 🚀", "[/b] [@click=app.quit] {x}"):
        assert line(text) == text


def test_a_cut_is_marked() -> None:
    """Nobody takes a part for the whole."""
    assert line("abcdef", 4) == "abc…"
    assert block("a\nb\nc", 3) == "a\n…"
