"""What a person sees, at the sizes that matter; each picture is compared to one that a human looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.tui.screens.dead_letters import DeadLetters
from tests.conftest import eventually
from tests.tui import seed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from observatory.model.snapshot import Snapshot


def keys(*pressed: str) -> Callable[[Pilot[object]], object]:
    """Return what presses *pressed* once the seeded data is on the screen."""

    async def press(pilot: Pilot[object]) -> None:
        await pilot.pause(0.1)
        for key in pressed:
            await pilot.press(key)
            await pilot.pause()
            if isinstance(pilot.app.screen, DeadLetters):
                await eventually(pilot.app.screen.has_selection)
        await pilot.pause(0.1)

    return press


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_overview(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int]) -> None:
    """Nine lanes with their numbers, what is wrong above them, agents with trouble first, events; nothing is cut."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    assert snap_compare(app, terminal_size=size, run_before=keys())


@pytest.mark.parametrize("theme", ["observatory-light", "ansi"])
def test_overview_in_other_colours(snap_compare: Callable[..., bool], tmp_path: Path, theme: str) -> None:
    """The same in daylight, and in nothing but the terminal's own colours."""
    app, _, _ = seed.make_app(seed.swarm(), theme=theme, folder=tmp_path)
    assert snap_compare(app, terminal_size=(120, 40), run_before=keys())


@pytest.mark.parametrize("state", ["link_down", "healthy"])
def test_overview_in_other_states(snap_compare: Callable[..., bool], tmp_path: Path, state: str) -> None:
    """A lost link is spelled out and every number is dimmed; on a good day one green line says so."""
    data: Snapshot = getattr(seed, state)()
    app, _, _ = seed.make_app(data, folder=tmp_path)
    assert snap_compare(app, terminal_size=(120, 40), run_before=keys())


def test_before_the_first_snapshot(snap_compare: Callable[..., bool], tmp_path: Path) -> None:
    """CONNECTING, question marks, and not a single zero."""
    app, _, _ = seed.make_app(None, folder=tmp_path)
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys())


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_dead_letters(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int]) -> None:
    """The list with the cursor on the second row, and everything about that dead letter beside or below it."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    assert snap_compare(app, terminal_size=size, run_before=keys("4", "j"))


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_inside_a_lane(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int]) -> None:
    """Where one is stands at the top; groups with lag above, entries with their state below, and a payload."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    assert snap_compare(app, terminal_size=size, run_before=keys("2", "j", "enter", "j", "j"))


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_pending(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int]) -> None:
    """How idle times and deliveries are spread; who holds what, the third has lost its body; two rows are marked."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    assert snap_compare(app, terminal_size=size, run_before=keys("3", "space", "space", "j"))


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(("name", "pressed"), [("agents", "5"), ("trace", "6jj"), ("activity", "8"), ("engine", "9")])
def test_further_screens(
    snap_compare: Callable[..., bool], tmp_path: Path, name: str, pressed: str, size: tuple[int, int]
) -> None:
    """Agents with trouble first; the waterfall of a task; what was done by hand; the server with what is wrong."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    last = ("enter",) if name == "trace" else ()
    assert snap_compare(app, terminal_size=size, run_before=keys(*pressed, *last))


def test_filter_line(snap_compare: Callable[..., bool], tmp_path: Path) -> None:
    """The list is filtered already, and below it stands what could be typed next."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("3", "slash", *"idle>5m", "space", *"a"))


def test_send_form(snap_compare: Callable[..., bool], tmp_path: Path) -> None:
    """Even at 80 by 24 every field is there; the payload is wrong and the line below says where."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    typed = ("s", *"deploy", "f1", "tab", "tab", "tab", *'{"a": ')
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys(*typed))


def test_help(snap_compare: Callable[..., bool], tmp_path: Path) -> None:
    """The commands by group; in a read-only session those that change the bus are grey and say why."""
    app, _, _ = seed.make_app(seed.swarm(), read_only=True, folder=tmp_path)
    assert snap_compare(app, terminal_size=(120, 40), run_before=keys("question_mark"))


def test_command_line(snap_compare: Callable[..., bool], tmp_path: Path) -> None:
    """The line at the bottom with what begins like it."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("colon", "p"))


def test_a_terminal_that_is_too_small(snap_compare: Callable[..., bool], tmp_path: Path) -> None:
    """One line names the size that is needed."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    assert snap_compare(app, terminal_size=(50, 14), run_before=keys())
