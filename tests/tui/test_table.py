"""The table of every list: long lists, identity, marks, order, filter, and what it says while it waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.errors import BusError
from observatory.model.listing import Ask, Page
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.screens.base import DataScreen
from observatory.tui.table import Column, Feed, Loader, Table, View
from observatory.tui.table.columns import layout, ordered
from observatory.tui.table.pages import HELD, PAGE, SEARCHED, Window
from tests.conftest import eventually
from tests.tui import seed
from tests.tui.test_app import screen_text, settled, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual.app import App, ComposeResult
    from textual.pilot import Pilot

    from observatory.model.snapshot import Snapshot
    from observatory.tui.desk import Desk
    from observatory.tui.screens.base import Step

MILLION = 1_000_000


class Numbers:
    """A list of the numbers below a limit, in order, read a piece at a time; some may have gone."""

    def __init__(self, length: int, start: int = 0) -> None:
        self.numbers = range(start, start + length)
        self.gone: set[int] = set()
        self.asks: list[Ask] = []
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def read(self, ask: Ask) -> Page[int]:
        """Return a piece; a shut gate holds it up."""
        self.asks.append(ask)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        low, high = self.numbers.start, self.numbers.stop
        at = int(ask.cursor) if ask.cursor else None
        if ask.backwards:
            stop = high if at is None else at + ask.inclusive
            found = [n for n in range(max(stop - ask.limit, low), stop) if n not in self.gone]
            first = max(stop - ask.limit, low)
            return Page(tuple(found), key(stop - 1) if stop < high else None, len(self.numbers),
                        key(first) if first > low else None)  # fmt: skip
        first = low if at is None else at + (not ask.inclusive)
        span = ask.limit if ask.where is None else ask.most
        stop = min(first + span, high)
        looked = [n for n in range(first, stop) if n not in self.gone]
        items = tuple(n for n in looked if ask.where is None or ask.where(n))
        before = key(first) if first > low else None
        after = key(stop - 1) if stop < high else None
        return Page(
            items, after, len(self.numbers) - len(self.gone), before, None if ask.where is None else len(looked)
        )


class NumberTable(Table[int]):
    """Numbers and their last digit."""

    title = "Numbers"
    keeps_cursor: ClassVar[bool] = True

    def identity(self, row: int) -> str:
        """A number is its digits."""
        return key(row)


class NumberScreen(DataScreen):
    """One table."""

    AUTO_FOCUS: ClassVar[str | None] = "#numbers"

    def __init__(self, desk: Desk, feed: Feed[int] | None) -> None:
        super().__init__(desk)
        self.feed = feed

    def body(self) -> ComposeResult:
        """The table."""
        yield NumberTable(COLUMNS, id="numbers")

    def on_mount(self) -> None:
        """Read the feed if there is one."""
        table = self.query_one(NumberTable)
        if self.feed is not None:
            self.loaders[table] = Loader(self, table)
            self.loaders[table].open(self.feed)

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Nothing here comes from a snapshot."""
        return ()


COLUMNS: tuple[Column[int], ...] = (
    Column("number", lambda row, _: (str(row), "text"), 8, align="right", key=lambda row: row),
    Column("digit", lambda row, _: (str(row % 10), "muted"), 5, 1, align="right", key=lambda row: row % 10),
    Column("name", lambda row, _: (f"number {row}", "text"), 14, 2, grow=1),
)


def number_cell(row: int, _cells: int) -> tuple[str, str]:
    """Return the number itself."""
    return str(row), "text"


def key(number: int) -> str:
    """Return the key of a number: keys of streams have one length too."""
    return f"{number:09d}"


async def opened(pilot: Pilot[int], feed: Feed[int] | None) -> NumberTable:
    """Show a screen with a table over *feed* and wait for its rows."""
    app: App[int] = pilot.app
    await settled(pilot)
    await app.push_screen(NumberScreen(app.desk, feed))  # type: ignore[attr-defined]
    table = app.screen.query_one(NumberTable)
    if feed is not None:
        await eventually(lambda: table.rows or table.words.startswith("✖"))
    await settled(pilot)
    return table


@pytest.fixture
def numbers() -> Numbers:
    """A million of them."""
    return Numbers(MILLION)


async def test_a_million_rows_scroll_without_being_loaded(tmp_path: Path, numbers: Numbers) -> None:
    """Pages, the end, back up and the top again: never more than a window is held, and every step is one small read."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, Feed(numbers.read, newest_first=False))
        for _ in range(100):
            await pilot.press("ctrl+f")
            await eventually(lambda: table.cursor < len(table.rows) - 40)
            assert len(table.rows) <= HELD
        assert table.selected == 100 * 35
        assert "3,501 of 1,000,000" in text_of(table)
        await pilot.press("G")
        await eventually(lambda: table.selected == MILLION - 1)
        assert "1,000,000 of 1,000,000" in text_of(table)
        for _ in range(60):
            await pilot.press("ctrl+b")
            await eventually(lambda: table.cursor > 40)
        assert table.selected == MILLION - 1 - 60 * 35
        assert f"{table.selected + 1:,} of 1,000,000" in text_of(table)
        await pilot.press("g")
        await eventually(lambda: table.selected == 0)
        assert "1 of 1,000,000" in text_of(table)
    assert max(ask.limit for ask in numbers.asks) <= PAGE
    assert len(numbers.asks) < 60


async def test_a_row_that_is_still_on_its_way_says_so(tmp_path: Path) -> None:
    """At the end of what is loaded a line says that more comes; then it is there."""
    numbers = Numbers(PAGE * 3)
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 300)) as pilot:
        numbers.gate = asyncio.Event()
        numbers.gate.set()
        table = await opened(pilot, Feed(numbers.read, newest_first=False))
        await eventually(lambda: len(table.rows) == PAGE * 2)
        numbers.gate.clear()
        table.set_window(table.rows[:PAGE], place=0, total=PAGE * 3, below=True)
        await settled(pilot)
        assert "… loading more" in text_of(table)


async def test_the_latest_request_wins(tmp_path: Path) -> None:
    """A list that is opened while another is still being read is what is shown, whenever the first one arrives."""
    slow, fast = Numbers(50), Numbers(50, 1000)
    slow.gate = asyncio.Event()
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, Feed(fast.read))
        loader = app.screen.loaders[table]  # type: ignore[attr-defined]
        loader.open(Feed(slow.read))
        await eventually(lambda: slow.asks)
        loader.open(Feed(fast.read))
        await eventually(lambda: len(fast.asks) == 2)
        slow.gate.set()
        await settled(pilot)
        assert table.rows[0] == 1000


async def test_cursor_and_view_stay_on_their_row_when_others_go(tmp_path: Path, numbers: Numbers) -> None:
    """Rows above and below vanish; what is under the cursor stays there, and so does its line on the screen."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, Feed(numbers.read, newest_first=False))
        await pilot.press("ctrl+f", "ctrl+f", "j", "j")
        held, line = table.selected, table.cursor - table.on_screen[0]
        assert held == 72
        numbers.gone = {60, 61, 71, 73, 90}
        app.screen.loaders[table].renew()  # type: ignore[attr-defined]
        await eventually(lambda: 71 not in table.rows)
        assert table.selected == held
        assert table.cursor - table.on_screen[0] == line
        assert not {73, 90} & set(table.rows)


async def test_reading_again_what_did_not_change_repaints_nothing(
    tmp_path: Path, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is equal to what is shown draws not a single line."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, Feed(numbers.read, newest_first=False))
        painted: list[int] = []
        original = Drawn.render_line

        def spy(self: Drawn, y: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
            if self is table:
                painted.append(y)
            return original(self, y)

        monkeypatch.setattr(Drawn, "render_line", spy)
        reads = len(numbers.asks)
        app.screen.loaders[table].renew()  # type: ignore[attr-defined]
        await eventually(lambda: len(numbers.asks) > reads)
        await settled(pilot)
        assert painted == []


async def test_marks_stick_to_their_rows(tmp_path: Path) -> None:
    """Marked rows stay marked when the order turns and when a filter hides them, and the heading counts the hidden."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, None)
        table.set_all(range(100))
        await pilot.press("space", "space", "j", "space")
        assert table.marks.rows == (0, 1, 3)
        await pilot.press("O", "O")
        await settled(pilot)
        assert table.rows[:2] == (99, 98) or table.rows[:2] == (0, 1)
        table.set_view(View("digit:3", lambda row: row % 10 == 3))
        await settled(pilot)
        assert "3 marked, 2 hidden" in text_of(table)
        assert table.rows[0] == 3
        assert text_of(table).splitlines()[2].startswith("▌")
        await pilot.press("escape")
        assert not table.marks
        await pilot.press("escape")
        assert len(table.rows) == 100


async def test_a_range_follows_the_cursor(tmp_path: Path) -> None:
    """`v` marks from here to where the cursor goes; coming back unmarks; `v` again keeps it."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, None)
        table.set_all(range(100))
        await pilot.press("j", "v", "j", "j", "j", "k")
        assert table.marks.rows == (1, 2, 3)
        assert "3 marked, range" in text_of(table)
        await pilot.press("v", "j", "j")
        assert table.marks.rows == (1, 2, 3)


async def test_all_matching_reaches_what_is_not_loaded(tmp_path: Path) -> None:
    """`A` marks every row that passes the filter, beyond the window too; again takes the marks away."""
    numbers = Numbers(5_000)
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, Feed(numbers.read))
        await pilot.press("A")
        await eventually(lambda: len(table.marks) == 5_000)
        assert "5,000 marked" in text_of(table)
        await pilot.press("escape")
        table.set_view(View("digit:7", lambda row: row % 10 == 7))
        await eventually(lambda: len(table.rows) == 500)
        await pilot.press("A")
        await settled(pilot)
        assert len(table.marks) == 500
        await pilot.press("A")
        await settled(pilot)
        assert not table.marks


async def test_a_search_says_how_far_it_came(tmp_path: Path, numbers: Numbers) -> None:
    """In a million rows it stops by itself and says so; G goes on from there."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        table = await opened(pilot, Feed(numbers.read))
        table.set_view(View("rare", lambda row: row % 50_000 == 49_999))
        await eventually(lambda: "newest 100k of 1.0M searched, G searches on" in text_of(table))
        assert table.rows == (49_999, 99_999)
        await pilot.press("G")
        await eventually(lambda: len(table.rows) == 4)
        assert SEARCHED == 100_000


async def test_a_list_of_rare_rows_is_not_searched_without_end(tmp_path: Path, numbers: Numbers) -> None:
    """Where a source finds nothing for a while, or few rows belong to the list, nothing is read until somebody asks."""

    async def rarely(ask: Ask) -> Page[int]:
        page = await numbers.read(ask)
        return replace(page, items=tuple(n for n in page.items if n < 3))

    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        table = await opened(pilot, Feed(rarely, both_ways=False))
        await settled(pilot)
        asked = len(numbers.asks)
        assert (table.rows, asked) == ((0, 1, 2), 2)
        await pilot.press("G")
        await eventually(lambda: len(numbers.asks) > asked)
        await settled(pilot)
        assert numbers.asks[-1].cursor > numbers.asks[asked - 1].cursor, "it goes on where it had come to"
        assert len(numbers.asks) == asked + 1


async def test_what_does_not_belong_to_a_list_is_passed_over(tmp_path: Path, numbers: Numbers) -> None:
    """It stands without it, and says how much was searched."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        few = Feed(numbers.read, belongs=lambda row: row % 600 == 0, searched=3_000)
        table = await opened(pilot, few)
        await eventually(lambda: "newest 3,000 of 1.0M searched" in text_of(table))
        assert table.rows == (0, 600, 1200, 1800, 2400)


async def test_o_sorts_by_the_chosen_column(tmp_path: Path) -> None:
    """Keys h and l choose, O sorts, again the other way round, a third time as the list is; the cursor stays."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, None)
        table.set_all(range(100))
        await pilot.press("j", "j", "j", "l", "l", "O")
        assert [row % 10 for row in table.rows[:11]] == [9] * 10 + [8]
        assert "▼digit" in text_of(table)
        assert table.selected == 3
        await pilot.press("O")
        assert "▲digit" in text_of(table)
        assert table.rows[:2] == (0, 10)
        await pilot.press("O")
        assert table.rows == tuple(range(100))
        assert table.selected == 3


async def test_clicking_a_title_sorts_by_it(tmp_path: Path) -> None:
    """The mouse reaches what O reaches."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        table = await opened(pilot, None)
        table.set_all(range(100))
        await settled(pilot)
        await pilot.click(table, offset=(13, 1))
        await settled(pilot)
        assert "▼digit" in text_of(table)


async def test_an_error_names_the_next_step(tmp_path: Path) -> None:
    """What went wrong stands where rows would be; rows that are there stay, with the error above them."""
    numbers = Numbers(500)
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        numbers.error = BusError("WRONGTYPE: no stream")
        table = await opened(pilot, Feed(numbers.read))
        assert "✖ WRONGTYPE: no stream (r reads again)" in screen_text(app)
        numbers.error = None
        app.screen.action_reload()  # type: ignore[attr-defined]
        await eventually(lambda: table.rows)
        numbers.error = BusError("gone")
        app.screen.loaders[table].renew()  # type: ignore[attr-defined]
        await eventually(lambda: "✖ gone" in text_of(table))
        assert table.rows


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9), st.integers(0, 40), st.integers(0, 2)), min_size=1,
             max_size=12),
    st.integers(1, 260),
)  # fmt: skip
def test_columns_are_dropped_before_they_are_cut(shapes: list[tuple[int, int, int, int]], width: int) -> None:
    """Whatever the width, what is shown fits, has what it needs, and the least rank goes last."""
    columns: list[Column[int]] = [
        Column(str(place), number_cell, need, rank, wide=wide, grow=grow, most=60)
        for place, (need, rank, wide, grow) in enumerate(shapes)
    ]
    shown = layout(columns, width)
    if len(shown) > 1:
        assert sum(cells + 1 for _, cells in shown) <= width
    assert all(cells >= column.width for column, cells in shown)
    dropped = [column.rank for column in columns if column not in [kept for kept, _ in shown]]
    assert not dropped or min(dropped) >= max(column.rank for column, _ in shown)


@given(st.lists(st.none() | st.integers()), st.booleans())
def test_what_is_unknown_stands_last_in_both_directions(rows: list[int | None], descending: bool) -> None:
    """Sorting loses no row, and a row without a value never stands before one that has it."""
    column: Column[int | None] = Column("x", lambda row, _: (str(row), "text"), 5, key=lambda row: row)
    found = ordered(rows, column, descending=descending)
    known = [row for row in rows if row is not None]
    assert found == sorted(known, reverse=descending) + [None] * (len(rows) - len(known))


async def test_a_list_that_is_read_from_its_beginning_is_renewed_from_there() -> None:
    """Scrolled far down, such a list is not read on from a row that an older search found, but searched anew."""
    asked: list[Ask] = []

    async def read(ask: Ask) -> Page[str]:
        asked.append(ask)
        start = int(ask.cursor) + 1 if ask.cursor else 0
        names = [str(number) for number in range(start, min(start + ask.limit, 1_000))]
        return Page(tuple(names), names[-1] if len(names) == ask.limit else None, 1_000)

    window = Window(Feed(read, both_ways=False), lambda name: name)
    await window.begin()
    await window.further()
    rows = window.rows
    await window.renew(300, 340)
    assert not asked[-1].cursor
    assert window.rows == rows
