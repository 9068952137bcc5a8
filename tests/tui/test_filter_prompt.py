"""The `/` line: filtering as one types, errors with their column, completion, history, hits and saved views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input

from observatory.tui.app.memory import Memory
from observatory.tui.dialogs.filter import FilterPrompt, Hints
from observatory.tui.rows.pending import PendingTable
from observatory.tui.screens.pending import Pending
from tests.conftest import eventually
from tests.tui import seed
from tests.tui.test_app import SIZE, settled, text_of, toasts

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot


async def on_pending(pilot: Pilot[int]) -> PendingTable:
    """Show the pending entries."""
    await settled(pilot)
    await pilot.press("3")
    await eventually(lambda: isinstance(pilot.app.screen, Pending))
    table = pilot.app.screen.query_one(PendingTable)
    await eventually(lambda: len(table.rows) == 60)
    return table


async def test_a_filter_works_as_it_is_typed(tmp_path: Path) -> None:
    """The list narrows while one types; enter keeps it and says it in the heading; esc on the list clears it."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        table = await on_pending(pilot)
        await pilot.press("slash", *"agent:iris idle>5m")
        await eventually(lambda: {row.hold.agent for row in table.rows} == {"iris"})
        await eventually(lambda: min(row.hold.idle_ms for row in table.rows) > 300_000)
        assert isinstance(app.screen, FilterPrompt)
        await pilot.press("enter")
        await eventually(lambda: isinstance(app.screen, Pending))
        assert "/ agent:iris idle>5m" in text_of(table)
        await pilot.press("escape")
        await eventually(lambda: len(table.rows) == 60)


async def test_leaving_the_line_gives_back_what_was_shown(tmp_path: Path) -> None:
    """Esc in the line undoes what was typed."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        table = await on_pending(pilot)
        await pilot.press("slash", *"agent:iris")
        await eventually(lambda: len(table.rows) < 60)
        await pilot.press("escape")
        await eventually(lambda: len(table.rows) == 60)
        assert table.view.plain


async def test_a_slip_is_pointed_at_and_changes_nothing(tmp_path: Path) -> None:
    """An unknown field is named with its column and the nearest one; enter keeps the line open."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        table = await on_pending(pilot)
        await pilot.press("slash", *"agent:iris idel>5m", "enter")
        await settled(pilot)
        assert isinstance(app.screen, FilterPrompt)
        hints = text_of(app.screen.query_one(Hints))
        assert "column 12: pending entries have no field 'idel'" in hints
        assert "did you mean idle?" in hints
        first, second = hints.splitlines()[:2]
        assert first.index("idel") == second.index("^")
        assert "idel>" not in table.view.filter


async def test_tab_completes_fields_and_live_values(tmp_path: Path) -> None:
    """`ag` becomes a field, after the colon come the agents that hold something."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await on_pending(pilot)
        await pilot.press("slash", *"ag", "tab")
        field = app.screen.query_one(Input)
        assert field.value.startswith("agent")
        await pilot.press(*"" if field.value.endswith(":") else ":")
        await pilot.press(*"ir", "tab")
        assert field.value == "agent:iris"


async def test_filters_are_remembered(tmp_path: Path) -> None:
    """Up brings back what was used before, in this run and in the next."""
    memory = tmp_path / "memory.json"
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, memory=memory)
    async with app.run_test(size=SIZE) as pilot:
        table = await on_pending(pilot)
        for text in ("agent:iris", "type:deploy"):
            await pilot.press("slash", "ctrl+u", *text, "enter")
            await eventually(lambda text=text: table.view.filter == text and isinstance(app.screen, Pending))  # type: ignore[misc]
        await pilot.press("escape", "slash", "up", "up")
        assert app.screen.query_one(Input).value == "agent:iris"
        await pilot.press("down")
        assert app.screen.query_one(Input).value == "type:deploy"
    assert Memory(memory).filters("pending entries") == ["type:deploy", "agent:iris"]
    assert memory.stat().st_mode & 0o777 == 0o600


async def test_n_goes_from_hit_to_hit(tmp_path: Path) -> None:
    """After a filter is cleared, n and N still find its rows among all."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        table = await on_pending(pilot)
        await pilot.press("n")
        assert any("/ types one" in toast for toast in toasts(app))
        await pilot.press("slash", *"deliveries:3", "enter")
        await eventually(lambda: len(table.rows) == 4 and isinstance(app.screen, Pending))
        await pilot.press("escape")
        await eventually(lambda: len(table.rows) == 60)
        await pilot.press("g", "n")
        assert table.selected is not None
        assert (table.cursor, table.selected.hold.deliveries) == (1, 3)
        await pilot.press("n", "N")
        assert table.cursor == 1


async def test_views_are_saved_by_name(tmp_path: Path) -> None:
    """Filter and order come back by `:view`, in the next run too; an unknown name lists those there are."""
    memory = tmp_path / "memory.json"
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, memory=memory)
    async with app.run_test(size=SIZE) as pilot:
        table = await on_pending(pilot)
        await pilot.press("slash", *"agent:iris", "enter")
        await eventually(lambda: table.view.filter == "agent:iris" and isinstance(app.screen, Pending))
        await pilot.press("l", "O")
        await pilot.press("colon", *"save hers", "enter")
        await eventually(lambda: any("saved the view hers" in toast for toast in toasts(app)))
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, memory=memory)
    async with app.run_test(size=SIZE) as pilot:
        table = await on_pending(pilot)
        await pilot.press("colon", *"view his", "enter")
        await eventually(lambda: any("is called his; there are hers" in toast for toast in toasts(app)))
        await pilot.press("colon", *"view hers", "enter")
        await eventually(lambda: {row.hold.agent for row in table.rows} == {"iris"})
        assert table.view.column


def test_a_memory_that_is_no_memory_is_empty(tmp_path: Path) -> None:
    """Whatever stands in the file, nothing breaks, and what is remembered next is kept."""
    path = tmp_path / "memory.json"
    for text in ("", "[]", "{", '{"filters": 3, "views": {"x": 1}, "screens": {"demo": 4}}', "\x00"):
        path.write_text(text)
        memory = Memory(path)
        assert (memory.filters("x"), memory.views("x"), memory.screen("demo")) == ([], {}, "")
        memory.used_filter("x", "a:b")
        assert Memory(path).filters("x") == ["a:b"]
