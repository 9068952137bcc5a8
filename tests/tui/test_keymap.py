"""A keymap in the app: the new key does it, the old one no longer, and every place that lists keys says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.model.commands import command
from observatory.settings.keymap import PRESETS, keymap, preset_keymap
from observatory.tui.commands import live_commands
from observatory.tui.dialogs.help import help_rows
from observatory.tui.drawing.format import NONE
from observatory.tui.screens.table import SCREENS
from tests.tui import seed
from tests.tui.test_app import toasts

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.tui.app import ObservatoryApp


def keyed(text: str, folder: Path) -> ObservatoryApp:
    """Return an app with this keymap file."""
    file = folder / "keymap.toml"
    file.write_text(text)
    app, _, _ = seed.make_app(seed.swarm(), folder=folder, keymap=keymap(file))
    return app


async def test_a_remapped_key_does_it_and_the_old_one_does_not(tmp_path: Path) -> None:
    """Freeze moves from p to F; p is free."""
    app = keyed('[keys]\napp.freeze = "F"\n', tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("p")
        assert not app.desk.frozen
        await pilot.press("F")
        assert app.desk.frozen


async def test_two_keys_that_were_swapped_do_the_other_thing(tmp_path: Path) -> None:
    """S freezes and p opens the form."""
    app = keyed('[keys]\napp.freeze = "s"\ntask.send = "p"\n', tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("s")
        assert app.desk.frozen
        await pilot.press("p")
        await pilot.pause()
        assert type(app.screen).__name__ == "SendForm"


async def test_a_command_without_a_key_can_be_given_one_and_one_with_a_key_can_lose_it(tmp_path: Path) -> None:
    """`:theme` has no key by default; freeze is left without any and is still in the help, by name."""
    app = keyed('[keys]\napp.theme = "f8"\napp.freeze = []\n', tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("p")
        assert not app.desk.frozen
        live = live_commands(app.screen)
        assert (live["app.theme"][2], live["app.freeze"][2]) == (("f8",), ())
        rows = {row.name: row.keys for row in help_rows(app.screen, app.desk)}
        assert (rows["theme"], rows["freeze"]) == ("f8", NONE)
        await pilot.press("f8")
        await pilot.pause()
        assert type(app.screen).__name__ == "CommandPalette"


async def test_quit_can_move_and_works_over_a_dialog(tmp_path: Path) -> None:
    """From within a text field of a form the new key leaves at once."""
    app = keyed('[keys]\napp.quit = "f12"\n', tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("s")
        await pilot.pause()
        await pilot.press("f12")
        await pilot.pause()
        assert app.return_code == 0
        assert not app.is_running


async def test_a_broken_keymap_is_told_and_the_defaults_hold(tmp_path: Path) -> None:
    """The app starts, a toast names the line, and p freezes as ever."""
    app = keyed('[keys]\napp.freeze = "f99"\n', tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert any("line 2" in words and words.startswith("keymap left out: ") for words in toasts(app))
        await pilot.press("p")
        assert app.desk.frozen


@pytest.mark.parametrize("name", PRESETS)
async def test_a_preset_is_what_the_app_has(name: str, tmp_path: Path) -> None:
    """Every command on the first screen has exactly the keys of the preset."""
    found = preset_keymap(name)
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, keymap=found)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for identity, (_, _, keys, _) in live_commands(app.screen).items():
            assert set(keys) == set(found.keys[identity]), identity


@pytest.mark.parametrize("name", SCREENS)
async def test_every_command_can_be_carried_out_where_it_is_bound(name: str, tmp_path: Path) -> None:
    """A key that is given to any command, one without a key included, finds the action that it stands for."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(*command(f"screen.{name}").keys)
        await pilot.pause()
        for entry, node, _, _ in live_commands(app.screen).values():
            words, _, _ = entry.action.partition("(")
            where, _, action = words.rpartition(".")
            owner = {"": node, "screen": app.screen, "app": app}[where]
            assert hasattr(owner, f"action_{action}"), entry.id
