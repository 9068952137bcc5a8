"""The user's own themes: what is saved in the editor is on the screen without a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.settings import themes
from tests.conftest import eventually
from tests.tui import seed

if TYPE_CHECKING:
    from pathlib import Path

GOOD = themes().get("observatory-dark").source.read_text()


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observatory.tui.app.looks.LOOK_S", 0.02)


async def test_a_theme_that_is_saved_is_on_the_screen(tmp_path: Path) -> None:
    """A new file can be chosen, a change of the chosen one is seen at once, and a slip is told and changes nothing."""
    folder = tmp_path / "no-themes-here"
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        folder.mkdir()
        mine = folder / "mine.toml"
        mine.write_text(GOOD.replace("observatory-dark", "mine"))
        await eventually(lambda: "mine" in app.theme_set.specs)
        app.choose_theme("mine")
        await pilot.pause()
        assert app.theme_variables["lane-high"] == "#f5ab62"
        mine.write_text(GOOD.replace("observatory-dark", "mine").replace("#f5ab62", "#00ff00"))
        await eventually(lambda: app.theme_variables["lane-high"] == "#00ff00")
        await pilot.pause()
        assert app.screen.query_one("#lanes").ink["lane-high"].color.triplet.hex == "#00ff00"  # type: ignore[attr-defined]
        mine.write_text("name = 5\n")
        await eventually(lambda: any("mine.toml: name: line 1" in toast.message for toast in app._notifications))
        assert app.theme == "mine"
        assert app.theme_variables["lane-high"] == "#00ff00"


async def test_a_theme_in_use_that_is_removed_stays_until_another_is_chosen(tmp_path: Path) -> None:
    """Deleting the file takes it from the list and leaves the screen as it is."""
    folder = tmp_path / "no-themes-here"
    folder.mkdir()
    mine = folder / "mine.toml"
    mine.write_text(GOOD.replace("observatory-dark", "mine"))
    app, _, _ = seed.make_app(seed.swarm(), theme="mine", folder=tmp_path)
    async with app.run_test(size=(120, 40)):
        mine.unlink()
        await eventually(lambda: "mine" not in app.theme_set.specs)
        assert app.theme == "mine"
