"""The small pieces: numbers in words, lines of exact width, charts, judgements."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from observatory.model.snapshot import LaneState, LaneView
from observatory.model.task import Priority
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.lines import ending, fit, sparkline
from observatory.tui.findings import findings, verdict
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.widgets.payload import payload_text
from observatory.tui.widgets.plot import ceiling, chart_text
from tests.tui import seed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (fmt.count(None), "?"), (fmt.count(0), "0"), (fmt.count(99_999), "99,999"), (fmt.count(1_250_000), "1.2M"),
        (fmt.rate(None), "?"), (fmt.rate(0.0), "0"), (fmt.rate(0.01), "<0.1"), (fmt.rate(41.25), "41.2"),
        (fmt.rate(1234.0), "1,234"), (fmt.rate(math.nan), "?"),
        (fmt.age(None), fmt.NONE), (fmt.age(0.2), "<1s"), (fmt.age(59.9), "59s"),
        (fmt.age(61), "1m01s"), (fmt.age(143.9), "2m20s"),
        (fmt.age(7_260), "2h01m"), (fmt.age(200_000), "2d07h"), (fmt.age(math.inf), "?"), (fmt.age(-3), "<1s"),
        (fmt.milliseconds(None), "?"), (fmt.milliseconds(0.4), "0.4ms"), (fmt.milliseconds(1_320), "1.3s"),
        (fmt.milliseconds(90_000), "1m30s"), (fmt.size(None), "?"), (fmt.size(34_900_000), "33 MiB"),
        (fmt.clock_time(seed.NOW_MS), "14:45:03"), (fmt.clock_time(None), "?"), (fmt.clock_time(10**18), "?"),
        (fmt.partial_sum([1, 2], str), "3"), (fmt.partial_sum([1, None], str), "~1?"),
        (fmt.partial_sum([None], str), "?"), (fmt.partial_sum([], str), "0"),
    ],
)  # fmt: skip
def test_numbers_are_short_and_unknown_is_a_question_mark(words: str, expected: str) -> None:
    """No unknown number is ever written as zero, and no sum hides that a part of it is unknown."""
    assert words == expected


@given(st.text(), st.integers(0, 60), st.sampled_from(["left", "right"]))
def test_a_fitted_text_has_exactly_its_width(text: str, width: int, align: str) -> None:
    """By cells, not characters, whatever the text."""
    printable = "".join(char for char in text if char.isprintable())
    assert cell_len(fit(printable, width, align)) == width  # type: ignore[arg-type]


@given(st.text(), st.integers(0, 60))
def test_the_ending_of_a_text_is_never_too_wide(text: str, width: int) -> None:
    """What is cut at its beginning fits, ends as the text does, and says that it was cut."""
    printable = "".join(char for char in text if char.isprintable())
    shown = ending(printable, width)
    assert cell_len(shown) <= width
    assert printable.endswith(shown.removeprefix("…"))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False), max_size=200), st.integers(0, 80))
def test_a_sparkline_has_exactly_its_width(values: list[float], width: int) -> None:
    """Also with gaps, negative and enormous values."""
    assert len(sparkline(values, width)) == width


@pytest.mark.parametrize(
    "series",
    [(), (math.nan,), (math.nan,) * 50, (1.0,), (0.0,) * 5, (1.0, math.nan, 2.0), (math.inf, 1e300, -5.0, 3.0)],
    ids=lambda series: f"{len(series)} values",
)
@pytest.mark.parametrize("size", [(20, 4), (60, 12), (150, 24)], ids=str)
def test_no_values_can_break_the_chart(series: tuple[float, ...], size: tuple[int, int]) -> None:
    """Plotext's kernel aborts the whole process on NaN: gaps, infinities and single points must never reach it."""
    text = chart_text([series, (1.0, 2.0, 3.0)], *size, fmt.rate, 1.0)
    assert len(text.split("\n")) == size[1]


def test_there_is_no_chart_where_there_is_no_room() -> None:
    """A few cells hold no axis."""
    assert chart_text([(1.0, 2.0)], 12, 3, fmt.rate, 1.0) == ""


def test_one_spike_does_not_flatten_the_rest() -> None:
    """A short burst is cut at the ceiling; steady values are not."""
    assert ceiling([(10.0,) * 60 + (2_700.0,)]) == 15.0
    assert ceiling([tuple(float(value) for value in range(60))]) == 59.0


def test_findings_are_worst_first_and_nothing_is_well_while_something_is_not() -> None:
    """Broken before unserved before late; a good day has none and says so."""
    found = findings(seed.swarm())
    assert [finding.subject for finding in found][:2] == ["legacy:normal", "deploy:high"]
    assert found[-1].subject == "dove"
    assert findings(seed.healthy()) == ()
    assert verdict(seed.healthy()) == "all well: 4 lanes served, 8 agents alive"


def test_nothing_is_called_served_where_nobody_serves() -> None:
    """A new bus has idle lanes and nobody to serve them, which is no trouble and no good health either."""
    lanes = tuple(replace(lane, groups=(), backlog=0, state=LaneState.IDLE) for lane in seed.healthy().lanes)
    assert verdict(replace(seed.healthy(), lanes=lanes, agents=())) == "no work in any lane, and no agents yet"


async def test_queues_of_single_agents_come_last(tmp_path: Path) -> None:
    """Each agent has a queue of its own; those of a kind of work, what waits and what is dead stand above them all."""
    named = [replace(seed.lanes()[0], queue=name, stream=name) for name in ("@amber", "@blue", "coding", "deploy")]
    app, _, _ = seed.make_app(replace(seed.swarm(), lanes=(*seed.lanes()[:4], *named)), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        rows = [row.name for row in app.screen.query_one(LaneTable).rows]
    assert rows[4:] == ["coding", "deploy", "delayed", "dead letters", "@amber", "@blue"]


async def test_busy_lanes_are_never_hidden_behind_idle_ones(tmp_path: Path) -> None:
    """With more lanes than lines, idle lanes are counted; a lane that was busy a moment ago keeps its line."""
    idle = [
        LaneView(f"queue-{number:02d}", Priority.NORMAL, f"s{number}", 0, 0, 0, state=LaneState.IDLE)
        for number in range(40)
    ]
    busy = replace(idle[30], state=LaneState.OK, backlog=7)
    lanes = (*seed.lanes()[:4], *idle[:30], busy, *idle[31:])
    app, source, _ = seed.make_app(replace(seed.swarm(), lanes=lanes), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        table = app.screen.query_one(LaneTable)
        names = [row.name for row in table.rows]
        assert "s30" in names
        assert names[-2:] == ["delayed", "dead letters"]
        assert len(names) == table.body_height
        assert "idle" in table.render_line(0).text
        source.push(replace(seed.swarm(), lanes=(*seed.lanes()[:4], *idle), at_ms=seed.NOW_MS + 5_000, sequence=2))
        await pilot.pause()
        await pilot.pause()
        assert "s30" in [row.name for row in table.rows]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "empty"),
        (b'{"a": [1, 2]}', "JSON, 13 B"),
        (b"{not json", "text, 9 B"),
        (b"[" * 5000, "text, 4.9 KiB"),
        (b"\x00\x01\x02\xff", "binary, 4 B"),
        ("grüß dich".encode(), "text, 11 B"),
        (b"x" * 200_000, "text, 195 KiB, first 64 KiB"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_payload_is_shown_as_what_it_is(payload: bytes, kind: str) -> None:
    """JSON if it parses, else text, else hex; a huge one in part, and said so."""
    assert payload_text(payload)[0] == kind
