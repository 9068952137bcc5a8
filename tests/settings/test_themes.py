"""Themes: the shipped ones can be read by everyone, and a user's broken one is a sentence, not a crash."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from textual.app import App, ComposeResult
from textual.theme import Theme
from textual.widgets import Static

from observatory.model.errors import SettingsError
from observatory.settings import ThemeSpec, themes, themes_dir
from observatory.settings.contrast import VISIONS, contrast, distance, faint_pairs, mixed
from observatory.settings.themes import COLORS, VARIABLES, themes_stamp

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = themes().specs
FAMILIES = (
    ("lane-critical", "lane-high", "lane-normal", "lane-low"),
    ("agent-alive", "agent-late", "agent-stale", "agent-dead"),
    ("plot-1", "plot-2", "plot-3"),
)
GOOD = (SHIPPED["observatory-dark"].source).read_text()


@pytest.fixture
def user() -> Path:
    """The user's own themes folder, empty."""
    folder = themes_dir()
    folder.mkdir(parents=True)
    return folder


def test_we_ship_a_theme_for_everyone() -> None:
    """Dark, light, high contrast, colour-blind and the terminal's own colours come with the program, unbroken."""
    assert set(SHIPPED) >= {
        *("observatory-dark", "observatory-light", "ansi"),
        *("high-contrast", "high-contrast-light", "colour-blind", "colour-blind-light"),
    }
    assert len(SHIPPED) >= 8
    assert themes().problems == ()
    assert {spec.dark for spec in SHIPPED.values()} == {True, False}


@pytest.mark.parametrize("spec", [spec for spec in SHIPPED.values() if not spec.ansi], ids=lambda spec: spec.name)
def test_everything_can_be_read(spec: ThemeSpec) -> None:
    """Text has 4.5:1 and marks 3:1 against every ground that they stand on, the row under the cursor included."""
    assert list(faint_pairs(spec)) == []


@pytest.mark.parametrize("spec", [SHIPPED["high-contrast"], SHIPPED["high-contrast-light"]], ids=lambda spec: spec.name)
def test_high_contrast_is_high(spec: ThemeSpec) -> None:
    """Whatever is read has 7:1 on the ground."""
    for key in ("primary", "secondary", "accent", "warning", "error", "success", "foreground"):
        assert contrast(getattr(spec, key), spec.background) >= 7, key


@pytest.mark.parametrize("vision", ["", *VISIONS])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family[0])
@pytest.mark.parametrize("name", ["colour-blind", "colour-blind-light"])
def test_every_eye_can_tell_them_apart(name: str, family: tuple[str, ...], vision: str) -> None:
    """With every common kind of colour vision the lanes, the states of agents and the plots look different."""
    for one, other in combinations(family, 2):
        assert distance(SHIPPED[name].variables[one], SHIPPED[name].variables[other], vision) >= 15, (one, other)


def test_contrast_and_distance_are_measured_right() -> None:
    """Black on white is 21:1 and 100 apart; red and green of one lightness look alike to who lacks one of them."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert distance("#000000", "#ffffff") == pytest.approx(100, abs=0.1)
    assert mixed("#000000", "#ffffff", 0.5) == "#808080"
    alike = distance("#b05000", "#7a6a00")
    assert distance("#b05000", "#7a6a00", "deuteranopia") < alike / 3


def test_a_faint_theme_is_named_by_its_pairs() -> None:
    """Grey on grey is said, with the contrast that it has and the one that is needed."""
    said = list(faint_pairs(replace(SHIPPED["observatory-dark"], foreground="#555555")))
    assert "foreground on background: contrast 2.6, at least 4.5 is needed" in said
    assert all("foreground" in pair or "text" in pair for pair in said)


def test_the_row_under_the_cursor_is_a_ground_too() -> None:
    """A lane in the colour of the bar would vanish under it."""
    spec = SHIPPED["observatory-dark"]
    bar = mixed(spec.background, spec.primary, 0.35)
    said = list(faint_pairs(replace(spec, variables={**spec.variables, "lane-high": bar})))
    assert "lane-high on the cursor: contrast 1.0, at least 3 is needed" in said


def test_a_change_in_the_folder_is_noticed(user: Path) -> None:
    """A file that comes, changes or goes gives another stamp; nothing else does."""
    stamps = [themes_stamp()]
    (user / "mine.toml").write_text(GOOD)
    stamps.append(themes_stamp())
    (user / "notes.txt").write_text("no theme")
    assert themes_stamp() == stamps[-1]
    (user / "mine.toml").write_text(GOOD + "\n")
    stamps.append(themes_stamp())
    (user / "gone.toml").symlink_to(user / "nowhere")
    stamps.append(themes_stamp())
    (user / "mine.toml").unlink()
    stamps.append(themes_stamp())
    assert len(set(stamps)) == len(stamps)


@pytest.mark.parametrize("spec", SHIPPED.values(), ids=lambda spec: spec.name)
def test_states_are_told_apart(spec: ThemeSpec) -> None:
    """The four priorities have four colours, and so have the four states of an agent."""
    assert len({spec.variables[f"lane-{key}"] for key in ("critical", "high", "normal", "low")}) == 4
    assert len({spec.variables[f"agent-{key}"] for key in ("alive", "late", "stale", "dead")}) == 4


async def test_the_toolkit_takes_every_theme(user: Path) -> None:
    """Each theme, also one's own with no variables, can be switched to in a running app that uses its colours."""
    for name in ("ansi", "observatory-dark"):
        text = SHIPPED[name].source.read_text().split("[variables]")[0]
        (user / f"{name}.toml").write_text(text.replace(f'"{name}"', f'"plain-{name}"'))
    specs = themes().specs
    assert len(specs) == len(SHIPPED) + 2

    class Swatches(App[None]):
        CSS = "\n".join(f"#{key} {{ color: ${key}; border: round $border-blurred; }}" for key in VARIABLES)

        def __init__(self) -> None:
            super().__init__()
            for spec in specs.values():
                colors = {key: getattr(spec, key) for key in COLORS}
                self.register_theme(
                    Theme(name=spec.name, dark=spec.dark, ansi=spec.ansi, variables=dict(spec.variables), **colors)
                )
            self.theme = "observatory-dark"

        def compose(self) -> ComposeResult:
            yield from (Static("x", id=key) for key in VARIABLES)

    app = Swatches()
    async with app.run_test() as pilot:
        for name in specs:
            app.theme = name
            await pilot.pause()
            assert app.current_theme.name == name


def test_a_theme_of_ones_own(user: Path) -> None:
    """A file with only the ten colours is a theme; what it does not name follows from them."""
    (user / "mine.toml").write_text(GOOD.split("[variables]")[0].replace("observatory-dark", "mine"))
    found = themes()
    assert found.problems == ()
    assert found.get("mine").variables["lane-critical"] == found.get("mine").error


def test_ones_own_theme_replaces_a_shipped_one(user: Path) -> None:
    """A file with the name of a shipped theme is taken instead of it; two of one's own are a problem."""
    (user / "a.toml").write_text(GOOD.replace("#0c1016", "#000000"))
    (user / "b.toml").write_text(GOOD)
    found = themes()
    assert found.get("observatory-dark").background == "#000000"
    assert found.problems == (f"{user / 'b.toml'}: name: a.toml has the same name",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('error = "#f4736e"', 'error = "red"', "colors.error: line 10: must be #rrggbb"),
        ('error = "#f4736e"', 'error = "ansi_red"', "colors.error: line 10: must be #rrggbb"),
        ('error = "#f4736e"', "error = 5", "colors.error: line 10: must be #rrggbb"),
        ('error = "#f4736e"', "", "colors: line 5: the colour error is missing"),
        ('error = "#f4736e"', 'eror = "#f4736e"', "colors.eror: line 10: there is no such key (did you mean error?)"),
        ("dark = true", 'dark = "yes"', "dark: line 3: must be true or false"),
        ("dark = true", "", "dark: is missing; it must be true or false"),
        ("dark = true", "drak = true", "drak: line 3: there is no such key (did you mean dark?)"),
        ('name = "observatory-dark"', 'name = "[b]x"', "name: line 2: must be 1 to 40 lower-case letters"),
        ("lane-high", "lane-hihg", "variables.lane-hihg: line 19: there is no such key (did you mean lane-high?)"),
        ('lane-high = "#f5ab62"', 'lane-high = "#f5ab62 20%"', "variables.lane-high: line 19: must be #rrggbb"),
        ('border = "#6cb2f5"', 'border = "red; } * { display: none"', "variables.border: line 30: must be #rrggbb"),
        ('text-style = "none"', 'text-style = "blink"', "variables.block-cursor-text-style: line 34: must be none"),
        ("[colors]", "[colors", "line 5: this is not TOML"),
        ("[colors]", "[[colors]]", "colors: must be a table"),
    ],
)
def test_a_broken_theme_is_a_sentence(user: Path, old: str, new: str, said: str) -> None:
    """What is wrong in a theme file is said with file, key and line, and the other themes are there."""
    assert old in GOOD
    (user / "broken.toml").write_text(GOOD.replace(old, new, 1))
    found = themes()
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{user / 'broken.toml'}: {said}")
    assert set(found.specs) == set(SHIPPED)


def test_unreadable_things_in_the_folder_are_sentences_too(user: Path) -> None:
    """A folder, a binary file or a dangling link with a theme's ending is named, not raised."""
    (user / "a.toml").mkdir()
    (user / "b.toml").write_bytes(b"\xff\xfe")
    (user / "c.toml").symlink_to(user / "nowhere")
    (user / "notes.txt").write_text("not a theme")
    assert [problem.split(": ")[0] for problem in themes().problems] == [str(user / f"{n}.toml") for n in "abc"]


def test_a_terminal_colour_that_does_not_exist_is_named(user: Path) -> None:
    """An ANSI theme takes only the colours that a terminal has."""
    text = SHIPPED["ansi"].source.read_text().replace('"ansi_red"', '"ansi_rde"', 1)
    (user / "x.toml").write_text(text)
    assert "colors.error: line 11: is not a colour of the terminal (did you mean ansi_red?)" in themes().problems[0]


def test_an_unknown_theme_is_answered_with_the_nearest() -> None:
    """Asking for a theme that is not there names the one that was probably meant."""
    with pytest.raises(
        SettingsError, match=r"there is no theme 'observatory-drak' \(did you mean observatory-dark\?\)"
    ):
        themes().get("observatory-drak")
