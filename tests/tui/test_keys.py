"""Keys that come faster than what they open: each means what it means where the one before has led."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from textual import events
from textual.widgets import Input

from observatory.tui.dialogs.command_line import CommandLine
from observatory.tui.dialogs.filter import FilterPrompt
from observatory.tui.dialogs.send import SendForm
from observatory.tui.rows.tasks import TaskTable
from observatory.tui.screens.agents import Agents
from observatory.tui.screens.base import DataScreen
from observatory.tui.screens.dead_letters import DeadLetters
from observatory.tui.screens.overview import Overview
from observatory.tui.screens.tasks import Tasks
from observatory.tui.widgets.footer import FooterLine
from tests.conftest import eventually
from tests.tui import seed
from tests.tui.test_app import SIZE, settled, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from observatory.tui.app import ObservatoryApp

_NAMED = {"/": "slash", ":": "colon", " ": "space", "?": "question_mark"}


def burst(app: ObservatoryApp, *keys: str) -> None:
    """Send keys in one go, as a terminal does with what was typed or sent ahead."""
    for key in keys:
        app.post_message(events.Key(_NAMED.get(key, key), key if len(key) == 1 else None))


async def on_dead_letters(pilot: Pilot[int]) -> None:
    """Go to the dead letters and wait for the first."""
    await settled(pilot)
    await pilot.press("4")
    await eventually(lambda: isinstance(pilot.app.screen, DataScreen) and pilot.app.screen.has_selection())


@pytest.mark.parametrize(
    ("opener", "dialog"), [("/", FilterPrompt), (":", CommandLine), ("s", SendForm)], ids=["filter", "command", "send"]
)
async def test_what_is_typed_behind_an_opener_goes_into_its_field(
    tmp_path: Path, opener: str, dialog: type[object]
) -> None:
    """R, e and d are letters of a filter, a command or a type; none of them requeues, quits or leads away."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await on_dead_letters(pilot)
        burst(app, opener, *"Requeued4q")
        await eventually(
            lambda: bool(app.screen.query(Input)) and app.screen.query(Input).first().value == "Requeued4q"
        )
        assert isinstance(app.screen, dialog)
        assert actions.requests == []


async def test_keys_behind_a_switch_belong_to_the_new_screen(tmp_path: Path) -> None:
    """R behind a 5 is no command of the agents, and none any more of the dead letters."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await on_dead_letters(pilot)
        burst(app, "5", "R", "/", *"x y")
        await eventually(lambda: bool(app.screen.query(Input)) and app.screen.query_one(Input).value == "x y")
        assert isinstance(app.screen_stack[0], Agents)
        assert actions.requests == []


async def test_a_command_line_typed_ahead_runs_and_the_keys_behind_it_follow(tmp_path: Path) -> None:
    """What `:agents` opens gets the keys that were typed behind its enter."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await on_dead_letters(pilot)
        burst(app, ":", *"agents", "enter", "/", *"is", "escape", ":", *"filter", "enter", *"4q")
        await eventually(lambda: bool(app.screen.query("#filter")) and app.screen.query_one(Input).value == "4q")
        assert isinstance(app.screen_stack[0], Agents)


@pytest.mark.parametrize("keys", ["queue:q4999", "123456789q", "/queue:deploy\n", "4s/:?"])
async def test_leaving_while_screens_are_put_together_is_no_crash(tmp_path: Path, keys: str) -> None:
    """However fast the keys come and whatever is closed half made, the app ends by itself and with 0."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        burst(app, *("enter" if key == "\n" else key for key in keys), "ctrl+q")
    assert app.return_code == 0


@pytest.mark.parametrize("dialog", ["4", "6", "3", "/", ":", "s"])
async def test_a_screen_that_is_closed_before_it_is_put_together_is_no_crash(tmp_path: Path, dialog: str) -> None:
    """The key opens something, and the way out comes at once, at each moment of its making."""
    for turns in range(10):
        app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
        async with app.run_test(size=SIZE) as pilot:
            await settled(pilot)
            burst(app, dialog)
            for _ in range(4 * turns):
                await asyncio.sleep(0)
            app.exit(0)
        assert app.return_code == 0


@pytest.mark.parametrize("back", ["escape", "q"])
async def test_going_back_from_a_trace_leads_to_where_it_was_asked_for(tmp_path: Path, back: str) -> None:
    """From a dead letter into the life of its task and back; the list of tasks is not on the way."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await on_dead_letters(pilot)
        await pilot.press("t")
        await eventually(lambda: isinstance(app.screen, Tasks))
        await pilot.press(back)
        await eventually(lambda: isinstance(app.screen, DeadLetters))
        await pilot.press("6")
        await settled(pilot)
        assert app.screen.query_one(TaskTable).display


async def test_a_screen_stands_in_the_trail_once(tmp_path: Path) -> None:
    """Walking to and fro leaves each screen one press behind; the overview by its number is where q quits."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        for key in "4646446":
            await pilot.press(key)
        await eventually(lambda: isinstance(app.screen, Tasks))
        for expected in (DeadLetters, Overview):
            await pilot.press("q")
            await eventually(lambda expected=expected: isinstance(app.screen, expected))  # type: ignore[misc]
        await pilot.press("4", "6", "1")
        await eventually(lambda: isinstance(app.screen, Overview))
        await settled(pilot)
        assert "q Quit" in text_of(app.screen.query_one(FooterLine))
        await pilot.press("q")
    assert app.return_code == 0
