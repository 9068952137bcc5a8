"""Whatever agents write, no view breaks and no control character reaches the terminal."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from observatory.model.agent import AgentState
from observatory.model.dead_letter import DeadLetter
from observatory.model.errors import BusError
from observatory.model.event import Event
from observatory.model.snapshot import (
    AgentView,
    DeadLetterSummary,
    EngineView,
    GroupView,
    LaneState,
    LaneView,
    LinkState,
    LinkView,
    Snapshot,
)
from observatory.model.task import Priority
from observatory.tui.rows.dead_letters import DeadLetterList
from tests.conftest import eventually
from tests.tui import seed

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import App

HOSTILE = {
    "closing tag": "[/b]",
    "word in brackets": "[ERROR] lost its first word",
    "live action": "[@click=app.quit]press me[/]",
    "unclosed": "[b red on blue",
    "escape": "\x1b[31m\x1b]0;title\x07\x1b]52;c;aGVsbG8=\x1b\\",
    "c1": "\x9b31m\x85\x90",
    "bidi": "\u202egnp.exe\u2066\u2069\u200f",
    "invisible": "a\u200bb\u00adc\ufeff\u2028\u2029",
    "wide": "日本語のエージェント" * 8,
    "combining": "e" + "\u0301" * 200,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "newlines": "one\ntwo\r\nthree\ttabbed",
    "huge": "x" * 200_000,
    "empty": "",
    "spaces": "   ",
    "surrogate": "\ud800\udfff",
    "nul": "\x00" * 40,
    "format": "{0} %s {name!r} $error",
}
"""Strings that broke terminals and dashboards before."""

_FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co"}


def hostile_snapshot(text: str) -> Snapshot:
    """Return a snapshot in which every foreign string is *text*."""
    lane = LaneView(
        text, Priority.HIGH, text, None, None, None, (GroupView(text, None, 1, 1, text),),
        state=LaneState.BROKEN, problem=text,
    )  # fmt: skip
    dead = AgentView(text, AgentState.DEAD, 99.0, text, text, 3.0, 0.5, 2, 1, 1, (text,), text)
    alive = replace(dead, state=AgentState.ALIVE, task="")
    events = tuple(
        Event(f"{number}-0", kind, seed.NOW_MS, text, text, text, text, 2, text, 5, text)
        for number, kind in enumerate(("dead_lettered", "agent_lost", text, "completed"))
    )
    return replace(
        seed.swarm(),
        link=LinkView(LinkState.DEGRADED, seed.NOW_MS, text, text, seed.NOW_MS),
        lanes=(lane, replace(lane, state=LaneState.OK, length=1, backlog=1, pending=1)),
        agents=(dead, alive),
        dead_letters=DeadLetterSummary(3, ((text, 2), ("error", 1)), 2, 5.0, 0.5),
        events=events,
        engine=EngineView(text, text, 1, 1, 1, 1, (text,)),
    )


def hostile_letters(text: str) -> tuple[DeadLetter, ...]:
    """Return dead letters in which every string is *text*, and payloads that hold it raw and as JSON."""
    raw = text.encode("utf-8", "surrogatepass")
    payloads = (raw, b'{"a": "' + raw.replace(b"\\", b"") + b'"}', b"\xff\xfe" + raw, b"")
    return tuple(
        DeadLetter(
            f"{number}-0", text, text, text, text, None, text, text, text, seed.NOW_MS, None, 1, payload,
            ((b"id", raw), (raw, payload)),
        )
        for number, payload in enumerate(payloads)
    )  # fmt: skip


def assert_clean(app: App[int]) -> None:
    """Assert that nothing on the screen could drive a terminal."""
    for widget in app.screen.query("*"):
        for y in range(widget.size.height):
            strip = widget.render_line(y)
            bad = {char for char in strip.text if unicodedata.category(char) in _FORBIDDEN}
            assert not bad, (widget, strip.text)


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_text_breaks_a_view_or_reaches_the_terminal(tmp_path: Path, name: str) -> None:
    """Overview, dead letters with every payload, form, help, palette and `:` line survive it and stay printable."""
    text = HOSTILE[name]
    size = ((80, 24), (160, 48))[list(HOSTILE).index(name) % 2]
    letters = hostile_letters(text)
    app, _, _ = seed.make_app(hostile_snapshot(text), letters=letters, folder=tmp_path, context=text)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert_clean(app)
        await pilot.press("tab", "G", "c", "tab", "y")
        assert_clean(app)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        for _ in letters:
            await pilot.pause()
            assert_clean(app)
            await pilot.press("y", "j")
        await pilot.press("R")
        for key, close in (("s", "escape"), ("question_mark", "escape"), ("colon", "escape"), ("ctrl+p", "escape")):
            await pilot.press(key)
            await pilot.pause()
            assert_clean(app)
            await pilot.press(close)
        assert app.is_running


async def test_an_error_that_quotes_data_is_clean_too(tmp_path: Path) -> None:
    """Words of an exception can hold what an agent wrote."""
    app, source, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    source.error = BusError(f"cannot read {HOSTILE['escape']}{HOSTILE['closing tag']}")
    actions.error = BusError(f"{HOSTILE['live action']}{HOSTILE['bidi']}")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        await pilot.pause()
        assert_clean(app)
        await pilot.press("s", "h", "i", "enter")
        await pilot.pause()
        assert_clean(app)
