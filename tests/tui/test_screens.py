"""Lanes and pending: going in and out, reading from both ends, and who holds what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.tui.screens.dead_letters import DeadLetters
from observatory.tui.screens.lanes import Lanes
from observatory.tui.screens.overview import Overview
from observatory.tui.screens.pending import Pending
from observatory.tui.widgets.entry_table import ConsumerTable, EntryTable, GroupTable
from observatory.tui.widgets.payload import PayloadPane
from observatory.tui.widgets.pending_table import PendingTable
from observatory.tui.widgets.status_line import StatusLine
from tests.conftest import eventually
from tests.tui import seed
from tests.tui.test_app import SIZE, screen_text, settled, text_of, toasts

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot


async def inside_high(pilot: Pilot[int]) -> EntryTable:
    """Open the lane that has entries."""
    await settled(pilot)
    await pilot.press("2")
    await eventually(lambda: isinstance(pilot.app.screen, Lanes))
    await pilot.press("j", "enter")
    entries = pilot.app.screen.query_one(EntryTable)
    await eventually(lambda: entries.rows and pilot.app.screen.query_one(GroupTable).rows)
    return entries


async def test_enter_goes_in_and_esc_comes_out_the_same_way(tmp_path: Path) -> None:
    """Lane, group, consumer, its pending entries; then back step by step to where it began."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await inside_high(pilot)
        status = app.screen.query_one(StatusLine)
        assert "Lanes ▸ high" in text_of(status)
        app.screen.query_one(GroupTable).focus()
        await pilot.press("j", "enter")
        await settled(pilot)
        assert "Lanes ▸ high ▸ workers" in text_of(status)
        assert app.focused is app.screen.query_one(ConsumerTable)
        await pilot.press("j", "enter")
        await eventually(lambda: isinstance(app.screen, Pending) and app.screen.query_one(PendingTable).rows)
        assert {row.hold.agent for row in app.screen.query_one(PendingTable).rows} == {"iris"}
        assert "Pending ▸ high ▸ workers ▸ iris@node-1" in text_of(app.screen.query_one(StatusLine))
        await pilot.press("escape")
        await eventually(lambda: len(app.screen.query_one(PendingTable).rows) == 60)
        for expected in ("Lanes ▸ high ▸ workers", "Lanes ▸ high  ", "Lanes  "):
            await pilot.press("escape")
            await eventually(lambda expected=expected: expected in text_of(app.screen.query_one(StatusLine)))  # type: ignore[misc]
        await pilot.press("escape", "escape")
        await eventually(lambda: isinstance(app.screen, Overview))


async def test_a_lane_is_browsed_from_both_ends(tmp_path: Path) -> None:
    """Newest first, then oldest first; the payload pane has everything about the entry under the cursor."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        assert [row.task_id for row in entries.rows[:2]] == ["review-pr-540", "review-pr-539"]
        await pilot.press("o")
        await eventually(lambda: entries.rows[0].task_id == "review-pr-500")
        assert "oldest first" in text_of(entries)
        await settled(pilot)
        pane = text_of(app.screen.query_one(PayloadPane))
        assert "held; iris@node-1:4127:7f3a of workers for 36s" in pane
        assert '"repo": "core/api",' in pane


async def test_an_entry_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """What is no task stands in the list with the reason, and the pane has the raw entry."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        await pilot.press(*"jjjjj")
        await settled(pilot)
        assert entries.selected is not None
        assert entries.selected.problem
        pane = text_of(app.screen.query_one(PayloadPane))
        assert "neither a type nor a payload" in pane
        assert '"hello": "world"' in pane


async def test_following_stays_at_the_newest_entry(tmp_path: Path) -> None:
    """With f on, an entry that arrives is under the cursor; with f off the cursor stays on its entry."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        held = entries.selected
        assert held is not None

        async def arrive(number: int) -> None:
            newer = replace(held, key=f"{seed.NOW_MS + number}-0", at_ms=seed.NOW_MS + number)
            source.streams["cortex:tasks:high"] = (newer, *source.streams["cortex:tasks:high"])
            lanes = [replace(lane, length=1000 + number) for lane in seed.lanes()]
            source.push(replace(seed.swarm(), lanes=tuple(lanes), sequence=number))
            await eventually(lambda: newer in entries.rows)
            await settled(pilot)

        await arrive(2)
        assert entries.selected == held
        await pilot.press("f")
        await eventually(lambda: entries.cursor == 0)
        await arrive(3)
        await eventually(lambda: entries.selected is not None and entries.selected.at_ms == seed.NOW_MS + 3)
        assert "following" in text_of(entries)


async def test_goto_takes_a_time(tmp_path: Path) -> None:
    """:goto -30s begins at the entries of that time; what is no time is named."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        await pilot.press("colon", *"goto -30s", "enter")
        await eventually(lambda: entries.selected and entries.selected.at_ms <= seed.NOW_MS - 30_000)
        assert entries.selected is not None
        assert entries.selected.at_ms > seed.NOW_MS - 32_000
        await eventually(lambda: "24 of 41" in text_of(entries))
        await pilot.press("colon", *"goto noon", "enter")
        await eventually(lambda: any("'noon' is not a time" in toast for toast in toasts(app)))


async def test_dead_letters_open_from_the_lanes(tmp_path: Path) -> None:
    """Enter on their line leads to their screen."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await eventually(lambda: isinstance(app.screen, Lanes))
        await pilot.press("G", "enter")
        await eventually(lambda: isinstance(app.screen, DeadLetters))


async def test_pending_is_counted_by_idle_time_and_deliveries(tmp_path: Path) -> None:
    """Both histograms add up to what is pending, and the list says who holds what."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("3")
        await eventually(lambda: isinstance(app.screen, Pending) and app.screen.query_one(PendingTable).rows)
        await settled(pilot)
        for name in ("#idle", "#deliveries"):
            lines = text_of(app.screen.query_one(name)).splitlines()[1:8]
            assert sum(int(line.split()[1]) for line in lines if line.strip()) == 60, name
        first = text_of(app.screen.query_one(PendingTable)).splitlines()[2]
        assert first.split()[:6] == ["2h11m", "3x", "pink", "high", "code_task", "migrate-db-0"]
        assert "✖ body deleted" in screen_text(app)
