"""What is written to the terminal is short, and shows the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.tui.terminal.lean import lean
from tests.tui import seed

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS, LINES = 160, 48
COLOURS = ("38;2;1;2;3", "38;5;9", "31", "97", "39", "48;2;9;8;7", "48;5;3", "44", "103", "49")
ATTRIBUTES = ("1", "2", "3", "4", "7", "9", "22", "24", "27")

styles = st.lists(st.sampled_from(COLOURS + ATTRIBUTES), max_size=4).map(lambda codes: f"\x1b[{';'.join(codes)}m")
texts = st.text(alphabet="ab  ▁─", min_size=1, max_size=6)
moves = st.tuples(st.integers(1, 10), st.integers(1, 30)).map(lambda at: f"\x1b[{at[0]};{at[1]}H")
foreign = st.sampled_from(["\n", "\x1b[K", "\x1b[2J", "\x1b]8;;x\x1b\\link\x1b]8;;\x1b\\"])
pieces = st.one_of(st.tuples(styles, texts).map(lambda pair: f"{pair[0]}{pair[1]}\x1b[0m"), moves, texts, foreign)


def cells(data: str) -> list[tuple[Any, ...]]:
    """Return every cell as it is seen: a blank shows its background, and lines or reversal if it has them."""
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.Stream(screen).feed(data.replace("\n", "\r\n"))
    seen = []
    for y in range(LINES):
        for x in range(COLUMNS):
            char = screen.buffer[y][x]
            drawn = (char.data, char.bg, char.underscore, char.strikethrough, char.reverse)
            bare = char.data == " " and not (char.underscore or char.strikethrough or char.reverse)
            seen.append(drawn if bare else (*drawn, char.fg, char.bold, char.italics))
    return seen


@given(st.lists(pieces, max_size=12).map("".join))
def test_shortened_output_shows_the_same_cells(data: str) -> None:
    """Whatever is written, a terminal shows the same as without the shortening, and ends in the same style."""
    assert cells(lean(data) + "x") == cells(data + "x")


@pytest.mark.parametrize("theme", ["observatory-dark", "observatory-light", "high-contrast", "ansi"])
async def test_a_whole_screen_is_the_same_in_less_than_two_thirds_of_the_bytes(theme: str, tmp_path: Path) -> None:
    """The overview in every kind of theme looks the same when it is written in short."""
    app, _, _ = seed.make_app(seed.swarm(), theme=theme, folder=tmp_path)
    async with app.run_test(size=(COLUMNS, LINES)) as pilot:
        await pilot.pause()
        update: Any = app.screen._compositor.render_update(full=True)
        data = update.render_segments(app.console)
    short = lean(data)
    assert cells(short) == cells(data)
    assert len(short) < len(data) * 2 / 3
