"""Turning to another bus: its own rows, colours and manners, and nothing of the one before under its name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from observatory.actions import BusActions
from observatory.bus import Bus
from observatory.engine import Engine
from observatory.live import LiveSource
from observatory.model.errors import BusUnreachableError, ObservatoryError
from observatory.tui.app import ObservatoryApp
from observatory.tui.desk import OpenBus
from observatory.tui.rows.dead_letters import DeadLetterList
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.screens.dead_letters import DeadLetters
from observatory.tui.screens.overview import Overview
from observatory.tui.widgets.status_line import StatusLine
from tests.conftest import eventually
from tests.tui import seed
from tests.tui.test_app import screen_text, settled, text_of, toasts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from textual.pilot import Pilot

SIZE = (120, 40)


@dataclass
class TwoBuses:
    """Opens real buses by name, and remembers which ones were closed."""

    urls: dict[str, str]
    closed: list[str] = field(default_factory=list)

    async def past(self, name: str) -> OpenBus:
        """None of them has one."""
        raise ObservatoryError(f"{name} has no past")

    def known(self) -> dict[str, str]:
        """Return what there is."""
        return {**self.urls, "gone": "redis://127.0.0.1:1"}

    async def open(self, name: str) -> OpenBus:
        """Open one."""
        bus = Bus.connect(self.known()[name])
        await bus.open(deadline_s=0.5)

        async def close() -> None:
            self.closed.append(name)
            await bus.close()

        manners = {"prod": {"read_only": True, "protected": True, "colour": "red"}}
        return OpenBus(
            name, LiveSource(bus, refresh_s=0.25), BusActions(bus), refresh_s=0.25, close=close,
            **manners.get(name, {}),  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, str]]:
    """Two engines, each with a lane and dead letters that the other has not."""
    with Engine.temporary() as staging, Engine.temporary() as prod:
        urls = {"staging": staging.url, "prod": prod.url}
        asyncio.run(_fill(urls))
        yield urls


async def _fill(urls: dict[str, str]) -> None:
    for name, url in urls.items():
        async with Bus.connect(url) as bus:
            await bus.publish(f"{name}-job", {"of": name}, queue=f"lane-of-{name}")
            for number in range(3):
                await bus.connection.command(
                    "XADD", "cortex:tasks:dlq", "*", "id", f"{name}-{number}", "type", f"{name}-job", "reason", "error",
                    "last_error", f"boom on {name}", "source_lane", f"cortex:tasks:lane-of-{name}:normal",
                )  # fmt: skip


async def make(contexts: TwoBuses, tmp_path: Path) -> ObservatoryApp:
    """Return an app that begins with staging."""
    return ObservatoryApp(
        await contexts.open("staging"), themes=seed.themes_without_user(tmp_path), theme="observatory-dark",
        contexts=contexts, state_dir=tmp_path, memory=tmp_path / "memory.json",
    )  # fmt: skip


async def typed(pilot: Pilot[int], words: str) -> None:
    """Type a command line and run it."""
    await pilot.press("colon", *("space" if letter == " " else letter for letter in words), "enter")
    await settled(pilot)


async def test_another_bus_has_its_own_rows_marks_and_manners(engines: dict[str, str], tmp_path: Path) -> None:
    """`:ctx prod` shows prod's lanes and letters only, read-only as prod is; `:ctx staging` leads back, unmarked."""
    contexts = TwoBuses(engines)
    app = await make(contexts, tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await eventually(lambda: "lane-of-staging" in text_of(app.screen.query_one(LaneTable)))
        await pilot.press("4")
        await eventually(lambda: len(app.screen.query_one(DeadLetterList).rows) == 3)
        await pilot.press("space", "space")
        assert len(app.screen.query_one(DeadLetterList).marks) == 2
        await typed(pilot, "ctx prod")
        await eventually(lambda: app.desk.context == "prod" and app.screen.query(LaneTable) is not None)
        await eventually(lambda: isinstance(app.screen, Overview) and "lane-of-prod" in screen_text(app))
        assert "staging" not in screen_text(app)
        status = text_of(app.screen.query_one(StatusLine))
        assert "prod" in status
        assert "READ-ONLY" in status
        await pilot.press("4")
        await eventually(lambda: "prod-2" in screen_text(app))
        assert "staging" not in screen_text(app)
        assert not app.screen.query_one(DeadLetterList).marks
        await pilot.press("s")
        await settled(pilot)
        assert any("read-only" in words for words in toasts(app))
        await typed(pilot, "ctx staging")
        await eventually(lambda: app.desk.context == "staging" and isinstance(app.screen, DeadLetters))
        await eventually(lambda: "staging-2" in screen_text(app))
        assert not app.screen.query_one(DeadLetterList).marks
        assert contexts.closed == ["staging", "prod"]
    await app.desk.bus.close()


async def test_what_an_old_bus_says_late_is_dropped(engines: dict[str, str], tmp_path: Path) -> None:
    """A list that the old bus is still reading when the other is shown never arrives, nor does its snapshot."""
    contexts = TwoBuses(engines)
    app = await make(contexts, tmp_path)
    held, asked = asyncio.Event(), asyncio.Event()
    source = app.desk.source
    read = source.dead_letters

    async def slow(ask: object) -> object:
        asked.set()
        await held.wait()
        return await read(ask)  # type: ignore[arg-type]

    source.dead_letters = slow  # type: ignore[method-assign, assignment]
    async with app.run_test(size=SIZE) as pilot:
        await eventually(lambda: "lane-of-staging" in screen_text(app))
        await pilot.press("4")
        await asyncio.wait_for(asked.wait(), 5)
        late = app.desk.latest
        await typed(pilot, "ctx prod")
        await eventually(lambda: app.desk.context == "prod" and "lane-of-prod" in screen_text(app))
        held.set()
        app.post_message(seed.arrived(late, generation=1))
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: "prod-2" in screen_text(app))
        assert "staging" not in screen_text(app)
        assert all(lane.queue != "lane-of-staging" for lane in app.desk.latest.lanes)
    await app.desk.bus.close()


async def test_a_bus_that_cannot_be_reached_leaves_the_old_one_alive(engines: dict[str, str], tmp_path: Path) -> None:
    """The failure is told with both names, the screen goes on, and an unknown name is told too."""
    app = await make(TwoBuses(engines), tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await eventually(lambda: "lane-of-staging" in screen_text(app))
        await typed(pilot, "ctx gone")
        await eventually(lambda: any("gone" in words and "still staging" in words for words in toasts(app)))
        sequence = app.desk.latest.sequence
        await eventually(lambda: app.desk.latest.sequence > sequence)
        assert app.desk.context == "staging"
        await typed(pilot, "ctx nonsense")
        await eventually(lambda: any("no context nonsense" in words for words in toasts(app)))
    await app.desk.bus.close()
    with pytest.raises(BusUnreachableError):
        await TwoBuses(engines).open("gone")


async def test_contexts_are_listed_where_their_name_is_typed(engines: dict[str, str], tmp_path: Path) -> None:
    """`:ctx` alone lists all of them with their address, and says which is shown."""
    app = await make(TwoBuses(engines), tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await eventually(lambda: "lane-of-staging" in screen_text(app))
        await typed(pilot, "ctx")
        await eventually(lambda: "gone" in screen_text(app))
        assert "shown now" in screen_text(app)
    await app.desk.bus.close()
